"""What scans on Spark and on Ray share: the worker's side of a task, and rows on their way there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from . import _core
from ._errors import ConfigError
from ._report import Report
from ._scan import Options, known

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Answers that one step of a merge joins.
FAN = 8
#: What the driver of a cluster is told of the rows of a report.
MARKS = ["row", "codes", "tier", "q", "reason"]


class Driver(Protocol):
    """Carries tasks to the rows of a cluster, for a scan."""

    def joined(self, task: bytes) -> bytes | None:
        """The joined answer of all partitions; ``None`` where none holds a row."""

    def each(self, task: bytes, partitions: Sequence[int]) -> list[bytes]:
        """The answers of these partitions, in their order."""


def checked(options: Options) -> Options:
    """The options of a scan, refused before anything is read where they have no meaning for rows on a cluster."""
    known(options)
    if options.get("batch_rows") is not None:
        raise ConfigError("batch_rows: a cluster cuts its rows itself", "Leave it out; the answer does not depend on it.")
    if options.get("power"):
        raise ConfigError(
            "power: poison is planted into a copy of the rows in memory, and rows on a cluster stay there", "Measure on a sample of the rows."
        )
    return options


def stream(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatchReader | None:
    """Batches as a stream; ``None`` where they hold no row."""
    held: Iterator[pa.RecordBatch] = (batch for batch in batches if batch.num_rows)
    first = next(held, None)
    if first is None:
        return None
    schema = first.schema.remove_metadata()
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) if batch.schema != schema else batch for batch in chain([first], held)))


def joined(task: bytes, answers: Iterable[bytes]) -> bytes | None:
    """One answer of several, holding few of them at once."""
    held: list[bytes] = []
    for answer in answers:
        held.append(bytes(answer))
        if len(held) == FAN:
            held = [_core.join(task, held)]
    if len(held) > 1:
        held = [_core.join(task, held)]
    return held[0] if held else None


def mark_task(name: str, driver: Driver, report: Report) -> bytes:
    """The task to mark the listed rows of a report, after a look whether these are the rows that it is about."""
    listed = report.rows.select(MARKS)
    return bytes(_core.mark_task(name, driver, report.document["data"]["files"][0]["blake3"], listed))


def names(columns: Sequence[Any], task: bytes) -> list[Any]:
    """The columns that a task reads."""
    chosen = _core.columns_of(task)
    return list(columns) if chosen is None else [columns[at] for at in chosen]
