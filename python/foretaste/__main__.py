"""The command ``foretaste``, also as ``python -m foretaste``."""

from __future__ import annotations

import signal
import sys

from . import _core


def main() -> int:
    """Runs the command line and gives back its exit status."""
    # The command has no Python to wake up in: an interrupt ends it at once, as it ends the program built by cargo.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _core.main(["foretaste", *sys.argv[1:]])


if __name__ == "__main__":
    raise SystemExit(main())
