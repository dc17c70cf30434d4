"""The notebooks run from top to bottom, and what they are about is what they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from spread import required

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
#: The largest notebook that is kept, bytes.
MOST = 50_000
#: What the outputs must say: a pattern, and what its groups must come to.
SHOWN: dict[str, list[tuple[str, Any]]] = {
    "01-first-scan": [(r"alarm trigger\.patch (\d+) rows labelled 0", lambda rows: rows == 54), (r"\(1797, (\d+)\)", lambda kept: kept < 1744)],
    "02-reading-a-report": [(r"(\d+) rows confirmed", lambda rows: rows == 54), (r"\((\d+), 54\)", lambda kept: kept == 1743)],
    "03-your-own-embeddings": [(r"precision (\d\.\d+), recall (\d\.\d+)", lambda precision, recall: precision > 0.8 and recall > 0.8)],
    "04-a-backdoor-before-training": [
        (r"(\d+) of 40 poisoned rows listed, (\d+) others", lambda hits, others: hits >= 36 and others <= 20),
        (r"as it came:  accuracy ([\d.]+), attack success ([\d.]+)", lambda accuracy, success: accuracy > 0.93 and success > 0.9),
        (r"quarantined: accuracy ([\d.]+), attack success ([\d.]+)", lambda accuracy, success: accuracy > 0.93 and success < 0.1),
    ],
    "05-spark-and-ray": [
        (r"(\d+) rows listed on Spark, (\d+) on Ray, (\d+) here", lambda spark, ray, here: spark == ray == here >= 54),
        (r"(\d+) rows are left", lambda left: left == 1797 - 98),
    ],
}


def outputs(notebook: Any) -> str:
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts.append(output.get("text", "") + str(output.get("data", {}).get("text/plain", "")))
    return "\n".join(texts)


def test_every_notebook_is_tested_and_small() -> None:
    paths = list(NOTEBOOKS.glob("*.ipynb"))
    assert sorted(path.stem for path in paths) == sorted(SHOWN)
    for path in paths:
        assert path.stat().st_size < MOST
        assert f"[{path.stem}]({path.name})" in (NOTEBOOKS / "README.md").read_text()


@pytest.mark.parametrize("name", SHOWN)
def test_a_notebook(name: str) -> None:
    if name == "05-spark-and-ray":
        required("pyspark")
        required("ray")
    read: Any = nbformat.read
    notebook = read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    kept = outputs(notebook)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    # What a reader of the repository sees holds as well as what runs here.
    for said in (kept, outputs(notebook)):
        for pattern, holds in SHOWN[name]:
            found = re.findall(pattern, said)
            assert found, f"{pattern} is not in\n{said}"
            for groups in found:
                assert holds(*map(float, (groups,) if isinstance(groups, str) else groups)), groups
