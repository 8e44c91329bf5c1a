"""Progress on stderr, only where a person watches and only when it takes long.

What is shown may have names of files, which control no terminal.
"""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType

from nnmeter.wording import printable

_DELAY_S = 2.0
_BAR = 24
_ERASE = "\r\x1b[K"


class StatusLine:
    """One line on a terminal that says what is being done; silent in a pipe, and for the first two seconds.

    Use it as a context manager: the line is erased at the end, also by an error, before anything else is printed.
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._watched = sys.stderr.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """Replace the line."""
        if not self._watched or time.monotonic() - self._start < _DELAY_S:
            return
        self._shown = True
        sys.stderr.write(_ERASE + printable(text)[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()

    def show_bar(self, label: str, done: int, total: int) -> None:
        """Replace the line by a bar: `predicting [######......] 12/24`."""
        self.show(f"{label} [{'#' * (_BAR * done // total):.<{_BAR}}] {done}/{total}")

    def show_share(self, label: str, share: float) -> None:
        """Replace the line by a bar of the share that is done: `[######......]  50 % measuring`."""
        self.show(f"[{'#' * int(_BAR * share):.<{_BAR}}] {100 * share:3.0f} % {label}")

    def note(self, text: str) -> None:
        """A line of its own that stays, above the one that is replaced."""
        if self._shown:
            sys.stderr.write(_ERASE)
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
