"""Where each added pack came from: a receipt a pack, in the folder `.sources` beside the packs.

A receipt is no part of the pack, whose folder holds what its manifest names and nothing else. A pack without one was
made here or copied by hand: it is used like any other, and has nowhere to be updated from.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from nnmeter import files
from nnmeter.devices.registry.index import is_hash
from nnmeter.devices.registry.sources import ARCHIVE, PACK, REGISTRY, Source
from nnmeter.errors import DeviceError

FOLDER = ".sources"
_MOST_BYTES = 1 << 16
_SCHEMA_VERSION = 1
_KINDS = (PACK, ARCHIVE, REGISTRY)


@dataclass(frozen=True)
class Receipt:
    """Where a pack came from, and what it was then.

    Attributes:
        kind: kind of its source.
        place: path or address of its source.
        insecure: whether `http` was accepted for it.
        version: version in the registry; None where it came from none.
        pinned: whether a version was asked for, so that `update` leaves it.
        pack: hash of the pack as it was added.
    """

    kind: str
    place: str
    insecure: bool
    version: int | None
    pinned: bool
    pack: str

    @property
    def source(self) -> Source:
        """The source to ask again."""
        return Source(self.kind, self.place, self.insecure)


def read_receipt(place: Path, device_id: str) -> Receipt | None:
    """The receipt of a pack in a folder of packs; None if there is none.

    Raises:
        DeviceError: it is damaged.
    """
    path = place / FOLDER / f"{device_id}.json"
    try:
        content = files.parse_json(files.read_limited(path, _MOST_BYTES, follow=False))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise DeviceError(f"{path}: cannot be read ({fault!s:.80}); add the pack again with --replace") from None
    names = tuple(Receipt.__dataclass_fields__)
    if not isinstance(content, dict) or content.get("schema_version") != _SCHEMA_VERSION:
        raise DeviceError(f"{path}: is no receipt of this nnmeter; add the pack again with --replace")
    values = {name: content.get(name) for name in names}
    version = values["version"]
    is_whole = (
        values["kind"] in _KINDS
        and isinstance(values["place"], str)
        and isinstance(values["insecure"], bool)
        and isinstance(values["pinned"], bool)
        and (version is None or (isinstance(version, int) and not isinstance(version, bool)))
        and is_hash(values["pack"])
    )
    if not is_whole:
        raise DeviceError(f"{path}: is damaged; add the pack again with --replace")
    return Receipt(**values)  # type: ignore[arg-type]  # each was checked


def write_receipt(place: Path, device_id: str, receipt: Receipt) -> None:
    """Write the receipt of a pack, whole or not at all."""
    folder = place / FOLDER
    folder.mkdir(exist_ok=True)
    content = {"schema_version": _SCHEMA_VERSION, **asdict(receipt)}
    files.write_whole(folder / f"{device_id}.json", json.dumps(content, indent=1) + "\n")


def remove_receipt(place: Path, device_id: str) -> None:
    """Forget where a pack came from."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place / FOLDER / f"{device_id}.json")
    with contextlib.suppress(OSError):  # not empty, or never there
        os.rmdir(place / FOLDER)
