"""Writes outlier.json: scores of PyOD 3.6 and scikit-learn 1.9 on a small table, which the tests of src/stats compare with.

Run in this folder with both installed: python outlier.py
"""

import json

import numpy as np
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from pyod.models.hbos import HBOS
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor

rng = np.random.default_rng(7)
base = rng.normal(size=(80, 2))
rows = np.column_stack([base[:, 0], base[:, 0] + 0.3 * rng.normal(size=80), np.exp(base[:, 1]), rng.integers(0, 4, 80)])
rows[:3, 0] += 6.0
rows = np.round(rows.astype(np.float32), 4).astype(np.float64)

pca = PCA(n_components=2).fit(rows)
back = pca.inverse_transform(pca.transform(rows))
scores = {
    "rows": rows.tolist(),
    "ecod": ECOD().fit(rows).decision_scores_.tolist(),
    "copod": COPOD().fit(rows).decision_scores_.tolist(),
    "hbos": HBOS(n_bins=10, alpha=0.1, tol=0.5).fit(rows).decision_scores_.tolist(),
    "lof": (-LocalOutlierFactor(n_neighbors=10).fit(rows).negative_outlier_factor_).tolist(),
    "residual": np.square(rows - back).sum(axis=1).tolist(),
}
with open("outlier.json", "w", encoding="utf-8") as file:
    json.dump(scores, file)
    file.write("\n")
