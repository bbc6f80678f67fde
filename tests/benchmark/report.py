"""From Google Benchmark's JSON to tables and a picture: ratios to the floor of the same run, each beside
the mark that it is held to. Nothing fails on a mark: the machine's other work is in every figure.

    report.py RUN.json TABLE.md PICTURE.svg
    report.py --compare A.json B.json        # two runs, of this benchmark or of the gateway's: where they differ most
"""
import json
import sys

from charts import bars
from gateway_rows import cost_ratios
from hot_path import CLOCKS, COLD_SIZES, SIZES, STRATEGIES, THREAD_SIZES, WITH_WEIGHTS, Run
from marks import verdict


# --- the marks ---

def marks(run):
    """(what, value, mark, decimals, whether less is better) of each row that was measured."""
    time, floors = run.time, run.floors

    def row(what, value, mark, decimals=2, less=True):
        if value is not None:
            rows.append((what, value, mark, decimals, less))

    def more(name, than):
        return floors(name) - floors(than) if name in time and than in time else None

    def times(name, than):
        return time[name] / time[than] if name in time and than in time else None

    rows = []
    for strategy in ("round_robin", "weighted_round_robin", "random", "weighted_random"):
        for size in (3, 100, 1000):
            row(f"{strategy}/{size}, floors", floors(f"{strategy}/{size}"), 2)
    for size in (3, 100, 1000):
        name = f"consistent_hash/{size}"
        if name in time:
            row(f"{name} without hashing the key, floors",
                floors(name) - time["hash_key"] / time[f"floor/{size}"], 2)
    for strategy in WITH_WEIGHTS:
        for size, mark in ((16, 8), (64, 25), (100, 5), (1000, 5), (10_000, 5)):
            row(f"{strategy}/{size}, floors", floors(f"{strategy}/{size}"), mark)
        for size in (100, 1000, 10_000):
            row(f"{strategy}/{size} with weights, floors", floors(f"{strategy}_weighted/{size}"), 8)
    row("single_backend, floors", floors("single_backend"), 1)
    for strategy in STRATEGIES:
        row(f"{strategy}/100 by model and tag, more than without, floors",
            more(f"{strategy}_by_model_and_tag/100", f"{strategy}/100"), 3)
    for strategy in STRATEGIES:
        row(f"AnyStrategy of {strategy}, more than {strategy}, floors",
            more(f"any_{strategy}/100", f"{strategy}/100"), 1)
    for strategy in STRATEGIES:
        row(f"{strategy}, 10,000 backends against 100", times(f"{strategy}/10000", f"{strategy}/100"), 2.5)
    for kind, what, mark in (("prefix_lookup", "look-up", 2), ("prefix_lookup_common", "look-up, 100 held by all", 2),
                             ("prefix_lookup_stairs", "look-up, each holds another length", 2),
                             ("prefix_lookup_and_note_known", "look-up and note, held", 6),
                             ("prefix_lookup_and_note", "look-up and note, 3 of 4 held", 6),
                             ("prefix_lookup_and_note_new", "look-up and note, new", 6)):
        name = f"{kind}/64x31250/256"
        if name in time:
            row(f"prefix_affinity, 64 backends of 31,250 blocks, 256 blocks asked: {what}, us", time[name] / 1e3, mark)
    if "prompt_hasher/16KiB" in time:
        row("PromptHasher, 16 KiB of text, GB/s", 16384 / time["prompt_hasher/16KiB"], 2, 1, less=False)
    for kind in ("refused", "refused_pending"):
        row(f"{kind}, 1,000 backends against 10 (no growth)", times(f"{kind}/1000", f"{kind}/10"), 1.1)
        row(f"{kind}, 10,000 backends against 10 (no growth)", times(f"{kind}/10000", f"{kind}/10"), 1.1)
    for kind in ("own", "shared"):
        for strategy in STRATEGIES:
            gains = [run.gain(f"{strategy}_{kind}", size) for size in THREAD_SIZES]
            if None not in gains:
                row(f"{strategy}, {kind} backends: what a second thread brings, of what it brings to the floor, at the "
                    f"size where it is least ({THREAD_SIZES[gains.index(min(gains))]:,})", min(gains), 0.9, less=False)
    for strategy in STRATEGIES:
        for size, mark in ((1000, 10), (10_000, 60)):
            row(f"a new snapshot of {strategy}/{size}, ms", run.milliseconds(f"publish_{strategy}/{size}"), mark)
    row("memory of a backend beside its strings, bytes", run.bytes.get("memory_round_robin/1000"), 1024, 0)
    return rows


# --- tables ---

def cells(values, decimals=2):
    return " | ".join("" if value is None else f"{value:,.{decimals}f}" for value in values)


