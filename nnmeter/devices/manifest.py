"""The manifest of a device pack: which files it has, and the hash of each.

What `read_manifest` and `verify_files` hold a pack to:

1. `manifest.json` is a JSON object with `schema_version` (an integer this nnmeter knows) and `files`, from name to
   `{"sha256", "bytes"}`. A newer schema is refused: it may mean something else by the same files.
2. A name is a plain file name ending in `.json` or `.npz`: no directories, nothing hidden, no code.
3. The directory holds exactly the manifest and the files it names: nothing missing, nothing extra, no links.
4. Every file has the length and the SHA-256 that the manifest says. A longer one than any pack needs is not read
   (`nnmeter.limits`, 6), and what is used of a file is what was hashed: it is not opened a second time unchecked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnmeter import files
from nnmeter.errors import DeviceError
from nnmeter.files import sha256_of
from nnmeter.limits import MAX_JSON_BYTES, MAX_TREES_BYTES

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2  # since 2 `rules.json` may name a rule set in place of holding rules

_SUFFIXES = (".json", ".npz")
_MOST_FILES = 32
_REQUIRED = ("card.json", "rules.json", "predictor.json")
_RESTORE = "reinstall nnmeter or restore the pack"


def read_manifest(directory: Path) -> dict[str, str]:
    """The SHA-256 of each file of the pack in `directory`, by name (rules 1 and 2).

    Raises:
        DeviceError: the manifest is missing, damaged, newer than this nnmeter, or names an unsafe file.
    """
    where = f"{directory.name}/{MANIFEST}"
    if not directory.is_dir():
        raise DeviceError(f"{directory}: not a directory; give the directory of a device pack")
    content = parse_json(read_file(directory, MANIFEST), where)
    if not isinstance(content, dict):
        raise DeviceError(f"{where}: must be a JSON object; {_RESTORE}")
    version = content.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DeviceError(f"{where}: schema_version must be a positive integer, not {version!r:.40}; {_RESTORE}")
    if version > SCHEMA_VERSION:
        raise DeviceError(
            f"{where}: schema_version {version} is newer than this nnmeter reads ({SCHEMA_VERSION}); update nnmeter"
        )
    listed = content.get("files")
    if not isinstance(listed, dict):
        raise DeviceError(f"{where}: 'files' must be an object; {_RESTORE}")
    if len(listed) > _MOST_FILES:
        raise DeviceError(f"{where}: names {len(listed)} files, more than {_MOST_FILES}; {_RESTORE}")
    for name, entry in listed.items():
        if not is_safe_name(name):
            raise DeviceError(f"{where}: unsafe file name {name!r:.80}; use the pack only if you trust its maker")
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            raise DeviceError(f"{where}: no sha256 for {name}; {_RESTORE}")
    for name in _REQUIRED:
        if name not in listed:
            raise DeviceError(f"{where}: {name} is not listed; {_RESTORE}")
    return {name: entry["sha256"] for name, entry in listed.items()}


def verify_files(directory: Path, hashes: Mapping[str, str]) -> None:
    """Check every file of the pack in `directory` against the manifest's `hashes` (rules 3 and 4).

    Raises:
        DeviceError: a file is missing, extra, a link, or not what the manifest says.
    """
    extra = sorted(set(os.listdir(directory)) - set(hashes) - {MANIFEST})
    if extra:
        raise DeviceError(f"{directory.name}/{extra[0]}: not in the pack's {MANIFEST}; remove it from {directory}")
    for name in hashes:
        read_verified(directory, name, hashes)


def read_verified(directory: Path, name: str, hashes: Mapping[str, str]) -> bytes:
    """The bytes of one file of a pack, checked against the manifest's `hashes`."""
    data = read_file(directory, name)
    if sha256_of(data) != hashes[name]:
        raise DeviceError(f"{directory.name}/{name}: does not have the SHA-256 of {MANIFEST}; {_RESTORE}")
    return data


def read_file(directory: Path, name: str) -> bytes:
    """The bytes of a regular file of a pack; a link is refused, for it could lead out of the pack."""
    path = directory / name
    try:
        if os.path.islink(path) or (os.path.exists(path) and not os.path.isfile(path)):
            raise DeviceError(f"{directory.name}/{name}: not a regular file; copy the file itself into the pack")
        return files.read_limited(path, MAX_TREES_BYTES if name.endswith(".npz") else MAX_JSON_BYTES, follow=False)
    except FileNotFoundError:
        raise DeviceError(f"{directory.name}/{name}: missing; {_RESTORE} (looked in {directory})") from None
    except OSError as error:
        raise DeviceError(f"{directory.name}/{name}: {error.strerror or error}; {_RESTORE}") from error


def parse_json(data: bytes, where: str) -> Any:
    """The content of a JSON file; `where` names it in the message of the `DeviceError` if it is none."""
    try:
        return files.parse_json(data, finite=True)
    except ValueError as fault:
        raise DeviceError(f"{where}: not a JSON file of a pack ({fault!s:.120}); {_RESTORE}") from None


def write_manifest(directory: Path) -> None:
    """Write the manifest of the files that lie in `directory`."""
    names = sorted(set(os.listdir(directory)) - {MANIFEST})
    unsafe = [name for name in names if not is_safe_name(name)]
    if unsafe:
        raise DeviceError(f"{directory.name}/{unsafe[0]}: a pack holds plain {' and '.join(_SUFFIXES)} files only")
    contents = {name: read_file(directory, name) for name in names}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "files": {name: {"sha256": sha256_of(data), "bytes": len(data)} for name, data in contents.items()},
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def is_safe_name(name: str) -> bool:
    """Whether a file of a pack may have this name (rule 2); the manifest, which is none of them, may not."""
    return (
        name.endswith(_SUFFIXES)
        and name != MANIFEST
        and name.isascii()
        and name[:1].isalnum()
        and all(c.isalnum() or c in "._-" for c in name)
    )
