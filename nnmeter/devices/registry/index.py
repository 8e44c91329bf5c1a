"""The index of a registry: which packs it has, in which versions, each with the hash of its archive.

A registry is a folder with `index.json` and the archives that it names. A team shares it as it is, or behind any server
of static files. `index.json` is a JSON object:

    {"schema_version": 1,
     "packs": {"ID": [{"version": 1, "file": "ID-1.zip", "sha256": "...", "bytes": 123, "pack": "...",
                       "hardware": "...", "runtime": "...", "date": "2026-01-01"}]}}

1. Versions are whole numbers from 1 on, and the last one of the list is the newest. A version is never changed.
2. `file` is a plain name beside the index: an index cannot lead to another place.
3. `sha256` and `bytes` are of the archive, `pack` is the hash of the pack in it (`contents`).
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

from nnmeter import files
from nnmeter.devices.card import is_pack_id
from nnmeter.devices.registry.archive import SUFFIX
from nnmeter.errors import DeviceError
from nnmeter.limits import MAX_ARCHIVE_BYTES

INDEX = "index.json"
SCHEMA_VERSION = 1
MAX_INDEX_BYTES = 8 << 20

_HEX = frozenset(string.hexdigits.lower())
_SHA256_CHARACTERS = 64
_LONGEST_TEXT = 500
_LONGEST_NAME = 200
_REMEDY = "make it anew with `nnmeter devices export`"


@dataclass(frozen=True)
class Version:
    """One version of a pack in a registry; the fields of the index (rules 1 to 3)."""

    version: int
    file: str
    sha256: str
    bytes: int
    pack: str
    hardware: str
    runtime: str
    date: str


@dataclass(frozen=True)
class Index:
    """The versions of every pack of a registry, oldest first, by id."""

    packs: Mapping[str, Sequence[Version]]

    def find(self, device_id: str, version: int | None, where: str) -> Version:
        """A version of a pack, the newest unless one is asked for.

        Raises:
            DeviceError: there is none; the message names what there is.
        """
        found = self.packs.get(device_id)
        if not found:
            raise DeviceError(f"{where}: has no pack {device_id!r}; it has {_some(sorted(self.packs))}")
        if version is None:
            return found[-1]
        for entry in found:
            if entry.version == version:
                return entry
        known = _some([str(entry.version) for entry in found])
        raise DeviceError(f"{where}: has no version {version} of {device_id}; it has {known}")

    def to_dict(self) -> dict[str, Any]:
        """As `index.json` holds it."""
        packs = {name: [asdict(entry) for entry in self.packs[name]] for name in sorted(self.packs)}
        return {"schema_version": SCHEMA_VERSION, "packs": packs}


def parse_index(data: bytes, where: str) -> Index:
    """The index in the bytes of an `index.json`; `where` names it in messages.

    Raises:
        DeviceError: it is none, is newer than this nnmeter, or breaks a rule.
    """
    try:
        content = files.parse_json(data, finite=True)
    except ValueError as fault:
        raise DeviceError(f"{where}: is no index of packs ({fault!s:.80}); {_REMEDY}") from None
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not _is_count(schema) or not isinstance(content.get("packs"), dict):
        raise DeviceError(f"{where}: is no index of packs; {_REMEDY}")
    if schema > SCHEMA_VERSION:
        raise DeviceError(f"{where}: schema_version {schema} is newer than this nnmeter reads; update nnmeter")
    packs: dict[str, list[Version]] = {}
    for name, entries in content["packs"].items():
        if not is_pack_id(name) or not isinstance(entries, list) or not entries:
            raise DeviceError(f"{where}: has the entry {name!r:.80}, which is no pack; {_REMEDY}")
        packs[name] = [_version(entry, f"{where}: {name}") for entry in entries]
        numbers = [entry.version for entry in packs[name]]
        if numbers != sorted(set(numbers)):
            raise DeviceError(f"{where}: {name}: versions are not in order; {_REMEDY}")
    return Index(packs)


def is_hash(value: object) -> bool:
    """Whether this is a SHA-256 in lower-case hexadecimal."""
    return isinstance(value, str) and len(value) == _SHA256_CHARACTERS and set(value) <= _HEX


def _version(entry: object, where: str) -> Version:
    if not isinstance(entry, dict):
        raise DeviceError(f"{where}: a version must be an object; {_REMEDY}")
    known = {name: entry.get(name) for name in Version.__dataclass_fields__}
    wrong = next((name for name, value in known.items() if not _RULES[name](value)), None)
    if wrong:
        raise DeviceError(f"{where}: {wrong} cannot be {known[wrong]!r:.80}; {_REMEDY}")
    return Version(**known)  # type: ignore[arg-type]  # each was checked


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_length(value: object) -> bool:
    return _is_count(value) and value <= MAX_ARCHIVE_BYTES


def _is_file_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST_NAME
        and value.endswith(SUFFIX)
        and is_pack_id(value[: -len(SUFFIX)][:128])
        and value.isascii()
        and all(c.isalnum() or c in "._-+" for c in value)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


_RULES = {
    "version": _is_count,
    "file": _is_file_name,
    "sha256": is_hash,
    "bytes": _is_length,
    "pack": is_hash,
    "hardware": _is_text,
    "runtime": _is_text,
    "date": _is_text,
}


def _some(names: Sequence[str], most: int = 8) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
