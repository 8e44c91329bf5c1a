"""Lists of cores as `taskset -c` takes them: `0`, `4-7`, `0,2,4-5`."""

from __future__ import annotations

import re

from nnmeter.errors import MeasurementError

_LIST = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", re.ASCII)


def cores_of(text: str) -> set[int]:
    """The numbers of the cores.

    Raises:
        MeasurementError: it is no such list.
    """
    found: set[int] = set()
    if _LIST.fullmatch(text):
        for part in text.split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    if not found:
        raise MeasurementError(f"cores {text!r:.40} are none; give a list such as 4-7 or 0,2")
    return found
