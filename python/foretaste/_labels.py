"""Confident learning with the arguments of cleanlab, for programs that call it already.

After Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021. Constants, roundings and orders are
those of cleanlab 2.9 (Apache-2.0), so that the same labels and probabilities give the same rows. A scan of a table with a column of
probabilities (``probs=``) runs the same method on sets larger than memory, as the detector ``label.confident``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from ._errors import ConfigError, DataTypeError, InputError

__all__ = ["find_label_issues"]

Array = np.ndarray[Any, np.dtype[Any]]
Filter = Literal[
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
]
Ranking = Literal["self_confidence", "normalized_margin", "confidence_weighted_entropy"]

#: Differences up to this do not count.
EQUAL = 1e-6
#: Least threshold of a class.
LEAST_THRESHOLD = 2e-6
#: Threshold of a class without rows: no probability reaches it.
NO_THRESHOLD = 2.0
TINY = 1e-100


def find_label_issues(
    labels: Any,
    pred_probs: Any,
    *,
    return_indices_ranked_by: Ranking | None = None,
    rank_by_kwargs: dict[str, Any] | None = None,
    filter_by: Filter = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    num_to_remove_per_class: Any = None,
    min_examples_per_class: int = 1,
    confident_joint: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    multi_label: bool = False,
) -> Array:
    """Rows whose labels are probably wrong, by class probabilities of a model that did not see them.

    Args:
        labels: Class of each row, whole numbers from 0.
        pred_probs: Probabilities, rows × classes.
        return_indices_ranked_by: Return positions of the rows, worst first by this score, in place of a mask.
        rank_by_kwargs: ``adjust_pred_probs=True`` ranks by probabilities less the threshold of their class.
        filter_by: Which rows.
        frac_noise: Share of the estimated wrong labels that is returned (for the three ways of pruning).
        num_to_remove_per_class: Rows to return of each class, in place of the estimate (for the three ways of pruning).
        min_examples_per_class: Rows that every class keeps.
        confident_joint: Counts of given by true labels, in place of the estimate.
        n_jobs: Has no effect: nothing here needs more than one thread.
        verbose: Whether to print how many rows were found.
        multi_label: Not supported.

    Returns:
        A mask over rows, or their positions.

    >>> import foretaste, numpy
    >>> probabilities = numpy.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9]])
    >>> foretaste.find_label_issues([0, 0, 1, 1, 1, 0], probabilities)
    array([False, False,  True, False, False,  True])
    """
    if multi_label:
        raise ConfigError("multi_label: sets with several labels a row are not supported", "Look at one label at a time.")
    if filter_by not in get_args(Filter):
        raise ConfigError(f"filter_by: there is no way '{filter_by}'", f"Choose one of {', '.join(get_args(Filter))}.")
    if return_indices_ranked_by is not None and return_indices_ranked_by not in _SCORES:
        raise ConfigError(
            f"return_indices_ranked_by: there is no score '{return_indices_ranked_by}'", f"Choose one of {', '.join(_SCORES)}."
        )
    given, probs = _checked(labels, pred_probs)
    mask: Array
    pruning = filter_by in {"prune_by_noise_rate", "prune_by_class", "both"}
    if not pruning and num_to_remove_per_class is not None:
        raise ConfigError(f"num_to_remove_per_class: has no meaning for '{filter_by}'", "Use it with filter_by='prune_by_class'.")
    if not pruning and frac_noise != 1.0:
        warnings.warn(f"frac_noise has no effect for filter_by={filter_by!r}", stacklevel=2)
    if filter_by == "confident_learning" and confident_joint is not None:
        warnings.warn("confident_joint has no effect for filter_by='confident_learning'", stacklevel=2)
    confident = _confident_classes(given, probs)
    off_diagonal = (confident >= 0) & (confident != given)
    if filter_by == "confident_learning":
        mask = off_diagonal & ~_likely(given, probs)
    elif filter_by == "predicted_neq_given":
        mask = ~_likely(given, probs)
    elif filter_by in {"low_normalized_margin", "low_self_confidence"}:
        count = int((off_diagonal & ~_likely(given, probs)).sum())
        mask = np.zeros(len(given), dtype=bool)
        mask[np.argsort(_SCORES[filter_by[4:]](given, probs))[:count]] = True
    else:
        joint = _joint(given, confident, probs.shape[1]) if confident_joint is None else _square(confident_joint, probs.shape[1])
        quotas = _quotas(joint, min_examples_per_class, frac_noise)
        if num_to_remove_per_class is not None:
            quotas = _quotas_of(num_to_remove_per_class, quotas, np.bincount(given, minlength=probs.shape[1]))
        mask = np.ones(len(given), dtype=bool)
        if filter_by != "prune_by_noise_rate":
            mask &= _pruned(given, probs, quotas, min_examples_per_class, _by_class)
        if filter_by != "prune_by_class":
            mask &= _pruned(given, probs, quotas, min_examples_per_class, _by_noise_rate)
        mask &= ~_likely(given, probs)
    if verbose:
        print(f"Number of label issues found: {int(mask.sum())}")
    if return_indices_ranked_by is None:
        return mask
    scores = _ranking(given, probs, return_indices_ranked_by, dict(rank_by_kwargs or {}))
    found = np.flatnonzero(mask)
    ranked: Array = found[np.argsort(scores[found])]
    return ranked


def _checked(labels: Any, pred_probs: Any) -> tuple[Array, Array]:
    try:
        given, probs = np.asarray(labels), np.asarray(pred_probs)
    except ValueError as error:
        raise InputError(f"labels and pred_probs: {error}", "Give one label a row, and one probability a row and class.") from error
    if probs.ndim != 2 or probs.dtype.kind not in "fiub":
        raise InputError(f"pred_probs: {probs.dtype} with the shape {probs.shape}", "Give numbers, rows × classes.")
    if given.ndim != 1 or len(given) != len(probs):
        raise InputError(f"labels: the shape {given.shape} where pred_probs has {len(probs)} rows", "Give one label a row.")
    if len(given) == 0:
        raise InputError("labels: there is no row")
    if given.dtype.kind not in "iub":
        raise DataTypeError(f"labels: {given.dtype} is no class", "Number the classes from 0, in the order of the columns of pred_probs.")
    if probs.dtype.kind != "f":
        probs = probs.astype(np.float64)
    given = given.astype(np.int64)
    if given.min() < 0 or given.max() >= probs.shape[1]:
        raise InputError(f"labels: {given.min()} to {given.max()} where pred_probs has {probs.shape[1]} columns", "Number the classes from 0.")
    if not (probs.min() >= -EQUAL and probs.max() <= 1 + EQUAL):
        raise InputError("pred_probs: a value is no probability", "Every value must lie between 0 and 1; NaN is none.")
    if probs.shape[1] < 2:
        raise InputError("pred_probs: there is one class alone", "Confident learning compares classes.")
    return given, probs


def _own(given: Array, probs: Array) -> Array:
    own: Array = probs[np.arange(len(given)), given]
    return own


def _likely(given: Array, probs: Array) -> Array:
    """Rows whose label is as likely as any other class, up to a rounding."""
    raised = probs.copy()
    raised[np.arange(len(given)), given] += EQUAL
    likely: Array = raised.argmax(axis=1) == given
    return likely


def _thresholds(given: Array, probs: Array) -> Array:
    """Mean probability of each class among the rows that are labelled so."""
    means = [probs[given == k, k].mean() if (given == k).any() else NO_THRESHOLD for k in range(probs.shape[1])]
    thresholds: Array = np.maximum(np.asarray(means), LEAST_THRESHOLD)
    return thresholds


def _confident_classes(given: Array, probs: Array) -> Array:
    """The class that each row confidently is, the most likely one where it reaches several thresholds; -1 for none."""
    reached = probs >= _thresholds(given, probs) - EQUAL
    count = reached.sum(axis=1)
    return np.where(count > 1, probs.argmax(axis=1), np.where(count == 1, reached.argmax(axis=1), -1))


def _joint(given: Array, confident: Array, classes: int) -> Array:
    """Counts of given (row) by confident labels (column), at least one right row in each class, with as many rows a label as the data."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (given[confident >= 0], confident[confident >= 0]), 1)
    np.fill_diagonal(counts, counts.diagonal().clip(min=1))
    held = np.bincount(given, minlength=classes)
    scaled = (counts.T / np.clip(counts.sum(axis=1), TINY, None) * held).T
    scaled = scaled / np.clip(scaled.sum(), TINY, None) * held.sum()
    return _rounded_rows(scaled)


