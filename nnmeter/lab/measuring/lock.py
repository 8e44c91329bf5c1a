"""The lock of a directory that one process writes.

The operating system holds the lock on an open file and drops it when the process ends, however it ends; so a lock is
never left behind, and whoever comes after a dead process takes it over. The file stays and names its last holder.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from nnmeter.errors import MeasurementError

LOCK_FILE = "lock"
PATIENCE_S = 10.0  # so long a worker may take to notice that whoever started it is gone


class DirectoryLock:
    """Keeps other processes from writing to a directory; a context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stream: IO[str] | None = None

    def __enter__(self) -> DirectoryLock:
        """Takes the lock.

        Raises:
            MeasurementError: another process holds it, or the file system knows no locks.
        """
        stream = open(self._directory / LOCK_FILE, "a+", encoding="utf-8")
        try:
            _lock_patiently(stream)
        except (BlockingIOError, PermissionError) as fault:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            stream.close()
            raise MeasurementError(
                f"{self._directory}: another process ({holder}) is writing to it; wait for it, or give "
                "another directory"
            ) from fault
        except OSError as fault:
            stream.close()
            raise MeasurementError(
                f"{self._directory}: cannot be locked ({fault.strerror}); give a directory on a local disk"
            ) from fault
        stream.seek(0)
        stream.truncate()
        stream.write(f"process {os.getpid()} on {platform.node()}\n")
        stream.flush()
        self._stream = stream
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives it back."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _lock_patiently(stream: IO[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _lock(stream)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)


def _lock(stream: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
