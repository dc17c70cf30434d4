from collections.abc import Callable
from os import PathLike
from typing import Any, final

__version__: str

def scan(
    data: tuple[Any, ...],
    reference: tuple[Any, ...] | None,
    settings: str,
    config: str | PathLike[str] | None,
    policy: str | PathLike[str] | None,
    format: str | None,
    out: str | PathLike[str],
    tick: Callable[[str, int, int | None], object] | None,
) -> str: ...
def rank(data: tuple[Any, ...], settings: str) -> Ranker: ...

@final
class Ranker:
    def score(self, rows: Any) -> Any: ...

def detectors() -> list[tuple[str, str, str, str]]: ...
def export(report: str | PathLike[str], form: str) -> bytes: ...
def visible(text: str, limit: int) -> str: ...
def main(args: list[str]) -> int: ...
