"""foretaste tastes a training set before a model does: it finds poisoned rows and names the cause.

>>> import foretaste
>>> report = foretaste.scan("datasets/data/digits_backdoor.parquet", seed=1)
>>> report.verdict
'fail'
>>> report.causes[0].code, report.causes[0].label, report.causes[0].rows
('trigger.patch', '0', 54)
"""

from ._core import __version__
from ._errors import ConfigError, DataTypeError, ForetasteError, InputError, OutputError, ScanCancelled
from ._labels import find_label_issues
from ._report import Cause, Report
from ._scan import Detector, detectors, scan
from .testing import assert_clean

__all__ = [
    "Cause",
    "ConfigError",
    "DataTypeError",
    "Detector",
    "ForetasteError",
    "InputError",
    "OutputError",
    "Report",
    "ScanCancelled",
    "__version__",
    "assert_clean",
    "detectors",
    "find_label_issues",
    "scan",
]