def _rounded_rows(table: Array) -> Array:
    return np.stack([_rounded(row) for row in table])


def _rounded(numbers: Array) -> Array:
    """Whole numbers with the sum that these have when it is rounded."""
    numbers = np.asarray(numbers, dtype=float)
    whole = numbers.round()
    wanted = numbers.sum().round()
    for _ in range(len(numbers) + 1):
        missing = np.round(wanted - whole.sum().round())
        if abs(missing) <= EQUAL:
            break
        order = np.argsort(numbers - whole)
        if missing > 0:
            order = order[::-1]
        whole[order[: int(abs(missing))]] += np.sign(missing)
    rounded: Array = whole.astype(np.int64)
    return rounded


def _square(joint: Any, classes: int) -> Array:
    table = np.asarray(joint)
    if table.shape != (classes, classes):
        raise InputError(f"confident_joint: the shape {table.shape} where there are {classes} classes", "Give classes × classes.")
    return table


def _quotas(joint: Array, least: int, share: float) -> Array:
    """How many rows of each label (column) to prune as being of another class (row), so that each label keeps ``least``."""
    table = joint.T
    kept = np.maximum(table.diagonal(), least)
    others = np.maximum(np.count_nonzero(table, axis=0) - 1.0, 1.0)
    left = np.clip(table - (kept - table.diagonal()) / others, 0, None)
    np.fill_diagonal(left, kept)
    fewer = left * share
    np.fill_diagonal(fewer, kept)
    np.fill_diagonal(fewer, kept + (left - fewer).sum(axis=0))
    return _rounded_rows(fewer.astype(np.int64))


