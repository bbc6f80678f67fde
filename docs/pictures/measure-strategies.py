#!/usr/bin/env python3
"""Measures the figures of docs/choosing-a-strategy.md by simulation, and writes them and strategies.svg.

Usage: docs/pictures/measure-strategies.py [--keep-pick-times] build/release/bin/fairlead-simulator TRACE.jsonl

TRACE is the conversation trace published with Mooncake (kvcache-ai/Mooncake, FAST 2025, Apache-2.0):
https://github.com/kvcache-ai/Mooncake, FAST25-release/traces/conversation_trace.jsonl. It is not part of this project.
The times of picks are the machine's, which must have nothing else to do; all else comes out the same everywhere.
With --keep-pick-times those in the page are left alone.
A section of the page stands between <!-- figures: NAME --> and <!-- end -->; the rest of it is left alone.
"""
import json
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).parent.parent / "choosing-a-strategy.md"
LOADS = [0.7, 1, 1.25]
COUNTS = [1, 4, 16, 64]  # of gateways
WAYS = [("nothing shared", ("--owner", "off")), ("owner", ()), ("owner and signals", ("--signals", "on")),
        ("the same, with waiting tokens", ("--signals", "tokens"))]
USUAL = ["round_robin", "least_connections", "least_tokens", "response_time", "consistent_hash",
         "consistent_hash_bounded", "prefix_affinity", "threshold_cache_aware", "weighted_scorers"]


KEEPS_PICK_TIMES = "--keep-pick-times" in sys.argv
ARGUMENTS = [each for each in sys.argv[1:] if each != "--keep-pick-times"]


