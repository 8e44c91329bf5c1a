"""The files of a pack in memory, checked against their manifest, and the one hash that stands for all of them.

The hash of a pack is the SHA-256 of a line `NAME SHA256` for each of its files, sorted by name. Two packs of one hash
have the same files, whatever they were carried in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnmeter.devices.card import Card
from nnmeter.devices.manifest import MANIFEST, read_manifest, read_verified, verify_files
from nnmeter.devices.pack import read_card, read_settled
from nnmeter.errors import DeviceError
from nnmeter.files import sha256_of
from nnmeter.limits import MAX_PACK_BYTES


@dataclass(frozen=True)
class PackContents:
    """A pack in memory.

    Attributes:
        card: its card.
        hashes: SHA-256 of each file, by name.
        files: their bytes, by name; the manifest is not among them.
    """

    card: Card
    hashes: Mapping[str, str]
    files: Mapping[str, bytes]

    @property
    def id(self) -> str:
        """The id of the pack."""
        return self.card.id

    @property
    def hash(self) -> str:
        """The hash that stands for all files."""
        return hash_of_pack(self.hashes)


def hash_of_pack(hashes: Mapping[str, str]) -> str:
    """The hash of a pack whose files have these hashes, by name."""
    return sha256_of("".join(f"{name} {hashes[name]}\n" for name in sorted(hashes)).encode("utf-8"))


def read_contents(directory: Path) -> PackContents:
    """The pack in `directory`: every file was hashed as it was read, so that what is returned is of one pack.

    Raises:
        DeviceError: it is damaged, or larger than any pack needs to be.
    """

    def read() -> PackContents:
        hashes = read_manifest(directory)
        verify_files(directory, hashes)
        files: dict[str, bytes] = {}
        for name in hashes:
            files[name] = read_verified(directory, name, hashes)
            if sum(map(len, files.values())) > MAX_PACK_BYTES:
                raise DeviceError(f"{directory.name}: has more than {MAX_PACK_BYTES >> 20} MiB; no pack is that large")
        return PackContents(read_card(directory, hashes), hashes, files)

    return read_settled(directory, read)


def installed_hash(directory: Path) -> str:
    """The hash of the pack in `directory` by its manifest; its files are not read."""
    return hash_of_pack(read_settled(directory, lambda: read_manifest(directory)))


def is_pack_directory(path: Path) -> bool:
    """Whether there is a pack, damaged or not."""
    return (path / MANIFEST).is_file()
