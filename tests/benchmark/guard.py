"""Compares the counts that callgrind dumped with those that are written down: guard.sh calls it.

    guard.py FILE BUILD WORK [--write]

WORK holds the dumps (counts.1, counts.2, ...), one for each row, and what the program said (out). BUILD is asked for
the compiler. FILE has a line for each compiler and row: compiler, row, instructions a request."""
import pathlib
import re
import sys

BY = 0.05  # because the compiler's own choices around an unrelated change move a count by 1 to 3 %

file, build, work = map(pathlib.Path, sys.argv[1:4])
write = "--write" in sys.argv[4:]

requests = int(re.search(r"counted (\d+)", (work / "out").read_text(encoding="utf-8"))[1])
counts = {}
for dump in sorted(work.glob("counts.*"), key=lambda path: int(path.suffix[1:])):
    text = dump.read_text(encoding="utf-8")
    row = re.search(r"^desc: Trigger: Client Request: (\S+)", text, re.MULTILINE)
    total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    if row and total:
        counts[row[1]] = round(int(total[1]) / requests)
if not counts:
    sys.exit("callgrind wrote no counts")

# CMake's words for the compiler: "GNU", "12.2.0".
found = {}
for path in build.glob("CMakeFiles/*/CMakeCXXCompiler.cmake"):
    found = dict(re.findall(r'set\(CMAKE_CXX_(COMPILER_ID|COMPILER_VERSION|COMPILER_ARCHITECTURE_ID) "([^"]*)"\)',
                            path.read_text(encoding="utf-8")))
machine = re.search(r'set\(CMAKE_SYSTEM_PROCESSOR "([^"]*)"\)',
                    next(build.glob("CMakeFiles/*/CMakeSystem.cmake")).read_text(encoding="utf-8"))[1]
name = {"GNU": "g++", "Clang": "clang++"}.get(found["COMPILER_ID"], found["COMPILER_ID"])
compiler = f"{name} {found['COMPILER_VERSION'].split('.')[0]} {machine}"

head, known = [], {}
if file.exists():
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            head.append(line)
        else:
            of, row, count = (part.strip() for part in line.split("|"))
            known.setdefault(of, {})[row] = int(count)

if write:
    known[compiler] = counts
    with open(file, "w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in head)
        for of in sorted(known):
            for row, count in known[of].items():
                out.write(f"{of} | {row:40} | {count:6}\n")
    print(f"{len(counts)} rows of {compiler} written")
    sys.exit()

before = known.get(compiler)
if before is None:
    print(f"SKIPPED: {file.name} has no rows of {compiler} (it has: {', '.join(sorted(known)) or 'none'}); "
          "guard.sh --write adds them")
    sys.exit()
worse, better = [], []
for row in sorted(before.keys() | counts.keys()):
    if row not in counts or row not in before:
        worse.append(f"{row}: {'not counted any more' if row not in counts else 'not in the file'}; "
                     "guard.sh --write sets it right")
        continue
    change = counts[row] / before[row] - 1
    if abs(change) > BY:
        (worse if change > 0 else better).append(f"{row}: {before[row]} -> {counts[row]} ({change:+.0%})")
for line in better:
    print(f"CHEAPER, lower it on purpose (guard.sh --write): {line}")
for line in worse:
    print(f"DEARER: {line}")
if worse:
    sys.exit(f"{len(worse)} of {len(counts)} rows of {compiler} are not as {file.name} says; if that is meant, "
             "guard.sh --write, and the commit says why")
print(f"{len(counts)} rows of {compiler}: none grew by more than {BY:.0%}")
