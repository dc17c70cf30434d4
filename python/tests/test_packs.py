"""Python and the command agree on whole sets of every kind of data.

The sets with planted poison are too large for the repository. Where they lie beside the checkout, as ``../shared/data``, each is scanned by
both; elsewhere the sets of the repository stand for them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

import foretaste

ROOT = Path(__file__).resolve().parents[2]
PACKS = ROOT.parent / "shared/data"
#: Name and label column.
CHOSEN = [
    ("text/sst2_badnets_3pct", "label"),
    ("text/instruct_negsentiment_badnet", None),
    ("text/olid_clean", "label"),
    ("tabular/adult_backdoor_oob_1pct", "income"),
    ("tabular/spambase_backdoor_2pct", "label"),
    ("tabular/wine_clean", "label"),
    ("tabular/digits_labelflips", "label_pair10"),
    ("outlier/pendigits", None),
    ("outlier/http", None),
]
#: One of each of these folders, the first by name.
FIRST = ["image", "embedding", "predprobs", "provenance"]
BUNDLED = ["digits_backdoor", "digits", "breast_cancer", "wine"]


def packs() -> list[tuple[Path, str | None]]:
    if not PACKS.is_dir():
        return [(ROOT / f"datasets/data/{name}.parquet", "label") for name in BUNDLED]
    chosen = [(PACKS / f"{name}.parquet", label) for name, label in CHOSEN]
    return chosen + [(min((PACKS / folder).glob("*.parquet")), None) for folder in FIRST if any((PACKS / folder).glob("*.parquet"))]


def told(report: foretaste.Report) -> Any:
    return report.verdict, report.reasons, report.causes, report.rows.drop_columns(["file"]).to_pylist()


@pytest.mark.parametrize(("path", "label"), packs(), ids=lambda of: of.stem if isinstance(of, Path) else str(of))
def test_python_and_the_command_agree(path: Path, label: str | None, tmp_path: Path) -> None:
    out = tmp_path / "report"
    flags = ["--seed", "5", "--out", str(out), "--quiet"] + (["--label", label] if label else [])
    ended = subprocess.run([sys.executable, "-m", "foretaste", "scan", str(path), *flags], capture_output=True, text=True)
    assert ended.returncode in {0, 1}, ended.stderr
    expected = told(foretaste.Report(out))
    table = pq.read_table(path)
    assert told(foretaste.scan(table, label=label, seed=5)) == expected
    frame = pl.from_arrow(table)
    # polars has no lists of structs of its own kind of null; what it gives back as another type is not the same set.
    if frame.to_arrow().schema.remove_metadata().equals(table.schema.remove_metadata()):
        assert told(foretaste.scan(frame, label=label, seed=5)) == expected
