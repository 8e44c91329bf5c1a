"""What runs first on the far side: a place for files, and the package of nnmeter put into it.

It is sent as text to the far Python, before any of nnmeter is there, so it needs the standard library alone; and it is
a module of the package, for what comes over the wire later has the same place.

1. Everything lies in `~/.cache/nnmeter/wire/<host name>` (`XDG_CACHE_HOME` counts), which is the user's alone.
   Machines that share a home have a folder each.
2. A file is known by its SHA-256. It grows as `<hash>.part`, at whatever offset its next bytes are for, and gets its
   name when they are its hash's; so a transfer that was cut off goes on where it ended, and a second one does no harm.
3. What is said to the near side is a line of JSON, on standard output.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import zipfile

# The path of what is started here: the package, and nothing that means the working directory.
OWN_PATH = "import sys, os; sys.path[:] = [sys.argv[1], *filter(os.path.isabs, sys.path)]"
OLDEST_PYTHON = (3, 10)
KEPT_PACKAGES = 3
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Store:
    """Files by their SHA-256 (rule 2)."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def path(self, digest: str) -> str:
        """Where the file is, or will be."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r:.80} is no SHA-256")
        return os.path.join(self.folder, digest)

    def add(self, digest: str, size: int, offset: int = 0, data: bytes = b"") -> int:
        """Adds bytes of a file; how many it has now, `size` where it is whole."""
        path = self.path(digest)
        if os.path.exists(path):
            return size
        part = path + ".part"
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            have = os.fstat(descriptor).st_size
            if offset <= have:
                _write_all(descriptor, offset, data)
            have = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if have < size:
            return have
        if _sha256(part) != digest:
            os.unlink(part)
            return 0
        os.replace(part, path)
        return size


def _write_all(descriptor: int, offset: int, data: bytes) -> None:
    os.lseek(descriptor, offset, os.SEEK_SET)
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _sha256(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            found.update(chunk)
    return found.hexdigest()


def say(message: dict[str, object]) -> None:
    """A line to the near side (rule 3)."""
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def base_folder() -> str:
    """The place of rule 1, made if it is not there."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    host = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node()) or "host"
    base = os.path.join(cache, "nnmeter", "wire", host)
    os.makedirs(base, mode=0o700, exist_ok=True)
    os.chmod(base, 0o700)
    return base


def take_package(base: str, digest: str, size: int) -> str:
    """The folder of the package with this archive, which is asked for where it is not there.

    The oldest packages beside it are removed.
    """
    packages = os.path.join(base, "packages")
    place = os.path.join(packages, digest[:32])
    if not os.path.isdir(place):
        os.makedirs(packages, mode=0o700, exist_ok=True)
        _unpack(_receive(Store(os.path.join(base, "files")), digest, size), place)
    os.utime(place)
    others = sorted((os.path.join(packages, name) for name in os.listdir(packages)), key=os.path.getmtime)
    for old in others[:-KEPT_PACKAGES]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def _unpack(archive: str, place: str) -> None:
    made = tempfile.mkdtemp(prefix=".", dir=os.path.dirname(place))
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(made)
        os.rename(made, place)
        os.unlink(archive)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not os.path.isdir(place):  # another process was faster
            raise


def _receive(store: Store, digest: str, size: int) -> str:
    """Asks for a file until it is whole; its path."""
    have = store.add(digest, size)
    while have < size:
        say({"have": have})
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):
            sys.exit(1)  # the wire was cut; what has come stays
        message = json.loads(line)
        have = store.add(digest, size, message["offset"], base64.b64decode(message["data"]))
    return store.path(digest)


def land() -> tuple[str, dict[str, object]] | None:
    """Takes the package: its folder, from which modules are imported then, and what the near side says of itself.

    Returns:
        None where it cannot, which has been said.
    """
    hello = json.loads(sys.stdin.buffer.readline())
    if sys.version_info < OLDEST_PYTHON:
        own, needed = (".".join(map(str, version)) for version in (sys.version_info[:2], OLDEST_PYTHON))
        say({"error": f"its Python is {own}, and {needed} is needed"})
        return None
    try:
        base = base_folder()
        package = take_package(base, hello["package"], hello["size"])
        os.chdir(base)
    except OSError as fault:
        say({"error": f"{fault.filename}: {fault.strerror}"})
        return None
    sys.path[:] = [package, *filter(os.path.isabs, sys.path)]
    return package, hello
