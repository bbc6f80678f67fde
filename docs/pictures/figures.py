#!/usr/bin/env python3
"""Writes the README's figures of speed: one table, hot-path.svg and gateway.svg; and the tables of docs/performance.md.

Usage: docs/pictures/figures.py [build/benchmark] [--machine WORDS]

The folder holds hot-path.json and gateway.json of one machine, as tests/benchmark/run.sh and gateway.sh leave them
there; where one is missing, its rows, picture and table are left out. A section of a page stands between
<!-- figures: NAME --> and <!-- end -->; the rest is left alone. WORDS instead of what /proc/cpuinfo says.
"""
import argparse
import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "benchmark"))
from charts import bars  # noqa: E402
from gateway_rows import NAMES, ROWS, SHORT, median, ratio  # noqa: E402
from hot_path import Run  # noqa: E402
from marks import beside_peer, verdict  # noqa: E402
import report  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("results", type=pathlib.Path, nargs="?", default=ROOT / "build" / "benchmark")
parser.add_argument("--machine")
given = parser.parse_args()

# Of the table of docs/performance.md, by how its rows begin.
SHOWN = [
    ("round_robin/100,", "`select` + `report`, round robin, 100 backends: times the floor"),
    ("weighted_random/1000,", "the same, by weight at random, 1,000 backends"),
    ("consistent_hash/1000 ", "the same, consistent hash, 1,000 backends, without hashing the key"),
    ("least_connections/1000,", "the same, least connections, 1,000 backends"),
    ("response_time/1000,", "the same, response time, 1,000 backends"),
    ("single_backend,", "one backend alone"),
    ("round_robin/100 by model", "a choice by model and tag: more than without, floors"),
    ("round_robin, own", "a second thread of round robin, of what it brings to the floor, at the worst number of backends"),
    ("prefix_affinity, 64 backends of 31,250 blocks, 256 blocks asked: look-up,",
     "prefix look-up: 256 blocks in 64 caches of 31,250, us"),
    ("prefix_affinity, 64 backends of 31,250 blocks, 256 blocks asked: look-up and note, held",
     "the same, and noted, us"),
    ("prefix_affinity, 64 backends of 31,250 blocks, 256 blocks asked: look-up and note, new",
     "the same, and noted, all of them new, us"),
    ("PromptHasher", "a prompt hashed, GB/s"),
    ("a new snapshot of round_robin/10000,", "a change of the fleet, 10,000 backends, ms"),
    ("memory of a backend", "memory of a backend beside its strings, bytes"),
]


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.*)", info, re.MULTILINE)
    kind = "virtual CPUs" if " hypervisor" in info else "CPUs"
    return f"{os.cpu_count()} {kind}" + (f" ({re.sub(r'[(](R|TM)[)]', '', model[1]).strip()})" if model else "")


rows, pictures, dates, commands, machines = [], [], [], [], []


def under(versions, load):
    return f"{given.machine or machine()}, {versions}, other work on them: a load of {load:.0f}"


hot = given.results / "hot-path.json"
if hot.exists():
    run = Run(hot)
    marks = report.marks(run)
    for begin, text in SHOWN:
        for row in marks:
            what, value, mark, decimals, less = row
            if what.startswith(begin):
                rows.append((text, f"{value:,.{decimals}f}", f"{'' if less else '>= '}{mark:g}",
                             verdict(value, mark, decimals, less)))
                break
    report.picture(run, HERE / "hot-path.svg")
    pictures.append("![`select` and `report` of each strategy, beside the floor and their marks](docs/pictures/hot-path.svg)")
    dates.append(run.context["date"][:10])
    commands.append("tests/benchmark/run.sh")
    hot_words = under(run.context.get("compiler", "g++"), run.context["load_avg"][0])
    machines.append(hot_words)

peers = given.results / "gateway.json"
if peers.exists():
    content = json.loads(peers.read_text(encoding="utf-8"))
    rounds = content["rounds"]
    shown = [name for name in ("gateway", "nginx", "relay") if any(name in each for each in rounds)]
    groups = []
    for text, what, figure, mark, to in ROWS:
        values = [ratio(rounds, name, "haproxy", what, figure) for name in shown]
        if values[0] is None:
            continue
        text = text.format(streams=f"{content['streams']:,}")
        # The mark may be a multiple of another's than HAProxy's.
        beside = 1.0 if to == "haproxy" else ratio(rounds, to, "haproxy", what, figure)
        limit = None if mark is None or beside is None else mark * beside
        groups.append((SHORT.get(what) or SHORT[figure], values, limit))
        against = ratio(rounds, "gateway", to, what, figure)
        if mark is not None and against is not None:
            rows.append((f"gateway: {text}: times {NAMES[to]}'s ({median(rounds, to, what, figure):,.1f})",
                         f"{against:.2f}", f"{mark:g}", beside_peer(against, mark)))
    bars(HERE / "gateway.svg", "The gateway beside HAProxy and nginx, one thread each",
         "times HAProxy's own figure of the same round; shorter is better",
         ["fairlead-gateway" if name == "gateway" else NAMES[name] for name in shown], groups, (1, "HAProxy"))
    pictures.append("![The gateway beside HAProxy and nginx](docs/pictures/gateway.svg)")
    dates.append(content["date"])
    peers_words = under(", ".join(f"{name} {version}" for name, version in content["versions"].items()), content["load"])
    machines.append(peers_words)
    commands.append("tests/benchmark/gateway.sh")

if not rows:
    sys.exit(f"neither hot-path.json nor gateway.json in {given.results}")
words = [f"{words}, by `{command}`" for words, command in zip(machines, commands)]
section = (f"Measured on {' and '.join(sorted(set(dates)))} on {'; and on '.join(words)}. All of it, what the floor is, and "
           "why a mark is missed: [docs/performance.md](docs/performance.md).\n\n"
           "| figure | is | mark | met |\n|---|---:|---:|---|\n" +
           "".join("| " + " | ".join(row) + " |\n" for row in rows) + "\n" + "\n\n".join(pictures) + "\n")


def put(page, name, text, must=True):
    """Into the section of that name."""
    begin, end = f"<!-- figures: {name} -->\n", "<!-- end -->"
    whole = page.read_text(encoding="utf-8")
    if begin not in whole:
        if must:
            sys.exit(f"no {begin.strip()} in {page}")
        return
    before, rest = whole.split(begin, 1)
    page.write_text(before + begin + text + end + rest.split(end, 1)[1], encoding="utf-8")


put(ROOT / "README.md", "speed", section)
if hot.exists():
    put(ROOT / "docs" / "performance.md", "hot-path",
        f"One run on {dates[0]} on {hot_words}; of {run.repetitions} repetitions the fastest, of "
        f"{run.repetitions_in_memory} of what walks through megabytes the lower quartile, of two threads the median.\n\n" + report.tables(run))
if peers.exists() and (table := given.results / "gateway.md").exists():
    put(ROOT / "docs" / "performance.md", "gateway",
        f"{len(rounds)} rounds on {dates[-1]} on {peers_words}.\n\n" + table.read_text(encoding="utf-8"), must=False)
print(section, end="")
