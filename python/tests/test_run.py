"""How a scan runs: progress, signals, threads, processes, memory."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foretaste
from foretaste import _progress


def many(rows: int = 60_000, columns: int = 30) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, columns)), rng.integers(0, 5, size=rows)


def test_ctrl_c_stops_within_about_a_second_and_leaves_nothing(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time, numpy, foretaste
        rng = numpy.random.default_rng(1)
        data = rng.normal(size=(200_000, 40)), rng.integers(0, 5, size=200_000)
        def tick(what, rows, of):
            print("going", flush=True)
        try:
            foretaste.scan(data, progress=tick, scores=True)
        except KeyboardInterrupt:
            print("stopped", flush=True)
            # The interpreter goes on as if nothing had been.
            print(foretaste.scan({"x": [1.0, 2.0, 4.0]}).verdict, flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stdout is not None
    while "going" not in process.stdout.readline():
        pass
    time.sleep(0.5)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    while "stopped" not in (line := process.stdout.readline()):
        assert line, "the scan ended before it was stopped"
    # The machine may be busy; alone it takes less than one.
    assert time.monotonic() - asked < 3.0
    assert "pass" in process.stdout.read()
    assert process.wait(timeout=60) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_tick_that_raises_stops_the_scan() -> None:
    def tick(what: str, rows: int, of: int | None) -> None:
        raise ZeroDivisionError("enough")

    with pytest.raises(ZeroDivisionError, match="enough"):
        foretaste.scan(many(), progress=tick)


def test_progress_is_told_and_other_threads_go_on() -> None:
    told: list[tuple[str, int, int | None]] = []
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    foretaste.scan(many(20_000), progress=lambda *of: told.append(of))
    done.set()
    other.join()
    assert any(what.startswith("scan ") and of == 20_000 and 0 <= rows <= 20_000 for what, rows, of in told), told
    assert counted > 50


def test_two_scans_at_once_give_what_one_gives(digits: Path) -> None:
    expected = foretaste.scan(digits, seed=1).rows
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(foretaste.scan(digits, seed=1).rows)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [rows.equals(expected) for rows in found] == [True] * 3


def _in_a_child(queue: Any) -> None:
    try:
        queue.put(foretaste.scan({"x": [1.0, 2.0, 4.0]}).verdict)
    except foretaste.ForetasteError as error:
        queue.put(error.reason)


@pytest.mark.parametrize(("method", "said"), [("fork", "forked from one that had scanned"), ("spawn", "pass")])
def test_processes(method: str, said: str) -> None:
    foretaste.scan({"x": [1.0, 2.0, 4.0]})
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue,))
    child.start()
    assert said in queue.get(timeout=60)
    child.join()


def test_the_bar_is_drawn_and_gone() -> None:
    stream = io.StringIO()
    bar = _progress.Bar(stream)
    bar("scan 1: scanning", 0, 2000)
    assert stream.getvalue() == ""
    bar._start -= 10
    bar._what = ("scan 1: scanning", bar._start)
    bar("scan 1: scanning", 500, 2000)
    assert stream.getvalue() == "\rscan 1: scanning [######                  ] 500/2,000 rows, 30 s left"
    bar("fitting", 0, None)
    assert stream.getvalue().split("\r")[-1].strip() == "fitting 0 s"
    bar.close()
    assert stream.getvalue().endswith(" \r") and stream.getvalue().split("\r")[-1] == ""
    assert _progress.line("reading", 7, 0, 0.0) == "reading [########################] 7/0 rows"


def test_nothing_is_drawn_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    foretaste.scan(many(20_000))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


PEAK = """
import resource, numpy, pyarrow, foretaste
rng = numpy.random.default_rng(1)
size, count = {rows}, 50
columns = {{f"x{{i}}": rng.normal(size=size) for i in range(count)}}
table = pyarrow.table({{**columns, "label": rng.integers(0, 4, size=size)}})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
foretaste.scan(table, memory="256MiB", only=["outlier", "duplicate", "label"], seed=1)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(table.nbytes >> 10, before, after)
"""


def test_a_table_is_not_copied() -> None:
    told = subprocess.run([sys.executable, "-c", PEAK.format(rows=1_000_000)], capture_output=True, text=True, check=True).stdout
    table, before, after = map(int, told.split())
    assert table > 350_000
    # A copy would add as much as the table; the scan's own memory is its budget and what its threads hold beside.
    assert after - before < table * 0.9, (table, before, after)


def test_threads_and_batches_change_nothing(digits: Path) -> None:
    reports = [foretaste.scan(digits, seed=1, threads=n, batch_rows=rows, scores=True) for n, rows in ((1, 8192), (4, 100))]
    assert reports[0].rows.equals(reports[1].rows) and reports[0].scores.equals(reports[1].scores)
