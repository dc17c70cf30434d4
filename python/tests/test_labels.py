"""``find_label_issues`` gives what cleanlab 2.9 gives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import foretaste

filter_module = pytest.importorskip("cleanlab.filter")


def noisy(seed: int, rows: int, classes: int, kind: Any = np.float64) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, size=rows)
    odds = rng.random((rows, classes)) ** 3 + 1e-9
    odds[np.arange(rows), truth] += rng.random(rows) * classes
    probs = (odds / odds.sum(axis=1, keepdims=True)).astype(kind)
    labels = np.where(rng.random(rows) < 0.12, rng.integers(0, classes, size=rows), truth)
    return labels, probs


SETS = [(1, 500, 2, np.float64), (2, 900, 3, np.float32), (3, 2000, 10, np.float64), (4, 60, 7, np.float64), (5, 5000, 5, np.float64)]
FILTERS = [
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", SETS, ids=str)
@pytest.mark.parametrize("by", FILTERS)
def test_every_filter(given: tuple[int, int, int, Any], by: Any) -> None:
    labels, probs = noisy(*given)
    expected = filter_module.find_label_issues(labels, probs, filter_by=by, n_jobs=1)
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal(foretaste.find_label_issues(labels, probs, filter_by=by), expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rank", ["self_confidence", "normalized_margin", "confidence_weighted_entropy"])
@pytest.mark.parametrize("by", FILTERS)
def test_every_ranking(by: Any, rank: Any) -> None:
    labels, probs = noisy(6, 3000, 4)
    options: dict[str, Any] = {"filter_by": by, "return_indices_ranked_by": rank}
    expected = filter_module.find_label_issues(labels, probs, n_jobs=1, **options)
    np.testing.assert_array_equal(foretaste.find_label_issues(labels, probs, **options), expected)
    if rank != "confidence_weighted_entropy":
        options["rank_by_kwargs"] = {"adjust_pred_probs": True}
        expected = filter_module.find_label_issues(labels, probs, n_jobs=1, **options)
        np.testing.assert_array_equal(foretaste.find_label_issues(labels, probs, **options), expected)


@pytest.mark.parametrize("by", ["prune_by_noise_rate", "prune_by_class", "both"])
@pytest.mark.parametrize(
    "options",
    [
        {"frac_noise": 0.4},
        {"min_examples_per_class": 30},
        {"num_to_remove_per_class": [5, 0, 9]},
        {"confident_joint": np.array([[300, 20, 5], [0, 250, 30], [9, 9, 280]])},
    ],
    ids=["frac_noise", "min_examples_per_class", "num_to_remove_per_class", "confident_joint"],
)
def test_every_option(by: Any, options: dict[str, Any]) -> None:
    labels, probs = noisy(7, 900, 3)
    expected = filter_module.find_label_issues(labels.copy(), probs, filter_by=by, n_jobs=1, **options)
    np.testing.assert_array_equal(foretaste.find_label_issues(labels, probs, filter_by=by, **options), expected)


def test_ties_and_a_class_without_rows() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 1, 0, 1] * 5)
    probs = np.tile([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.1, 0.9, 0.0], [0.7, 0.3, 0.0]], (10, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for by in FILTERS:
            expected = filter_module.find_label_issues(labels, probs, filter_by=by, n_jobs=1)
            np.testing.assert_array_equal(foretaste.find_label_issues(labels, probs, filter_by=by), expected, err_msg=by)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "probs", "options", "said"),
    [
        ([0, 1], [[0.5, 0.5]], {}, "labels: the shape"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], {}, "labels: 0 to 2 where pred_probs has 2 columns"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], {}, "Number the classes from 0"),
        (["a", "b"], [[0.5, 0.5], [0.5, 0.5]], {}, "Number the classes"),
        ([0, 1], [[0.5, float("nan")], [0.5, 0.5]], {}, "NaN is none"),
        ([0, 1], [[0.5, 7.0], [0.5, 0.5]], {}, "no probability"),
        ([], np.zeros((0, 2)), {}, "there is no row"),
        ([0], [[1.0]], {}, "one class alone"),
        ([0, 1], [["a", "b"], ["c", "d"]], {}, "Give numbers"),
        ([0, 1], [[0.5], [0.5, 0.5]], {}, "labels and pred_probs"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"filter_by": "magic"}, "no way 'magic'"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"return_indices_ranked_by": "luck"}, "no score 'luck'"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"multi_label": True}, "several labels a row"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], {"confident_joint": [[1]]}, "confident_joint: the shape"),
    ],
)
def test_what_is_refused(labels: Any, probs: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(foretaste.ForetasteError) as caught:
        foretaste.find_label_issues(labels, probs, **options)
    assert said in str(caught.value)
