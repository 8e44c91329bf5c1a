"""Devices of published tables that have no pack, and why: `devices.csv` beside the packs that were made of the others.

Rules:

1. A device is found by words as packs are (`nnmeter.devices.search`): its id has them all, or its chip is the one that
   they name.
2. Words such as npu leave out those whose id names another kind.
3. Those that were told best come first; where too few networks were known to tell, those with most.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmeter.devices.catalog import public_directories
from nnmeter.devices.chips import Chip, plain
from nnmeter.devices.relatives import chip_in

OUTCOMES = "devices.csv"
_KINDS = frozenset({"cpu", "gpu", "npu", "vpu", "fpga"})


@dataclass(frozen=True, slots=True)
class Unshipped:
    """A device without a pack.

    Attributes:
        id: its name, with runtime and settings.
        networks: how many it was measured with.
        mape: mean error of networks that were left out, in per cent; None where there were too few to tell.
        reason: why it has no pack.
    """

    id: str
    networks: int
    mape: float | None
    reason: str


def unshipped_devices() -> list[Unshipped]:
    """The devices without a pack; none where the list is missing or is of another version."""
    return [found for place in public_directories() for found in _read(place / OUTCOMES)]


def find_unshipped(
    names: Sequence[str], kinds: Sequence[str], chip: Chip | None, devices: Iterable[Unshipped]
) -> tuple[Unshipped, ...]:
    """Those that words name (rules 1 to 3).

    Args:
        names: words, such as `jetson`, `pixel4`.
        kinds: of the words cpu, gpu, npu, vpu and fpga those that were asked for.
        chip: that the words name, None if none.
        devices: to search.
    """
    if not names:
        return ()
    words = [plain(name) for name in names]
    found = []
    for device in devices:
        parts = _KINDS.intersection(device.id.split("-"))
        if kinds and parts and not parts.intersection(kinds):
            continue
        own = plain(device.id)
        if all(word in own for word in words) or (chip is not None and _same(chip_in(device.id), chip)):
            found.append(device)
    return tuple(sorted(found, key=lambda d: (d.mape is None, d.mape or 0.0, -d.networks, d.id)))


def _same(one: Chip | None, other: Chip) -> bool:
    return one is not None and one.name == other.name


def _read(path: Path) -> list[Unshipped]:
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            return [
                Unshipped(
                    row["device"], int(row["networks"]), float(row["mape"]) if row["mape"] else None, row["reason"]
                )
                for row in csv.DictReader(stream)
                if row["ships"] == "no"
            ]
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
        return []
