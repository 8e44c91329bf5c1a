"""The errors that nnmeter raises on bad input; each message names the thing, its fault and the remedy in one line."""

import errno

_LONGEST_MESSAGE = 1000
_REMEDIES: dict[int, str] = {
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ENOSPC: "make room on its disk, or give another place",
    errno.EDQUOT: "make room on its disk, or give another place",
    errno.EFBIG: "raise the limit of file sizes, or give another place",
}


class NnmeterError(ValueError):
    """Base of every error caused by what the caller gave: the CLI prints it in one line and exits with code 2.

    Line breaks and control characters, which names in a file may have, become spaces; an overlong message is cut in its
    middle, for a long name stands before the fault and the remedy.
    """

    def __init__(self, message: str = "") -> None:
        line = "".join(c if c.isprintable() else " " for c in str(message))
        super().__init__(brief(line, _LONGEST_MESSAGE))


def brief(fault: object, most: int = 400) -> str:
    """The text of a fault, without its middle where it is long: names of a file may be, and the remedy has to show.

    Of what the operating system says, the words alone: the message that they stand in names the file.
    """
    text = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"


def remedy_of(fault: OSError) -> str:
    """What to do about an error of the operating system, in a phrase."""
    return _REMEDIES.get(fault.errno or 0, "check the path and its permissions")


class ModelError(NnmeterError):
    """A model that cannot be read, or whose shapes cannot be determined."""


class OperatorFaultError(RuntimeError):
    """A fault of nnmeter: its rule for an operator failed on a node that passed every check (exit code 3).

    It is no `NnmeterError`, for nothing is wrong with what the caller gave.
    """


class DeviceError(NnmeterError):
    """A device pack that is unknown, damaged or made by a newer version."""


class BudgetError(NnmeterError):
    """A file of budgets, or the baseline of one, that is missing, damaged or says what it may not."""


class MeasurementError(NnmeterError):
    """A measurement file that is missing, damaged or of the wrong schema, or a runtime that cannot measure."""


class CoverageError(NnmeterError):
    """`strict` was asked for and a kernel had no trained predictor (the CLI exits with code 1)."""
