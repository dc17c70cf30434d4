"""Writes the clean sets of `data/` from the copies that scikit-learn ships. No network is needed.

    pip install scikit-learn pyarrow pillow
    python make/export.py

Made with scikit-learn 1.x; the sets have not changed between versions. See README.md for sources and licences.
"""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

DATA = Path(__file__).resolve().parent.parent / "data"


def write(name: str, columns: dict[str, pa.Array]) -> None:
    """Writes one set, with `id` (row number) first."""
    rows = len(next(iter(columns.values())))
    table = pa.table({"id": pa.array(range(rows), pa.int64()), **columns})
    pq.write_table(table, DATA / f"{name}.parquet", compression="zstd", compression_level=19)
    print(f"{name}: {table.num_rows} rows, {table.num_columns} columns")


def png(grey: np.ndarray) -> bytes:
    """An 8-bit grey PNG of a picture with samples from 0 to 16."""
    file = io.BytesIO()
    Image.fromarray(np.rint(grey * 255 / 16).astype(np.uint8), mode="L").save(file, format="PNG")
    return file.getvalue()


def digits() -> None:
    source = load_digits()
    images = [{"bytes": png(image), "path": f"{row}.png"} for row, image in enumerate(source.images)]
    write(
        "digits",
        {
            "image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "label": pa.array(source.target, pa.int64()),
        },
    )


def table(name: str, source, label: pa.Array) -> None:
    features = {
        str(column).replace(" ", "_").replace("/", "_"): pa.array(source.data[:, j], pa.float64())
        for j, column in enumerate(source.feature_names)
    }
    write(name, {**features, "label": label})


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    digits()
    wine = load_wine()
    table("wine", wine, pa.array(wine.target, pa.int64()))
    cancer = load_breast_cancer()
    table("breast_cancer", cancer, pa.array([str(cancer.target_names[t]) for t in cancer.target], pa.string()))
