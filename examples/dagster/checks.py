"""A data set as an asset of Dagster, with a scan as the check that what comes after waits for.

``dagster asset materialize --select '*' -f checks.py`` runs it on the poisoned set that ships with foretaste, which stops it at the check.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
from dagster import AssetCheckResult, AssetCheckSeverity, Definitions, MetadataValue, asset, asset_check

import foretaste

DATA = Path(os.environ.get("TRAINING_DATA", "datasets/data/digits_backdoor.parquet"))


@asset
def training_set() -> pl.DataFrame:
    """The rows that a model is to be trained on."""
    return pl.read_parquet(DATA)


@asset_check(asset=training_set, blocking=True)
def no_poison(training_set: pl.DataFrame) -> AssetCheckResult:
    """Fails, and blocks what depends on the asset, where the verdict is over the policy."""
    report = foretaste.scan(training_set, label="label", seed=1)
    return AssetCheckResult(
        passed=report.ok,
        severity=AssetCheckSeverity.ERROR,
        description=report.summary(),
        metadata={
            "verdict": report.verdict,
            "listed rows": report.flagged_rows,
            "causes": MetadataValue.md(report.export("markdown").decode()),
        },
    )


@asset
def classes(training_set: pl.DataFrame) -> pl.DataFrame:
    """Stands for the training."""
    return training_set.group_by("label").len()


definitions = Definitions(assets=[training_set, classes], asset_checks=[no_poison])
