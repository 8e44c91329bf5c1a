"""A pack as one file: a ZIP archive of its files and their manifest, without folders.

What is held against an archive before anything of it is written:

1. It has at most `MAX_ARCHIVE_BYTES`, and its directory at most `_MOST_MEMBERS` entries. The directory's size is read
   from the end of the file before the directory is.
2. A member is a regular file with a plain name: no path, no link, nothing hidden. No name comes twice.
3. Members are stored or deflated, and not encrypted. What a member inflates to is cut at the limit of a pack's file,
   and all of them together at `MAX_PACK_BYTES`.

Whether the files are those of the manifest is checked when the pack is read (`nnmeter.devices.manifest`).
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from nnmeter.devices.manifest import MANIFEST, is_safe_name
from nnmeter.devices.registry.contents import PackContents
from nnmeter.errors import DeviceError
from nnmeter.limits import MAX_ARCHIVE_BYTES, MAX_JSON_BYTES, MAX_PACK_BYTES, MAX_TREES_BYTES

SUFFIX = ".zip"

_MOST_MEMBERS = 33
_END = struct.Struct("<4s4H2LH")  # the end of a ZIP archive: signature, disks, entries, directory, comment
_END_SIGNATURE, _LOCATOR_SIGNATURE, _LOCATOR_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20
_LARGEST_DIRECTORY = _MOST_MEMBERS * 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal packs make equal archives
_ENCRYPTED = 1
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
_REMEDY = "get it again, or use it only if you trust its maker"


def write_archive(contents: PackContents, manifest: bytes) -> bytes:
    """The archive of a pack.

    Args:
        contents: the pack.
        manifest: its `manifest.json`.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in [(MANIFEST, manifest), *sorted(contents.files.items())]:
            member = zipfile.ZipInfo(name, _EPOCH)
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            member.create_system = 3  # Unix, whose modes these are
            archive.writestr(member, data, zipfile.ZIP_DEFLATED, 9)
    return stream.getvalue()


def unpack_archive(data: bytes, name: str, directory: Path) -> None:
    """Write the files of an archive to an empty directory; `name` is what messages call it.

    Raises:
        DeviceError: it is no archive of a pack (rules 1 to 3).
    """
    for member, content in read_archive(data, name).items():
        (directory / member).write_bytes(content)


def read_archive(data: bytes, name: str) -> dict[str, bytes]:
    """The members of an archive, by name (rules 1 to 3)."""
    _check_end(data, name)
    found: dict[str, bytes] = {}
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                _check_member(member, name, found)
                most = MAX_TREES_BYTES if member.filename.endswith(".npz") else MAX_JSON_BYTES
                with archive.open(member) as stream:
                    content = stream.read(most + 1)
                total += len(content)
                if len(content) > most or total > MAX_PACK_BYTES:
                    raise DeviceError(f"{name}: {member.filename} inflates to more than a pack may have; {_REMEDY}")
                found[member.filename] = content
    except _FAULTS as fault:
        if isinstance(fault, DeviceError):
            raise
        raise DeviceError(f"{name}: is no whole ZIP archive ({fault!s:.80}); {_REMEDY}") from fault
    if MANIFEST not in found:
        raise DeviceError(f"{name}: has no {MANIFEST}, so it is no pack; make one with `nnmeter devices export`")
    return found


def _check_end(data: bytes, name: str) -> None:
    """Rule 1, before anything else of the archive is looked at."""
    if len(data) > MAX_ARCHIVE_BYTES:
        raise DeviceError(f"{name}: has more than {MAX_ARCHIVE_BYTES >> 20} MiB; no archive of a pack is that large")
    end = data[-_END.size :]
    if len(end) < _END.size or not end.startswith(_END_SIGNATURE):
        raise DeviceError(f"{name}: is no whole ZIP archive; {_REMEDY}")
    _, _, _, _, entries, directory_bytes, _, comment = _END.unpack(end)
    place = len(data) - _END.size - _LOCATOR_BYTES
    is_long = place >= 0 and data[place : place + 4] == _LOCATOR_SIGNATURE
    if is_long or comment or entries > _MOST_MEMBERS or directory_bytes > _LARGEST_DIRECTORY:
        raise DeviceError(f"{name}: lists more files than a pack has, or more than files; {_REMEDY}")


def _check_member(member: zipfile.ZipInfo, name: str, found: dict[str, bytes]) -> None:
    """Rules 2 and 3, but for the size."""
    mode = member.external_attr >> 16
    if member.filename != MANIFEST and not is_safe_name(member.filename):
        raise DeviceError(f"{name}: has a member with the unsafe name {member.filename!r:.80}; {_REMEDY}")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise DeviceError(f"{name}: {member.filename} is a link or no file; {_REMEDY}")
    if member.filename in found:
        raise DeviceError(f"{name}: has {member.filename} twice; {_REMEDY}")
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
        raise DeviceError(f"{name}: {member.filename} is encrypted or packed in a way that packs are not; {_REMEDY}")
