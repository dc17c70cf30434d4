"""Whatever comes in, an exception of foretaste comes out, and the interpreter lives."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import foretaste
from foretaste import ConfigError, DataTypeError, ForetasteError, InputError

SOUND = {"x": [1.0, 2.0, 3.0], "label": ["a", "b", "a"]}


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (7, DataTypeError, "int is no data that can be scanned"),
        (None, DataTypeError, "NoneType is no data"),
        (b"bytes", DataTypeError, "bytes is no data"),
        ([], DataTypeError, "list is no data"),
        ([1, 2], DataTypeError, "list is no data"),
        ("no/such/file.parquet", InputError, "no/such/file.parquet"),
        ({}, InputError, "no columns"),
        ({"x": []}, InputError, "holds no rows"),
        ({"x": [1, 2], "y": [1]}, InputError, "not of one length"),
        ({"x": [1, "a", 3.5]}, InputError, "dict: cannot be held as a table"),
        ({"x": [object()]}, InputError, "dict: cannot be held as a table"),
        (np.zeros((0, 3)), InputError, "numpy: X holds no rows"),
        (np.zeros((3, 2, 2, 2, 2)), InputError, "with the shape 3 × 2 × 2 × 2 × 2 is no table"),
        (np.array(1.0), InputError, "numpy: X holds no rows"),
        (np.array([[1 + 2j]]), InputError, "array of complex128"),
        ((np.zeros((3, 2)), np.zeros(2)), InputError, "y has the shape (2,) where X has 3 rows"),
        (pa.table({"x": pa.array([None, None])}), InputError, "no column holds content"),
        (pl.DataFrame(), InputError, "no columns"),
        (pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"]), InputError, "two columns have this name"),
    ],
)
def test_data_that_cannot_be_scanned(data: Any, kind: type[ForetasteError], said: str) -> None:
    with pytest.raises(kind) as caught:
        foretaste.scan(data)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"label": "y"}, InputError, "there is no column 'y' for label. The columns are: x, label."),
        ({"label": "lable"}, InputError, "Did you mean 'label'?"),
        ({"label": 3}, ConfigError, "label: invalid type"),
        ({"fdr": 2.0}, ConfigError, "decide.fdr: must be over 0 and at most 0.5, not 2"),
        ({"fdr": float("nan")}, ConfigError, "fdr: must be a number, not nan"),
        ({"fdr": "much"}, ConfigError, "fdr: invalid type"),
        ({"fail_on": "sometimes"}, ConfigError, "fail_on: unknown variant `sometimes`"),
        ({"memory": "1 elephant"}, ConfigError, "memory"),
        ({"memory": 5}, ConfigError, "run.memory: must be at least 16MiB"),
        ({"threads": 0}, ConfigError, "run.threads: must be from 1 to 1024"),
        ({"threads": -1}, ConfigError, "threads: invalid value"),
        ({"seed": -1}, ConfigError, "seed: invalid value"),
        ({"only": "triger.patch"}, ConfigError, "Did you mean 'trigger.patch'?"),
        ({"only": 5}, ConfigError, "only: must be a name or several names"),
        ({"skip": [None]}, ConfigError, "skip: must be a name or several names"),
        ({"format": "xlsx"}, ConfigError, "there is no format 'xlsx'"),
        ({"policy": 5}, DataTypeError, "int is no policy"),
        ({"policy": {"levels": {"outlier": "maybe"}}}, ConfigError, "levels: unknown variant"),
        ({"policy": {"thresholds": {}}}, ConfigError, "thresholds: unknown field"),
        ({"policy": "no/such/policy.toml"}, ConfigError, "there is no such file"),
        ({"config": "no/such/foretaste.toml"}, ConfigError, "there is no such file"),
        ({"baseline": "no/such/report"}, InputError, "cannot be read as a report"),
        ({"baseline": object()}, DataTypeError, "baseline: object is no path"),
        ({"config": 5}, DataTypeError, "config: int is no path"),
        ({"reference": 5}, DataTypeError, "int is no data"),
        ({"reference": {"z": [1.0]}}, InputError, "the data has this column and the reference does not"),
        ({"ignore": {1: 2}}, ConfigError, "ignore: must be a name or several names"),
    ],
)
def test_settings_that_are_wrong(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        foretaste.scan(SOUND, **options)
    assert said in str(caught.value)


def test_exceptions_are_those_of_python_too_and_travel() -> None:
    with pytest.raises(ValueError, match="no column") as caught:
        foretaste.scan(SOUND, label="y")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.help) == (InputError, str(caught.value), "The columns are: x, label.")
    assert issubclass(DataTypeError, TypeError) and issubclass(foretaste.OutputError, OSError)


# What pyarrow does not refuse itself when the array is made.
def strings(offsets: list[int], data: bytes) -> pa.Array:
    buffers = [None, pa.py_buffer(np.array(offsets, dtype=np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


@pytest.mark.parametrize(
    "column",
    [
        strings([0, 9_000_000, 2], b"hello"),
        strings([0, 5, 2], b"hello"),
        strings([0, 2, 4], b"\xff\xfe\x00\xc3"),
        pa.DictionaryArray.from_arrays(pa.array([0, 99], pa.int32()), pa.array(["a"]), safe=False),
    ],
    ids=["beyond the end", "falling", "no UTF-8", "no such entry"],
)
def test_columns_that_lie_about_themselves(column: pa.Array) -> None:
    with pytest.raises(ForetasteError):
        foretaste.scan(pa.table({"text": column, "label": ["a", "b"]}))


class Raises:
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        raise RuntimeError("not today")


class Odd:
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return "no capsule"


def broken() -> Any:
    schema = pa.schema({"x": pa.float64()})

    def batches() -> Any:
        yield pa.record_batch({"x": [1.0]})
        raise OSError("the disk is gone")

    return pa.RecordBatchReader.from_batches(schema, batches())


@pytest.mark.parametrize("data", [Raises(), Odd(), broken()], ids=["raises", "no capsule", "fails later"])
def test_streams_that_fail(data: Any) -> None:
    with pytest.raises(Exception, match="not today|[Cc]apsule|disk is gone"):
        foretaste.scan(data)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([float("nan"), float("inf"), -float("inf"), None, 1e308] * 20),
        pa.array([[1], [], None, [2, 3], [4]] * 20),
        pa.array([{"a": 1, "b": None}] * 100),
        pa.array([b"\x89PNG\r\n\x1a\n" + b"x" * 40] * 100),
        pa.array(["a\x00\u202e\U000e0041"] * 100),
        pa.array([None] * 100, pa.null()),
        pa.array(range(100), pa.duration("s")),
        pa.array([1] * 100, pa.decimal128(38, 3)),
        pa.RunEndEncodedArray.from_arrays([100], pa.array(["x"])),
        pa.UnionArray.from_sparse(pa.array([0, 1] * 50, pa.int8()), [pa.array(range(100)), pa.array(["x"] * 100)]),
        pa.array([["x", "y"]] * 100, pa.list_view(pa.string())),
    ],
    ids=["no numbers", "ragged", "struct", "broken pictures", "hostile text", "null", "duration", "decimal", "run ends", "union", "list view"],
)
def test_columns_of_every_type_are_scanned_or_refused(column: pa.Array) -> None:
    data = pa.table({"odd": column, "x": np.linspace(0, 1, 100), "label": ["a", "b"] * 50})
    try:
        assert foretaste.scan(data, scores=True).total_rows == 100
    except ForetasteError as error:
        assert error.reason