def matrix(head, columns, rows):
    lines = [f"| {head} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    return lines + [f"| {name} | {values} |" for name, values in rows] + [""]


def tables(run):
    lines = ["| measured | is | mark | met |", "|---|---:|---:|---|"]
    for row in marks(run):
        what, value, mark, decimals, less = row
        lines.append(f"| {what} | {value:,.{decimals}f} | {'' if less else '>= '}{mark:g} | "
                     f"{verdict(value, mark, decimals, less)} |")
    lines += ["", "`select` and `report`, one thread, in floors at the same number of backends:", ""]
    lines += matrix("strategy", [f"{size:,}" for size in SIZES],
                    [(name, cells(run.floors(f"{name}/{size}") for size in SIZES)) for name in STRATEGIES] +
                    [(name + ", weights", cells(run.floors(f"{name}_weighted/{size}") for size in SIZES))
                     for name in WITH_WEIGHTS])
    clocks = [clock for clock in CLOCKS if f"round_robin_with_{clock}/100" in run.time]
    lines += ["The same at 100 backends, otherwise asked and by other clocks; with the clocks behind `AnyStrategy`. As a model "
              "answers: 64 requests in flight, tokens told, a first byte, and 19 ms, which the quantiles count:", ""]
    lines += matrix("strategy", ["as a model answers", "by model and tag", "`AnyStrategy`", "`timing` off"] +
                    [clock.replace("_", " ") for clock in clocks],
                    [(name, cells(run.floors(row) for row in
                                  [f"{name}_model_answer/100", f"{name}_by_model_and_tag/100", f"any_{name}/100", f"{name}_untimed/100"] +
                                  [f"{name}_with_{clock}/100" for clock in clocks])) for name in STRATEGIES])
    for kind, what in (("own", "each on backends of its own"), ("shared", "on the same backends")):
        lines += [f"Two threads {what}: what the second brings, of what it brings to the floor:", ""]
        lines += matrix("strategy", [f"{size:,}" for size in THREAD_SIZES],
                        [(name, cells(run.gain(f"{name}_{kind}", size) for size in THREAD_SIZES))
                         for name in STRATEGIES])
    lines += ["Change: a balancer from nothing and down again, and one new snapshot, in ms; what each further backend "
              "takes beside its strings, its share of the strategy's table included:", ""]
    lines += matrix("strategy", [f"built, {size:,}" for size in COLD_SIZES] +
                    [f"changed, {size:,}" for size in COLD_SIZES] + ["bytes"],
                    [(name, cells([run.milliseconds(f"{kind}_{name}/{size}") for kind in ("build", "publish")
                                   for size in COLD_SIZES], 3) + " | " +
                      cells([run.bytes.get(f"memory_{name}/1000")], 0)) for name in STRATEGIES])
    for kind, what in (("first_after_change", "a change of one backend"), ("first_after_change_of_all", "a change of all")):
        first = [f"{run.time[row] / 1e3:,.1f} us with {size:,} backends" for size in COLD_SIZES
                 if (row := f"{kind}/{size}") in run.time]
        if first:
            lines += [f"A thread's first `select` and `report` after {what}, which takes the new snapshot and "
                      "leaves the old one to the next change: " + ", ".join(first) + ".", ""]
    seen = [f"{run.time[row] / 1e3:.1f} us with {size:,} backends" for size in (10, 1000)
            if (row := f"seen_by_all/{size}") in run.time]
    if seen:
        lines += ["From a change's return until the other CPU's thread, which does nothing but select, has selected by "
                  "it: " + ", ".join(seen) + ".", ""]
    if "floor/3" in run.time:
        lines.append("References, in floors at 3 backends: " + ", ".join(
            f"{name} {run.time[name] / run.time['floor/3']:.2f}"
            for name in ("fetch_add", "version_check", *CLOCKS) if name in run.time) + ".")
    return "\n".join(lines) + "\n"


MARKS = dict.fromkeys(("round_robin", "weighted_round_robin", "random", "weighted_random", "consistent_hash"), 2) | \
    dict.fromkeys(WITH_WEIGHTS, 5)


def picture(run, path):
    """Those that a mark is named for."""
    shown = [(f"{name}, {size:,} backends", [run.floors(f"{name}/{size}")], MARKS[name])
             for name in MARKS for size in (100, 1000)]
    shown.append(("one backend alone", [run.floors("single_backend")], 1))
    bars(path, "select + report against the least possible work",
         "one thread, without the clock; 1 is the floor: a load, a compare-and-swap, an addition", ["fairlead"],
         [group for group in shown if group[1][0] is not None], (1, "floor"))


# --- two runs ---

def ratios_of(path):
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    return cost_ratios(content["rounds"]) if "rounds" in content else Run(path).ratios()


def compare(one, other):
    within = 0.15
    a, b = ratios_of(one), ratios_of(other)
    apart = sorted(((abs(a[name] / b[name] - 1), name) for name in a.keys() & b.keys()), reverse=True)
    if not apart:
        sys.exit("the two have nothing in common")
    for difference, name in apart[:10]:
        print(f"{difference:6.1%}  {name}: {a[name]:.3f} and {b[name]:.3f}")
    beyond = sum(difference > within for difference, _ in apart)
    print(f"largest difference of {len(apart)} ratios: {apart[0][0]:.1%}; beyond {within:.0%}: {beyond}; "
          f"median {apart[len(apart) // 2][0]:.1%}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compare"] and len(sys.argv) == 4:
        compare(*sys.argv[2:])
    elif len(sys.argv) == 4:
        measured = Run(sys.argv[1])
        with open(sys.argv[2], "w", encoding="utf-8") as table:
            table.write(tables(measured))
        picture(measured, sys.argv[3])
    else:
        sys.exit(__doc__)
