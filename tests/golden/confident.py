"""Makes confident.json beside it: what cleanlab says of small sets of class probabilities.

    python -m pip install cleanlab==2.9.0
    python tests/golden/confident.py
"""

import json
from pathlib import Path

import numpy as np
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

FILTERS = ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"]
SCORES = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


def case(seed, rows, classes, sharpness, noise):
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, rows, p=rng.dirichlet(np.full(classes, 5.0)))
    logits = rng.normal(size=(rows, classes)) + sharpness * np.eye(classes)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    probabilities = probabilities.round(6).astype(np.float32).astype(float)
    wrong = rng.random(rows) < noise
    labels = np.where(wrong, rng.integers(0, classes, rows), true)
    # One direction more than the others.
    labels[(true == 0) & (rng.random(rows) < noise)] = classes - 1
    issues = {by: np.flatnonzero(find_label_issues(labels, probabilities, filter_by=by, n_jobs=1)).tolist() for by in FILTERS}
    return {
        "labels": labels.tolist(),
        "probabilities": [[round(p, 6) for p in row] for row in probabilities.tolist()],
        "thresholds": get_confident_thresholds(labels, probabilities).tolist(),
        "joint": compute_confident_joint(labels, probabilities).tolist(),
        "issues": issues,
        "scores": {by: get_label_quality_scores(labels, probabilities, method=by).round(12).tolist() for by in SCORES},
    }


if __name__ == "__main__":
    cases = [case(1, 160, 4, 3.0, 0.15), case(2, 120, 3, 1.5, 0.3), case(3, 100, 7, 2.5, 0.2), case(4, 90, 2, 2.0, 0.1)]
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
