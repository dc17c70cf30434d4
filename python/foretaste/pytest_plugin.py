"""A fixture for pytest; it is there wherever foretaste is installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ._report import Report


@pytest.fixture(scope="session")
def assert_clean() -> Callable[..., Report]:
    """:func:`foretaste.assert_clean`, without an import."""
    from .testing import assert_clean

    return assert_clean
