#!/usr/bin/env python3
"""Draws docs/ratios.svg: the messages that each server handles in a second of its CPU, divided by those of a bare echo in the same run.

    bench/plot.py RUNS.json > docs/ratios.svg

RUNS.json has one object a line with the keys server, work and per_cpu_s (messages a second of the server's CPU).
"""

import json
import statistics
import sys

WORKS = [
    ("echo-100x20", "20 bytes"),
    ("echo-500x1k", "1 KiB"),
    ("echo-10x16k", "16 KiB"),
    ("echo-4x1m", "1 MiB"),
    ("pipe-100x20x16", "20 bytes, 16 in flight"),
    ("bcast-64", "to 1,000, 64 bytes"),
    ("bcast-64x8", "to 1,000, 8 in flight"),
    ("bcast-4k", "to 1,000, 4 KiB"),
    ("handshake", "handshakes"),
]
SERVERS = [("ropeway", "#2f7ed8"), ("uws", "#8a8f98"), ("tokio-websockets", "#c9a227"), ("raw2", "#c3cad3")]
NAMES = {"uws": "uWebSockets", "raw2": "the bare echo once more"}
BASE = "raw-epoll"
LEFT, WIDTH, BAR, GAP, TOP, FULL = 170, 720, 8, 14, 70, 1.2


def medians(lines):
    runs = {}
    for line in lines:
        run = json.loads(line)
        if run.get("per_cpu_s"):
            runs.setdefault((run["work"], run["server"]), []).append(run["per_cpu_s"])
    return {key: statistics.median(values) for key, values in runs.items()}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        figures = medians(file)
    servers = [(server, colour) for server, colour in SERVERS if any(server == of for _, of in figures)]
    group = len(servers) * BAR + GAP
    height = TOP + len(WORKS) * group + 30
    scale = (WIDTH - LEFT - 40) / FULL
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif"'
        ' font-size="12">',
        "<style>:root{color-scheme:light dark}.ink{fill:#1f2933}.faint{fill:#6b7280}.line{stroke:#9aa2ad}"
        ".paper{fill:#fff}@media(prefers-color-scheme:dark){.ink{fill:#e6e9ee}.faint{fill:#9aa2ad}"
        ".line{stroke:#5b6470}.paper{fill:#14181d}}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
        '<text class="ink" x="20" y="28" font-size="15" font-weight="600">Messages a second of server CPU, '
        "against a bare echo</text>",
    ]
    x = 20
    for server, colour in servers:
        name = NAMES.get(server, server)
        out.append(f'<rect x="{x}" y="42" width="10" height="10" rx="2" fill="{colour}"/>')
        out.append(f'<text class="faint" x="{x + 15}" y="51">{name}</text>')
        x += 36 + 7 * len(name)
    for mark in (0.25, 0.5, 0.75, 1.0):
        at = LEFT + mark * scale
        dash = "" if mark == 1.0 else ' stroke-dasharray="2 4"'
        out.append(f'<line class="line" x1="{at:.0f}" y1="{TOP - 6}" x2="{at:.0f}" y2="{height - 24}"{dash}/>')
        out.append(f'<text class="faint" x="{at:.0f}" y="{height - 8}" text-anchor="middle">{mark:g}</text>')
    for number, (work, label) in enumerate(WORKS):
        y = TOP + number * group
        out.append(f'<text class="ink" x="{LEFT - 10}" y="{y + group / 2 - 2:.0f}" text-anchor="end">{label}</text>')
        for row, (server, colour) in enumerate(servers):
            if (work, server) in figures and (work, BASE) in figures:
                ratio = figures[work, server] / figures[work, BASE]
                width = min(ratio, FULL) * scale
                top = y + row * BAR
                out.append(
                    f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR - 1}" rx="1.5" fill="{colour}">'
                    f"<title>{NAMES.get(server, server)}, {label}: {ratio:.2f}</title></rect>"
                )
    out.append("</svg>")
    print("\n".join(out))


main()
