"""The same rows give the same answer, whatever holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits

import foretaste


class Capsule:
    """Anything with the Arrow PyCapsule interface."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class ArrowColumn:
    def __init__(self, table: pa.Table) -> None:
        self.table = table


class HuggingFace:
    """As much of a Hugging Face ``Dataset`` as is looked at; the package itself is tried where it is installed."""

    def __init__(self, table: pa.Table) -> None:
        self.data, self.features = ArrowColumn(table), {name: None for name in table.column_names}

    def __len__(self) -> int:
        return int(self.data.table.num_rows)

    def with_format(self, form: str) -> pa.Table:
        assert form == "arrow"
        return self.data.table

    def select(self, indices: Any) -> HuggingFace:
        return HuggingFace(self.data.table.take(pa.array(indices)))


def chunked(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table.slice(1, 900), table.slice(901, 0), table.slice(901)])


KINDS: dict[str, Callable[[pa.Table], Any]] = {
    "table": lambda table: table,
    "chunked table": chunked,
    "batch": lambda table: table.combine_chunks().to_batches()[0],
    "reader": lambda table: table.to_reader(max_chunksize=100),
    "dataset": lambda table: ds.dataset(chunked(table)),
    "polars": lambda table: pl.from_arrow(table),
    "lazy": lambda table: pl.DataFrame(table).lazy(),
    "pandas": lambda table: table.to_pandas(),
    "capsule": Capsule,
    "dict": lambda table: table.to_pydict(),
    "hugging face": HuggingFace,
}


@pytest.fixture(scope="module")
def expected(digits: Path) -> foretaste.Report:
    return foretaste.scan(str(digits), label="label", id="id", seed=1, scores=True)


def findings(report: foretaste.Report) -> tuple[Any, ...]:
    rows = report.rows.drop_columns(["file"]).to_pylist()
    return report.verdict, [(c.code, c.rows, c.q, c.fingerprint) for c in report.causes], rows


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_what_the_file_gives(kind: str, digits: Path, expected: foretaste.Report) -> None:
    data = KINDS[kind](pq.read_table(digits))
    report = foretaste.scan(data, label="label", id="id", seed=1, scores=True)
    assert expected.flagged_rows == 98
    assert findings(report) == findings(expected)
    assert report.scores.equals(expected.scores)


def test_paths_alone_in_a_list_and_of_two_shards(digits: Path, tmp_path: Path, expected: foretaste.Report) -> None:
    table = pq.read_table(digits)
    shards = [tmp_path / "a.parquet", tmp_path / "b.arrow"]
    pq.write_table(table.slice(0, 1000), shards[0])
    with pa.ipc.new_file(shards[1], table.schema) as writer:
        writer.write_table(table.slice(1000))
    for data in (digits, [str(digits)], shards, str(tmp_path / "*")):
        assert findings(foretaste.scan(data, label="label", id="id", seed=1, scores=True)) == findings(expected)


def test_the_digest_depends_on_the_rows_alone(digits: Path) -> None:
    table = pq.read_table(digits)
    data = [table, chunked(table), pl.from_arrow(table)]
    digests = {foretaste.scan(of, only="duplicate.exact").document["data"]["files"][0]["sha256"] for of in data}
    assert len(digests) == 1
    other = foretaste.scan(table.slice(1), only="duplicate.exact").document["data"]["files"][0]["sha256"]
    assert other not in digests


def test_numpy_is_columns_pictures_texts_or_vectors(digits: Path) -> None:
    rng = np.random.default_rng(1)
    numbers, labels = rng.normal(size=(300, 5)), rng.integers(0, 3, size=300)

    def roles(data: Any, **options: Any) -> dict[str, str]:
        columns = foretaste.scan(data, only="duplicate.exact", **options).document["data"]["columns"]
        return {column["name"]: column["role"] for column in columns}

    assert roles((numbers, labels)) == {**{f"x{i}": "numeric" for i in range(5)}, "label": "label"}
    assert roles((numbers.astype(np.float32), labels), embedding="features", label="y") == {"features": "embedding", "y": "label"}
    assert roles((rng.integers(0, 255, size=(300, 6, 6), dtype=np.uint8), labels)) == {"image": "image", "label": "label"}
    words = np.array([" ".join(rng.choice(["plain", "words", "of", "a", "text"], 6)) for _ in range(300)])
    assert roles((words, np.array(["a", "b", "c"])[labels])) == {"text": "text", "label": "label"}
    assert set(roles(numbers)) == {f"x{i}" for i in range(5)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"reader", "capsule"}])
