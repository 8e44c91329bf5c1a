"""Packs for others: as one archive, or as new versions in a registry, which is a folder.

1. A pack whose newest version in the registry is the same gets no new one.
2. The archive is written before the index that names it, each in one step: a reader finds only what is whole. Two who
   export into one folder at once take turns, where the system knows locks.
3. Files of older versions stay, so that who asked for one goes on finding it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nnmeter.devices.catalog import find_devices
from nnmeter.devices.manifest import MANIFEST, read_file
from nnmeter.devices.registry.archive import SUFFIX, read_archive, write_archive
from nnmeter.devices.registry.contents import PackContents, read_contents
from nnmeter.devices.registry.exchange import EXPORTED, UNCHANGED, Exchange
from nnmeter.devices.registry.fetching import is_address
from nnmeter.devices.registry.index import INDEX, MAX_INDEX_BYTES, Index, Version, parse_index
from nnmeter.errors import DeviceError
from nnmeter.files import read_limited, sha256_of, write_whole


def export_packs(packs: Sequence[str], to: str | os.PathLike[str]) -> list[Exchange]:
    """Write packs for others.

    Args:
        packs: ids, patterns with wildcards, or paths.
        to: a registry's folder, which is made where it is not there; or, for one pack, an archive (`.zip`).

    Raises:
        DeviceError: a pack is not there or damaged, or the place is no registry.
        OSError: it cannot be written.
    """
    if is_address(os.fspath(to)):
        raise DeviceError(f"{os.fspath(to)}: is an address; export to a folder, and put that on the server")
    target = Path(to).absolute()
    found = [(read_contents(device.path), device.path) for device in find_devices(packs)]
    archives = [(contents, write_archive(contents, read_file(path, MANIFEST))) for contents, path in found]
    for contents, data in archives:
        read_archive(data, contents.id)  # what nobody could add is not written
    if target.suffix == SUFFIX:
        if len(archives) != 1:
            raise DeviceError(f"{target.name}: an archive holds one pack, not {len(archives)}; give a folder")
        contents, data = archives[0]
        write_whole(target, data)
        return [Exchange(contents.id, EXPORTED, str(target), hash=contents.hash)]
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / INDEX).is_file())):
        raise DeviceError(f"{target}: is there and is no registry; give an empty folder, or one with {INDEX}")
    target.mkdir(parents=True, exist_ok=True)
    with _alone_in(target):
        return _export_to_registry(archives, target)


def _export_to_registry(archives: Sequence[tuple[PackContents, bytes]], folder: Path) -> list[Exchange]:
    index = _index_of(folder)
    packs = {name: list(entries) for name, entries in index.packs.items()}
    done = []
    for contents, data in archives:
        versions = packs.setdefault(contents.id, [])
        before = versions[-1].version if versions else None
        if versions and versions[-1].pack == contents.hash:
            place = str(folder / versions[-1].file)
            done.append(Exchange(contents.id, UNCHANGED, place, version=before, before=before, hash=contents.hash))
            continue
        number = (before or 0) + 1
        name = f"{contents.id}-{number}{SUFFIX}"
        write_whole(folder / name, data)
        card = contents.card
        facts = (card.hardware[:500], f"{card.runtime} {card.version}"[:500], card.date[:500])
        versions.append(Version(number, name, sha256_of(data), len(data), contents.hash, *facts))
        place = str(folder / name)
        done.append(Exchange(contents.id, EXPORTED, place, version=number, before=before, hash=contents.hash))
    if any(item.action == EXPORTED for item in done):
        write_whole(folder / INDEX, json.dumps(Index(packs).to_dict(), indent=1) + "\n")
    return done


def _index_of(folder: Path) -> Index:
    path = folder / INDEX
    try:
        return parse_index(read_limited(path, MAX_INDEX_BYTES), str(path))
    except FileNotFoundError:
        return Index({})


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One exporter at a time (rule 2)."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
