"""Prints what llvm-cov's JSON says of lines and branches, by folder: see coverage.sh.

llvm-cov's own table takes, of a template's instantiations, the one that covers most; here a line or a branch is covered
that any of them covered.
"""

import argparse
import collections
import json
import os


def lines_of(segments, text):
    """Line -> how often it ran, for lines with code: as LLVM's LineCoverageStats, but no comment is a line of code."""
    starts = collections.defaultdict(list)
    for line, _, count, has_count, is_entry, is_gap in segments:
        starts[line].append((count, has_count, is_entry, is_gap))
    counts = {}
    carried = None  # by the last segment of the lines before
    for line in range(min(starts, default=1), max(starts, default=0) + 1):
        here = starts[line]
        regions = [count for count, has_count, is_entry, is_gap in here if has_count and is_entry and not is_gap]
        begins_skipped = bool(here) and here[0][2] and not here[0][1]
        code = text[line - 1].strip()
        is_code = code and not code.startswith("//")
        if is_code and not begins_skipped and (carried is not None or regions):
            counts[line] = max([carried or 0, *regions])
        if here:
            carried = here[-1][0] if here[-1][1] else None
    return counts


def branches_of(branches):
    """Place -> [how often true, how often false]."""
    taken = collections.defaultdict(lambda: [0, 0])
    for first_line, first_column, last_line, last_column, is_true, is_false, *_ in branches:
        both = taken[(first_line, first_column, last_line, last_column)]
        both[0] += is_true
        both[1] += is_false
    return taken


class Sum:
    def __init__(self):
        self.lines = self.lines_run = self.ways = self.ways_taken = 0

    def add(self, lines, branches):
        self.lines += len(lines)
        self.lines_run += sum(1 for count in lines.values() if count)
        self.ways += 2 * len(branches)
        self.ways_taken += sum((1 if is_true else 0) + (1 if is_false else 0) for is_true, is_false in branches.values())

    def row(self, name):
        def share(part, whole):
            return f"{100 * part / whole:5.1f} %" if whole else "      -"

        return (f"{name:32}{self.lines_run:7} of {self.lines:5} {share(self.lines_run, self.lines)}"
                f"{self.ways_taken:9} of {self.ways:5} {share(self.ways_taken, self.ways)}")


def ranges(numbers):
    """Consecutive ones together."""
    found = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file")
    options.add_argument("--branches", action="store_true")
    options = options.parse_args()
    with open(options.file, encoding="utf-8") as file:
        files = json.load(file)["data"][0]["files"]
    folders = collections.defaultdict(Sum)
    all_of_it = Sum()
    missing = []
    one_way = []
    # A compiler's cache may have shortened a path, so that a file comes under several.
    named = collections.defaultdict(list)
    for each in files:
        named[os.path.relpath(each["filename"])].append(each)
    for path, parts in sorted(named.items()):
        if not path.startswith(("include/", "src/")):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read().splitlines()
        lines = collections.Counter()
        for part in parts:
            for line, count in lines_of(part["segments"], text).items():
                lines[line] += count
        branches = branches_of(branch for part in parts for branch in part["branches"])
        folders[os.path.dirname(path)].add(lines, branches)
        all_of_it.add(lines, branches)
        for first, last in ranges(line for line, count in lines.items() if not count):
            place = f"{path}:{first}" + (f"-{last}" if last != first else "")
            missing.append(f"{place}: {text[first - 1].strip()}")
        for (line, column, last_line, last_column), (is_true, is_false) in sorted(branches.items()):
            if bool(is_true) == bool(is_false):
                continue
            end = last_column - 1 if last_line == line else None
            one_way.append(f"{path}:{line}: only {'true' if is_true else 'false'}: {text[line - 1][column - 1:end]}")
    print("Lines that no test reached:")
    print("".join(f"  {line}\n" for line in missing) or "  none\n", end="")
    if options.branches:
        print("\nBranches that were only taken one way:")
        print("".join(f"  {line}\n" for line in one_way) or "  none\n", end="")
    print(f"\n{'':32}{'lines':>23}{'branches, each way one':>25}")
    for folder, of_folder in sorted(folders.items()):
        print(of_folder.row(folder))
    print(all_of_it.row("all"))


main()
