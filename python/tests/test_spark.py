"""Spark gives the answer of a single process, whatever its partitions are and whoever dies."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial, reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from spread import bundled, check_marks, packs, read, required, told, uneven

import foretaste

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "3",
    "spark.log.level": "OFF",
}


def session(master: str, **more: str) -> Any:
    sql = required("pyspark.sql")
    # What tasks run of this file travels with them: executors do not have it.
    required("pyspark.cloudpickle").register_pickle_by_value(sys.modules[__name__])
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master(master).appName("foretaste")
    for name, value in {**SETTINGS, **more}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Two threads; a task may fail three times."""
    started = session("local[2,4]")
    yield started
    started.stop()


def frame(spark: Any, parts: list[pa.Table]) -> Any:
    """A DataFrame with these parts in partitions, in their order; parts without rows are partitions without rows."""
    frames = [spark.createDataFrame(part if part.num_rows else parts[-1].slice(0, 1)) for part in parts]
    held = [one if part.num_rows else one.where("length(uuid()) < 0") for one, part in zip(frames, parts)]
    return reduce(lambda a, b: a.unionAll(b), held)


@pytest.mark.parametrize(("path", "label"), bundled() + packs())
def test_the_answer_is_that_of_one_process(spark: Any, path: Path, label: str | None) -> None:
    table = read(path)
    rows = frame(spark, uneven(table))
    # What Spark makes of the types is what is scanned by both.
    assert told(foretaste_spark().scan(rows, label=label, seed=5)) == told(foretaste.scan(rows.toArrow(), label=label, seed=5))


def foretaste_spark() -> Any:
    required("pyspark")
    import foretaste.spark

    return foretaste.spark


def test_rows_are_marked_in_their_places(spark: Any, digits: Path, tmp_path: Path) -> None:
    table = read(digits)
    rows = frame(spark, uneven(table))
    report = foretaste_spark().scan(rows, label="label", seed=1)
    assert report.flagged_rows >= 54
    marked = foretaste_spark().annotate(rows, report)
    check_marks(marked.toArrow(), table, report)
    # Fewer tasks than partitions, and a report that was kept.
    kept = foretaste.Report(report.save(tmp_path / "kept"))
    assert foretaste_spark().annotate(rows, kept).coalesce(2).filter("foretaste_flagged").count() == report.flagged_rows
    assert foretaste_spark().annotate(rows, kept).filter("not foretaste_flagged").count() == table.num_rows - report.flagged_rows


def test_the_example_of_the_readme(spark: Any, digits: Path) -> None:
    required("pyspark")
    block = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)[1]
    names: dict[str, Any] = {"df": frame(spark, [read(digits)])}
    exec(block, names)
    assert names["clean"].count() == 1797 - names["report"].flagged_rows < 1744


def test_other_rows_are_not_marked(spark: Any, digits: Path) -> None:
    table = read(digits)
    report = foretaste_spark().scan(frame(spark, uneven(table)), label="label", only="trigger.patch", seed=1)
    for other in (frame(spark, [table.slice(1)]), frame(spark, [table.slice(0, 900), table.slice(900)])):
        with pytest.raises(foretaste.InputError, match="not the rows that were scanned"):
            foretaste_spark().annotate(other, report)
    marked = foretaste_spark().annotate(frame(spark, uneven(table)), report)
    with pytest.raises(foretaste.InputError, match="there is such a column already"):
        foretaste_spark().annotate(marked, foretaste_spark().scan(marked, label="label", only="trigger.patch", seed=1))


def test_scores_of_every_row(spark: Any) -> None:
    table = read(bundled()[2].values[0])
    far = foretaste_spark().scan(frame(spark, uneven(table)), label="label", seed=2, scores=True)
    assert far.scores.equals(foretaste.scan(table, label="label", seed=2, scores=True).scores)


def shuffled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import random

    for batch in batches:
        order = list(range(batch.num_rows))
        random.SystemRandom().shuffle(order)
        yield batch.take(pa.array(order))


def test_rows_in_another_order_each_time_are_refused(spark: Any, digits: Path) -> None:
    rows = frame(spark, uneven(read(digits)))
    mixed = rows.mapInArrow(shuffled, rows.schema)
    with pytest.raises(foretaste.InputError, match="does not hold the rows that it held") as raised:
        foretaste_spark().scan(mixed, label="label", seed=1)
    assert "persist" in (raised.value.help or "")
    held = mixed.persist()
    try:
        assert foretaste_spark().scan(held, label="label", only="trigger.patch", seed=1).causes[0].rows == 54
    finally:
        held.unpersist()


