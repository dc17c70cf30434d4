"""What the tests of Spark and Ray share: sets of every kind, cut into uneven parts, and what reports of them say."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import foretaste

ROOT = Path(__file__).resolve().parents[2]
PACKS = ROOT.parent / "shared/data"
#: Sets of the repository with their labels.
BUNDLED = [("digits_backdoor", "label"), ("breast_cancer", "label"), ("wine", "label")]
#: Sets with planted poison, which are too large for the repository: pictures, texts, instructions, tables, embeddings.
CHOSEN = [
    ("image/{first}", None),
    ("text/sst2_badnets_3pct", "label"),
    ("text/instruct_negsentiment_badnet", None),
    ("text/olid_clean", "label"),
    ("tabular/adult_backdoor_oob_1pct", "income"),
    ("tabular/spambase_backdoor_2pct", "label"),
    ("tabular/digits_labelflips", "label_pair10"),
    ("outlier/pendigits", None),
    ("embedding/{first}", None),
    ("predprobs/{first}", None),
    ("provenance/{first}", None),
]
#: Rows of a pack that are scanned; ``FORETASTE_PACK_ROWS`` asks for more, up to all of them.
MOST_ROWS = int(os.environ.get("FORETASTE_PACK_ROWS", 4_000))


def required(name: str) -> Any:
    """The package, or a skipped test: a failed one where ``FORETASTE_CLUSTERS`` is ``required``."""
    if os.environ.get("FORETASTE_CLUSTERS") == "required":
        return importlib.import_module(name)
    return pytest.importorskip(name)


def bundled() -> list[Any]:
    return [pytest.param(ROOT / f"datasets/data/{name}.parquet", label, id=name) for name, label in BUNDLED]


def packs() -> list[Any]:
    """The packs beside the checkout; one skipped test where there are none."""
    if not PACKS.is_dir():
        return [pytest.param(None, None, id="packs", marks=pytest.mark.skip(reason=f"{PACKS.name} does not lie beside the checkout"))]
    found = []
    for name, label in CHOSEN:
        folder = PACKS / name.split("/")[0]
        path = min(folder.glob("*.parquet"), key=lambda path: path.stat().st_size) if "{first}" in name else PACKS / f"{name}.parquet"
        found.append(pytest.param(path, label, id=f"{folder.name}-{path.stem}"))
    return found


def read(path: Path) -> pa.Table:
    """The first rows of a set, in types that clusters have as well."""
    table = pq.read_table(path).slice(0, MOST_ROWS)
    for at, field in enumerate(table.schema):
        kind = plain(field.type)
        if kind != field.type:
            table = table.set_column(at, field.name, table.column(at).cast(kind))
    return table.replace_schema_metadata(None)


def plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    if pa.types.is_large_string(kind) or pa.types.is_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(part.name, plain(part.type)) for part in kind])
    unsigned = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64(), pa.float16(): pa.float32()}
    return unsigned.get(kind, kind)


def uneven(table: pa.Table) -> list[pa.Table]:
    """The rows in parts of very different sizes, some of none."""
    count = table.num_rows
    ends = sorted({0, 1, 8, count // 20, count // 2, count // 2 + 3}) + [count // 2 + 3, count]
    return [table.slice(start, end - start) for start, end in zip([0, *ends], ends)]


def told(report: foretaste.Report) -> Any:
    """All that a report says of the rows, but for how they are called and how long it took."""
    document = report.document
    kept = {name: document[name] for name in ("verdict", "reasons", "complete", "families", "flagged_rows", "groups")}
    data = {name: document["data"][name] for name in document["data"] if name != "files"}
    notes = [(unit["code"], unit["status"], unit.get("notes")) for unit in document["detectors"]]
    breakdown = [part for part in document.get("breakdown", []) if part["by"] != "file"]
    return kept, data, notes, breakdown, report.rows.drop_columns(["file"]).to_pylist()


def flagged(marked: pa.Table) -> list[int]:
    return [row for row, mark in enumerate(marked["foretaste_flagged"].to_pylist()) if mark]


def check_marks(marked: pa.Table, table: pa.Table, report: foretaste.Report) -> None:
    """Every row is in its place, with what the report says of it."""
    assert marked.select(table.column_names).to_pylist() == table.to_pylist()
    assert flagged(marked) == report.rows["row"].to_pylist()
    listed = marked.filter(marked["foretaste_flagged"])
    for name in ("q", "codes", "reason"):
        assert listed[f"foretaste_{name}"].to_pylist() == report.rows[name].to_pylist()
    others = marked.filter(pa.compute.invert(marked["foretaste_flagged"]))
    assert others["foretaste_q"].null_count == others["foretaste_reason"].null_count == others.num_rows
