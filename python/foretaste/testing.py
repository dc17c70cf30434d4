"""Data as a test: for pytest and for pipelines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ._report import Report
from ._scan import scan

__all__ = ["assert_clean"]


def assert_clean(data: Any, policy: Mapping[str, Any] | str | os.PathLike[str] | None = None, **options: Any) -> Report:
    """Scans data and fails, as an ``assert`` does, where the verdict is over the policy or the scan is not complete.

    Args:
        data: As in :func:`foretaste.scan`.
        policy: As in :func:`foretaste.scan`.
        options: As in :func:`foretaste.scan`; ``fail_on="warn"`` also fails where rows are listed without an alarm.

    >>> import foretaste
    >>> foretaste.assert_clean("datasets/data/wine.parquet", seed=1).verdict
    'pass'
    >>> foretaste.assert_clean("datasets/data/digits_backdoor.parquet", seed=1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: FAIL: 98 of 1,797 rows listed
      ALARM ...
    """
    __tracebackhide__ = True
    report = scan(data, policy=policy, **options)
    if not report.ok:
        raise AssertionError(report.summary())
    return report
