"""The errors of the analysis that a person sees. A message says what, where, and what to do; never a password."""

from components.errors import StackError

__all__ = ["AnalysisError", "DataError", "DiskFullError", "NotMeasuredError"]


class AnalysisError(StackError):
    """The analysis cannot run on this cluster, or was asked for something that it cannot do."""


class DataError(AnalysisError):
    """The tables are not those of the analysis, or hold other rows than it loads."""


class DiskFullError(AnalysisError):
    """There is no room for the rows."""


class NotMeasuredError(AnalysisError):
    """A point of a curve that cannot be measured on this machine; says why."""
