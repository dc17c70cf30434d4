"""A line that shows how far a scan is: on a terminal, or in a notebook."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

__all__ = ["Bar", "NotebookBar", "Progress", "bar"]

WIDTH = 24


class Progress(Protocol):
    """What is called a few times a second while a scan goes on."""

    def __call__(self, what: str, rows: int, of: int | None, /) -> None: ...


class Bar:
    """A line on a terminal, drawn over itself and gone at the end. Nothing is drawn in the first half second."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._start = time.monotonic()
        self._what: tuple[str, float] = ("", self._start)
        self._shown = 0

    def __call__(self, what: str, rows: int, of: int | None, /) -> None:
        now = time.monotonic()
        if what != self._what[0]:
            self._what = (what, now)
        if now - self._start >= 0.5:
            self._draw(line(what, rows, of, now - self._what[1]))

    def _draw(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._shown))
        self._stream.flush()
        self._shown = len(text)

    def close(self) -> None:
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0


class NotebookBar(Bar):
    """The same line in a notebook's output, updated in place."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def _draw(self, text: str) -> None:
        import IPython.display

        display: Any = IPython.display.display
        shown = {"text/plain": text}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)
            self._handle = None


def line(what: str, rows: int, of: int | None, seconds: float) -> str:
    """What is shown."""
    if of is None:
        return f"{what} {seconds:.0f} s" if not rows else f"{what} {rows:,} rows"
    done = min(rows / of, 1.0) if of else 1.0
    drawn = "#" * round(done * WIDTH)
    rate = rows / seconds if seconds > 0 else 0.0
    left = f", {(of - rows) / rate:.0f} s left" if rate > 0 and rows <= of else ""
    return f"{what} [{drawn:<{WIDTH}}] {rows:,}/{of:,} rows{left}"


def bar() -> Bar | None:
    """The bar for where we are; ``None`` where nobody would see one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ == "ZMQInteractiveShell":
        return NotebookBar()
    stream = sys.stderr
    return Bar(stream) if stream is not None and stream.isatty() else None
