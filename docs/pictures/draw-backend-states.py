#!/usr/bin/env python3
"""Draws backend-states.svg: the states of a backend and what leads from one to the other.

Usage: docs/pictures/draw-backend-states.py  (writes beside itself; standard library only)

The table in docs/backend-states.md is complete and tested; the picture shows what one would ask first. Colours
follow the reader's light or dark mode.
"""
import pathlib

STYLE = """
    svg { font: 14px system-ui, sans-serif; }
    .box { fill: #ffffff; stroke: #57606a; stroke-width: 1.5; }
    .good { fill: #dafbe1; stroke: #1a7f37; }
    .wait { fill: #fff8c5; stroke: #9a6700; }
    .bad { fill: #ffebe9; stroke: #cf222e; }
    .word { fill: #ddf4ff; stroke: #0969da; }
    .frame { fill: none; stroke: #8c959f; stroke-dasharray: 5 4; }
    .name { font-weight: 600; fill: #1f2328; text-anchor: middle; }
    .note { font-size: 12px; fill: #424a53; text-anchor: middle; }
    .start { text-anchor: start; }
    .end { text-anchor: end; }
    .line { fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#head); }
    .tip { fill: #57606a; }
    @media (prefers-color-scheme: dark) {
      .box { fill: #161b22; stroke: #8b949e; }
      .good { fill: #12261e; stroke: #3fb950; }
      .wait { fill: #272115; stroke: #d29922; }
      .bad { fill: #2d1619; stroke: #f85149; }
      .word { fill: #121d2f; stroke: #58a6ff; }
      .frame { stroke: #6e7681; }
      .name { fill: #e6edf3; }
      .note { fill: #b1bac4; }
      .line { stroke: #8b949e; }
      .tip { fill: #8b949e; }
    }
"""

WIDTH, HEIGHT = 980, 560
BOX_WIDTH, BOX_HEIGHT = 170, 50
# name: centre x, centre y, what it means, class
STATES = {
    "healthy": (260, 250, "serves", "good"),
    "resting": (260, 105, "counts as full", "wait"),
    "half_open": (590, 430, "one request at a time", "wait"),
    "ejected": (590, 250, "shown as unhealthy", "bad"),
    "probe failed": (260, 480, "shown as unhealthy", "bad"),
    "draining": (870, 195, "in flight 0: 'drained'", "word"),
    "disabled": (870, 365, "probes go on", "word"),
}
# path, then its labels: text, x, y, where x is
ARROWS = [
    ("M 230 225 V 132", [("429, or 503 with Retry-After", 222, 183, "end")]),
    ("M 290 130 V 223", [("the rest is over", 298, 183, "start")]),
    ("M 345 250 H 503", [("3 failures in a row,", 424, 228, "middle"),
                         ("or over half failed", 424, 243, "middle")]),
    ("M 345 105 C 480 105 570 150 588 223", [("requests under way fail", 500, 112, "start")]),
    ("M 620 275 V 403", [("its time", 628, 335, "start"), ("is up", 628, 350, "start")]),
    ("M 560 405 V 277", [("a trial fails,", 552, 335, "end"), ("or a 429", 552, 350, "end")]),
    ("M 505 430 C 410 430 345 350 305 277", [("2 trials succeed", 410, 445, "middle")]),
    ("M 220 275 V 453", [("a probe fails", 212, 370, "end")]),
    ("M 270 455 V 277", [("a probe passes", 278, 400, "start")]),
    ("M 715 185 H 783", [("drain", 749, 178, "middle")]),
    ("M 785 210 H 717", [("enable", 749, 226, "middle")]),
    ("M 715 355 H 783", [("disable", 749, 348, "middle")]),
    ("M 785 380 H 717", [("enable", 749, 396, "middle")]),
    ("M 850 220 V 338", [("disable", 842, 285, "end")]),
    ("M 890 340 V 222", [("drain", 898, 285, "start")]),
]
NOTES = [
    ("what was found out, by requests and by probes", 365, 55),
    ("the operator's word hides it", 852, 55),
    ("Both may hold: it serves again when the probe", 560, 500),
    ("passes and the trials succeeded.", 560, 516),
    ("Another URL or key: healthy again.", 560, 532),
]


def text(content, x, y, style):
    content = content.replace("&", "&amp;").replace("<", "&lt;")
    return f'  <text class="{style}" x="{x}" y="{y}">{content}</text>'


def state(name, x, y, note, kind):
    corner = f'x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}"'
    return [f'  <rect class="box {kind}" {corner} width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>',
            text(name, x, y - 3, "name"), text(note, x, y + 15, "note")]


def main():
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
           'aria-labelledby="title">',
           '  <title id="title">The states of a backend and what leads from one to the other</title>',
           f"  <style>{STYLE}  </style>",
           '  <defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
           'orient="auto"><path class="tip" d="M 0 0 L 10 5 L 0 10 z"/></marker></defs>',
           f'  <rect class="frame" x="15" y="30" width="698" height="{HEIGHT - 45}" rx="12"/>']
    for path, labels in ARROWS:
        out.append(f'  <path class="line" d="{path}"/>')
        out.extend(text(content, x, y, f"note {anchor}") for content, x, y, anchor in labels)
    for name, (x, y, note, kind) in STATES.items():
        out.extend(state(name, x, y, note, kind))
    out.extend(text(content, x, y, "note") for content, x, y in NOTES)
    out.append("</svg>")
    target = pathlib.Path(__file__).with_name("backend-states.svg")
    target.write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
