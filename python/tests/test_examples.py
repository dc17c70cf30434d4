"""The examples for other systems do what they say, as far as that shows without the system itself."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import foretaste

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def environment() -> dict[str, str]:
    """With the command on the path."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def action(environment: dict[str, str], folder: Path, **inputs: str) -> tuple[dict[str, str], str]:
    """Runs the scanning step of the composite action; gives back its outputs and the summary."""
    definition = yaml.safe_load((EXAMPLES / "github/action.yml").read_text())
    step = next(step for step in definition["runs"]["steps"] if step.get("id") == "scan")
    given = {name: value.get("default", "") for name, value in definition["inputs"].items()} | inputs
    variables = {}
    for name, value in step["env"].items():
        value = re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: given[match[1]], value)
        variables[name] = value.replace("${{ github.action_path }}", str(EXAMPLES / "github"))
    outputs, summary = folder / "outputs", folder / "summary"
    variables |= {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    ran = subprocess.run(["bash", "-e", "-c", step["run"]], cwd=folder, env=environment | variables, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return dict(line.split("=", 1) for line in outputs.read_text().splitlines()), summary.read_text()


def test_the_action_tells_of_poison(environment: dict[str, str], tmp_path: Path, digits: Path) -> None:
    outputs, summary = action(environment, tmp_path, data=f"{digits}\n", flags="--seed=1\n--label=label\n")
    assert outputs == {"status": "1", "verdict": "fail"}
    assert "trigger.patch" in summary
    sarif = yaml.safe_load((tmp_path / "foretaste-report.sarif").read_text())
    assert sarif["version"] == "2.1.0" and sarif["runs"][0]["results"]
    assert (tmp_path / "foretaste-report/report.html").exists()


def test_the_action_passes_sound_data_and_tells_of_errors(environment: dict[str, str], tmp_path: Path) -> None:
    outputs, _ = action(environment, tmp_path, data=str(ROOT / "datasets/data/wine.parquet"))
    assert outputs == {"status": "0", "verdict": "pass"}
    other = tmp_path / "other"
    other.mkdir()
    outputs, summary = action(environment, other, data="no/such/file.parquet")
    assert outputs == {"status": "2"} and "could not finish" in summary


def test_inputs_of_the_action_are_never_run(environment: dict[str, str], tmp_path: Path) -> None:
    outputs, _ = action(environment, tmp_path, data="$(touch ran); `touch ran`\n--out=elsewhere", flags="--seed=1; touch ran")
    assert outputs == {"status": "2"}
    assert not (tmp_path / "ran").exists() and not (tmp_path / "elsewhere").exists()
    for step in yaml.safe_load((EXAMPLES / "github/action.yml").read_text())["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_the_workflow_gives_the_action_inputs_that_it_has() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github/workflow.yml").read_text())
    inputs = yaml.safe_load((EXAMPLES / "github/action.yml").read_text())["inputs"]
    (job,) = workflow["jobs"].values()
    step = job["steps"][-1]
    assert step["uses"].startswith("OWNER/foretaste/examples/github@") and set(step["with"]) <= set(inputs)
    assert workflow["permissions"]["security-events"] == "write"


def test_the_hook_stops_a_commit(environment: dict[str, str], tmp_path: Path, digits: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (repository,) = yaml.safe_load((EXAMPLES / "precommit/.pre-commit-config.yaml").read_text())["repos"]
    assert repository["hooks"][0]["id"] == hook["id"]
    local = {"repos": [{"repo": "local", "hooks": [{**hook, "language": "system", "args": repository["hooks"][0]["args"]}]}]}
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump(local))

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        settings = {"PRE_COMMIT_HOME": str(tmp_path / ".git/cache"), "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.run(command, cwd=tmp_path, env=environment | settings, capture_output=True, text=True)

    run("git", "init", "--quiet")
    shutil.copy(digits, tmp_path / "train.parquet")
    run("git", "add", ".")
    pre_commit = (sys.executable, "-m", "pre_commit", "run", "--all-files")
    stopped = run(*pre_commit)
    assert stopped.returncode == 1 and "trigger.patch" in stopped.stdout, stopped.stdout + stopped.stderr
    shutil.copy(ROOT / "datasets/data/wine.parquet", tmp_path / "train.parquet")
    run("git", "add", ".")
    assert run(*pre_commit).returncode == 0


def test_the_stages_of_dvc(environment: dict[str, str], tmp_path: Path, digits: Path) -> None:
    stages = yaml.safe_load((EXAMPLES / "dvc/dvc.yaml").read_text())["stages"]
    shutil.copy(digits, tmp_path / "train.parquet")
    shutil.copy(EXAMPLES / "dvc/foretaste.toml", tmp_path)

    def run(stage: str) -> int:
        for needed in stages[stage]["deps"]:
            assert (tmp_path / needed).exists()
        return subprocess.run(shlex.split(stages[stage]["cmd"]), cwd=tmp_path, env=environment, capture_output=True).returncode

    assert run("taste") == 1
    assert run("clean") == 0
    assert (tmp_path / "foretaste.prom").exists() and (tmp_path / "cleaned/kept").is_dir()


def test_the_check_of_dagster(monkeypatch: pytest.MonkeyPatch) -> None:
    dagster = pytest.importorskip("dagster")
    spec = importlib.util.spec_from_file_location("checks", EXAMPLES / "dagster/checks.py")
    assert spec is not None and spec.loader is not None
    checks: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "checks", checks)
    spec.loader.exec_module(checks)
    everything = [checks.training_set, checks.no_poison, checks.classes]
    stopped = dagster.materialize(everything, raise_on_error=False)
    (evaluation,) = stopped.get_asset_check_evaluations()
    assert not stopped.success and not evaluation.passed
    assert evaluation.metadata["verdict"].value == "fail" and "trigger.patch" in evaluation.description
    assert not stopped.asset_materializations_for_node("classes")
    checks.DATA = ROOT / "datasets/data/wine.parquet"
    assert dagster.materialize(everything).success


def test_the_container_file_copies_what_there_is() -> None:
    text = (EXAMPLES / "container/Containerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    manifest = (ROOT / "Cargo.toml").read_text()
    members = re.search(r"^members = \[(.*)\]", manifest, re.MULTILINE)
    version = re.search(r'^rust-version = "([\d.]+)"', manifest, re.MULTILINE)
    assert members is not None and version is not None
    assert {name.strip('" ') for name in members[1].split(",")} - {"."} <= set(copied)
    assert f"rust:{version[1]}-" in text


def test_metrics_are_read_by_prometheus(tmp_path: Path, digits: Path) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    path = tmp_path / "foretaste.prom"
    report = foretaste.scan(pl.read_parquet(digits), seed=1, metrics=path)
    families = {family.name: family for family in parser.text_string_to_metric_families(path.read_text())}
    verdicts = {sample.labels["verdict"]: sample.value for sample in families["foretaste_verdict"].samples}
    assert verdicts == {"pass": 0, "warn": 0, "fail": 1}
    assert families["foretaste_listed_rows"].samples[0].value == report.flagged_rows == 98
    seconds = {sample.labels["detector"] for sample in families["foretaste_detector_seconds"].samples}
    assert "trigger.patch" in seconds and all(family.type == "gauge" for family in families.values())
