"""Times a whole label and outlier scan of 200,000 × 50 numbers in 10 classes beside what a person would put together from
Python packages: cross-validated logistic regression, cleanlab, ECOD and an isolation forest.

Run with scikit-learn, cleanlab, pyod and pyarrow installed, after `cargo build --release`:

    python benches/peers.py [ROWS] [target/release/foretaste]
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cleanlab.filter import find_label_issues
from pyod.models.ecod import ECOD
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CLASSES, COLUMNS = 10, 50
rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
binary = sys.argv[2] if len(sys.argv) > 2 else "target/release/foretaste"

rng = np.random.default_rng(1)
centres = rng.normal(size=(CLASSES, COLUMNS))
labels = rng.integers(0, CLASSES, rows)
values = (centres[labels] + 1.5 * rng.normal(size=(rows, COLUMNS))).astype(np.float32)
flipped = rng.random(rows) < 0.02
noisy = np.where(flipped, (labels + rng.integers(1, CLASSES, rows)) % CLASSES, labels)
odd = rng.choice(rows, rows // 1000, replace=False)
values[odd] *= 4



def cpu():
    """Seconds that this process and the ones it waited for have computed."""
    uses = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


with tempfile.TemporaryDirectory() as folder:
    data = Path(folder) / "data.parquet"
    columns = {f"x{j}": values[:, j] for j in range(COLUMNS)}
    pq.write_table(pa.table({**columns, "label": noisy}), data)
    start = time.perf_counter(), cpu()
    command = [binary, "scan", str(data), "--label", "label", "--only", "label,outlier", "--seed", "1", "--quiet"]
    ended = subprocess.run([*command, "--out", str(Path(folder) / "report")], check=False)
    ours = time.perf_counter() - start[0], cpu() - start[1]
    listed = pq.read_table(Path(folder) / "report" / "rows.parquet")
    bad = flipped.copy()
    bad[odd] = True
    at = listed.column("row").to_numpy()
    print(f"foretaste: {ours[0]:.1f} s, {ours[1]:.1f} s of CPU, status {ended.returncode}, {len(at)} rows listed, {bad[at].sum()} of {bad.sum()} right")

times = {}


def timed(name, work):
    start = time.perf_counter(), cpu()
    result = work()
    times[name] = time.perf_counter() - start[0], cpu() - start[1]
    print(f"{name}: {times[name][0]:.1f} s, {times[name][1]:.1f} s of CPU", flush=True)
    return result


model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
probabilities = timed("logistic regression, 5 folds", lambda: cross_val_predict(model, values, noisy, cv=5, method="predict_proba", n_jobs=2))
issues = timed("cleanlab", lambda: find_label_issues(noisy, probabilities))
timed("ECOD", lambda: ECOD().fit(values))
timed("isolation forest", lambda: IsolationForest(n_estimators=200, n_jobs=2, random_state=1).fit(values).score_samples(values))
wall, used = (sum(time[at] for time in times.values()) for at in (0, 1))
print(f"peers: {wall:.1f} s, {wall / ours[0]:.1f} times ours; {used:.1f} s of CPU, {used / ours[1]:.1f} times ours; cleanlab lists {issues.sum()} rows, {flipped[issues].sum()} right")
