"""Scans of Ray Datasets where their rows are, with Ray, which has to be installed: ``pip install 'foretaste[ray]'``.

foretaste must be installed, in the same version, wherever tasks run. A scan reads the rows several times, as many as the detectors need:

- the dataset is materialized, in order, in the object store of the cluster, which spills to disk what does not fit;
- tasks fold the rows of a block and leave states there, never rows;
- states merge in a tree, by tasks, as they come; only as many are held at once as the cluster has work for;
- of the rows, the driver sees the first 10,000, to infer what the columns are, and those that are listed.

The answer is that of :func:`foretaste.scan` over the same rows in the order of their blocks, bit for bit. Tasks that are repeated, because a worker was lost,
count once, and a block that had to be made again and has other rows than before is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import ray
import ray.data

from . import _cluster, _core
from ._errors import InputError
from ._report import Report
from ._scan import run

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._scan import Options

__all__ = ["annotate", "scan"]

#: What reports call the rows.
NAME = "ray.Dataset"
#: What marked rows get.
MARKS = [
    pa.field("foretaste_flagged", pa.bool_()),
    pa.field("foretaste_q", pa.float64()),
    pa.field("foretaste_codes", pa.list_(pa.string())),
    pa.field("foretaste_reason", pa.string()),
]
#: Tasks on blocks that are under way at once, for each processor of the cluster.
AHEAD = 2


def scan(ds: ray.data.Dataset, *, reference: Any = None, **options: Unpack[Options]) -> Report:
    """Scans the rows of a Dataset where they are.

    Rows are numbered in the order of the dataset. One that gives them in another order each time (after ``random_shuffle``, say) is best
    materialized first, ``ds = ds.materialize()``, so that :func:`annotate` finds the rows that were scanned.

    Args:
        ds: The rows. Blocks may be of any number and size; they need not have the same nulls, but the same columns.
        reference: Rows that are known to be sound, of any kind that :func:`foretaste.scan` takes. They are read by the driver.
        options: As for :func:`foretaste.scan`. ``memory`` bounds what one task's states of a pass hold, as it does there; ``threads`` are the
            driver's own. ``power`` and ``batch_rows`` have no meaning here.

    Raises:
        InputError: The rows cannot be read, or a block that was lost is not what it was.
        ConfigError: A setting is wrong, or the workers have another version.
        Exception: Whatever Ray raises where a task fails.
    """
    told = _cluster.checked(options)
    return run(("cluster", NAME, _Driver(ds)), told, reference=reference)


def annotate(ds: ray.data.Dataset, report: Report) -> ray.data.Dataset:
    """The rows that were scanned, in their places, with four columns more.

    ``foretaste_flagged`` (boolean), ``foretaste_q`` (double, null where not listed), ``foretaste_codes`` (strings, of the detectors that list the row)
    and ``foretaste_reason`` (string, null where not listed).

    Args:
        ds: The Dataset that was scanned.
        report: What :func:`scan` gave, or the same from its saved folder.

    Raises:
        InputError: The rows are not those of the report, or have such columns already.
    """
    driver = _Driver(ds)
    task = ray.put(_cluster.mark_task(NAME, driver, report))
    blocks: Any = [_mark.remote(task, at, block, driver.schema) for at, block in enumerate(driver.blocks)]
    marked: ray.data.Dataset = ray.data.from_arrow_refs(blocks)
    return marked


class _Driver:
    """Carries tasks to the blocks of a Dataset."""

    def __init__(self, ds: ray.data.Dataset) -> None:
        ordered = ds.context.execution_options
        before, ordered.preserve_order = ordered.preserve_order, True
        try:
            # Held as long as its blocks are read.
            self._held = ds.materialize()
            self.blocks: list[Any] = self._held.to_arrow_refs()
        finally:
            ordered.preserve_order = before
        #: Of all blocks together; ``None`` where no block holds a row.
        self.schema = _unified(self.blocks)

    def joined(self, task: bytes) -> bytes | None:
        told = ray.put(task)
        leaves = (_work.remote(told, at, block, self.schema) for at, block in enumerate(self.blocks))
        answer: bytes | None = ray.get(self._tree(told, leaves))
        return answer

    def each(self, task: bytes, partitions: Sequence[int]) -> list[bytes]:
        told = ray.put(task)
        flying = [_work.remote(told, at, self.blocks[at], self.schema) for at in partitions]
        try:
            return list(ray.get(flying))
        except BaseException:
            _stop(flying)
            raise

    @staticmethod
    def _tree(task: Any, leaves: Iterator[Any]) -> Any:
        """Joins the answers as they come, with no more of them under way than the cluster has work for."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        most = max(1, int(AHEAD * resources.get("CPU", 1)))
        flying: list[Any] = []
        done: list[Any] = []
        more = True
        try:
            while True:
                while more and len(flying) < most:
                    leaf = next(leaves, None)
                    more = leaf is not None
                    if more:
                        flying.append(leaf)
                if not flying:
                    if len(done) <= 1:
                        return done[0] if done else ray.put(None)
                    flying.append(_join.remote(task, *done))
                    done = []
                ready, flying = ray.wait(flying, num_returns=1)
                done += ready
                if len(done) >= _cluster.FAN:
                    flying.append(_join.remote(task, *done))
                    done = []
        except BaseException:
            _stop(flying)
            raise


def _unified(blocks: list[Any]) -> pa.Schema | None:
    schemas: list[pa.Schema] = []
    for schema in ray.get([_schema.remote(block) for block in blocks]):
        if schema is not None and schema not in schemas:
            schemas.append(schema)
    try:
        return pa.unify_schemas(schemas) if schemas else None
    except (ValueError, pa.ArrowException) as error:
        raise InputError(f"{NAME}: the blocks do not have the same columns: {error}", "Give every block the same columns.") from error


def _stop(flying: list[Any]) -> None:
    for task in flying:
        ray.cancel(task)


def _rows(block: pa.Table, schema: pa.Schema | None) -> pa.Table:
    """A block in the columns of the whole: one that holds nothing but nulls somewhere has another type there."""
    bare = block.replace_schema_metadata(None)
    if schema is None or bare.schema == schema:
        return bare
    try:
        return bare.select(schema.names).cast(schema)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{NAME}: the blocks do not have the same columns: {error}", "Give every block the same columns.") from error


@ray.remote
def _schema(block: pa.Table) -> pa.Schema | None:
    return block.schema.remove_metadata() if block.num_rows else None


@ray.remote
def _work(task: bytes, at: int, block: pa.Table, schema: pa.Schema | None) -> bytes | None:
    table = _rows(block, schema)
    rows = _cluster.stream(table.select(_cluster.names(table.column_names, task)).to_batches())
    return None if rows is None else _core.work(task, at, rows)


@ray.remote
def _join(task: bytes, *answers: bytes | None) -> bytes | None:
    return _cluster.joined(task, (answer for answer in answers if answer is not None))


@ray.remote
def _mark(task: bytes, at: int, block: pa.Table, schema: pa.Schema | None) -> pa.Table:
    table = _rows(block, schema)
    rows = _cluster.stream(table.to_batches())
    # An empty block has the columns all the same.
    columns = pa.schema([*table.schema, *MARKS])
    return columns.empty_table() if rows is None else pa.Table.from_batches(_core.mark(task, at, rows)).cast(columns)
