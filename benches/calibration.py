"""Draws the p-values that `cargo bench --bench calibration -- FOLDER --seeds 0 --csv FILE` writes: for each detector the share of permuted
sets with a p-value up to each level. On or under the diagonal is calibrated or conservative. Standard library only.

    python3 benches/calibration.py FILE > benches/curves/nulls.svg
"""

import csv
import sys
from collections import defaultdict

SIDE, GAP, TOP, ACROSS = 150, 34, 44, 4
LEVELS = (0.0, 0.5, 1.0)

values = defaultdict(list)
with open(sys.argv[1], newline="") as file:
    for row in csv.DictReader(file):
        values[row["detector"]].append(float(row["p"]))

lines = -(-len(values) // ACROSS)
width, height = ACROSS * (SIDE + GAP) + GAP, lines * (SIDE + TOP) + GAP
print(
    f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' font-family='sans-serif' font-size='10'>"
    f"<title>Share of sets with permuted labels whose smallest p-value is at most p</title><rect width='100%' height='100%' fill='#fff'/>"
)
for at, (detector, ps) in enumerate(sorted(values.items())):
    left, top = GAP + at % ACROSS * (SIDE + GAP), TOP + at // ACROSS * (SIDE + TOP)
    # One step for each p-value; equal ones share it.
    steps, share = [f"0,{SIDE}"], 0.0
    for p in sorted(set(ps)):
        steps.append(f"{SIDE * p:.1f},{SIDE * (1 - share):.1f}")
        share = sum(other <= p for other in ps) / len(ps)
        steps.append(f"{SIDE * p:.1f},{SIDE * (1 - share):.1f}")
    below = sum(p <= 0.05 for p in ps) / len(ps)
    print(f"<g transform='translate({left} {top})'>")
    print(f"<text y='-18' font-size='11'>{detector}</text><text y='-5' fill='#555'>{len(ps)} runs, {below:.1%} with p ≤ .05</text>")
    print(f"<rect width='{SIDE}' height='{SIDE}' fill='none' stroke='#999'/><path d='M0 {SIDE}L{SIDE} 0' stroke='#999' stroke-dasharray='3'/>")
    print(f"<polyline points='{' '.join(dict.fromkeys(steps))}' fill='none' stroke='#06c' stroke-width='1.5'/>")
    for level in LEVELS:
        print(f"<text x='{SIDE * level:.0f}' y='{SIDE + 11}' text-anchor='middle' fill='#555'>{level:g}</text>")
        print(f"<text x='-4' y='{SIDE * (1 - level) + 4:.0f}' text-anchor='end' fill='#555'>{level:g}</text>")
    print("</g>")
print("</svg>")
