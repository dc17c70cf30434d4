"""What the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in tests and docstrings are those of the repository."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def digits() -> Path:
    """1,797 digits, 54 of them with a planted trigger."""
    return ROOT / "datasets/data/digits_backdoor.parquet"