def simulate(*options):
    """The rows of one call, in order."""
    run = subprocess.run([ARGUMENTS[0], "--json", "-", *map(str, options)], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return json.loads(run.stdout)["rows"]


def on_trace(*options):
    return simulate("--trace", ARGUMENTS[1], *options)


def first(row, which="mean"):
    return row["first_token_seconds"][which]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def by_count():
    return [f"{count} gateway{'s' * (count > 1)}" for count in COUNTS]


def percent(value, base):
    """How much more, rounded; +0 % when it is less by nothing."""
    return f"{round(100 * (value / base - 1)):+d} %"


def compared(backends, scale):
    """Every strategy at each load: rows by strategy and load."""
    loads = ",".join(f"{load * scale:g}" for load in LOADS)
    rows = on_trace("--backends", backends, "--load", loads, "--strategies", ",".join(USUAL))
    return {name: [row for row in rows if row["strategy"] == name] for name in USUAL}


def comparison(backends, rows):
    """One table: cells hold the three loads. And how prefix_affinity stands against its marks."""
    columns = [("mean, s", lambda r: f"{first(r):.2f}"), ("p50", lambda r: f"{first(r, 'p50'):.2f}"),
               ("p90", lambda r: f"{first(r, 'p90'):.1f}"), ("p99", lambda r: f"{first(r, 'p99'):.1f}"),
               ("per token, ms", lambda r: f"{1000 * r['seconds_per_token']:.0f}"),
               ("hit rate, %", lambda r: f"{100 * r['hit_rate']:.1f}"),
               ("largest share", lambda r: f"{r['largest_share']:.2f}"),
               ("pick, ns", lambda r: f"{r['pick_nanoseconds']:.0f}")]
    cells = [[f"`{name}`"] + [" / ".join(show(row) for row in rows[name]) for _, show in columns] for name in USUAL]
    lost = sum(row["shed"] + row["failed"] for each in rows.values() for row in each)
    text = table([f"{backends} backends"] + [title for title, _ in columns], cells)
    text += f"\n\nShed or failed: {lost}. Marks of `prefix_affinity`: "
    missed = []
    for at, load in enumerate(LOADS):
        own = rows["prefix_affinity"][at]
        others = [rows[name][at] for name in USUAL if name != "prefix_affinity"]
        for which in ("mean", "p90"):
            best = min(first(row, which) for row in others)
            if first(own, which) > best:
                missed.append(f"**{which} at load {load}: {first(own, which):.2f} s, another has {best:.2f}**")
        behind = 100 * (max(row["hit_rate"] for row in others) - own["hit_rate"])
        if behind > 3:
            missed.append(f"**hit rate at load {load}: {behind:.1f} points below the highest**")
        if own["largest_share"] >= 1.3:
            missed.append(f"**largest share at load {load}: {own['largest_share']:.2f}**")
    text += "missed: " + "; ".join(missed) if missed else (
        "the best mean and p90 at each load, a hit rate within 3 points of the highest, and a largest share below "
        "1.3 times the mean: all met")
    return text + "."


def gateways():
    listed = ",".join(map(str, COUNTS))
    others = ["round_robin", "least_connections", "least_tokens", "response_time", "consistent_hash",
              "consistent_hash_bounded", "threshold_cache_aware", "weighted_scorers"]
    rows = on_trace("--gateways", listed, "--strategies", ",".join(others))
    lines = [(f"`{name}`", [row for row in rows if row["strategy"] == name]) for name in others]
    ways = [("nothing shared", "off", "off"), ("owner", "on", "off"), ("signals", "off", "on"),
            ("owner and signals", "on", "on"), ("the same, with waiting tokens", "on", "tokens")]
    for title, owner, signals in ways:
        lines.append((f"`prefix_affinity`, {title}",
                      on_trace("--gateways", listed, "--strategies", "prefix_affinity", "--owner", owner, "--signals",
                               signals)))
    shown = table(["mean first token, s (hit rate, %)"] + by_count(),
                  [[name] + [f"{first(row):.2f} ({100 * row['hit_rate']:.0f})" for row in each] for name, each in lines])
    by_name = {name: [first(row) for row in each] for name, each in lines}
    return shown, by_name


def bounds(by_gateways):
    """What the project holds itself to: measured, bound, met."""
    lines = []

    def add(what, value, bound, least=False):
        met = value >= bound if least else value <= bound
        lines.append([what, f"{value:.2f}", ("at least " if least else "at most ") + f"{bound:.2f}",
                      "yes" if met else "**no**"])

    for blocks in (1000, 4000):
        rows = on_trace("--cache-blocks", blocks, "--load", ",".join(map(str, LOADS)), "--strategies",
                        "least_connections,consistent_hash,consistent_hash_bounded,threshold_cache_aware,prefix_affinity")
        of = lambda name: [row for row in rows if row["strategy"] == name]
        own = of("prefix_affinity")
        for at, (load, bound) in enumerate(zip(LOADS, (0.70, 0.58, 0.45))):
            add(f"{blocks:,} blocks, load {load}: mean relative to `least_connections`",
                first(own[at]) / first(of("least_connections")[at]), bound)
        add(f"{blocks:,} blocks: mean relative to `threshold_cache_aware`, highest of the loads",
            max(first(a) / first(b) for a, b in zip(own, of("threshold_cache_aware"))), 0.92)
        for name in ("consistent_hash", "consistent_hash_bounded"):
            add(f"{blocks:,} blocks: hit rate relative to `{name}`, lowest of the loads",
                min(a["hit_rate"] / b["hit_rate"] for a, b in zip(own, of(name))), 1.05, True)
        # Eight caches as one, before an engine that computes at once: what any rule could find, and no load to spread.
        pooled = on_trace("--cache-blocks", 8 * blocks, "--backends", 1, "--prefill-rate", 10**7, "--room", 10**8, "--batch",
                          4096, "--step-ms", 0.1, "--strategies", "round_robin")[0]["hit_rate"]
        for name, rows_of in (("consistent_hash", of("consistent_hash")), ("prefix_affinity", own)):
            lines.append([f"{blocks:,} blocks: hit rate of `{name}` relative to one cache of all {8 * blocks:,}, lowest of the "
                          "loads", f"{min(row['hit_rate'] for row in rows_of) / pooled:.2f}", "", ""])
    one = by_gateways["`prefix_affinity`, nothing shared"][0]
    for at, count in ((2, 16), (3, 64)):
        add(f"{count} gateways, owner and signals: mean relative to one gateway",
            by_gateways["`prefix_affinity`, owner and signals"][at] / one, 1.90)
        alone = by_gateways["`prefix_affinity`, owner"][at]
        add(f"{count} gateways, owner alone: relative to `consistent_hash`",
            alone / by_gateways["`consistent_hash`"][at], 1.04)
        add(f"{count} gateways, owner alone: relative to `least_connections`",
            alone / by_gateways["`least_connections`"][at], 0.80)
    for title, option, values, bound in (
            ("prompts estimated {:g} times as long, load {}: mean relative to right estimates", "--estimate", (0.5, 2), 1.05),
            ("caches of 2,000 blocks believed to have {:,}, load {}: mean relative to the right size", "--believed-blocks",
             (1000, 4000), 1.12)):
        for load in LOADS:
            options = ("--strategies", "prefix_affinity", "--load", load)
            right = first(on_trace(*options)[0])
            for value in values:
                add(title.format(value, load), first(on_trace(*options, option, value)[0]) / right, bound)
    return table(["`prefix_affinity`", "measured", "bound", "met"], lines)


def timeline(event, *options):
    """Minutes of a run, with the event at minute 30."""
    return on_trace("--strategies", "prefix_affinity", "--interval", 60, *options,
                    *(["--events", event] if event else []))[0]


def part_of(run, begin, end):
    """Mean first token and hit rate over the minutes [begin, end)."""
    part = run["timeline"][begin:end]
    count = sum(sum(one["served"]) for one in part)
    mean = sum(one["first_token_seconds"] * sum(one["served"]) for one in part) / count
    hits = sum(one["hit_rate"] * sum(one["served"]) for one in part) / count
    return mean, hits


EVENTS = [("nothing happens", None), ("a backend restarts, away for 20 s", "restart:2@1800+20"),
          ("another system prompt", "prompt@1800"), ("a ninth backend", "add@1800"),
          ("estimates double", "estimates:2@1800"), ("estimates halve", "estimates:0.5@1800")]


def happenings():
    spans = [(25, 30), (30, 32), (32, 34), (34, 44), (44, 58)]
    lines = []
    for title, event in EVENTS:
        run = timeline(event)
        lines.append([title] + ["{:.2f} ({:.0f})".format(mean, 100 * hits)
                                for mean, hits in (part_of(run, *each) for each in spans)])
        if event and event.startswith("add"):
            shares = shares_of_ninth(run)
            added = (f"The ninth backend got {shares[0]:.2f}, {shares[1]:.2f} and {shares[2]:.2f} times a ninth of the "
                     f"requests in its first three minutes, and {max(shares):.2f} times in its busiest.")
    shown = table(["event in minute 30: mean first token, s (hit rate, %)"] +
                  [f"minutes {begin} to {end}" for begin, end in spans], lines)
    return shown + "\n\n" + added


def shares_of_ninth(run):
    """What a backend that is added in minute 30 gets of each minute's requests, relative to a ninth."""
    return [9 * minute["served"][8] / sum(minute["served"]) for minute in run["timeline"][30:58]]


def happenings_by_gateways():
    """The same with several gateways: the four minutes in which it may show, and those after."""
    lines = []
    for way, options in WAYS[:3]:
        runs = {(title, count): timeline(event, "--gateways", count, *options)
                for title, event in EVENTS for count in COUNTS}
        for title, event in EVENTS:
            cells = []
            for count in COUNTS:
                run, undisturbed = runs[title, count], runs["nothing happens", count]
                during, after = part_of(run, 30, 34), part_of(run, 34, 58)
                cell = f"{during[0]:.2f}, {after[0]:.2f}"
                if event:
                    cell += f" ({percent(after[0], part_of(undisturbed, 34, 58)[0])})"
                if event == "add@1800":
                    cell += f"; {max(shares_of_ninth(run)):.2f}"
                cells.append(cell)
            lines.append([f"{way}: {title}"] + cells)
    return table(["mean first token, s: minutes 30 to 34, 34 to 58"] + by_count(), lines)


def learned_speed():
    """Backends alike and unlike: their speed unknown, learned, or told as weights."""
    fleets = [("all alike", [1] * 8),
              ("one at twice the speed", [2] + [1] * 7), ("four at twice", [2] * 4 + [1] * 4),
              ("one at half", [0.5] + [1] * 7), ("four at half", [0.5] * 4 + [1] * 4),
              ("one at a quarter", [0.25] + [1] * 7), ("two at a quarter", [0.25] * 2 + [1] * 6)]
    lines = []
    for title, speeds in fleets:
        listed = ("--load", "0.7,1", "--speeds", ",".join(map(str, speeds)))
        weights = ",".join(f"{speed / min(speeds):.0f}" for speed in speeds)
        ways = [on_trace(*listed, "--strategies", "prefix_affinity"),
                on_trace(*listed, "--strategies", "prefix_affinity_learned_speed"),
                on_trace(*listed, "--strategies", "prefix_affinity", "--weights", weights)]
        lines.append([title] + [" / ".join(f"{first(row):.2f}" for row in rows) for rows in ways] +
                     [" / ".join(percent(first(b), first(a)) for a, b in zip(ways[0], ways[1]))])
    return table(["eight backends; mean first token, s", "speed unknown", "learned", "told as weights",
                  "learned, relative to unknown"], lines)


def system_prompt():
    """A system prompt that is longer than prefix hashing's key; generated traffic."""
    traffic = ("--generate", 4000, "--common-tokens", 3000, "--gateways", ",".join(map(str, COUNTS)))
    names = ["least_connections", "consistent_hash", "consistent_hash_bounded", "threshold_cache_aware"]
    rows = simulate(*traffic, "--strategies", ",".join(names))
    lines = [(f"`{name}`", [row for row in rows if row["strategy"] == name]) for name in names]
    for title, options in WAYS:
        lines.append((f"`prefix_affinity`, {title}", simulate(*traffic, "--strategies", "prefix_affinity", *options)))
    return table(["3,000 tokens in common; mean first token, s (hit rate, %; largest share)"] + by_count(),
                 [[name] + [f"{first(row):.2f} ({100 * row['hit_rate']:.0f}; {row['largest_share']:.2f})" for row in each]
                  for name, each in lines])


def with_pick_times_of(old, new):
    """The rows of `new`, their last cell as in the row of the same name in `old`."""
    name_of = lambda line: line.split("|")[1]
    kept = {name_of(line): line.split("|")[-2] for line in old.splitlines() if line.startswith("| `")}
    lines = []
    for line in new.splitlines():
        if line.startswith("| `") and name_of(line) in kept:
            line = "|".join(line.split("|")[:-2] + [kept[name_of(line)], ""])
        lines.append(line)
    return "\n".join(lines)


def main():
    if len(ARGUMENTS) != 2:
        sys.exit(__doc__)
    sections = {"8 backends": comparison(8, compared(8, 1)), "16 backends": comparison(16, compared(16, 2))}
    sections["gateways"], by_gateways = gateways()
    sections["bounds"] = bounds(by_gateways)
    sections["events"] = happenings()
    sections["events by gateways"] = happenings_by_gateways()
    sections["unlike backends"] = learned_speed()
    sections["system prompt"] = system_prompt()
    text = PAGE.read_text()
    for name, section in sections.items():
        pattern = re.compile(rf"(<!-- figures: {name} -->\n)(.*?)(<!-- end -->)", re.S)
        found = pattern.search(text)
        if not found:
            sys.exit(f"{PAGE} has no section {name}")
        if KEEPS_PICK_TIMES and name.endswith(" backends") and name[0].isdigit():
            section = with_pick_times_of(found.group(2), section)
        text = pattern.sub(lambda match: match.group(1) + section + "\n" + match.group(3), text)
    PAGE.write_text(text)
    on_trace("--load", ",".join(map(str, LOADS)), "--strategies", ",".join(USUAL), "--svg",
             pathlib.Path(__file__).parent / "strategies.svg")
    print(f"wrote {PAGE} and strategies.svg")


main()
