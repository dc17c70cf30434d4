"""The exceptions of foretaste. All are :class:`ForetasteError`; ``help`` says what to do next, where that is known."""

from __future__ import annotations

__all__ = ["ConfigError", "DataTypeError", "ForetasteError", "InputError", "OutputError", "ScanCancelled"]


class ForetasteError(Exception):
    """Anything that foretaste cannot do.

    >>> import foretaste
    >>> try:
    ...     foretaste.scan({"x": [1.0, 2.0]}, label="y")
    ... except foretaste.ForetasteError as error:
    ...     print(error.reason, "|", error.help)
    dict: there is no column 'y' for label | The columns are: x.
    """

    reason: str
    help: str | None

    def __init__(self, reason: str, help: str | None = None) -> None:
        super().__init__(reason if help is None else f"{reason}. {help}")
        self.reason = reason
        self.help = help

    def __reduce__(self) -> tuple[type[ForetasteError], tuple[str, str | None]]:
        return type(self), (self.reason, self.help)


class InputError(ForetasteError, ValueError):
    """The data cannot be read, or does not say what it must."""


class DataTypeError(ForetasteError, TypeError):
    """The data is of a kind that foretaste does not know."""


class ConfigError(ForetasteError, ValueError):
    """A setting is wrong."""


class OutputError(ForetasteError, OSError):
    """A result could not be written; nothing was left half-written."""


class ScanCancelled(ForetasteError):
    """The scan was stopped before its end."""
