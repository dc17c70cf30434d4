"""Writes benches/RESULTS.md: what foretaste decides on every pack of a folder of data sets with known truth, beside what other tools
rank there.

    cargo bench --bench packs -- FOLDER --json target/packs.jsonl
    python benches/results.py target/packs.jsonl --peers PEERS.md > benches/RESULTS.md

PEERS.md holds the peers' figures on the same packs in tables whose caption begins with "AUROC". Standard library only.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
from pathlib import Path

FAMILY = {"backdoor": "trigger", "label_flip": "label", "label_error": "label", "outlier": "outlier", "provenance": "provenance"}
CLOSE = 0.005

parser = argparse.ArgumentParser()
parser.add_argument("packs", type=Path)
parser.add_argument("--peers", type=Path)
parser.add_argument("--date", default=datetime.date.today().isoformat())
arguments = parser.parse_args()
packs = [json.loads(line) for line in arguments.packs.read_text().splitlines()]


def peers(text):
    """Best AUROC of a peer by pack and section, and the versions."""
    best, names, section, counts = {}, [], "", False
    for line in text.splitlines():
        if line.startswith("### "):
            section = line[4:].split(",")[0]
        if line and not line.startswith("|"):
            counts, names = line.startswith("AUROC"), []
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not counts or not cells or set(cells[0]) <= {"-"} or cells[0].startswith("**"):
            continue
        if not names:
            names = cells
            continue
        for name, cell in zip(names, cells):
            if name in ("pack", "pack:column", "rows", "bad"):
                continue
            number = re.match(r"[01]\.\d+", cell)
            if number and float(number[0]) > best.get((section, cells[0]), (0.0, ""))[0]:
                best[section, cells[0]] = (float(number[0]), name)
    versions = re.search(r"Versions: (.*)", text)
    return best, versions[1] if versions else ""


best, versions = peers(arguments.peers.read_text()) if arguments.peers else ({}, "")
SECTIONS = {"trigger": "Backdoors", "label": "Wrong labels", "outlier": "Outliers"}


def peer(pack, family):
    names = {pack["pack"], pack["pack"] + ":label"}
    found = [value for (section, name), value in best.items() if name in names and section.startswith(SECTIONS.get(family, "-"))]
    return max(found, default=None)


def show(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
print(f"""# Results on data sets with known truth

Made on {arguments.date} at commit {commit} by the two commands in `benches/results.py`, seed 1, default settings. Machine: {model}, {os.cpu_count()} cores
(shared with other work, so seconds are upper bounds).

Recall, precision and FPR are of the listed rows: of each pack all bad rows count, whatever family lists them. AUROC is of the family of scores that
ranks them best, which is named; the peer's is the best of all that were measured on the same pack. What a peer would list by default is not compared here.""")
if versions:
    print(f"\nPeers, measured on the same packs: {versions}")
lost = []
for kind in dict.fromkeys(pack["kind"] for pack in packs):
    print(f"\n## {kind.replace('_', ' ')}\n")
    print("| pack | rows | bad | verdict | listed | recall | precision | FPR | best family | its AUROC | best peer | its AUROC | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for pack in (pack for pack in packs if pack["kind"] == kind):
        family = FAMILY.get(kind)
        ranked = [(scores[0], family) for family, scores in pack["auroc_ap"].items() if scores[0] is not None]
        own, by = max(ranked, default=(None, "-"))
        theirs = peer(pack, family)
        name = f"{pack['modality']}/{pack['pack']}"
        if theirs and (own is None or own < theirs[0] - CLOSE):
            lost.append((theirs[0] - (own or 0.0), name, by, own, theirs))
        cells = [name, pack["rows"], pack["bad"], pack["verdict"], pack["listed"], show(pack["recall"]), show(pack["precision"])]
        cells += [show(pack["fpr"], 5), by, show(own), theirs[1] if theirs else "-", show(theirs[0] if theirs else None), show(pack["seconds"], 1)]
        print("| " + " | ".join(str(cell) for cell in cells) + " |")
print("\n## Where a peer ranks better\n")
print(f"Sets where the best of all peers has an AUROC at least {CLOSE} above ours, the largest gap first. No one peer is the best on all of them, and no one family.\n")
print("| pack | our best family | its AUROC | best peer | its AUROC |")
print("|---|---|---|---|---|")
for _, name, by, own, theirs in sorted(lost, key=lambda row: (-row[0], row[1])):
    print(f"| {name} | {by} | {show(own)} | {theirs[1]} | {show(theirs[0])} |")
missed = [pack for pack in packs if pack["bad"] and not pack["listed"]]
print("\n## Where nothing is listed\n")
for pack in missed:
    print(f"- {pack['modality']}/{pack['pack']}: {pack['bad']} bad rows of {pack['rows']}")
print("\n## Clean sets where rows are listed\n")
wrong = [pack for pack in packs if pack["clean"] and (pack["listed"] or pack["verdict"] == "fail")]
for pack in wrong:
    print(f"- {pack['modality']}/{pack['pack']}: {pack['verdict']}, {pack['listed']} of {pack['rows']} rows")
if not wrong:
    print("None.")
