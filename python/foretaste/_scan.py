"""The scan."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from . import _core
from ._data import Payload, payload
from ._errors import ConfigError, DataTypeError
from ._progress import Progress, bar
from ._report import Report

__all__ = ["Detector", "detectors", "scan"]


@dataclass(frozen=True)
class Detector:
    """One detector.

    >>> import foretaste
    >>> [d.code for d in foretaste.detectors() if d.family == "duplicate"]
    ['duplicate.exact', 'duplicate.flood']
    """

    code: str
    """Its code, ``family.name``."""
    family: str
    """Its family."""
    summary: str
    """What it finds, in a line."""
    manual: str
    """Its manual, Markdown."""


def detectors() -> list[Detector]:
    """All detectors, by code."""
    return [Detector(*of) for of in _core.detectors()]


def scan(
    data: Any,
    *,
    label: str | None = None,
    id: str | None = None,
    text: str | Iterable[str] | None = None,
    response: str | None = None,
    rejected: str | None = None,
    image: str | None = None,
    embedding: str | None = None,
    probs: str | None = None,
    source: str | None = None,
    time: str | None = None,
    address: str | None = None,
    digest: str | None = None,
    ignore: str | Iterable[str] | None = None,
    reference: Any = None,
    format: Literal["parquet", "ipc", "ipc-stream", "csv", "tsv", "jsonl"] | None = None,
    fdr: float | None = None,
    alarm_level: float | None = None,
    fail_on: Literal["fail", "warn", "never"] | None = None,
    policy: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    baseline: str | os.PathLike[str] | Report | None = None,
    only: str | Iterable[str] | None = None,
    skip: str | Iterable[str] | None = None,
    seed: int | None = None,
    power: bool = False,
    scores: bool = False,
    threads: int | None = None,
    memory: int | str | None = None,
    batch_rows: int | None = None,
    metrics: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    progress: bool | Progress | None = None,
) -> Report:
    """Scans training data and reports poisoned rows by cause.

    Args:
        data: A path or list of paths (files, folders, globs); a pyarrow ``Table``, ``RecordBatch``, ``RecordBatchReader`` or
            ``Dataset``; a polars ``DataFrame`` or ``LazyFrame``; a pandas ``DataFrame``; a Hugging Face ``Dataset``; a dict of
            columns; numpy ``X`` or ``(X, y)``; or anything with ``__arrow_c_stream__``. Tables are not copied. A stream that can
            be read once is collected.
        label: The column that a model is to predict. This and the other columns are inferred unless given.
        id: Names the row.
        text: Columns of free text or chat messages.
        response: What a model is to answer, in instruction and chat sets.
        rejected: The answers that were turned down, in preference sets.
        image: Pictures.
        embedding: A vector that stands for the row. With numpy ``X``, the name that its rows get as vectors.
        probs: Class probabilities of a model that did not see the row.
        source: Who or what the row came from.
        time: When the row was made.
        address: Where on a network its content lies.
        digest: A hash of the content that was there.
        ignore: Columns that are not looked at.
        reference: Rows that are known to be sound, with the columns of the data; of any kind that ``data`` may be.
        format: Format of the files, where their names and first bytes do not tell.
        fdr: Largest expected share of wrongly listed rows, over 0 and at most 0.5. Default 0.1.
        alarm_level: Chance that a clean data set raises any alarm, over 0 and at most 0.5. Default 0.01.
        fail_on: The mildest verdict at which :attr:`Report.ok` is false. Default ``"fail"``.
        policy: What findings come to: a mapping with ``levels``, ``budgets`` and ``waivers`` as in a configuration file, or the
            path of such a file, whose tables ``[decide]`` and ``[policy]`` hold.
        baseline: An earlier report: only what it did not have counts.
        only: Run these detectors or families alone.
        skip: Leave these detectors or families out.
        seed: Seed of everything random, for a scan that can be repeated.
        power: Plant poison into a copy in memory, and say how little of it the scan would have seen.
        scores: Also keep the scores of every row, for :attr:`Report.scores`.
        threads: Worker threads. Default all cores. The answer does not depend on it.
        memory: Memory that the run may hold, such as ``"2GiB"`` (the default) or a number of bytes; a table that is in memory
            already is not counted.
        batch_rows: Rows that readers of files yield at once.
        metrics: A file for figures of the run in the text format of Prometheus.
        config: A configuration file. Unlike the command, a scan reads none that is not named here.
        progress: Whether to show progress; by default where somebody sees it, a terminal or a notebook. Or a function that is called
            with what is being done, the rows done, and all rows or ``None``.

    Raises:
        DataTypeError: The data is of no kind that can be scanned.
        InputError: The data cannot be read, or a column that was named is not there.
        ConfigError: A setting is wrong.
        KeyboardInterrupt: The scan stops within about a second of Ctrl-C; nothing is left behind.

    >>> import foretaste, pyarrow.parquet
    >>> table = pyarrow.parquet.read_table("datasets/data/digits_backdoor.parquet")
    >>> report = foretaste.scan(table, label="label", only="trigger", seed=1)
    >>> report.flagged_rows, report.rows.column_names[:4]
    (54, ['row', 'file', 'id', 'label'])
    >>> report.clean(table).num_rows
    1743
    """
    options: Any = {name: given for name, given in locals().items() if name not in {"data", "reference", "format"}}
    read = payload(data, label=label, embedding=embedding)
    return run(read, options, reference=reference, format=format)


class Options(TypedDict, total=False):
    """What a scan may be told wherever the rows are; :func:`scan` says what each is."""

    label: str | None
    id: str | None
    text: str | Iterable[str] | None
    response: str | None
    rejected: str | None
    image: str | None
    embedding: str | None
    probs: str | None
    source: str | None
    time: str | None
    address: str | None
    digest: str | None
    ignore: str | Iterable[str] | None
    fdr: float | None
    alarm_level: float | None
    fail_on: Literal["fail", "warn", "never"] | None
    policy: Mapping[str, Any] | str | os.PathLike[str] | None
    baseline: str | os.PathLike[str] | Report | None
    only: str | Iterable[str] | None
    skip: str | Iterable[str] | None
    seed: int | None
    power: bool
    scores: bool
    threads: int | None
    memory: int | str | None
    batch_rows: int | None
    metrics: str | os.PathLike[str] | None
    config: str | os.PathLike[str] | None
    progress: bool | Progress | None


#: Options by the table of the settings that they belong to; the others are paths, rules and what is shown.
TABLES = {
    "roles": ("label", "id", "text", "response", "rejected", "image", "embedding", "probs", "source", "time", "address", "digest", "ignore"),
    "decide": ("fdr", "alarm_level", "fail_on"),
    "detectors": ("only", "skip"),
    "run": ("seed", "power", "threads", "memory", "batch_rows"),
    "output": ("scores",),
}
#: Options that may be one name or several.
SEVERAL = {"text", "ignore", "only", "skip"}


def known(options: Options) -> None:
    """Refuses options that there are not."""
    unknown = sorted(options.keys() - Options.__annotations__.keys())
    if unknown:
        raise TypeError(f"scan() got an unexpected keyword argument '{unknown[0]}'")


def run(read: Payload, options: Options, *, reference: Any = None, format: str | None = None) -> Report:
    """Scans what :func:`payload` made of the data, or a cluster holds."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None and value is not False}
    for name in SEVERAL & given.keys():
        given[name] = _names(name, given[name])
    settings: dict[str, dict[str, Any]] = {
        table: {name: given[name] for name in names if name in given} for table, names in TABLES.items()
    }
    settings["policy"] = {}
    metrics, policy, baseline = given.get("metrics"), given.get("policy"), given.get("baseline")
    if metrics is not None:
        settings["output"]["metrics"] = os.fspath(_file("metrics", metrics) or "")
    rules: Any = None
    if isinstance(policy, (str, os.PathLike)):
        rules = policy
    elif policy is not None:
        settings["policy"].update(_rules(policy))
    if baseline is not None:
        settings["policy"]["baseline"] = str(baseline.path if isinstance(baseline, Report) else _file("baseline", baseline))
    for name in ("fdr", "alarm_level"):
        value = given.get(name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name}: must be a number, not {value}")
    try:
        told = json.dumps(settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a setting is of the wrong type: {error}", "Settings are text, numbers, lists and mappings.") from error
    against = None if reference is None else payload(reference, label=given.get("label"), embedding=given.get("embedding"))
    folder = tempfile.TemporaryDirectory(prefix="foretaste-", ignore_cleanup_errors=True)
    progress = options.get("progress")
    shown = bar() if progress is None or progress is True else None
    tick: Any = progress if callable(progress) else shown
    try:
        _core.scan(read, against, told, _file("config", given.get("config")), rules, format, Path(folder.name, "report"), tick)
    except BaseException:
        folder.cleanup()
        raise
    finally:
        if shown is not None:
            shown.close()
    return Report._held(folder)


def _file(setting: str, path: Any) -> str | os.PathLike[str] | None:
    if path is None or isinstance(path, (str, os.PathLike)):
        return path
    raise DataTypeError(f"{setting}: {type(path).__name__} is no path", "Give a string or a path.")


def _names(setting: str, names: str | Iterable[str] | None) -> list[str] | None:
    """A list of names; one name is a list of one."""
    if names is None:
        return None
    if isinstance(names, str):
        return [names]
    listed: list[Any] = list(names) if isinstance(names, Iterable) else [None]
    if not all(isinstance(name, str) for name in listed):
        raise ConfigError(f"{setting}: must be a name or several names", "Give a string or a list of strings.")
    return listed


def _rules(policy: Any) -> dict[str, Any]:
    if not isinstance(policy, Mapping):
        raise DataTypeError(
            f"policy: {type(policy).__name__} is no policy", "Give a mapping with levels, budgets and waivers, or the path of a file."
        )
    return dict(policy)
