"""Writes benches/FDR.md: how many of the listed rows are wrong, over packs with wrong labels and triggers.

    cargo bench --bench packs -- FOLDER --kind label_flip,backdoor --listed --json target/fdr.jsonl
    python3 benches/fdr.py target/fdr.jsonl > benches/FDR.md

Standard library only.
"""

import argparse
import datetime
import json
from pathlib import Path

FDR = 0.05
MOST = 0.10
ENOUGH = 0.90

parser = argparse.ArgumentParser()
parser.add_argument("runs", type=Path)
parser.add_argument("--date", default=datetime.date.today().isoformat())
arguments = parser.parse_args()
packs = {}
for line in arguments.runs.read_text().splitlines():
    run = json.loads(line)
    if run["bad"]:
        packs.setdefault((run["kind"], f"{run['modality']}/{run['pack']}"), []).append(run)


def wrong(run):
    """Share of the listed rows that are sound; none is wrong where none is listed."""
    return 1.0 - run["precision"] if run["listed"] else 0.0


def summary(kind, runs):
    listing = [run for run in runs if run["listed"]]
    held = sum(wrong(run) <= MOST for run in listing)
    share = held / len(listing) if listing else 1.0
    rows = sum(run["listed"] for run in listing)
    pooled = sum(wrong(run) * run["listed"] for run in listing) / rows if rows else 0.0
    return f"| {kind} | {len(runs)} | {len(listing)} | {held} | {share:.1%} | {pooled:.2%} | {'yes' if share >= ENOUGH else 'no'} |"


every = [run for runs in packs.values() for run in runs]
seeds = sorted({run["seed"] for run in every})
print(f"""# Wrong rows among the listed ones

Made on {arguments.date} by the two commands in `benches/fdr.py`, with seed {", ".join(map(str, seeds))} and default settings, of which `--fdr {FDR}` is one.

The share of wrong rows among the listed ones is to be at most {MOST:.0%} in at least {ENOUGH:.0%} of the runs. Listed rows of all families count, and
a row is wrong where the truth calls it sound in every respect. Runs that list nothing have no wrong row; they are left out of the shares, since they
would only flatter them. The last share is of all listed rows of a kind together; `--fdr` bounds what a posterior expects of one detector's list, not that share.

| kind | runs | runs that list rows | of these at most {MOST:.0%} wrong | share | wrong of all listed rows | holds |
|---|---|---|---|---|---|---|""")
for kind in dict.fromkeys(kind for kind, _ in packs):
    print(summary(kind.replace("_", " "), [run for run in every if run["kind"] == kind]))
print(summary("both", every))
print(f"\n## Packs that miss\n\nA run lists more than {MOST:.0%} wrong rows.\n")
missed = [(name, run) for (_, name), runs in packs.items() for run in runs if wrong(run) > MOST]
for name, run in missed:
    sound = round(wrong(run) * run["listed"])
    print(f"- {name}, seed {run['seed']}: {sound} of {run['listed']} listed rows are wrong ({wrong(run):.1%})")
if not missed:
    print("None.")
print("\n## All packs\n")
print("| pack | bad rows | " + " | ".join(f"listed, wrong: seed {seed}" for seed in seeds) + " |")
print("|---|---|" + "---|" * len(seeds))
for (_, name), runs in packs.items():
    of = {run["seed"]: run for run in runs}
    cells = [f"{of[seed]['listed']}, {wrong(of[seed]):.1%}" if of[seed]["listed"] else "0" for seed in seeds]
    print(f"| {name} | {runs[0]['bad']} | {' | '.join(cells)} |")
