"""What the README shows runs, and what its text says of versions is so."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    # The second is for a cluster, and is tried there.
    assert len(blocks) == 2
    (tmp_path / "example.py").write_text(blocks[0])
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(tmp_path / "example.py"))
    assert names["trained_on"].height == 1797 - names["report"].flagged_rows < 1797
    assert "alarm trigger.patch 54 0" in capsys.readouterr().out
    assert (tmp_path / "foretaste-report/report.html").exists()


def test_every_option_of_the_command_has_an_argument() -> None:
    import inspect
    import subprocess
    import sys

    import foretaste

    told = subprocess.run([sys.executable, "-m", "foretaste", "scan", "--help"], capture_output=True, text=True, check=True).stdout
    flags = {flag.replace("-", "_") for flag in re.findall(r"^ +(?:-\w, )?--([a-z-]+)", told, re.MULTILINE)}
    arguments = set(inspect.signature(foretaste.scan).parameters)
    # Of the report and the terminal, which Python has other words for.
    others = {"out", "sign", "json", "quiet", "no_progress", "help", "color"}
    assert flags - arguments == others
