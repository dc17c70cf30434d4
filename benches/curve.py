"""Draws what `cargo bench --bench curve` measured: one picture for each kind of data.

python3 benches/curve.py [benches/curves/curves.csv]; needs matplotlib. Pictures go beside the file.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "curve", "font.size": 9})
import matplotlib.pyplot as plt  # noqa: E402

source = Path(sys.argv[1] if len(sys.argv) > 1 else "benches/curves/curves.csv")
rows = list(csv.DictReader(source.open()))
kinds = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
for row in rows:
    kinds[row["modality"]][row["set"]][row["attack"]].append(row)

for kind, sets in kinds.items():
    figure, axes = plt.subplots(1, len(sets), figsize=(3.4 * len(sets) + 1.8, 3.2), sharey=True, squeeze=False)
    attacks = list(dict.fromkeys(row["attack"] for row in rows if row["modality"] == kind and row["attack"] != "none"))
    for place, (name, curves) in zip(axes[0], sets.items()):
        wrong = {attack: max(int(row["listed"]) - int(row["right"]) for row in scans) for attack, scans in curves.items()}
        alone, beside = wrong.pop("none", 0), max(wrong.values(), default=0)
        size = next(iter(curves.values()))[0]["rows"]
        place.set_title(f"{name}: {int(size):,} rows\nwrongly listed: {alone} without poison, with it up to {beside}", fontsize=9)
        for number, attack in enumerate(attacks):
            points = sorted(curves.get(attack, []), key=lambda row: int(row["planted"]))
            planted = [int(row["planted"]) for row in points]
            # Lines that lie on each other are set apart by a hair.
            recall = [float(row["recall"] or 0) - 0.008 * number for row in points]
            place.plot(planted, recall, marker="osD^vPX"[number % 7], markersize=4, linewidth=1.2, label=attack.replace("_", " "))
        place.set_xscale("log")
        place.set_xticks([5, 10, 25, 50, 100], ["5", "10", "25", "50", "100"], minor=False)
        place.minorticks_off()
        place.set_xlabel("planted rows")
        place.set_ylim(-0.08, 1.05)
        place.grid(alpha=0.3)
    axes[0][0].set_ylabel("recall of the listed rows")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(source.parent / f"{kind}.svg", metadata={"Date": None})
    print(source.parent / f"{kind}.svg")
