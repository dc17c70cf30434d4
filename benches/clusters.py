"""What a scan on a cluster costs: bytes of state by detector, rows per second and core, and what that comes to for a billion rows.

Run with the package installed, and pyspark and ray where they are to be measured:

    python benches/clusters.py [--rows 200000] [--without spark] [--without ray]

The first part counts the bytes of states as they travel, against rows, classes and columns, with partitions folded in this process. The second
scans the same rows by one thread of one process, on Spark with two, and on Ray with two, and multiplies; the third says what of that is the
engine's own work.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

import foretaste
from foretaste import _cluster, _core
from foretaste._scan import run

PARTITIONS = 4
BILLION = 1_000_000_000
#: Partitions of a billion rows.
PARTED = 1_000


def table(rows: int, columns: int, classes: int, seed: int = 1) -> pa.Table:
    """Numbers whose means differ by class, and a level."""
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=rows)
    means = rng.normal(size=(classes, columns))
    named = {f"x{at}": means[label, at] + rng.normal(size=rows) for at in range(columns)}
    return pa.table({**named, "level": pa.array(rng.integers(50, size=rows).astype(str)), "label": pa.array(label.astype(str))})


def texts(rows: int, classes: int, seed: int = 1) -> pa.Table:
    """Texts of twelve words, some of which go with the class."""
    rng = np.random.default_rng(seed)
    words = np.array([f"word{at}" for at in range(5_000)])
    label = rng.integers(classes, size=rows)
    common = words[np.minimum(rng.zipf(1.3, size=(rows, 9)), 4_999)]
    own = words[100 * label[:, None] % 4_000 + rng.integers(100, size=(rows, 3))]
    return pa.table({"text": [" ".join(row) for row in np.hstack([common, own])], "label": pa.array(label.astype(str))})


def vectors(rows: int, width: int, classes: int, seed: int = 1) -> pa.Table:
    """Embeddings whose means differ by class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=rows)
    points = (rng.normal(size=(classes, width))[label] + rng.normal(size=(rows, width))).astype(np.float32)
    return pa.table({"embedding": pa.FixedSizeListArray.from_arrays(points.reshape(-1), width), "label": pa.array(label.astype(str))})