def stumbling(folder: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Two partitions fail once in every pass, one of them after it gave rows away."""
    from pyspark import TaskContext

    context: Any = TaskContext.get()
    if context.attemptNumber() == 0 and context.partitionId() in {1, 2}:
        Path(folder, f"{context.stageId()}-{context.partitionId()}").touch()
        yield from list(batches)[: context.partitionId() % 2]
        raise RuntimeError("this task fails at first")
    yield from batches


def test_tasks_that_are_tried_again_count_once(spark: Any, digits: Path, tmp_path: Path) -> None:
    table = read(digits)
    rows = frame(spark, [table.slice(0, 20), table.slice(20, 900), table.slice(920)])
    report = foretaste_spark().scan(rows.mapInArrow(partial(stumbling, str(tmp_path)), rows.schema), label="label", only="trigger.patch", seed=1)
    assert len(list(tmp_path.iterdir())) > 10
    assert told(report) == told(foretaste.scan(table, label="label", only="trigger.patch", seed=1))


def test_errors_and_refusals(spark: Any) -> None:
    rows = frame(spark, uneven(read(bundled()[2].values[0])))
    scan = foretaste_spark().scan
    with pytest.raises(foretaste.ConfigError, match="power"):
        scan(rows, label="label", power=True)
    with pytest.raises(foretaste.ConfigError, match="batch_rows"):
        scan(rows, label="label", batch_rows=10)
    with pytest.raises(TypeError, match="'labels'"):
        scan(rows, labels="label")
    with pytest.raises(foretaste.InputError, match=r"spark\.DataFrame: there is no column 'target' for label"):
        scan(rows, label="target")
    with pytest.raises(foretaste.InputError, match="holds no rows"):
        scan(rows.where("length(uuid()) < 0"), label="label")
    # A reference is read by the driver, whatever holds it.
    assert told(scan(rows, label="label", reference=rows, only="drift", seed=1)) == told(
        foretaste.scan(rows.toArrow(), label="label", reference=rows, only="drift", seed=1)
    )


def slow(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import time

    time.sleep(20)
    yield from batches


def test_an_interrupted_scan_stops_its_jobs(spark: Any) -> None:
    rows = frame(spark, [read(bundled()[2].values[0])])
    tracker = spark.sparkContext.statusTracker()
    interrupt = threading.Timer(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        foretaste_spark().scan(rows.mapInArrow(slow, rows.schema), label="label")
    assert time.monotonic() - start < 15
    until = time.monotonic() + 20
    while tracker.getActiveJobsIds() and time.monotonic() < until:
        time.sleep(0.1)
    assert list(tracker.getActiveJobsIds()) == []
    assert rows.count() == 178


def killing(folder: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Once, some passes after the first, the executor dies under its task."""
    from pyspark import TaskContext

    context: Any = TaskContext.get()
    begun = Path(folder, f"{context.stageId()}-{context.partitionId()}-{context.taskAttemptId()}")
    begun.touch()
    yield from batches
    if len(list(Path(folder).iterdir())) > 12:
        try:
            Path(folder, "killed").touch(exist_ok=False)
        except FileExistsError:
            return
        # The parent of this worker is the daemon that forked it, whose parent is the executor.
        stat = Path(f"/proc/{os.getppid()}/stat").read_text()
        os.kill(int(stat.rsplit(")", 1)[1].split()[1]), signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
def test_an_executor_that_dies_changes_nothing(spark: Any, digits: Path, tmp_path: Path) -> None:
    # One process has one session: that of the tests before has to end, or what dies is this one's Java.
    spark.stop()
    started = session("local-cluster[2,1,1024]", **{"spark.executor.memory": "1g", "spark.task.maxFailures": "8"})
    assert started.sparkContext.master.startswith("local-cluster")
    try:
        table = read(digits)
        rows = frame(started, uneven(table))
        rows = rows.mapInArrow(partial(killing, str(tmp_path)), rows.schema)
        report = foretaste_spark().scan(rows, label="label", seed=1)
        assert Path(tmp_path, "killed").exists()
        assert told(report) == told(foretaste.scan(table, label="label", seed=1))
        check_marks(foretaste_spark().annotate(rows, report).toArrow(), table, report)
    finally:
        started.stop()
