"""What asks a process to end, ends a verb as Ctrl-C does: what it has measured is written, and its children end.

Rules:

1. SIGTERM (`kill`, a batch system, a container that stops) and SIGHUP (a terminal that closes) raise KeyboardInterrupt
   where the verb is. The exit code is then 128 and the signal's number, not 130.
2. A signal that this process was told to ignore, as `nohup` does, stays ignored.
3. Handlers are those of the main thread; in any other nothing is changed.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

INTERRUPTED = 130
_ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass
class Ending:
    """Which signal asked this process to end, if one did."""

    number: int | None = None

    def code(self, code: int) -> int:
        """The exit code of a verb that ended with `code` (rule 1)."""
        return 128 + self.number if self.number is not None and code == INTERRUPTED else code


@contextlib.contextmanager
def as_interrupts() -> Iterator[Ending]:
    """Turn the signals that ask this process to end into KeyboardInterrupt (rules 1 to 3)."""
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return

    def interrupt(number: int, frame: object) -> None:
        ending.number = number
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _ASKING}
    changed = {number: handler for number, handler in before.items() if handler is signal.SIG_DFL}
    for number in changed:
        signal.signal(number, interrupt)
    try:
        yield ending
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)
