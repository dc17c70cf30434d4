"""The estimator keeps scikit-learn's rules, and its scores are those of a scan."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import foretaste
from foretaste.sklearn import OutlierDetector


# All of them, without an exception.
@parametrize_with_checks([OutlierDetector(threads=1)])  # type: ignore[untyped-decorator]
def test_the_common_checks_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def rows() -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    sound = rng.multivariate_normal([0, 0, 0, 0], np.eye(4) + 0.8, size=2000)
    # Four times as far, without what the columns have in common.
    odd = rng.normal(size=(40, 4)) * 4
    return np.concatenate([sound, odd]), np.repeat([0, 1], [2000, 40])


def test_it_ranks_as_a_scan_does(rows: tuple[Any, Any]) -> None:
    data, odd = rows
    detector = OutlierDetector(random_state=3).fit(data)
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    scanned = foretaste.scan(data, only="outlier", seed=seed, scores=True).scores["combined"].to_numpy()
    np.testing.assert_array_equal(-detector.score_samples(data), scanned)
    assert roc_auc_score(odd, scanned) > 0.9
    assert (detector.predict(data) == -1).mean() == pytest.approx(0.01, abs=0.003)


def test_new_rows_are_judged_each_alone(rows: tuple[Any, Any]) -> None:
    detector = OutlierDetector(random_state=3).fit(rows[0][:2000])
    new = np.array([[0.0, 0.0, 0.0, 0.0], [8.0, -8.0, 8.0, -8.0], [0.5, 0.4, 0.6, 0.5]])
    scores = detector.score_samples(new)
    assert list(detector.predict(new)) == [1, -1, 1]
    assert [detector.score_samples(row[None])[0] for row in new] == list(scores)
    np.testing.assert_array_equal(detector.decision_function(new), scores - detector.offset_)


def test_it_travels_and_repeats(rows: tuple[Any, Any]) -> None:
    data = rows[0]
    detector = OutlierDetector(random_state=1, only=["outlier.maha", "outlier.knn"]).fit(data)
    copy = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(copy.score_samples(data), detector.score_samples(data))
    np.testing.assert_array_equal(clone(detector).fit(data).score_samples(data), detector.score_samples(data))
    piped = make_pipeline(StandardScaler(), OutlierDetector(random_state=1)).fit(data)
    assert set(piped.predict(data)) == {-1, 1}


def test_what_is_refused(rows: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="alpha must be over 0"):
        OutlierDetector(alpha=0.7).fit(rows[0])
    with pytest.raises(foretaste.ConfigError, match="Did you mean 'outlier.knn'"):
        OutlierDetector(only="outlier.kn").fit(rows[0])
    with pytest.raises(ValueError):
        OutlierDetector().fit(np.ones((50, 2)))
