#!/usr/bin/env python3
"""Draws what `stall.py` measured: stall_figure.py stall.json stall.svg

Plain SVG; its colours follow the reader's, dark or light.
"""

import json
import sys
from html import escape
from pathlib import Path

WIDTH, PANEL_HEIGHT, TOP, LEFT, RIGHT, BOTTOM, GAP = 760, 210, 58, 56, 196, 50, 56
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; } .small { font-size: 11.5px; fill: #59636e; }
.title { font-weight: 600; } .axis { stroke: #8c959f; } .grid { stroke: #8c959f; stroke-opacity: .25; }
.line { fill: none; stroke-width: 2; } .began { stroke: #8c959f; stroke-dasharray: 3 3; }
.c0 { stroke: #0969da; } .c1 { stroke: #bc4c00; stroke-dasharray: 7 3; } .c2 { stroke: #8250df; stroke-dasharray: 2 3; }
@media (prefers-color-scheme: dark) {
 text { fill: #f0f6fc; } .small { fill: #9198a1; }
 .c0 { stroke: #4493f8; } .c1 { stroke: #f0883e; } .c2 { stroke: #ab7df8; }
}
"""
TITLES = {"flood": "One engine is flooded with long prompts", "stop": "One engine's core is stopped"}


def share(bin_):
    return bin_["stalled"] / bin_["requests"] if bin_["requests"] else None


def legend(name, kind):
    sent = kind["sent_to_the_stalled"][name]
    lines = ["told by the agent" if name == "pushed" else f"scrapes each {name.split(' ', 1)[1]}"]
    after_s = kind["seen_after_s_median"].get(name)
    if after_s is not None:
        lines.append(f"queue seen after {1e3 * after_s:.0f} ms" if after_s < 1 else f"queue seen after {after_s:.1f} s")
    lines.append(f"{sum(sent) / len(sent):.1f} requests sent into it")
    return lines


def panel(kind_name, kind, top):
    bins = next(iter(kind["bins"].values()))
    half = (bins[1]["at_s"] - bins[0]["at_s"]) / 2
    first, last = bins[0]["at_s"] - half, bins[-1]["at_s"] + half
    right = WIDTH - RIGHT
    x = lambda at_s: LEFT + (at_s - first) / (last - first) * (right - LEFT)  # noqa: E731
    y = lambda part: top + PANEL_HEIGHT * (1 - part)  # noqa: E731
    out = [f'<text class="title" x="{LEFT}" y="{top - 12}">{TITLES[kind_name]}, at 0 s</text>']
    for part in (0, 0.25, 0.5, 0.75, 1):
        out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(part):.1f}" y2="{y(part):.1f}"/>')
        out.append(f'<text class="small" text-anchor="end" x="{LEFT - 8}" y="{y(part) + 4:.1f}">{part:.0%}</text>')
    for at_s in range(round(first), round(last) + 1):
        out.append(f'<text class="small" text-anchor="middle" x="{x(at_s):.1f}" y="{y(0) + 18:.1f}">{at_s} s</text>')
    out.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>')
    out.append(f'<line class="began" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{top}" y2="{y(0):.1f}"/>')
    row = top + 14
    for number, (name, bins) in enumerate(kind["bins"].items()):
        points = [f"{x(bin_['at_s'] + side):.1f},{y(share(bin_)):.1f}"
                  for bin_ in bins if share(bin_) is not None for side in (-half, half)]
        out.append(f'<polyline class="line c{number}" points="{" ".join(points)}"/>')
        out.append(f'<line class="line c{number}" x1="{right + 16}" x2="{right + 40}" y1="{row - 4}" y2="{row - 4}"/>')
        for place, text in enumerate(legend(name, kind)):
            kind_of = "" if place == 0 else ' class="small"'
            out.append(f'<text{kind_of} x="{right + 46}" y="{row}">{escape(text)}</text>')
            row += 16
        row += 8
    return out


def figure(told):
    kinds = list(told["kinds"].items())
    height = TOP + len(kinds) * (PANEL_HEIGHT + GAP) - GAP + BOTTOM + 24
    counts = " and ".join(f"{kind['stalls']} of {kind['seconds']:g} s" for _, kind in kinds)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
           'aria-label="Share of new requests that three routers send to an engine that stalls">',
           f"<style>{STYLE}</style>",
           f'<text class="title" x="{LEFT}" y="20">Share of new requests that go to the engine that stalls</text>']
    for place, (name, kind) in enumerate(kinds):
        out += panel(name, kind, TOP + place * (PANEL_HEIGHT + GAP))
    notes = (f"Two engines: {told['engine']}; {told['machine']}. Three routers of one policy,",
             f"{told['requests_a_second_of_each_router']:g} requests a second each. Stalls: {counts}. Requests sent into it are the mean of a stall.")
    for place, note in enumerate(notes):
        out.append(f'<text class="small" x="{LEFT}" y="{height - 24 + 16 * place}">{escape(note)}</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    source, target = map(Path, sys.argv[1:])
    target.write_text(figure(json.loads(source.read_text())))


if __name__ == "__main__":
    main()
