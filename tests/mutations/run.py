"""Applies the faults one by one, builds the tests that must notice, and runs them: see run.sh, which calls this."""

import argparse
import concurrent.futures
import dataclasses
import fcntl
import filecmp
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAULTS = ROOT / "tests" / "mutations"
WORK = ROOT / "build" / "mutations"
COPIED = ["CMakeLists.txt", "cmake", "include", "src", "tests"]


@dataclasses.dataclass
class Result:
    fault: str
    verdict: str  # noticed, SURVIVED or ERROR
    by: str  # the test, or what was said
    seconds: float = 0.0


def synchronise(tree):
    """Makes `tree` what ROOT is. What is the same is left alone, so that nothing of it is compiled again."""
    wanted = set()
    for name in COPIED:
        source = ROOT / name
        for path in [source] if source.is_file() else source.rglob("*"):
            if path.is_dir() or "__pycache__" in path.parts:
                continue
            relative = path.relative_to(ROOT)
            wanted.add(relative)
            copy = tree / relative
            if not copy.exists() or not filecmp.cmp(path, copy, shallow=False):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    for path in list(tree.rglob("*")):
        if path.is_file() and path.relative_to(tree) not in wanted:
            path.unlink()


class Bench:
    """A copy of the tree with its build: one fault is in it at a time."""

    def __init__(self, number):
        self.tree = WORK / f"tree-{number}"
        self.build = WORK / f"build-{number}"
        self.log = WORK / f"log-{number}"
        self.environment = dict(os.environ, GIT_CEILING_DIRECTORIES=str(WORK), CCACHE_BASEDIR=str(self.tree),
                                CCACHE_NOHASHDIR="1", LC_ALL="C.UTF-8")

    def run(self, command, **more):
        return subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **more)

    def prepare(self):
        synchronise(self.tree)
        settings = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O0", "-DCMAKE_C_FLAGS=-O0",
                    "-DCMAKE_UNITY_BUILD=ON"]
        if shutil.which("ccache"):
            settings += ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", "-DCMAKE_C_COMPILER_LAUNCHER=ccache"]
        if shutil.which("mold"):
            settings += ["-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=mold"]
        done = self.run(["cmake", "-S", str(self.tree / "tests" / "mutations"), "-B", str(self.build), *settings])
        if done.returncode != 0:
            sys.exit(f"cmake cannot configure:\n{done.stdout}")

    def builds(self, name):
        """Empty, or what the compiler said."""
        done = self.run(["cmake", "--build", str(self.build), "-j", "1", "--target", f"mutant-{name}"])
        if done.returncode == 0:
            return ""
        errors = re.findall(r"^.*(?:error:|undefined reference).*$", done.stdout, re.MULTILINE)
        return errors[0] if errors else done.stdout[-500:]

    def test(self, name, limit):
        """(whether a test failed, which)."""
        program = str(self.build / "bin" / f"mutant-{name}")
        try:
            done = self.run([program, "--abort"], timeout=limit, cwd=self.build)
        except subprocess.TimeoutExpired:
            return True, f"it hangs: not ended after {limit:.0f} s"
        if done.returncode == 0:
            return False, ""
        # The failed test's name stands between two rules, over as many lines as it takes.
        found = re.search(r"^-{70,}\n(.*?)\n-{70,}$", done.stdout, re.MULTILINE | re.DOTALL)
        by = " ".join(found.group(1).split()) if found else f"it ends with {done.returncode}"
        return True, by

    def apply(self, patch, *how):
        done = self.run(["git", "apply", *how, str(patch)], cwd=self.tree)
        return done.returncode == 0, done.stdout.strip()

    def one(self, name, patch, limit):
        fault = f"{name}/{patch.stem}"
        begin = time.monotonic()
        applied, said = self.apply(patch)
        if not applied:
            return Result(fault, "ERROR", f"does not apply: {said}")
        try:
            said = self.builds(name)
            if said:
                return Result(fault, "ERROR", f"does not compile: {said}")
            failed, by = self.test(name, limit)
        finally:
            self.apply(patch, "--reverse")
        return Result(fault, "noticed" if failed else "SURVIVED", by or "no test", time.monotonic() - begin)

    def all_of(self, name, patches):
        """The tests without a fault, then with each."""
        said = self.builds(name)
        if said:
            yield Result(name, "ERROR", f"does not build without a fault: {said}")
            return
        begin = time.monotonic()
        failed, by = self.test(name, 300)
        if failed:
            yield Result(name, "ERROR", f"fails without a fault: {by}")
            return
        # Ten times what it takes, since another may build beside it.
        limit = max(20.0, 10 * (time.monotonic() - begin))
        for patch in patches:
            yield self.one(name, patch, limit)


def wanted_faults(names):
    """Class -> patches."""
    chosen = {}
    for patch in sorted(FAULTS.glob("*/*.patch")):
        name = patch.parent.name
        if not names or name in names or f"{name}/{patch.stem}" in names:
            chosen.setdefault(name, []).append(patch)
    known = set(chosen) | {f"{name}/{patch.stem}" for name, patches in chosen.items() for patch in patches}
    for name in names:
        if name not in known:
            sys.exit(f"there are no faults {name}; there is: {', '.join(sorted(p.name for p in FAULTS.iterdir() if p.is_dir()))}")
    return chosen


def main():
    parser = argparse.ArgumentParser(prog="tests/mutations/run.sh")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a class, or CLASS/FAULT; all if none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    faults = wanted_faults([name.removesuffix(".patch") for name in options.names])
    WORK.mkdir(parents=True, exist_ok=True)
    lock = open(WORK / "lock", "w", encoding="utf-8")  # closed with the process
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("another run is under way in build/mutations")
    benches = queue.SimpleQueue()
    jobs = max(1, min(options.jobs, len(faults)))

    def work(item):
        bench = benches.get()
        try:
            results = []
            for result in bench.all_of(*item):
                results.append(result)
                print(f"{result.verdict:9}{result.fault:46}{result.seconds:6.1f} s  {result.by}", flush=True)
            return results
        finally:
            benches.put(bench)

    def prepared(number):
        bench = Bench(number)
        bench.prepare()
        benches.put(bench)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(prepared, range(jobs)))
        results = [result for some in pool.map(work, faults.items()) for result in some]
    noticed = sum(result.verdict == "noticed" for result in results)
    total = sum(map(len, faults.values()))
    for result in results:
        if result.verdict != "noticed":
            patch = FAULTS / f"{result.fault}.patch"
            means = patch.read_text(encoding="utf-8").splitlines()[0] if patch.exists() else ""
            print(f"\n{result.verdict}: {result.fault}: {means}\n    {result.by}")
    print(f"\n{noticed} of {total} faults noticed")
    sys.exit(0 if noticed == total else 1)


main()