class Here:
    """A cluster of one: folds partitions in this process, one after the other, and keeps count."""

    def __init__(self, rows: pa.Table) -> None:
        cut = [at * rows.num_rows // PARTITIONS for at in range(PARTITIONS + 1)]
        self.parts = [rows.slice(start, end - start) for start, end in zip(cut, cut[1:])]
        self.work = self.merge = 0.0
        self.states: dict[str, int] = {}
        self.passes = 0
        #: The largest.
        self.tasks = self.answers = 0

    def _work(self, task: bytes, at: int) -> bytes:
        part = self.parts[at]
        rows = _cluster.stream(part.select(_cluster.names(part.column_names, task)).to_batches())
        assert rows is not None
        start = time.perf_counter()
        answer = _core.work(task, at, rows)
        self.work += time.perf_counter() - start
        self.answers = max(self.answers, len(answer))
        return answer

    def joined(self, task: bytes) -> bytes | None:
        self.passes += 1
        self.tasks = max(self.tasks, len(task))
        answers = [self._work(task, at) for at in range(len(self.parts))]
        start = time.perf_counter()
        answer = _cluster.joined(task, answers)
        self.merge += time.perf_counter() - start
        assert answer is not None
        self.answers = max(self.answers, len(answer))
        for code, size in _core.contents(task, answer)[1]:
            self.states[code] = max(self.states.get(code, 0), size)
        return answer

    def each(self, task: bytes, partitions: Sequence[int]) -> list[bytes]:
        self.passes += 1
        return [self._work(task, at) for at in partitions]


def folded(rows: pa.Table) -> tuple[Here, float]:
    """A scan through tasks and answers, and the seconds that the driver itself needed."""
    here = Here(rows)
    start = time.perf_counter()
    run(("cluster", "rows", here), {"label": "label", "seed": 1, "threads": 2, "progress": False})
    return here, time.perf_counter() - start - here.work - here.merge


def kib(size: int) -> str:
    return f"{size / 1024:,.1f}"


def sizes(base: int) -> None:
    series: list[tuple[str, list[tuple[str, pa.Table]]]] = [
        ("rows, of 20 numbers in 10 classes", [(f"{n:,}", table(n, 20, 10)) for n in (base // 40, base // 10, base)]),
        ("classes, of 20,000 rows of 20 numbers", [(f"{n:,}", table(20_000, 20, n)) for n in (2, 20, 200)]),
        ("columns, of 20,000 rows in 10 classes", [(f"{n:,}", table(20_000, n, 10)) for n in (5, 20, 80)]),
        ("rows, of texts in 4 classes", [(f"{n:,}", texts(n, 4)) for n in (base // 40, base // 10, base // 2)]),
        ("rows, of vectors of 64 in 10 classes", [(f"{n:,}", vectors(n, 64, 10)) for n in (base // 40, base // 10)]),
    ]
    for title, sets in series:
        print(f"\n### KiB of state against {title}\n")
        found = [(name, folded(rows)[0]) for name, rows in sets]
        print("| detector | " + " | ".join(name for name, _ in found) + " |")
        print("| --- |" + " ---: |" * len(found))
        for code in sorted({code for _, here in found for code in here.states}):
            print(f"| `{code}` | " + " | ".join(kib(here.states.get(code, 0)) for _, here in found) + " |")
        print("| largest answer | " + " | ".join(kib(here.answers) for _, here in found) + " |")
        print("| largest task | " + " | ".join(kib(here.tasks) for _, here in found) + " |")
        print("| passes | " + " | ".join(str(here.passes) for _, here in found) + " |")


def timed(scan: Any) -> tuple[float, foretaste.Report]:
    start = time.perf_counter()
    report = scan()
    return time.perf_counter() - start, report


def on_spark(rows: pa.Table) -> float:
    from pyspark.sql import SparkSession

    import foretaste.spark

    os.environ["PYSPARK_PYTHON"] = sys.executable
    quiet = {"spark.ui.enabled": "false", "spark.log.level": "OFF", "spark.ui.showConsoleProgress": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    builder = SparkSession.builder.master("local[2]")
    for name, value in quiet.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        frame = session.createDataFrame(rows).persist()
        foretaste.spark.scan(frame, label="label", only="duplicate.exact", progress=False)
        return timed(lambda: foretaste.spark.scan(frame, label="label", seed=1, threads=2, progress=False))[0]
    finally:
        session.stop()


def on_ray(rows: pa.Table) -> float:
    import ray

    import foretaste.ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        cut = [at * rows.num_rows // PARTITIONS for at in range(PARTITIONS + 1)]
        ray.data.DataContext.get_current().enable_progress_bars = False
        held = ray.data.from_arrow([rows.slice(start, end - start) for start, end in zip(cut, cut[1:])]).materialize()
        foretaste.ray.scan(held, label="label", only="duplicate.exact", progress=False)
        return timed(lambda: foretaste.ray.scan(held, label="label", seed=1, threads=2, progress=False))[0]
    finally:
        ray.shutdown()


def here(rows: pa.Table) -> float:
    return timed(lambda: foretaste.scan(rows, label="label", seed=1, threads=1, progress=False))[0]


def speeds(count: int, without: list[str]) -> None:
    print("\n### Seconds of a scan, and what they come to for a billion rows\n")
    print("All that a scan costs is counted as if it grew with rows, so the hours are upper bounds: jobs of a pass and fits of the driver do not.\n")
    print("| where | rows | seconds | rows per second and core | core hours for a billion rows, at most |")
    print("| --- | --- | ---: | ---: | ---: |")
    sets = [(f"{count:,} × 20 numbers, 10 classes", table(count, 20, 10)), (f"{count // 2:,} texts, 4 classes", texts(count // 2, 4))]
    for name, rows in sets:
        for where, scan, cores in (("one thread", here, 1), ("Spark, 2 cores", on_spark, 2), ("Ray, 2 cores", on_ray, 2)):
            if where.split(",")[0].lower() not in without:
                seconds = scan(rows)
                rate = rows.num_rows / seconds / cores
                print(f"| {where} | {name} | {seconds:,.1f} | {rate:,.0f} | {BILLION / rate / 3600:,.1f} |", flush=True)
    print("\n### What of it is the engine's\n")
    print("Folding grows with rows; merging with partitions, here of 1,000,000 rows; the driver's fits with neither, since samples are bounded.\n")
    print("| rows | passes | folding, core hours | merging, core hours | the largest pass: MiB of answers in all | the driver alone, seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, rows in sets:
        there, driver = folded(rows)
        folding = there.work / rows.num_rows * BILLION / 3600
        merging = there.merge / PARTITIONS * PARTED / 3600
        print(f"| {name} | {there.passes} | {folding:,.1f} | {merging:,.2f} | {there.answers * PARTED / 2**20:,.0f} | {driver:,.1f} |")


def main() -> None:
    told = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    told.add_argument("--rows", type=int, default=200_000)
    told.add_argument("--without", action="append", choices=["spark", "ray"], default=[])
    given = told.parse_args()
    print(f"foretaste {foretaste.__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    sizes(given.rows)
    speeds(given.rows, given.without)


if __name__ == "__main__":
    main()
