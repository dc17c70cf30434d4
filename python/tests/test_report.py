"""The report: what it says, keeps and shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import foretaste


@pytest.fixture(scope="module")
def report(digits: Path) -> foretaste.Report:
    return foretaste.scan(digits, seed=1)


def test_what_it_says(report: foretaste.Report) -> None:
    assert (report.verdict, report.complete, report.ok, report.flagged_rows, report.total_rows) == ("fail", True, False, 98, 1797)
    cause = report.causes[0]
    assert (cause.code, cause.family, cause.tier, cause.rows, cause.label) == ("trigger.patch", "trigger", "alarm", 54, "0")
    assert cause.q is not None and cause.q < 1e-20 and len(cause.examples) == 20 and cause.evidence
    assert report.rows.num_rows == 98 and report.rows["row"].type == pa.uint64()
    assert report.to_polars().equals(pl.DataFrame(report.rows))
    assert list(report.to_pandas()["row"]) == report.rows["row"].to_pylist()
    assert report.html.startswith("<!DOCTYPE html>") or report.html.startswith("<!doctype html>")
    with pytest.raises(foretaste.ConfigError, match="scores=True"):
        _ = report.scores


def test_what_it_shows_is_harmless(report: foretaste.Report, tmp_path: Path) -> None:
    # As if a word of the data had been named: markup, a control sequence and a direction mark at once.
    saved = report.save(tmp_path / "report")
    document = json.loads((saved / "report.json").read_text())
    document["groups"][0]["title"] = "the word '<script>alert(1)</script>\x1b[2J\u202e'"
    (saved / "report.json").write_text(json.dumps(document))
    hostile = foretaste.Report(saved)
    for shown in (hostile._repr_html_(), str(hostile), repr(hostile)):
        assert "\x1b" not in shown and "\u202e" not in shown
    assert "<script>" not in hostile._repr_html_() and "&lt;script&gt;" in hostile._repr_html_()
    assert "the word" in str(hostile) and "<script>" in str(hostile)


def test_saving_replaces_a_report_and_nothing_else(report: foretaste.Report, tmp_path: Path) -> None:
    target = tmp_path / "report"
    assert report.save(target) == target
    assert foretaste.Report(target) == report
    assert report.save(target) == target
    assert sorted(path.name for path in target.iterdir()) == ["report.html", "report.json", "rows.parquet"]
    (target / "mine.txt").write_text("work")
    with pytest.raises(foretaste.OutputError, match="no report"):
        report.save(target)
    assert (target / "mine.txt").read_text() == "work"
    with pytest.raises(foretaste.OutputError, match="Make the folder above it first"):
        report.save(tmp_path / "no" / "such" / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report"]
    for path in (tmp_path, target / "mine.txt"):
        with pytest.raises(foretaste.InputError, match="report"):
            foretaste.Report(path)


def test_clean_refuses_a_frame_in_another_order(report: foretaste.Report, digits: Path) -> None:
    frame = pl.read_parquet(digits)
    assert report.clean(frame).height == 1797 - 98
    with pytest.raises(foretaste.InputError, match="does not have the id that the scan saw there.* in the same order"):
        report.clean(frame.reverse())
    for other in (frame.drop("id").reverse(), frame.drop("id").reverse().to_pandas(), frame.drop("id").reverse().to_arrow()):
        with pytest.raises(foretaste.InputError, match="does not have the label"):
            report.clean(other)
    with pytest.raises(foretaste.InputError, match="does not have the id"):
        report.clean(frame.lazy().reverse()).collect()


def test_clean_knows_labels_of_any_type() -> None:
    for labels in ([1.0, 2.5], [True, False], ["a", "b"], [7, 8], [None, "a"]):
        data = {"x": [float(i % 7) for i in range(100)] + [1e9], "label": labels * 50 + labels[-1:]}
        report = foretaste.scan(data, seed=1)
        assert report.rows["row"].to_pylist() == [100]
        assert len(report.clean(data)["x"]) == 100


def test_the_command_takes_a_saved_report(report: foretaste.Report, tmp_path: Path, digits: Path) -> None:
    saved = report.save(tmp_path / "report")
    command = [sys.executable, "-m", "foretaste"]
    written = subprocess.run([*command, "export", str(saved), "--format", "junit"], capture_output=True, check=True)
    assert written.stdout == report.export("junit")
    quarantined = [*command, "quarantine", str(saved), "--out", str(tmp_path / "cleaned"), "--by", "test"]
    subprocess.run(quarantined, capture_output=True, check=True)
    kept = pl.read_parquet(tmp_path / "cleaned/kept/**/*.parquet")
    assert kept.height == 1797 - 98


def test_the_command_is_the_program(tmp_path: Path, digits: Path, report: foretaste.Report) -> None:
    out = tmp_path / "report"
    command = [sys.executable, "-m", "foretaste", "scan", str(digits), "--seed", "1", "--out", str(out), "--quiet"]
    assert subprocess.run(command, capture_output=True).returncode == 1
    written = foretaste.Report(out)
    assert written.causes == report.causes and written.rows.equals(report.rows)


def test_a_baseline_and_a_policy(report: foretaste.Report, digits: Path, tmp_path: Path) -> None:
    again = foretaste.scan(digits, seed=1, baseline=report)
    assert (again.verdict, again.ok, len(again.causes)) == ("pass", True, len(report.causes))
    levels = {"trigger": "warn", "label": "pass"}
    milder = foretaste.scan(digits, seed=1, policy={"levels": levels})
    assert (milder.verdict, milder.ok) == ("warn", True)
    assert not foretaste.scan(digits, seed=1, policy={"levels": levels}, fail_on="warn").ok
    path = tmp_path / "policy.toml"
    path.write_text('[decide]\nfail_on = "warn"\n[policy.levels]\ntrigger = "warn"\nlabel = "pass"\n')
    held = foretaste.scan(digits, seed=1, policy=path)
    assert (held.verdict, held.ok) == ("warn", False)
    assert foretaste.scan(digits, seed=1, policy=path, fail_on="fail").ok


def test_assert_clean(digits: Path) -> None:
    assert foretaste.assert_clean("datasets/data/wine.parquet", seed=1).verdict == "pass"
    with pytest.raises(AssertionError, match="FAIL: 98 of 1,797 rows listed"):
        foretaste.assert_clean(digits, seed=1)
    foretaste.assert_clean(digits, {"levels": {"trigger": "pass", "label": "pass"}}, seed=1)


def test_the_fixture_is_there(assert_clean: object) -> None:
    assert callable(assert_clean)


def test_exports_are_those_of_the_command(report: foretaste.Report) -> None:
    assert json.loads(report.export("sarif"))["runs"][0]["tool"]["driver"]["name"] == "foretaste"
    with pytest.raises(foretaste.ConfigError, match="there is no form 'pdf'"):
        report.export("pdf")  # type: ignore[arg-type]


def test_detectors_have_manuals() -> None:
    codes = [detector.code for detector in foretaste.detectors()]
    assert codes == sorted(codes) and "trigger.patch" in codes
    assert all(d.manual.startswith(f"# {d.code}") and d.summary for d in foretaste.detectors())
