"""From Google Benchmark's JSON to a table and a picture: medians, as ratios to the floor of the same run, each beside
the mark that it is held to. Nothing fails on a mark: the machine's other work is in every figure."""
import json
import re
import statistics
import sys

source, table, picture = sys.argv[1:4]
with open(source, encoding="utf-8") as file:
    runs = json.load(file)["benchmarks"]

units = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
times = {}
for run in runs:
    if run.get("run_type") == "iteration":
        # The CPU's time, which other programs cannot take away; how two threads get on shows in real time only.
        kind = "real_time" if run["threads"] > 1 or "threads:" in run["run_name"] else "cpu_time"
        times.setdefault(run["run_name"], []).append(run[kind] * units[run["time_unit"]])

# In the order of their names, not of the interleaved runs: numbers by value.
def order(name):
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


median = {name: statistics.median(times[name]) for name in sorted(times, key=order)}


def floors(name):
    """Against the floor at its own size where there is one."""
    size = "1" if name == "single_backend" else name.split("/")[1] if "/" in name else "3"
    return median[name] / median.get(f"floor/{size}", median["floor/100"])


# What each is held to, in floors; the sizes beyond 1,000 have a mark of their own below.
marks = [
    (r"(round_robin|weighted_round_robin|random|weighted_random)/(3|100|1000)$", 2.0),
    (r"single_backend$", 1.0),
    (r"(least_connections|response_time|least_tokens)/16$", 8.0),
    (r"(least_connections|response_time|least_tokens)/64$", 25.0),
    (r"(least_connections|response_time|least_tokens)/(100|1000)$", 5.0),
    (r"(least_connections|response_time)_weighted/(100|1000)$", 8.0),
]
rows = []  # operation, what was measured, the mark, whether it is met


def row(what, value, mark, digits=2):
    shown = f"{value:.{digits}f}"
    rows.append((what, shown, f"{mark:g}", "yes" if value <= mark + 10**-digits / 2 else "**no**"))


for name in median:
    for pattern, mark in marks:
        if re.match(pattern, name):
            row(f"{name}, floors", floors(name), mark)
for size in (3, 100, 1000):
    name = f"consistent_hash/{size}"
    if name in median:
        row(f"{name} without hashing the key, floors", floors(name) - median["hash_key"] / median[f"floor/{size}"], 2)
for name in median:
    kind = re.match(r"any_(\w+)/100$", name)
    plain = f"{kind[1]}/100" if kind else ""
    if plain in median:
        row(f"AnyStrategy of {kind[1]}, more than {kind[1]}, floors", floors(name) - floors(plain), 1)
row("by model and tag, more than without, floors",
    floors("round_robin_by_model_and_tag/100") - floors("round_robin/100"), 3)
for name in median:
    large = re.match(r"(\w+)/10000$", name)
    if large and f"{large[1]}/100" in median and not name.startswith(("floor", "refused", "publish")):
        row(f"{large[1]}, 10,000 backends against 100", median[name] / median[f"{large[1]}/100"], 2.5)
for name in ("refused", "refused_pending"):
    row(f"{name}, 10,000 backends against 10 (no growth)", median[f"{name}/10000"] / median[f"{name}/10"], 1.1, 1)
for name, floor in (("round_robin_own", "floor_own"), ("round_robin_shared", "floor_shared")):
    gain = [median[f"{of}/threads:1"] / median[f"{of}/threads:2"] for of in (name, floor)]
    ratio = gain[0] / gain[1]
    rows.append((f"{name}: what a second thread brings, of what it brings to the floor", f"{ratio:.2f}", ">= 0.9",
                 "yes" if ratio >= 0.895 else "**no**"))
for name in median:
    size = re.match(r"publish_\w+/(\d+)$", name)
    if size:
        row(f"{name}, ms", median[name] / 1e6, 10 if size[1] == "1000" else 60)

with open(table, "w", encoding="utf-8") as out:
    out.write("| measured | is | mark | met |\n|---|---:|---:|---|\n")
    out.writelines("| " + " | ".join(cells) + " |\n" for cells in rows)
    out.write("\nReferences, in floors at 3 backends: ")
    out.write(", ".join(f"{name} {median[name] / median['floor/3']:.2f}"
                        for name in ("fetch_add", "steady_clock", "version_check")) + ".\n")

bars = [(name, floors(name)) for name in median if not re.search("publish|threads|refused|floor", name)]
widest = max(ratio for _, ratio in bars)
height = 22 * len(bars) + 40
with open(picture, "w", encoding="utf-8") as out:
    out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" '
              f'font-size="12"><rect width="760" height="{height}" fill="#fff"/>\n'
              '<text x="10" y="20" font-weight="bold">select + report, in floors (the least possible work)</text>\n')
    for i, (name, ratio) in enumerate(bars):
        y = 34 + 22 * i
        width = 420 * ratio / widest
        out.write(f'<text x="230" y="{y + 13}" text-anchor="end">{name}</text>'
                  f'<rect x="240" y="{y}" width="{width:.1f}" height="16" fill="#4a78b0"/>'
                  f'<text x="{246 + width:.1f}" y="{y + 13}">{ratio:.2f}</text>\n')
    out.write("</svg>\n")
