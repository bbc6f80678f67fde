"""Pictures of what was measured: bars beside their marks, as SVG that is legible on light and on dark pages."""
from xml.sax.saxutils import escape

STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.quiet { fill: #57606a }
.a { fill: #2f6fb2 } .b { fill: #c2762b } .c { fill: #5a8a4f } .d { fill: #8a8f98 }
.mark { stroke: #cf222e; stroke-width: 2 } .base { stroke: #24292f; stroke-width: 1; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9da7b3 } .mark { stroke: #ff7b72 } .base { stroke: #e6edf3 }
  .a { fill: #58a6ff } .b { fill: #e3a04f } .c { fill: #7fb97a } .d { fill: #848d97 }
}
</style>
"""
LEFT, WIDTH, BAR, GAP = 270, 440, 13, 9
LABEL = 36  # what a value takes beside its bar


def bars(path, title, note, series, groups, base=None):
    """`groups`: (label, [value or None for each of `series`], mark or None). A red line is a group's mark; the dashed
    one stands at `base` (value, name). Bars longer than the picture end in an arrow, their value beside it."""
    values = [value for _, row, _ in groups for value in row if value is not None]
    values += [mark for _, _, mark in groups if mark is not None] + ([base[0]] if base else [])
    # One of a kind that is far longer than the rest must not make the rest unreadable.
    ordered = sorted(values)
    widest = min(ordered[-1], 1.5 * ordered[int(0.9 * (len(ordered) - 1))])
    scale = WIDTH / widest
    top = 66
    parts, y = [], top
    for label, row, mark in groups:
        height = BAR * len(row)
        parts.append(f'<text x="{LEFT - 10}" y="{y + height / 2 + 4}" text-anchor="end">{escape(label)}</text>')
        for i, value in enumerate(row):
            if value is None:
                continue
            over = value > widest
            length = WIDTH if over else max(1.0, value * scale)
            shown = f"{value:.2f}" + (" →" if over else "")
            at = y + BAR * i
            beside = LEFT + length + 6
            if mark is not None and beside - 4 < LEFT + mark * scale < beside + LABEL:
                beside = LEFT + mark * scale + 6  # not under the line
            parts.append(f'<rect class="{"abcd"[i]}" x="{LEFT}" y="{at + 1}" width="{length:.1f}" height="{BAR - 2}"/>'
                         f'<text class="quiet" x="{beside:.1f}" y="{at + BAR - 2}">{shown}</text>')
        if mark is not None:
            x = LEFT + mark * scale
            parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 2}" y2="{y + height + 2}"/>')
        y += height + GAP
    if base:
        x = LEFT + base[0] * scale
        parts.append(f'<line class="base" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{y}"/>'
                     f'<text class="quiet" x="{x:.1f}" y="{y + 12}" text-anchor="middle">{escape(base[1])}</text>')
    legend, x = [], LEFT
    for i, name in enumerate(series):
        legend.append(f'<rect class="{"abcd"[i]}" x="{x}" y="44" width="11" height="11"/>'
                      f'<text x="{x + 16}" y="54">{escape(name)}</text>')
        x += 30 + 7 * len(name)
    if any(mark is not None for _, _, mark in groups):
        legend.append(f'<line class="mark" x1="{x}" x2="{x}" y1="43" y2="56"/><text x="{x + 6}" y="54">mark</text>')
    full, height = LEFT + WIDTH + 70, y + 22
    with open(path, "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{full}" height="{height}" '
                  f'viewBox="0 0 {full} {height}" role="img">\n<title>{escape(title)}</title>\n{STYLE}'
                  f'<text class="title" x="10" y="20">{escape(title)}</text>\n'
                  f'<text class="quiet" x="10" y="36">{escape(note)}</text>\n')
        out.write("\n".join(legend + parts) + "\n</svg>\n")
