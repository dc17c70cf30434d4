"""What a scan found."""

from __future__ import annotations

import html
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from . import _core
from ._data import without
from ._errors import ConfigError, InputError, OutputError

if TYPE_CHECKING:
    import pandas
    import polars

__all__ = ["Cause", "Report"]

#: Files of a report's folder; one that holds anything else is never replaced.
NAMES = frozenset({"report.json", "report.html", "rows.parquet", "scores.parquet", "statement.dsse.json"})
#: Causes that a summary names.
MOST_NAMED = 10
#: Characters that are shown of a text from the data.
MOST_SHOWN = 240

Verdict = Literal["pass", "warn", "fail"]
Form = Literal["sarif", "junit", "markdown", "csv", "cyclonedx", "croissant", "in-toto"]


@dataclass(frozen=True)
class Cause:
    """One cause: what rows have in common that the rest of their content does not explain."""

    code: str
    """Code of the detector, such as ``trigger.patch``."""
    family: str
    """Its family."""
    tier: str
    """How strong the claim is: ``alarm`` or ``suspect``."""
    title: str
    """A sentence that names the cause. It may quote the data: escape it before it reaches a page."""
    rows: int
    """Rows that carry the cause."""
    agreeing: int
    """Carriers with the shared label."""
    label: str | None
    """The shared label."""
    background: float | None
    """Share of carriers that content alone would give that label."""
    p: float | None
    """p-value before correction."""
    q: float | None
    """p-value after every correction."""
    fingerprint: str
    """Stable across runs."""
    examples: tuple[int, ...]
    """Positions of up to 20 carriers."""
    evidence: dict[str, Any] = field(repr=False)
    """What a person wants to see."""

    @classmethod
    def _of(cls, group: dict[str, Any]) -> Cause:
        named: dict[str, Any] = {name: group.get(name) for name in cls.__dataclass_fields__}
        named["examples"] = tuple(group["examples"])
        return cls(**named)


