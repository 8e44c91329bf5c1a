"""Locks: of a directory that one process writes, and of a file that several add to.

The operating system holds the lock on an open file and drops it when the process ends, however it ends; so a lock is
never left behind, and whoever comes after a dead process takes it over. The file stays and names its last holder.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

from nnmeter.errors import MeasurementError

LOCK_FILE = "lock"
APPEND_PATIENCE_S = 60.0  # many times what reading and writing a file takes
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
        path = self._directory / LOCK_FILE
        if path.exists() and not path.is_file():
            raise MeasurementError(f"{path}: is no regular file; remove it")
        stream = open(path, "a+", encoding="utf-8")
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


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Keep other processes from changing a file that is read, changed and replaced.

    The lock is held on the directory of the file, since the file itself is replaced; where the system locks no
    directories (Windows), on a file beside it.

    Raises:
        MeasurementError: another process holds it for long, or the file system knows no locks.
    """
    if os.name == "nt":
        stream: IO[str] | _Directory = path.with_name(f".{path.name}.lock").open("a+", encoding="utf-8")
    else:
        stream = _Directory(path.parent)
    with stream:
        try:
            _lock_patiently(stream, APPEND_PATIENCE_S)
        except (BlockingIOError, PermissionError) as fault:
            raise MeasurementError(f"{path}: another process is adding to files in its directory; try again") from fault
        except OSError as fault:
            raise MeasurementError(
                f"{path}: cannot be locked ({fault.strerror}); give a file on a local disk"
            ) from fault
        yield


class _Directory:
    """An open directory; what a lock is held on."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def fileno(self) -> int:
        return self._descriptor

    def __enter__(self) -> _Directory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _lock_patiently(stream: IO[str] | _Directory, patience_s: float | None = None) -> None:
    end = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    while True:
        try:
            return _lock(stream)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)


def _lock(stream: IO[str] | _Directory) -> None:
    if sys.platform == "win32":
        import msvcrt

        if not isinstance(stream, _Directory):
            stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
