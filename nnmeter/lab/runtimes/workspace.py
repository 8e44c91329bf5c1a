"""Temporary folders of runtimes, which do not stay behind even when their process is killed.

A folder's name holds the host and the process that it belongs to: `nnmeter-host-4711-x0y1z2`. Whoever makes a folder
first removes those of this host whose process is gone. The host counts because containers may share one directory for
temporary files and yet not see each other's processes.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from pathlib import Path


def make_workspace() -> tempfile.TemporaryDirectory[str]:
    """A new folder for the files of one compiled model; what killed processes left is removed first."""
    remove_abandoned()
    return tempfile.TemporaryDirectory(prefix=f"{_host_prefix()}{os.getpid()}-")


def remove_abandoned() -> list[Path]:
    """Removes the folders of this host's dead processes and returns them; those that cannot be removed stay."""
    if os.name != "posix":
        return []  # elsewhere a process cannot be asked for without harm: os.kill ends it
    pattern = re.compile(re.escape(_host_prefix()) + r"(\d+)-.+")
    removed = []
    for entry in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        match = pattern.fullmatch(entry.name)
        if match and not _is_alive(int(match[1])):
            shutil.rmtree(entry, ignore_errors=True)
            if not entry.exists():
                removed.append(entry)
    return removed


_PREFIX = "nnmeter-"


def _host_prefix() -> str:
    return f"{_PREFIX}{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}-"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # somebody else's, or no number of a process at all
    return True