def test_clean_gives_back_the_same_kind_without_the_listed_rows(kind: str, digits: Path, expected: foretaste.Report) -> None:
    table = pq.read_table(digits)
    listed = set(expected.rows["row"].to_pylist())
    kept = [i for i, row in enumerate(table["id"].to_pylist()) if i not in listed]
    data = KINDS[kind](table)
    cleaned = expected.clean(data)
    assert type(cleaned) is type(data) or kind == "dataset"
    held: Any = foretaste._data.payload(cleaned)[-1]
    ids = (held() if callable(held) else held)["id"].to_pylist()
    assert ids == table["id"].take(kept).to_pylist()
    assert len(expected.clean(table, tier="alarm")) == 1797 - 54


def test_clean_of_arrays_keeps_rows_and_labels_together() -> None:
    pictures, labels = load_digits(return_X_y=True)
    pictures = (pictures * 15).astype(np.uint8).reshape(-1, 8, 8)
    planted = np.random.default_rng(1).choice(np.flatnonzero(labels != 0), 60, replace=False)
    pictures[planted, 6:, 6:] = [[255, 0], [0, 255]]
    labels[planted] = 0
    report = foretaste.scan((pictures, labels), only="trigger.patch", seed=1)
    assert sorted(report.rows["row"].to_pylist()) == sorted(planted)
    x, y = report.clean((pictures, labels))
    keep = np.setdiff1d(np.arange(len(labels)), planted)
    assert (x == pictures[keep]).all() and (y == labels[keep]).all()
    assert (report.clean(pictures) == pictures[keep]).all()


def test_clean_refuses_other_data(digits: Path, expected: foretaste.Report) -> None:
    with pytest.raises(foretaste.InputError, match="the data has 10 rows where the scan saw 1797"):
        expected.clean(pq.read_table(digits).slice(0, 10))
    with pytest.raises(foretaste.DataTypeError, match="foretaste quarantine"):
        expected.clean(str(digits))
    with pytest.raises(foretaste.DataTypeError, match="read once"):
        expected.clean(pq.read_table(digits).to_reader())
    with pytest.raises(foretaste.ConfigError, match="no tier 'review'"):
        expected.clean(pq.read_table(digits), tier="review")  # type: ignore[arg-type]


def test_a_frame_of_pandas_keeps_its_index(digits: Path, expected: foretaste.Report) -> None:
    frame = pq.read_table(digits).to_pandas().set_index(np.arange(1797) * 10)
    assert foretaste.scan(frame, label="label", id="id", seed=1).flagged_rows == 98
    assert set(expected.clean(frame).index) == set(frame.index) - {row * 10 for row in expected.rows["row"].to_pylist()}


def test_a_reference_may_be_of_any_kind(digits: Path) -> None:
    rng = np.random.default_rng(5)
    sound = pd.DataFrame(rng.normal(size=(2000, 4)), columns=list("abcd"))
    data = pl.DataFrame({name: np.concatenate([rng.normal(size=1900), rng.normal(9.0, size=100)]) for name in "abcd"})
    report = foretaste.scan(data, reference=sound, seed=1)
    assert report.verdict == "fail"
    assert {"outlier.conformal"} <= {cause.code for cause in report.causes}
    assert report.document["data"]["reference"][0]["name"] == "pandas.DataFrame"


def test_a_hugging_face_dataset(digits: Path, expected: foretaste.Report) -> None:
    datasets = pytest.importorskip("datasets")
    if not hasattr(datasets, "Dataset"):
        # From the root of a clone the folder of that name is what is imported.
        pytest.skip("the package datasets is not installed")
    data = datasets.Dataset(pq.read_table(digits))
    assert findings(foretaste.scan(data, label="label", id="id", seed=1)) == findings(expected)
    assert len(expected.clean(data)) == 1797 - 98
    part = data.select(range(1000))
    assert foretaste.scan(part, seed=1).total_rows == 1000
    with pytest.raises(foretaste.DataTypeError, match="splits: train"):
        foretaste.scan(datasets.DatasetDict({"train": data}))
