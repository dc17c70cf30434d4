"""From what people hold to what the scan reads, and back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ._errors import DataTypeError, InputError

# What the Rust part takes: ("paths", [..]), ("table", name, stream), ("again", name, factory) or ("cluster", name, driver).
Payload = tuple[str, Any] | tuple[str, str, Any]

KNOWN = (
    "Give a path or a list of paths, a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, a polars DataFrame or LazyFrame, "
    "a pandas DataFrame, a Hugging Face Dataset, a dict of columns, (X, y) of numpy arrays, or anything with __arrow_c_stream__. "
    "What lies on a cluster is for foretaste.spark and foretaste.ray."
)


def payload(data: Any, *, label: str | None = None, embedding: str | None = None) -> Payload:
    """Turns data into what the Rust part reads; nothing is copied where Arrow allows it."""
    paths = _paths(data)
    if paths is not None:
        return ("paths", paths)
    kind = _kind(data)
    if kind == "dataset":
        return ("again", "pyarrow.Dataset", lambda: data.scanner().to_reader())
    name, make = _KINDS[kind]
    try:
        table = make(data) if kind != "numpy" else from_numpy(data, label=label, embedding=embedding)
        # The C interface carries no sizes of buffers: offsets that point out of them have to be found here.
        table.validate()
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, (InputError, DataTypeError)):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: cannot be held as a table: {reason}", "Give every column one type.") from error
    return ("table", name, table)


def rows(data: Any) -> int | None:
    """How many rows data has, if that can be told without reading it."""
    kind = None if _paths(data) is not None else _kind(data)
    if kind == "numpy":
        return len(data[0] if isinstance(data, tuple) else data)
    if kind == "dict":
        return len(next(iter(data.values()), ()))
    if kind in {"table", "batch"}:
        return int(data.num_rows)
    if kind in {"polars", "pandas", "huggingface"}:
        return len(data)
    return None


def without(data: Any, drop: np.ndarray[Any, np.dtype[np.int64]], count: int, told: Mapping[str, Sequence[Any]]) -> Any:
    """The same kind of data without the rows at these positions, of which there are ``count`` in all.

    ``told`` is what the scan saw in columns of these rows, by name: rows that hold something else are not those that it listed.
    """
    if _paths(data) is not None:
        raise DataTypeError(
            "a path is not cleaned in memory",
            "Read the file and give the table, or save the report and run 'foretaste quarantine', which keeps the file's format.",
        )
    held = rows(data)
    if held is not None and held != count:
        raise InputError(f"the data has {held} rows where the scan saw {count}", "Give the very data that was scanned, in the same order.")
    keep = np.ones(count, dtype=bool)
    keep[drop] = False
    kind = _kind(data)
    if held is not None:
        _refuse_others(data, kind, drop, told)
    if kind == "numpy":
        if isinstance(data, tuple):
            return tuple(np.asarray(part)[keep] for part in data)
        return data[keep]
    if kind == "dict":
        return {name: [value for value, kept in zip(values, keep) if kept] for name, values in data.items()}
    if kind in {"table", "batch"}:
        return data.filter(pa.array(keep))
    if kind == "polars":
        import polars

        return data.filter(polars.Series(keep))
    if kind == "lazy":
        import polars

        # The mask is laid on when the frame is collected: one that lost or won rows meanwhile is refused.
        def cleaned(frame: polars.DataFrame) -> polars.DataFrame:
            return without(frame, drop, count, told)  # type: ignore[no-any-return]

        return data.map_batches(cleaned, predicate_pushdown=False, projection_pushdown=False, slice_pushdown=False)
    if kind == "pandas":
        return data.loc[keep] if data.index.is_unique else data[keep]
    if kind == "huggingface":
        return data.select(np.flatnonzero(keep))
    if kind == "dataset":
        return without(data.to_table(), drop, count, told)
    raise DataTypeError("a stream can be read once, and the scan has read it", "Collect it into a table, scan and clean that.")


def _refuse_others(data: Any, kind: str, drop: np.ndarray[Any, np.dtype[np.int64]], told: Mapping[str, Sequence[Any]]) -> None:
    """Fails where a row at one of the positions is not the one that the scan saw there."""
    for name, expected in told.items():
        column = _column(data, kind, name)
        if column is None:
            continue
        for row, value, said in zip(drop.tolist(), column.take(pa.array(drop)).to_pylist(), expected):
            if not _agree(value, said):
                raise InputError(
                    f"row {row} of the data does not have the {name} that the scan saw there",
                    "Give the very data that was scanned, in the same order; what was sorted, shuffled or changed since is scanned anew.",
                )


def _column(data: Any, kind: str, name: str) -> pa.Array | pa.ChunkedArray | None:
    """A column of data that lies in memory, if there is one of this name. The labels of arrays have the name that the scan gave them."""
    if kind == "numpy":
        return pa.array(np.asarray(data[1]).tolist()) if isinstance(data, tuple) else None
    if kind == "dict":
        return pa.array(data[name]) if name in data else None
    if kind in {"table", "batch", "huggingface"}:
        table = _from_hugging_face(data) if kind == "huggingface" else data
        return table.column(name) if name in table.schema.names else None
    if kind == "polars":
        return data[name].to_arrow() if name in data.columns else None
    if kind == "pandas":
        names = [column for column in data.columns if str(column) == name]
        return pa.Array.from_pandas(data[names[0]]) if len(names) == 1 else None
    return None


def _agree(value: Any, said: Any) -> bool:
    """Whether a value of the data can be what a report says of it, which may have it as text. A value of no such kind can be anything."""
    if said is None or type(value) not in {bool, int, float, str, type(None)}:
        return True
    if isinstance(value, bool):
        return str(value).lower() == str(said).lower()
    if isinstance(value, (int, float)):
        try:
            return value != value or value == type(value)(said)
        except (TypeError, ValueError):
            return True
    return bool(value == said)


def _paths(data: Any) -> list[str] | None:
    """The paths, if that is what data is."""
    if isinstance(data, (str, os.PathLike)):
        return [_path(data)]
    if isinstance(data, Sequence) and not isinstance(data, (bytes, bytearray)) and data:
        if all(isinstance(part, (str, os.PathLike)) for part in data):
            return [_path(part) for part in data]
    return None


def _path(path: Any) -> str:
    name = os.fspath(path)
    if not isinstance(name, str):
        raise DataTypeError("a path must be text, not bytes", "Decode it with os.fsdecode.")
    return str(Path(name)) if isinstance(path, os.PathLike) else name


def _kind(data: Any) -> str:
    """What data is. Other packages are looked at only where they are loaded: what is theirs cannot be here otherwise."""
    if isinstance(data, np.ndarray) or (isinstance(data, tuple) and len(data) == 2 and all(map(_is_array, data))):
        return "numpy"
    if isinstance(data, pa.Table):
        return "table"
    if isinstance(data, pa.RecordBatch):
        return "batch"
    if isinstance(data, pa.RecordBatchReader):
        return "stream"
    dataset = sys.modules.get("pyarrow.dataset")
    if dataset is not None and isinstance(data, dataset.Dataset):
        return "dataset"
    polars = sys.modules.get("polars")
    if polars is not None:
        if isinstance(data, polars.DataFrame):
            return "polars"
        if isinstance(data, polars.LazyFrame):
            return "lazy"
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return "pandas"
    # Hugging Face: by its shape, so that the package need not be there.
    if hasattr(data, "features") and hasattr(data, "with_format") and hasattr(data, "select") and hasattr(data, "data"):
        return "huggingface"
    if isinstance(data, Mapping):
        if data and all(hasattr(part, "features") for part in data.values()):
            names = ", ".join(map(str, data))
            raise DataTypeError("this is several data sets", f"Choose one of its splits: {names}.")
        return "dict"
    if hasattr(data, "__arrow_c_stream__"):
        return "stream"
    if hasattr(data, "__arrow_c_array__"):
        return "array"
    raise DataTypeError(f"{type(data).__name__} is no data that can be scanned", KNOWN)


def _is_array(part: Any) -> bool:
    return isinstance(part, np.ndarray) or (hasattr(part, "__array__") and hasattr(part, "shape"))


def _from_pandas(frame: Any) -> pa.Table:
    names = [name for name in frame.columns if not isinstance(name, str)]
    if names:
        frame = frame.rename(columns=str)
    return pa.Table.from_pandas(frame, preserve_index=False)


def _from_hugging_face(data: Any) -> pa.Table:
    held = getattr(data.data, "table", None)
    if isinstance(held, pa.Table) and getattr(data, "_indices", None) is None:
        return held
    return data.with_format("arrow")[:]


def _from_mapping(columns: Mapping[str, Any]) -> pa.Table:
    lengths = {len(values) for values in columns.values() if hasattr(values, "__len__")}
    if len(lengths) > 1:
        raise InputError("dict: the columns are not of one length", "Give every column one value a row.")
    return pa.table(dict(columns))


_KINDS: dict[str, tuple[str, Callable[[Any], pa.Table]]] = {
    "numpy": ("numpy", lambda data: from_numpy(data)),
    "table": ("pyarrow.Table", lambda data: data),
    "batch": ("pyarrow.RecordBatch", lambda data: pa.Table.from_batches([data])),
    "stream": ("stream", lambda data: pa.RecordBatchReader.from_stream(data).read_all()),
    "array": ("record batch", lambda data: pa.Table.from_batches([pa.record_batch(data)])),
    "polars": ("polars.DataFrame", lambda data: pa.RecordBatchReader.from_stream(data).read_all()),
    "lazy": ("polars.LazyFrame", lambda data: pa.RecordBatchReader.from_stream(data.collect()).read_all()),
    "pandas": ("pandas.DataFrame", _from_pandas),
    "huggingface": ("datasets.Dataset", _from_hugging_face),
    "dict": ("dict", _from_mapping),
}


def from_numpy(data: Any, *, label: str | None = None, embedding: str | None = None) -> pa.Table:
    """``X`` or ``(X, y)`` as a table.

    Rows × columns of numbers become the columns ``x0``, ``x1``, … (one column of vectors, where ``embedding`` names it); rows ×
    height × width (× channels) of ``uint8`` the column ``image``; one dimension of strings the column ``text``. ``y`` becomes the
    label column.
    """
    features, target = (data[0], data[1]) if isinstance(data, tuple) else (data, None)
    features = np.asarray(features)
    count = len(features) if features.ndim else 0
    if count == 0:
        raise InputError("numpy: X holds no rows", "Give an array with one row a sample.")
    columns: dict[str, Any] = {}
    if features.ndim == 1 and features.dtype.kind in "OUT":
        columns["text"] = pa.array(features.tolist(), type=pa.large_string())
    elif features.ndim == 2 and features.dtype.kind in "biuf":
        if embedding is not None:
            flat = pa.array(np.ascontiguousarray(features).reshape(-1))
            columns[embedding] = pa.FixedSizeListArray.from_arrays(flat, features.shape[1])
        else:
            for at in range(features.shape[1]):
                columns[f"x{at}"] = pa.array(features[:, at])
    elif features.ndim in {3, 4} and features.dtype == np.uint8:
        flat = pa.array(np.ascontiguousarray(features).reshape(-1))
        columns["image"] = pa.FixedSizeListArray.from_arrays(flat, features[0].size)
    else:
        shape = " × ".join(map(str, features.shape))
        raise InputError(
            f"numpy: an array of {features.dtype} with the shape {shape} is no table",
            "Give rows × columns of numbers, rows × height × width (× channels) of uint8, or one dimension of strings.",
        )
    if target is not None:
        target = np.asarray(target)
        if target.ndim != 1 or len(target) != count:
            raise InputError(f"numpy: y has the shape {target.shape} where X has {count} rows", "Give one label a row.")
        name = label if label is not None else "label"
        if name in columns:
            raise InputError(f"numpy: the label cannot be called '{name}' like a column of X", "Choose another name.")
        columns[name] = pa.array(target.tolist()) if target.dtype.kind in "OUT" else pa.array(target)
    return pa.table(columns)