def _quotas_of(wanted: Any, quotas: Array, held: Array) -> Array:
    """Quotas that take so many rows of each label, in the shares that were estimated."""
    numbers = np.asarray(wanted, dtype=float)
    if numbers.shape != held.shape:
        raise InputError(f"num_to_remove_per_class: {numbers.size} numbers where there are {held.size} classes", "Give one a class.")
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = quotas / quotas.sum(axis=1)
        table = (shares.T * numbers / (shares.sum(axis=1) - shares.diagonal())).T
    np.fill_diagonal(table, held - numbers)
    if not np.isfinite(table).all():
        raise InputError("num_to_remove_per_class: no row is estimated to be wrong in some class", "Ask for none there, or leave it out.")
    return _rounded_rows(table)


def _pruned(given: Array, probs: Array, quotas: Array, least: int, prune: Callable[[int, Array, Array], Array]) -> Array:
    mask = np.zeros(len(given), dtype=bool)
    for k in range(probs.shape[1]):
        held = np.flatnonzero(given == k)
        if len(held) > max(least, 1):
            mask[held] = prune(k, probs[held], quotas[:, k])
        elif len(held) <= least:
            warnings.warn(f"class {k} has too few rows to lose any (min_examples_per_class)", stacklevel=3)
    return mask


def _by_class(k: int, probs: Array, quotas: Array) -> Array:
    """The rows of a label that are least likely of it."""
    mask = np.zeros(len(probs), dtype=bool)
    count = len(probs) - int(quotas[k])
    if count >= 1:
        mask[np.argsort(probs[:, k])[:count]] = True
    return mask


def _by_noise_rate(k: int, probs: Array, quotas: Array) -> Array:
    """The rows of a label that are most likely of each other class, as many as were counted."""
    mask = np.zeros(len(probs), dtype=bool)
    for j in np.flatnonzero(quotas > 0):
        if j != k:
            mask[np.argsort(-(probs[:, j] - probs[:, k]))[: int(quotas[j])]] = True
    return mask


def _margin(given: Array, probs: Array) -> Array:
    others = probs.copy()
    others[np.arange(len(given)), given] = -np.inf
    margins: Array = (_own(given, probs) - others.max(axis=1) + 1) / 2
    return margins


def _weighted_entropy(given: Array, probs: Array) -> Array:
    parts = np.where(probs > 0, probs * np.log(np.where(probs > 0, probs, 1)), 0)
    weighted = -parts.sum(axis=1) / np.log(probs.shape[1]) / np.clip(_own(given, probs), EQUAL, None)
    scores: Array = np.log(weighted + 1) / np.clip(weighted, EQUAL, None)
    return scores


def _ranking(given: Array, probs: Array, by: str, options: dict[str, Any]) -> Array:
    adjust = options.pop("adjust_pred_probs", False)
    if options:
        raise ConfigError(f"rank_by_kwargs: there is no option '{next(iter(options))}'", "The one option is adjust_pred_probs.")
    if adjust and by == "confidence_weighted_entropy":
        raise ConfigError("rank_by_kwargs: adjust_pred_probs has no meaning for confidence_weighted_entropy")
    if adjust:
        thresholds = _thresholds(given, probs)
        probs = probs - thresholds + thresholds.max()
        probs = probs / probs.sum(axis=1, keepdims=True)
    return _SCORES[by](given, probs)


_SCORES: dict[str, Callable[[Array, Array], Array]] = {
    "self_confidence": _own,
    "normalized_margin": _margin,
    "confidence_weighted_entropy": _weighted_entropy,
}
