"""Where a pack comes from: a folder, an archive, or a registry; here or behind an address.

1. A folder with a manifest is a pack; one with `index.json` is a registry. A file or an address that ends in `.zip` is
   an archive of a pack, one that ends in `.json` the index of a registry; any other address is a folder of the web, and
   `index.json` in it is asked for.
2. Of a registry only what its index names is fetched, from beside the index, and it must be what the index says: the
   length and the hash of the archive, the id and the hash of the pack.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from nnmeter.devices.registry.archive import SUFFIX, unpack_archive
from nnmeter.devices.registry.contents import PackContents, is_pack_directory, read_contents
from nnmeter.devices.registry.fetching import check_address, fetch, is_address
from nnmeter.devices.registry.index import INDEX, MAX_INDEX_BYTES, Index, Version, parse_index
from nnmeter.errors import DeviceError
from nnmeter.files import sha256_of
from nnmeter.limits import MAX_ARCHIVE_BYTES

PACK, ARCHIVE, REGISTRY = "folder", "archive", "registry"
_NAMED = 8  # packs that a message names


@dataclass(frozen=True)
class Source:
    """A place that packs come from.

    Attributes:
        kind: `folder` (of one pack), `archive` or `registry` (rule 1).
        place: the absolute path, or the address; of a registry that of its index.
        insecure: whether `http` may be asked.
    """

    kind: str
    place: str
    insecure: bool = False


@dataclass(frozen=True)
class FoundVersion:
    """A pack that was fetched, and its version in the registry; None where it comes from none."""

    contents: PackContents
    version: int | None


def source_of(text: str, insecure: bool = False) -> Source:
    """The source that a path or an address stands for (rule 1).

    Raises:
        DeviceError: there is nothing at this path, or the address is not to be asked.
    """
    if is_address(text):
        check_address(text, insecure)
        parts = urlsplit(text)
        if parts.path.endswith(SUFFIX):
            return Source(ARCHIVE, text, insecure)
        if not parts.path.endswith(".json"):
            parts = parts._replace(path=f"{parts.path.rstrip('/')}/{INDEX}")
        return Source(REGISTRY, urlunsplit(parts), insecure)
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if is_pack_directory(path):
        return Source(PACK, str(path))
    if path.is_dir():
        if not (path / INDEX).is_file():
            raise DeviceError(f"{text}: is neither a pack nor a registry; give a folder with manifest.json or {INDEX}")
        return Source(REGISTRY, str(path / INDEX))
    if not path.exists():
        raise DeviceError(f"{text}: is not there; give the path or the https address of a pack or of a registry")
    if path.suffix == ".json":
        return Source(REGISTRY, str(path))
    if path.suffix != SUFFIX:
        raise DeviceError(f"{text}: is no pack; give a folder, an archive ({SUFFIX}) or an index (.json)")
    return Source(ARCHIVE, str(path))


def read_index(source: Source) -> Index:
    """The index of a registry."""
    return parse_index(fetch(source.place, MAX_INDEX_BYTES, source.insecure), source.place)


def choose(index: Index, patterns: Sequence[str], where: str) -> list[tuple[str, int | None]]:
    """The packs that ids (`ID`, `ID@3`) and patterns with wildcards stand for, each with the version asked for.

    Raises:
        DeviceError: none is named, or one stands for nothing that is there.
    """
    names = sorted(index.packs)
    told = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    if not patterns:
        raise DeviceError(f"{where}: is a registry; name packs of it, or '*': {told or 'it has none'}")
    found: dict[str, int | None] = {}
    for pattern in patterns:
        wanted, at, number = pattern.partition("@")
        if at and not (number.isdecimal() and number.isascii() and 0 < len(number) < 10):
            raise DeviceError(f"{pattern}: the version must be a whole number, as in {wanted}@1")
        chosen = [name for name in names if fnmatchcase(name, wanted)]
        if not chosen:
            raise DeviceError(f"{where}: has no pack {wanted!r}; it has {told or 'none'}")
        for name in chosen:
            found[name] = index.find(name, int(number), where).version if at else None
    return list(found.items())


def fetch_pack(source: Source) -> FoundVersion:
    """The pack of a folder or an archive, whole and checked, in memory."""
    if source.kind == PACK:
        return FoundVersion(read_contents(Path(source.place)), None)
    data = fetch(source.place, MAX_ARCHIVE_BYTES, source.insecure)
    return FoundVersion(_unpacked(data, source.place), None)


def fetch_from_registry(source: Source, index: Index, device_id: str, version: int | None) -> FoundVersion:
    """A pack of a registry, whole and as its index says (rule 2).

    Raises:
        DeviceError: the registry lacks it, or what it has is something else.
    """
    entry = index.find(device_id, version, source.place)
    place = _beside(source.place, entry.file)
    data = fetch(place, entry.bytes, source.insecure)
    if len(data) != entry.bytes or sha256_of(data) != entry.sha256:
        raise DeviceError(f"{place}: is not the archive that the index means (its SHA-256 differs); tell who keeps it")
    contents = _unpacked(data, place)
    if contents.id != device_id or contents.hash != entry.pack:
        raise DeviceError(f"{place}: holds another pack than the index says; tell who keeps it")
    return FoundVersion(contents, entry.version)


def newest(index: Index, device_id: str, where: str) -> Version:
    """The newest version of a pack."""
    return index.find(device_id, None, where)


def _beside(index_place: str, name: str) -> str:
    """The place of a file beside the index: `name` is plain, and what an address asks for it asks for as well."""
    if is_address(index_place):
        return urljoin(index_place, quote(name))
    return str(Path(index_place).parent / name)


def _unpacked(data: bytes, place: str) -> PackContents:
    """The pack in an archive: it is read like any other, from a folder that is gone afterwards."""
    name = Path(urlsplit(place).path).name if is_address(place) else Path(place).name
    with tempfile.TemporaryDirectory(prefix="nnmeter-pack-") as work:
        folder = Path(work) / (name.removesuffix(SUFFIX) or "pack")
        folder.mkdir()
        unpack_archive(data, name, folder)
        return read_contents(folder)
