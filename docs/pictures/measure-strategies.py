#!/usr/bin/env python3
"""Measures the figures of docs/choosing-a-strategy.md by simulation, and writes them and strategies.svg.

Usage: docs/pictures/measure-strategies.py build/release/bin/fairlead-simulator TRACE.jsonl

TRACE is the conversation trace published with Mooncake (kvcache-ai/Mooncake, FAST 2025, Apache-2.0):
https://github.com/kvcache-ai/Mooncake, FAST25-release/traces/conversation_trace.jsonl. It is not part of this project.
A section of the page stands between <!-- figures: NAME --> and <!-- end -->; the rest of it is left alone.
"""
import json
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).parent.parent / "choosing-a-strategy.md"
LOADS = [0.7, 1, 1.25]
USUAL = ["round_robin", "least_connections", "least_tokens", "response_time", "consistent_hash",
         "consistent_hash_bounded", "prefix_affinity", "threshold_cache_aware", "weighted_scorers"]


def simulate(*options):
    """The rows of one call, in order."""
    run = subprocess.run([sys.argv[1], "--json", "-", *map(str, options)], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return json.loads(run.stdout)["rows"]


def on_trace(*options):
    return simulate("--trace", sys.argv[2], *options)


def first(row, which="mean"):
    return row["first_token_seconds"][which]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


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
    counts = [1, 4, 16, 64]
    listed = ",".join(map(str, counts))
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
    shown = table(["mean first token, s (hit rate, %)"] + [f"{count} gateway{'s' * (count > 1)}" for count in counts],
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
    for load in LOADS:
        options = ("--strategies", "prefix_affinity", "--load", load)
        right = first(on_trace(*options)[0])
        for factor in (0.5, 2):
            add(f"prompts estimated {factor:g} times as long, load {load}: mean relative to right estimates",
                first(on_trace(*options, "--estimate", factor)[0]) / right, 1.05)
    for believed in (1000, 4000):
        add(f"caches of 2,000 blocks believed to have {believed:,}: mean relative to the right size",
            first(on_trace("--strategies", "prefix_affinity", "--believed-blocks", believed)[0]) / one, 1.12)
    return table(["`prefix_affinity`", "measured", "bound", "met"], lines)


def timeline(event):
    """Minutes of a run, with the event at minute 30."""
    options = ["--strategies", "prefix_affinity", "--interval", 60]
    return on_trace(*options, *(["--events", event] if event else []))[0]


def span(rows, begin, end):
    """Mean first token and hit rate over the minutes [begin, end)."""
    part = rows["timeline"][begin:end]
    count = sum(sum(one["served"]) for one in part)
    mean = sum(one["first_token_seconds"] * sum(one["served"]) for one in part) / count
    hits = sum(one["hit_rate"] * sum(one["served"]) for one in part) / count
    return f"{mean:.2f} ({100 * hits:.0f})"


def happenings():
    spans = [(25, 30), (30, 32), (32, 34), (34, 44), (44, 58)]
    lines = []
    for title, event in (("nothing happens", None), ("a backend restarts, away for 20 s", "restart:2@1800+20"),
                         ("another system prompt", "prompt@1800"), ("a ninth backend", "add@1800"),
                         ("estimates double", "estimates:2@1800")):
        run = timeline(event)
        lines.append([title] + [span(run, *each) for each in spans])
        if event and event.startswith("add"):
            served = [one["served"] for one in run["timeline"][30:58]]
            shares = [minute[8] / sum(minute) * 9 for minute in served]
            added = (f"The ninth backend got {shares[0]:.2f}, {shares[1]:.2f} and {shares[2]:.2f} times a ninth of the "
                     f"requests in its first three minutes, and {max(shares):.2f} times in its busiest.")
    shown = table(["event in minute 30: mean first token, s (hit rate, %)"] +
                  [f"minutes {begin} to {end}" for begin, end in spans], lines)
    return shown + "\n\n" + added


def system_prompt():
    """A system prompt that is longer than prefix hashing's key; generated traffic."""
    names = "least_connections,consistent_hash,consistent_hash_bounded,prefix_affinity,threshold_cache_aware"
    lines = []
    for gateway in (1, 16):
        for row in simulate("--generate", 4000, "--common-tokens", 3000, "--strategies", names, "--gateways", gateway):
            lines.append([f"`{row['strategy']}`, {gateway} gateway{'s' if gateway > 1 else ''}", f"{first(row):.2f}",
                          f"{first(row, 'p90'):.1f}", f"{100 * row['hit_rate']:.0f}", f"{row['largest_share']:.2f}"])
    return table(["3,000 tokens in common", "mean, s", "p90", "hit rate, %", "largest share"], lines)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sections = {"8 backends": comparison(8, compared(8, 1)), "16 backends": comparison(16, compared(16, 2))}
    sections["gateways"], by_gateways = gateways()
    sections["bounds"] = bounds(by_gateways)
    sections["events"] = happenings()
    sections["system prompt"] = system_prompt()
    text = PAGE.read_text()
    for name, section in sections.items():
        pattern = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.S)
        if not pattern.search(text):
            sys.exit(f"{PAGE} has no section {name}")
        text = pattern.sub(lambda match: match.group(1) + section + "\n" + match.group(2), text)
    PAGE.write_text(text)
    on_trace("--load", ",".join(map(str, LOADS)), "--strategies", ",".join(USUAL), "--svg",
             pathlib.Path(__file__).parent / "strategies.svg")
    print(f"wrote {PAGE} and strategies.svg")


main()
