"""Files written whole or not at all, and hashed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write `content` to `path` in one step: a reader sees the old file or the new one, never a part.

    The content goes to a temporary file in the same directory, which then replaces `path`.

    Raises:
        OSError: the directory is missing or cannot be written; `path` is as it was.
    """
    import tempfile  # here, for half of what it imports is of no use to a prediction

    target = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        # mkstemp makes the file private; a written report has the mode that open() would have given it.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def sha256_of(data: bytes) -> str:
    """SHA-256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