class Report:
    """What a scan found: a report's folder, read on demand.

    :func:`foretaste.scan` gives one. A folder that the command wrote is opened by its path:

    >>> import foretaste, tempfile
    >>> report = foretaste.scan("datasets/data/digits_backdoor.parquet", only="trigger.patch", seed=1)
    >>> folder = report.save(tempfile.mkdtemp() + "/report")
    >>> foretaste.Report(folder) == report
    True
    """

    path: Path
    """The folder; a temporary one, gone with the report, until :meth:`save`."""
    document: dict[str, Any]
    """The whole of ``report.json``."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        try:
            self.document = json.loads((self.path / "report.json").read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: no report can be read there: {error}", "Name the folder that a scan wrote.") from error
        if not isinstance(self.document, dict) or self.document.get("schema") != "foretaste.report/1":
            raise InputError(f"{self.path}: this is no report of foretaste", "Name the folder that a scan wrote.")

    @classmethod
    def _held(cls, folder: tempfile.TemporaryDirectory[str]) -> Report:
        report = cls(Path(folder.name, "report"))
        report._folder = folder
        return report

    @property
    def verdict(self) -> Verdict:
        """``"pass"``, ``"warn"`` or ``"fail"``."""
        return self.document["verdict"]  # type: ignore[no-any-return]

    @property
    def complete(self) -> bool:
        """Whether every detector that should have run did; a report that is not complete is never a clean result."""
        return bool(self.document["complete"])

    @property
    def ok(self) -> bool:
        """Whether the scan is complete and its verdict within the policy (``fail_on``)."""
        limit = self.document["settings"]["decide"]["fail_on"]
        over = {"fail": {"fail"}, "warn": {"warn", "fail"}, "never": set()}[limit]
        return self.complete and self.verdict not in over

    @property
    def reasons(self) -> list[str]:
        """Why, most important first."""
        return list(self.document["reasons"])

    @property
    def estimates(self) -> list[str]:
        """How much more looks wrong than rows are listed for, in sentences."""
        return list(self.document.get("estimates", []))

    @property
    def flagged_rows(self) -> int:
        """Rows that are listed."""
        return int(self.document["flagged_rows"])

    @property
    def total_rows(self) -> int:
        """Rows in all."""
        return int(self.document["data"]["rows"])

    @cached_property
    def causes(self) -> list[Cause]:
        """What was found, worst first.

        >>> import foretaste
        >>> foretaste.scan({"x": [1.0, 2.0, 3.0], "label": ["a", "b", "a"]}).causes
        []
        """
        return [Cause._of(group) for group in self.document["groups"]]

    @cached_property
    def rows(self) -> pa.Table:
        """The listed rows in their order: position, file, id, label, families, codes, causes, tier, q, reason, evidence."""
        return pq.read_table(self.path / "rows.parquet")

    @cached_property
    def scores(self) -> pa.Table:
        """The scores of every row by family and detector; higher is worse, null is "could not judge".

        >>> import foretaste
        >>> data = {"x": [float(i % 7) for i in range(50)] + [1e9]}
        >>> report = foretaste.scan(data, scores=True, seed=1)
        >>> report.scores["outlier"].to_numpy().argmax()
        np.int64(50)
        """
        path = self.path / "scores.parquet"
        if not path.exists():
            raise ConfigError("scores: this scan kept no scores", "Scan with scores=True.")
        return pq.read_table(path)

    @property
    def html(self) -> str:
        """The page for people, self-contained."""
        return (self.path / "report.html").read_text(encoding="utf-8")

    def to_polars(self) -> polars.DataFrame:
        """The listed rows as a polars frame."""
        import polars

        frame = polars.from_arrow(self.rows)
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_pandas(self) -> pandas.DataFrame:
        """The listed rows as a pandas frame."""
        return self.rows.to_pandas()

    def clean(self, data: Any, *, tier: Literal["alarm", "suspect"] = "suspect") -> Any:
        """The data that was scanned without the listed rows, of the kind that it is.

        Args:
            data: The very data that was scanned, in the same order: rows with another id or label than those that the scan listed are
                refused. A file is set apart by ``foretaste quarantine`` instead.
            tier: The weakest claim whose rows go: ``"suspect"`` takes all listed rows, ``"alarm"`` those of alarms alone.

        >>> import foretaste, polars
        >>> frame = polars.read_parquet("datasets/data/digits_backdoor.parquet")
        >>> report = foretaste.scan(frame, only="trigger", seed=1)
        >>> report.clean(frame).height
        1743
        """
        if tier not in {"alarm", "suspect"}:
            raise ConfigError(f"tier: there is no tier '{tier}'", "Choose 'suspect' or 'alarm'.")
        listed = self.rows if tier == "suspect" else self.rows.filter(pc.equal(self.rows["tier"], "alarm"))
        # Columns of a report that say which row of the data a listed one is.
        roles = {"id": "id", "label": "label"}
        columns = [(column["name"], roles.get(column["role"])) for column in self.document["data"]["columns"]]
        told = {name: listed[said].to_pylist() for name, said in columns if said in listed.column_names}
        return without(data, listed["row"].to_numpy().astype("int64"), self.total_rows, told)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Keeps the report in a folder, for the command's ``review``, ``decide``, ``export`` and ``quarantine``; gives back its
        path. A folder that holds nothing but a report is replaced; any other must be empty or new."""
        target = Path(path)
        held = {entry.name for entry in target.iterdir()} if target.is_dir() else set()
        if (target.exists() and not target.is_dir()) or not held <= NAMES or (held and "report.json" not in held):
            raise OutputError(f"{target}: something is there that is no report", "Choose another folder.")
        try:
            with tempfile.TemporaryDirectory(prefix=".foretaste-", dir=target.absolute().parent) as hidden:
                filled = Path(hidden, "new")
                shutil.copytree(self.path, filled)
                if target.exists():
                    target.absolute().rename(Path(hidden, "before"))
                filled.rename(target.absolute())
        except OSError as error:
            raise OutputError(f"{target}: {error}", "Make the folder above it first.") from error
        return target

    def export(self, form: Form) -> bytes:
        """The report in the form of another program.

        >>> import foretaste, json
        >>> report = foretaste.scan("datasets/data/digits_backdoor.parquet", only="trigger.patch", seed=1)
        >>> json.loads(report.export("sarif"))["version"]
        '2.1.0'
        """
        return bytes(_core.export(self.path, form))

    def summary(self) -> str:
        """The verdict and the causes in a few lines of text that is safe to print."""
        lines = [f"{self._headline()}: {self.flagged_rows:,} of {self.total_rows:,} rows listed"]
        for cause in self.causes[:MOST_NAMED]:
            lines.append(f"  {cause.tier.upper():<8} {_core.visible(cause.title, MOST_SHOWN)} ({cause.code}, {cause.rows:,} rows)")
        if len(self.causes) > MOST_NAMED:
            lines.append(f"  and {len(self.causes) - MOST_NAMED} more causes")
        if not self.causes or not self.complete:
            lines += [f"  {_core.visible(reason, MOST_SHOWN)}" for reason in self.reasons[:MOST_NAMED]]
        lines += [f"  {_core.visible(estimate, MOST_SHOWN)}" for estimate in self.estimates]
        return "\n".join(lines)

    def _headline(self) -> str:
        return self.verdict.upper() if self.complete else f"{self.verdict.upper()}, INCOMPLETE"

    def __eq__(self, other: object) -> bool:
        return self.document == other.document if isinstance(other, Report) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<foretaste.Report {self._headline()}: {len(self.causes)} causes, {self.flagged_rows} of {self.total_rows} rows>"

    def _repr_html_(self) -> str:
        def cell(text: str) -> str:
            return f"<td style='text-align:left'>{html.escape(text)}</td>"

        colour = {"pass": "#1a7f37", "warn": "#9a6700", "fail": "#cf222e"}[self.verdict]
        head = f"<b style='color:{colour}'>{self._headline()}</b> {self.flagged_rows:,} of {self.total_rows:,} rows listed"
        shown = [
            "<tr>" + cell(cause.tier.upper()) + cell(_core.visible(cause.title, MOST_SHOWN)) + cell(cause.code) + cell(f"{cause.rows:,}") + "</tr>"
            for cause in self.causes[:MOST_NAMED]
        ]
        if not shown:
            return f"<div>{head}<br>{html.escape(_core.visible('; '.join(self.reasons[:3]), MOST_SHOWN))}</div>"
        more = len(self.causes) - MOST_NAMED
        tail = f"<div>and {more} more causes</div>" if more > 0 else ""
        names = "".join(f"<th style='text-align:left'>{name}</th>" for name in ("claim", "cause", "detector", "rows"))
        return f"<div>{head}<table><tr>{names}</tr>{''.join(shown)}</table>{tail}</div>"
