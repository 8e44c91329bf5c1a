"""Progress on stderr, only where a person watches and only when it takes long."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

_DELAY_S = 2.0
_BAR = 24
_ERASE = "\r\x1b[K"


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Yield `items`; once that has taken two seconds, show on a terminal how far it is.

    The bar is erased at the end, also by an error: what follows begins on a clean line.
    """
    if len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    start = time.monotonic()
    shown = False
    try:
        for done, item in enumerate(items):
            if time.monotonic() - start >= _DELAY_S:
                shown = True
                filled = _BAR * done // len(items)
                sys.stderr.write(f"\r{label} [{'#' * filled:.<{_BAR}}] {done}/{len(items)}")
                sys.stderr.flush()
            yield item
    finally:
        if shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


class StatusLine:
    """One line on a terminal that says what is being done, erased at the end; silent elsewhere."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._watched = sys.stderr.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """Replace the line."""
        if not self._watched or time.monotonic() - self._start < _DELAY_S:
            return
        self._shown = True
        sys.stderr.write(_ERASE + text[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
