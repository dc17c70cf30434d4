"""Ray gives the answer of a single process, whatever its blocks are and whoever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from spread import bundled, check_marks, packs, read, required, told, uneven

import foretaste

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Two workers."""
    package = required("ray")
    package.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False, object_store_memory=400 << 20)
    required("ray.data").DataContext.get_current().enable_progress_bars = False
    yield package
    package.shutdown()


@pytest.fixture
def far(ray: Any) -> Any:
    import foretaste.ray

    return foretaste.ray


def dataset(ray: Any, parts: list[pa.Table]) -> Any:
    return ray.data.from_arrow_refs([ray.put(part) for part in parts])


@pytest.mark.parametrize(("path", "label"), bundled() + packs())
def test_the_answer_is_that_of_one_process(ray: Any, far: Any, path: Path, label: str | None) -> None:
    table = read(path)
    assert told(far.scan(dataset(ray, uneven(table)), label=label, seed=5)) == told(foretaste.scan(table, label=label, seed=5))


def test_rows_are_marked_in_their_places(ray: Any, far: Any, digits: Path, tmp_path: Path) -> None:
    table = read(digits)
    rows = dataset(ray, uneven(table))
    report = far.scan(rows, label="label", seed=1)
    kept = foretaste.Report(report.save(tmp_path / "kept"))
    check_marks(pa.concat_tables(ray.get(far.annotate(rows, kept).to_arrow_refs())), table, report)
    with pytest.raises(foretaste.InputError, match="not the rows that were scanned"):
        far.annotate(dataset(ray, [table.slice(1)]), report)


def test_rows_that_are_computed(ray: Any, far: Any, digits: Path) -> None:
    """Blocks of pandas, in a pipeline whose blocks may overtake each other."""
    table = read(digits)

    def slowly(frame: Any) -> Any:
        import time

        time.sleep(0.3 if 0 in frame["id"].to_numpy() else 0.0)
        return frame

    rows = dataset(ray, uneven(table)).map_batches(slowly, batch_format="pandas", batch_size=None)
    report = far.scan(rows, label="label", only="trigger.patch", seed=1)
    assert report.causes[0].rows == 54
    assert report.rows["id"].to_pylist() == foretaste.scan(table, label="label", only="trigger.patch", seed=1).rows["id"].to_pylist()


def test_blocks_of_nulls_have_the_type_of_the_others(ray: Any, far: Any) -> None:
    table = read(bundled()[2].values[0])
    nulls = table.slice(0, 20).set_column(0, table.column_names[0], pa.nulls(20))
    whole = pa.concat_tables([nulls, table], promote_options="default")
    assert told(far.scan(dataset(ray, [nulls, table]), label="label", seed=1)) == told(foretaste.scan(whole, label="label", seed=1))
    with pytest.raises(foretaste.InputError, match="the same columns"):
        far.scan(dataset(ray, [table, table.drop_columns([table.column_names[1]])]), label="label")


def test_scores_of_every_row(ray: Any, far: Any) -> None:
    table = read(bundled()[2].values[0])
    scores = far.scan(dataset(ray, uneven(table)), label="label", seed=2, scores=True).scores
    assert scores.equals(foretaste.scan(table, label="label", seed=2, scores=True).scores)


def test_errors_and_refusals(ray: Any, far: Any) -> None:
    table = read(bundled()[2].values[0])
    rows = dataset(ray, uneven(table))
    with pytest.raises(foretaste.ConfigError, match="power"):
        far.scan(rows, label="label", power=True)
    with pytest.raises(TypeError, match="'labels'"):
        far.scan(rows, labels="label")
    with pytest.raises(foretaste.InputError, match=r"ray\.Dataset: there is no column 'target' for label"):
        far.scan(rows, label="target")
    with pytest.raises(foretaste.InputError, match="holds no rows"):
        far.scan(dataset(ray, [table.slice(0, 0)]), label="label")


def test_a_worker_that_dies_changes_nothing(ray: Any, far: Any, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every pass the worker of the third block dies at its work, once."""
    table, folder, work = read(digits), str(tmp_path), far._work._function

    def dying(task: bytes, at: int, block: pa.Table, schema: pa.Schema) -> Any:
        import hashlib

        answer = work(task, at, block, schema)
        mark = Path(folder, hashlib.sha256(task).hexdigest())
        if at == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    monkeypatch.setattr(far, "_work", ray.remote(max_retries=3)(dying))
    report = far.scan(dataset(ray, uneven(table)), label="label", only="trigger", seed=1)
    assert len(list(tmp_path.iterdir())) > 4
    assert told(report) == told(foretaste.scan(table, label="label", only="trigger", seed=1))


def test_ray_itself_is_what_the_module_imports(ray: Any, far: Any) -> None:
    assert far.ray is ray
