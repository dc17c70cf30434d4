"""Draws the p-values that `cargo bench --bench calibration -- --csv FILE` writes: for each detector the share of permuted sets with a
p-value up to each level, as a page of SVG. On or under the diagonal is calibrated or conservative. Standard library only.

    python benches/calibration.py FILE > target/calibration.html
"""

import csv
import sys
from collections import defaultdict

SIDE = 180
values = defaultdict(list)
with open(sys.argv[1], newline="") as file:
    for row in csv.DictReader(file):
        values[row["detector"]].append(float(row["p"]))
print("<!doctype html><meta charset='utf-8'><title>p-values under permuted labels</title><h1>p-values under permuted labels</h1>")
for detector, ps in sorted(values.items()):
    ps.sort()
    points = ["0,%d" % SIDE]
    for i, p in enumerate(ps):
        points += [f"{SIDE * p:.1f},{SIDE * (1 - i / len(ps)):.1f}", f"{SIDE * p:.1f},{SIDE * (1 - (i + 1) / len(ps)):.1f}"]
    points.append(f"{SIDE},0")
    print(
        f"<figure style='display:inline-block'><svg width='{SIDE}' height='{SIDE}' style='border:1px solid #999'>"
        f"<line x1='0' y1='{SIDE}' x2='{SIDE}' y2='0' stroke='#999'/>"
        f"<polyline points='{' '.join(points)}' fill='none' stroke='#06c' stroke-width='2'/></svg>"
        f"<figcaption>{detector}, {len(ps)} sets</figcaption></figure>"
    )
