"""foretaste as an estimator of scikit-learn, which has to be installed: ``pip install 'foretaste[sklearn]'``."""

from __future__ import annotations

import json
import numbers
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from . import _core
from ._data import from_numpy

__all__ = ["OutlierDetector"]

Array = np.ndarray[Any, np.dtype[Any]]


class OutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Ranks rows of numbers by how far they are from the rest, with the outlier detectors of a scan together.

    Each detector (distances, neighbours, isolation, histograms, principal components, …) says how rare its score is among the rows it was
    fitted on; the cubic mean of these surprisals ranks a row. A row's score never depends on the rows that are scored with it.

    This ranks; it claims nothing. For claims with stated error rates, labels and causes use :func:`foretaste.scan`.

    Args:
        alpha: Share of rows like those that it was fitted on that :meth:`predict` calls outliers, over 0 and at most 0.5. It is a rate
            of false alarms where they are sound, not a guess of how many are bad.
        only: Run these detectors of the family alone, such as ``["outlier.knn", "outlier.maha"]``.
        threads: Worker threads; default all cores. The scores do not depend on it.
        memory: Memory that fitting may hold, such as ``"2GiB"``.
        random_state: Seed of what is random.

    Attributes:
        offset_: Scores below it are outliers.
        n_features_in_: Columns.
        feature_names_in_: Their names, where the data has some.

    >>> import numpy
    >>> from foretaste.sklearn import OutlierDetector
    >>> rows = numpy.random.default_rng(0).normal(size=(1000, 3))
    >>> detector = OutlierDetector(random_state=0).fit(rows)
    >>> detector.predict([[0.0, 0.1, -0.2], [9.0, 9.0, -9.0]])
    array([ 1, -1])
    """

    offset_: float
    _fitted_rows: Array
    _settings: str
    _models: _core.Ranker | None

    def __init__(
        self,
        *,
        alpha: float = 0.01,
        only: Any = None,
        threads: int | None = None,
        memory: int | str | None = None,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.only = only
        self.threads = threads
        self.memory = memory
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> OutlierDetector:
        """Learns what rows are like. ``y`` is not looked at."""
        if not isinstance(self.alpha, numbers.Real) or not 0 < self.alpha <= 0.5:
            raise ValueError(f"alpha must be over 0 and at most 0.5, not {self.alpha!r}")
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        chosen = ["outlier"] if self.only is None else [self.only] if isinstance(self.only, str) else list(self.only)
        run = {"threads": self.threads, "memory": self.memory}
        run["seed"] = int(check_random_state(self.random_state).randint(2**31 - 1))
        told = {"detectors": {"only": chosen}, "run": {name: value for name, value in run.items() if value is not None}}
        self._fitted_rows, self._settings = X, json.dumps(told)
        self._models = _core.rank(("table", "X", self._table(X)), self._settings)
        scores = self._scores(X)
        if np.isnan(scores).all():
            raise ValueError("no detector can judge these rows: they are too few, or have no column that varies")
        self.offset_ = float(np.quantile(scores[~np.isnan(scores)], self.alpha))
        return self

    def score_samples(self, X: Any) -> Array:
        """Minus the combined score of each row, from -1 to 0; lower is more abnormal. A row that no detector could judge gets 0."""
        check_is_fitted(self, "offset_")
        scores: Array = np.nan_to_num(self._scores(validate_data(self, X, dtype=np.float64, reset=False)), nan=0.0)
        return scores

    def decision_function(self, X: Any) -> Array:
        """:meth:`score_samples` less ``offset_``: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Array:
        """-1 for outliers, 1 for other rows."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _scores(self, X: Array) -> Array:
        models = getattr(self, "_models", None)
        if models is None:
            # Models do not travel by pickle; the rows that they were fitted on do, and give the same models again.
            models = self._models = _core.rank(("table", "X", self._table(self._fitted_rows)), self._settings)
        combined: Array = -np.asarray(models.score(self._table(X)), dtype=np.float64)
        return combined

    @staticmethod
    def _table(X: Array) -> pa.Table:
        return from_numpy(X)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_models"}
