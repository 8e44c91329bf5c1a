"""Files written whole or not at all, read only where they are regular and not too large, and hashed.

Rules of writing:

1. A regular file is replaced in one step: a reader sees the old file or the new one, never a part. It keeps its mode.
2. A symbolic link stays: what it leads to is written.
3. A device, a pipe or an open descriptor (`/dev/stdout`, `/dev/fd/3`) is never replaced. `write_output`, for a place
   that the user named for a report, writes to it; `write_whole` refuses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeGuard

from nnmeter.limits import MAX_JSON_BYTES, MAX_JSON_VALUES

_OPEN = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_DESCRIPTOR = re.compile(r"/dev/fd/\d+|/proc/\w+(/task/\d+)?/fd/\d+")
_LARGE_EXPONENT = re.compile(rb"\d[eE]\+?\d{3}")  # of what may be too large for a float
_LARGEST = sys.float_info.max  # whole numbers may be larger, and no float then
_MOST_LINKS = 40  # as Linux has it
_MOST_DIGITS = 18  # of a number that 64 bits hold
_PREFIX_BYTES = 60  # of a name that a temporary one begins with: file systems take 255 in all


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write `content` to `path` in one step: a reader sees the old file or the new one, never a part.

    The content goes to a temporary file in the same directory, which then replaces `path`, or what a link leads to.

    Raises:
        OSError: the directory is missing or cannot be written, or `path` is a device, a pipe or a directory, which is
            not to be replaced by a file; `path` is as it was.
    """
    if _is_special(path):
        raise OSError(None, "is there and is no regular file, so it is not replaced", os.fspath(path))
    _replace(path, content)


def write_output(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a report to the place that the user named: as `write_whole`, but a device or a pipe is written to.

    A pipe that nobody reads is waited for, as by any program.

    Raises:
        OSError: the directory is missing or cannot be written, or `path` is a directory or a socket.
    """
    if not _is_special(path):
        _replace(path, content)
        return
    with naming(path), os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC), "wb") as stream:
        stream.write(content.encode("utf-8") if isinstance(content, str) else content)


def why_unwritable(path: str | os.PathLike[str]) -> str | None:
    """Why `path` cannot be written, in a phrase; None where it seems that it can.

    It is tried: permissions do not tell of file systems that take no files.
    """
    if os.path.isdir(path):
        return "is a directory"
    try:
        if _is_special(path):
            return None if os.access(path, os.W_OK) else "permission denied"
    except OSError as fault:  # of a name that no file can have, or of a directory that may not be looked into
        return (fault.strerror or str(fault)).lower()
    return why_not_made(os.path.dirname(os.path.realpath(path)))


def why_not_made(directory: str | os.PathLike[str]) -> str | None:
    """Why nothing can be made in a directory, in a phrase; None where it can. It is tried (`why_unwritable`)."""
    probe = os.path.join(directory, f".nnmeter.{os.getpid()}")
    try:
        os.mkdir(probe)
        os.rmdir(probe)
    except OSError as fault:
        return (fault.strerror or str(fault)).lower()
    return None


def _replace(path: str | os.PathLike[str], content: str | bytes) -> None:
    import tempfile  # here, for half of what it imports is of no use to a prediction

    target = Path(os.path.realpath(path))
    data = content.encode("utf-8") if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(prefix=temporary_prefix(target), dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        # mkstemp makes the file private; a written report has the mode that it had, or that open() would give it.
        os.chmod(temporary, stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException as fault:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(fault, OSError) and fault.errno and fault.filename in (None, temporary):  # a full disk names none
            fault.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let faults of writing (a full disk) say of which file they are."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as fault:
        if fault.errno:
            fault.filename = fault.filename or os.fspath(path)
        raise


def temporary_prefix(target: Path) -> str:
    """How the name of a hidden temporary place beside `target` begins: as its own, cut where that is long."""
    return f".{os.fsdecode(os.fsencode(target.name)[:_PREFIX_BYTES])}."


def _is_special(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to something that is there and must not be replaced (rule 3)."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) or _is_descriptor(path)


def _is_descriptor(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of an open file, which another name cannot take the place of."""
    place = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(place)
        place = os.path.join(os.path.realpath(folder), name)
        if _DESCRIPTOR.fullmatch(place):
            return True
        if not os.path.islink(place):
            return False
        place = os.path.abspath(os.path.join(os.path.dirname(place), os.readlink(place)))
    return False


def open_regular(path: str | os.PathLike[str], follow: bool = True) -> IO[bytes]:
    """Open a regular file for reading; never waits, as a pipe would have its reader do.

    Args:
        path: of the file.
        follow: whether a symbolic link is followed.

    Raises:
        OSError: there is none, it cannot be read, or it is a pipe, a device, a socket or (`IsADirectoryError`) a
            directory.
    """
    descriptor = os.open(path, _OPEN | (0 if follow else _NO_LINK))
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(None, "is a directory", os.fspath(path))
        if not stat.S_ISREG(mode):
            raise OSError(None, "is no regular file", os.fspath(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_limited(path: str | os.PathLike[str], most: int, follow: bool = True) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: as `open_regular`, or the file has more than `most` bytes.
    """
    with open_regular(path, follow) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise OSError(None, f"has more than {most} bytes, which is too much", os.fspath(path))
    return data


def parse_json(data: bytes, finite: bool = False) -> Any:
    """The content of a JSON file, if it is not so large that it could fill the memory.

    Args:
        data: the bytes of the file.
        finite: refuse numbers that are none, which Python reads and JSON does not know.

    Raises:
        ValueError: it is no JSON, has more than `MAX_JSON_BYTES`, or may hold more than `MAX_JSON_VALUES` values.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"more than {MAX_JSON_BYTES >> 20} MiB")
    if sum(map(data.count, (b",", b"[", b"{", b":"))) > MAX_JSON_VALUES:
        raise ValueError(f"more than {MAX_JSON_VALUES} values")
    try:
        if not finite:
            return json.loads(data)
        large = _LARGE_EXPONENT.search(data)
        return json.loads(data, parse_constant=_no_number, parse_float=_finite if large else None)
    except RecursionError:
        raise ValueError("nested too deep") from None


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of JSON or TOML is a number that a float can hold; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def whole_number(text: str) -> int | None:
    """The number that a text of one to eighteen plain digits is; None if it is none.

    `str.isdigit` takes "²", which `int` does not, and `int` no more than some thousand digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text:.40} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) < float("inf") else _no_number(text)


def sha256_of(data: bytes) -> str:
    """SHA-256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
