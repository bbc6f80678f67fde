"""From Google Benchmark's JSON to a table and a picture: medians, as ratios to the floor of the same run."""
import json
import statistics
import sys

source, table, picture = sys.argv[1:4]
with open(source, encoding="utf-8") as file:
    runs = json.load(file)["benchmarks"]

units = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
times = {}
for run in runs:
    if run.get("run_type") == "iteration":
        times.setdefault(run["run_name"], []).append(run["real_time"] * units[run["time_unit"]])
median = {name: statistics.median(values) for name, values in times.items()}

# Each is measured against the floor at its own size where there is one.
def floor_for(name):
    if "shared" in name:
        return next(v for k, v in median.items() if k.startswith("floor_shared"))
    size = name.split("/")[1] if "/" in name else "3"
    return median.get(f"floor/{size}", median["floor/100"])

rows = [(name, ns, ns / floor_for(name)) for name, ns in median.items()]
with open(table, "w", encoding="utf-8") as out:
    out.write("| operation / backends | ns | floors |\n|---|---:|---:|\n")
    for name, ns, ratio in rows:
        shown = f"{ns / 1e6:.2f} ms" if ns > 1e5 else f"{ns:.1f}"
        out.write(f"| {name} | {shown} | {'' if name.startswith('publish') else f'{ratio:.2f}'} |\n")

bars = [(n, r) for n, ns, r in rows if not n.startswith("publish")]
widest = max(r for _, r in bars)
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
