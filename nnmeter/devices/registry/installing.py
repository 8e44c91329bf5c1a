"""Adding, updating and removing packs.

1. Packs go to the first folder of NNMETER_PACKS, or to the user's own (`nnmeter.devices.catalog`). Those that ship are
   never touched, and an id that another folder has already is refused.
2. What comes is read into memory, checked there, written beside its place, loaded from there with rules and predictor,
   and renamed: a reader finds the old pack or the new one, and nothing is left of one that was refused.
3. A pack that was changed here since it was added is not overwritten unless the caller says `replace`.
4. An update asks the source that the pack came from, and says what differs before and after. A pack that was added in
   a version of the user's choice (`ID@2`) stays in it.
5. `sha256`, if given, is the hash that the pack must have (`nnmeter.devices.registry.contents`): whoever serves the
   pack serves its hashes as well, so only a hash from elsewhere tells that it is the one meant.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nnmeter.devices.catalog import find_device, packs_by_id, user_place
from nnmeter.devices.pack import DevicePack, check_place, save_files
from nnmeter.devices.registry.changes import compare_packs
from nnmeter.devices.registry.contents import PackContents, installed_hash, is_pack_directory, read_contents
from nnmeter.devices.registry.exchange import (
    ADDED,
    AVAILABLE,
    FAILED,
    REMOVED,
    REPLACED,
    UNCHANGED,
    UPDATED,
    Exchange,
)
from nnmeter.devices.registry.receipts import Receipt, read_receipt, remove_receipt, write_receipt
from nnmeter.devices.registry.sources import (
    REGISTRY,
    FoundVersion,
    Source,
    choose,
    fetch_from_registry,
    fetch_pack,
    newest,
    read_index,
    source_of,
)
from nnmeter.errors import DeviceError


def add_packs(
    source: str, packs: Sequence[str] = (), *, insecure: bool = False, replace: bool = False, sha256: str | None = None
) -> list[Exchange]:
    """Add packs from a folder, an archive or a registry; all of them or, where one is refused, none.

    Args:
        source: path or address.
        packs: which packs of a registry: `ID`, `ID@VERSION`, or patterns with the wildcards of a shell.
        insecure: whether `http` is accepted.
        replace: whether a pack of the same id that is there may be replaced.
        sha256: the hash that the pack must have; for one pack (rule 5).

    Raises:
        DeviceError: one line says which pack, what is wrong and what to do.
    """
    origin = source_of(source, insecure)
    found: list[tuple[FoundVersion, bool]] = []
    if origin.kind == REGISTRY:
        index = read_index(origin)
        for device_id, version in choose(index, packs, source):
            found.append((fetch_from_registry(origin, index, device_id, version), version is not None))
    elif packs:
        raise DeviceError(f"{source}: is one pack and no registry; name no packs of it")
    else:
        found.append((fetch_pack(origin), False))
    if sha256 is not None:
        _check_hash(found, sha256)
    place = user_place()
    for one, _ in found:
        _check_addition(one.contents, place, replace)
    return [_add(one, pinned, origin, place) for one, pinned in found]


def update_packs(ids: Sequence[str] = (), *, only_ask: bool = False, replace: bool = False) -> list[Exchange]:
    """Update packs from where they came from; one that cannot be is told as `failed`, and the others go on.

    Args:
        ids: which packs; without any all that have a receipt.
        only_ask: say what would change, and change nothing.
        replace: whether packs that were changed here may be overwritten (rule 3).

    Raises:
        DeviceError: a pack that is named is not there, or did not come from anywhere.
    """
    place = user_place()
    return [_update_or_say_why(device_id, place, only_ask, replace) for device_id in ids or _with_receipts(place)]


def remove_packs(ids: Sequence[str]) -> list[Exchange]:
    """Remove packs of the user's folder.

    Raises:
        DeviceError: one is not there, or ships with nnmeter; nothing is removed then.
    """
    place = user_place()
    for device_id in ids:
        _own_pack(device_id, place)
    done = []
    for device_id in dict.fromkeys(ids):
        target = place / device_id
        # Renamed first, so that nobody finds half a pack; hidden folders are no packs.
        aside = Path(tempfile.mkdtemp(prefix=f".{device_id}.", dir=place))
        try:
            os.rename(target, aside / device_id)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        remove_receipt(place, device_id)
        done.append(Exchange(device_id, REMOVED, str(target)))
    return done


def _check_hash(found: Sequence[tuple[FoundVersion, bool]], sha256: str) -> None:
    if len(found) != 1:
        raise DeviceError(f"a SHA-256 is of one pack, and {len(found)} are named; name one")
    contents = found[0][0].contents
    if contents.hash != sha256.strip().lower():
        raise DeviceError(f"{contents.id}: has the hash {contents.hash}, not {sha256:.80}; it is not the pack you mean")


def _check_addition(contents: PackContents, place: Path, replace: bool) -> None:
    """Whether a pack can take its place (rules 1 and 3)."""
    target = place / contents.id
    other = packs_by_id().get(contents.id)
    if other is not None and other != target:
        raise DeviceError(f"{contents.id}: is there already, in {other}; two packs of one id are not told apart")
    if is_pack_directory(target) and not replace and installed_hash(target) != contents.hash:
        raise DeviceError(f"{contents.id}: is there already, in {target}, and is another; give --replace")
    check_place(target)
    with tempfile.TemporaryDirectory(prefix="nnmeter-pack-") as work:
        save_files(Path(work) / contents.id, contents.files, _load_all)


def _add(found: FoundVersion, pinned: bool, source: Source, place: Path) -> Exchange:
    contents, target = found.contents, place / found.contents.id
    before = _contents_here(target)
    receipt = _receipt_or_none(place, contents.id)
    facts: dict[str, Any] = {"place": str(target), "source": source.place, "version": found.version}
    facts |= {"before": receipt.version if receipt else None, "hash": contents.hash}
    same = before is not None and before.hash == contents.hash
    if not same:
        save_files(target, contents.files, _load_all)
    write_receipt(place, contents.id, _receipt(source, found, pinned))
    if same:
        return Exchange(contents.id, UNCHANGED, **facts)
    change = None if before is None else compare_packs(before, contents)
    return Exchange(contents.id, ADDED if not before else REPLACED, **facts, change=change)


def _update_or_say_why(device_id: str, place: Path, only_ask: bool, replace: bool) -> Exchange:
    target = _own_pack(device_id, place)
    try:
        receipt = read_receipt(place, device_id)
    except DeviceError as fault:
        return Exchange(device_id, FAILED, str(target), reason=str(fault))
    if receipt is None:
        raise DeviceError(f"{device_id}: was not added from anywhere; add it from its source with --replace")
    try:
        return _update(device_id, target, receipt, only_ask, replace)
    except (DeviceError, OSError) as fault:
        return Exchange(
            device_id, FAILED, str(target), receipt.place, receipt.version, receipt.version, reason=str(fault)
        )


def _update(device_id: str, target: Path, receipt: Receipt, only_ask: bool, replace: bool) -> Exchange:
    facts: dict[str, Any] = {"place": str(target), "source": receipt.place, "before": receipt.version}
    if receipt.pinned:
        reason = f"version {receipt.version} was asked for; add it again without one"
        return Exchange(device_id, UNCHANGED, **facts, version=receipt.version, hash=receipt.pack, reason=reason)
    here = installed_hash(target)
    if receipt.kind == REGISTRY:
        index = read_index(receipt.source)
        entry = newest(index, device_id, receipt.place)
        if entry.pack == here:  # known from the index alone: the archive is not fetched
            return Exchange(device_id, UNCHANGED, **facts, version=entry.version, hash=here)
        found = fetch_from_registry(receipt.source, index, device_id, entry.version)
    else:
        found = fetch_pack(receipt.source)
    contents = found.contents
    if contents.id != device_id:
        raise DeviceError(f"{receipt.place}: holds the pack {contents.id} now; add that, and remove {device_id}")
    facts |= {"version": found.version, "hash": contents.hash}
    if contents.hash == here:
        return Exchange(device_id, UNCHANGED, **facts)
    if here != receipt.pack and not replace:
        raise DeviceError(f"{device_id}: was changed here since it was added; give --replace to overwrite it")
    if receipt.version is not None and found.version is not None and found.version < receipt.version:
        raise DeviceError(f"{receipt.place}: has version {found.version}, older than {receipt.version} that is here")
    before = _contents_here(target)
    change = None if before is None else compare_packs(before, contents)
    if only_ask:
        return Exchange(device_id, AVAILABLE, **facts, change=change)
    save_files(target, contents.files, _load_all)
    write_receipt(target.parent, device_id, _receipt(receipt.source, found, False))
    return Exchange(device_id, UPDATED, **facts, change=change)


def _receipt(source: Source, found: FoundVersion, pinned: bool) -> Receipt:
    return Receipt(source.kind, source.place, source.insecure, found.version, pinned, found.contents.hash)


def _receipt_or_none(place: Path, device_id: str) -> Receipt | None:
    """The receipt of a pack that is about to get another one: a damaged one does not matter."""
    try:
        return read_receipt(place, device_id)
    except DeviceError:
        return None


def _contents_here(target: Path) -> PackContents | None:
    """The pack that is there; None where there is none, or one that is damaged, which is replaced all the same."""
    try:
        return read_contents(target) if is_pack_directory(target) else None
    except DeviceError:
        return None


def _load_all(pack: DevicePack) -> None:
    """Read rules and predictor (rule 2): a pack that cannot be used is not added."""
    _ = pack.rules, pack.predictor


def _own_pack(device_id: str, place: Path) -> Path:
    target = place / device_id
    if os.sep not in device_id and is_pack_directory(target):
        return target
    where = find_device(device_id).path  # says what there is where there is none of that name
    raise DeviceError(f"{device_id}: lies in {where}, not in {place}; only packs of that folder are changed")


def _with_receipts(place: Path) -> Iterator[str]:
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if is_pack_directory(path) and not path.name.startswith(".") and _has_receipt(place, path.name):
            yield path.name


def _has_receipt(place: Path, device_id: str) -> bool:
    try:
        return read_receipt(place, device_id) is not None
    except DeviceError:
        return True  # the update of this pack says what is wrong
