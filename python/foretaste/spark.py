"""Scans of Spark DataFrames where their rows are, with PySpark, which has to be installed: ``pip install 'foretaste[spark]'``.

foretaste must be installed, in the same version, wherever executors run. A scan reads the rows several times, as many as the detectors need:

- workers fold the rows of their partition (``mapInArrow``) and send states, never rows;
- states merge in a tree on the executors, and the driver receives one answer a pass;
- of the rows, the driver sees the first 10,000, to infer what the columns are, and those that are listed.

The answer is that of :func:`foretaste.scan` over the same rows in the order of their partitions, bit for bit. Tasks that are repeated, because an executor was
lost or was slow, count once. What would make it depend on luck is refused: every pass checks, by digests, that each partition holds the rows that it held before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, DoubleType, StringType, StructField, StructType

from . import _cluster, _core
from ._report import Report
from ._scan import run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from typing_extensions import Unpack

    from ._scan import Options

__all__ = ["annotate", "scan"]

#: What reports call the rows.
NAME = "spark.DataFrame"
#: Answers that one task of a merge joins; no more of them than :data:`_cluster.FAN` are held at once.
FAN = 32
#: How often an interrupted caller looks for the job that is to end, four times a second.
TRIES = 20
#: Columns of answers on their way.
ANSWERS = "partition int, answer binary"

Batches = Iterable[pa.RecordBatch]


def scan(df: DataFrame, *, reference: Any = None, **options: Unpack[Options]) -> Report:
    """Scans the rows of a DataFrame where they are.

    Rows are numbered in the order of the partitions, and within one in the order that it gives them. A DataFrame that gives other rows, or another
    order, when it is computed again (after a shuffle, a sample, a call of ``rand``) is refused: ``df.persist()`` or ``df.checkpoint()`` it, or write it
    out and read it back.

    Args:
        df: The rows. Partitions may be of any number and size; empty ones count for nothing.
        reference: Rows that are known to be sound, of any kind that :func:`foretaste.scan` takes. They are read by the driver.
        options: As for :func:`foretaste.scan`. ``memory`` bounds what one worker's states of a pass hold, as it does there; ``threads`` are the
            driver's own. ``power`` and ``batch_rows`` have no meaning here.

    Raises:
        InputError: The rows are not the same in every pass, or cannot be read.
        ConfigError: A setting is wrong, or the executors have another version.
        Exception: Whatever Spark raises where a job fails.
    """
    told = _cluster.checked(options)
    return run(("cluster", NAME, _Driver(df)), told, reference=reference)


def annotate(df: DataFrame, report: Report) -> DataFrame:
    """The rows that were scanned, in their places, with four columns more.

    ``foretaste_flagged`` (boolean), ``foretaste_q`` (double, null where not listed), ``foretaste_codes`` (strings, of the detectors that list the row)
    and ``foretaste_reason`` (string, null where not listed). ``annotate(df, report).filter("not foretaste_flagged")`` is the data without them.

    One pass makes sure that these are the rows of the report. What comes back is computed when it is used, and fails rather than mark other rows.

    Args:
        df: The DataFrame that was scanned.
        report: What :func:`scan` gave, or the same from its saved folder.

    Raises:
        InputError: The rows are not those of the report, or have such columns already.
    """
    task = _cluster.mark_task(NAME, _Driver(df), report)
    marks = [
        StructField("foretaste_flagged", BooleanType(), False),
        StructField("foretaste_q", DoubleType()),
        StructField("foretaste_codes", ArrayType(StringType()), False),
        StructField("foretaste_reason", StringType()),
    ]
    return _numbered(df).mapInArrow(partial(_mark, task, df.columns), StructType([*df.schema.fields, *marks]))


class _Driver:
    """Carries tasks to the partitions of a DataFrame."""

    def __init__(self, df: DataFrame) -> None:
        self._df = df
        self._partitions = 1

    def joined(self, task: bytes) -> bytes | None:
        answers, count = self._answers(task, None), self._partitions
        # All passes have the same plan up to the first exchange, so that Spark cuts the rows alike in all of them.
        while True:
            count = -(-count // FAN)
            answers = answers.repartition(count, F.col("partition") % count).mapInArrow(partial(_join, task), ANSWERS)
            if count == 1:
                break
        found = self._collect(answers)
        if not found:
            return None
        self._partitions = max(self._partitions, len(_core.contents(task, found[0][1])[0]))
        return found[0][1]

    def each(self, task: bytes, partitions: Sequence[int]) -> list[bytes]:
        count = -(-len(partitions) // FAN)
        answers = self._answers(task, frozenset(partitions)).repartition(count, F.col("partition") % count)
        return [answer for _, answer in sorted(self._collect(answers))]

    def _answers(self, task: bytes, wanted: frozenset[int] | None) -> DataFrame:
        columns = _cluster.names(range(len(self._df.columns)), task)
        work = partial(_work, task, wanted, [self._df.columns[at] for at in columns])
        return _numbered(self._df, columns).mapInArrow(work, ANSWERS)

    def _collect(self, answers: DataFrame) -> list[tuple[int, bytes]]:
        """Runs a job; an interrupted caller stops it."""
        session, tag = answers.sparkSession, f"foretaste-{uuid4().hex}"
        tags = hasattr(session, "addTag")
        if tags:
            session.addTag(tag)
        try:
            return [(row[0], bytes(row[1])) for row in answers.collect()]
        except KeyboardInterrupt:
            # The job may not have begun yet: Java goes on planning it, whatever happens here.
            for _ in range(TRIES if tags else 0):
                if session.interruptTag(tag):
                    break
                time.sleep(0.25)
            raise
        finally:
            if tags:
                session.removeTag(tag)


def _numbered(df: DataFrame, columns: Sequence[int] | None = None) -> DataFrame:
    """Some columns, and one that says in which partition a row is: Spark counts partitions where the rows are made, whatever is done with them
    later. All go by numbers, since Spark takes a name with a dot in it for two."""
    chosen = range(len(df.columns)) if columns is None else columns
    # A sample of all rows changes nothing, but that Spark does not count the partitions of rows in the driver's memory before there are any.
    whole = df.toDF(*(f"c{at}" for at in range(len(df.columns)))).sample(fraction=1.0, seed=0)
    return whole.select(*(F.col(f"c{at}") for at in chosen), F.spark_partition_id().alias("partition"))


def _placed(names: list[str], batches: Batches) -> tuple[int, pa.RecordBatchReader] | None:
    """The number of a partition, and its rows with columns of these names; ``None`` without any."""
    rows = (batch for batch in batches if batch.num_rows)
    first = next(rows, None)
    if first is None:
        return None
    bare = (pa.RecordBatch.from_arrays(batch.columns[:-1], schema=_named(batch.schema, names)) for batch in chain([first], rows))
    stream = _cluster.stream(bare)
    return None if stream is None else (first.columns[-1][0].as_py(), stream)


def _named(schema: pa.Schema, names: list[str]) -> pa.Schema:
    return pa.schema([field.with_name(name) for field, name in zip(schema, names)])


def _answer(partition: int, answer: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([partition], pa.int32()), pa.array([answer], pa.binary())], ["partition", "answer"])


def _work(task: bytes, wanted: frozenset[int] | None, names: list[str], batches: Batches) -> Iterator[pa.RecordBatch]:
    placed = _placed(names, batches)
    if placed is not None and (wanted is None or placed[0] in wanted):
        yield _answer(placed[0], _core.work(task, *placed))


def _join(task: bytes, batches: Batches) -> Iterator[pa.RecordBatch]:
    answers = (answer.as_py() for batch in batches for answer in batch.column(1))
    answer = _cluster.joined(task, answers)
    if answer is not None:
        yield _answer(_core.contents(task, answer)[0][0], answer)


def _mark(task: bytes, names: list[str], batches: Batches) -> Iterator[pa.RecordBatch]:
    placed = _placed(names, batches)
    if placed is not None:
        yield from _core.mark(task, *placed)
