"""Devices of published tables that have no pack, and why: `devices.csv` beside the packs that were made of the others.

Rules:

1. A device is found by words as packs are (`nnmeter.devices.search`): its id has them all, or its chip is the one that
   they name.
2. Words such as npu leave out those whose id names another kind.
3. Those that were told best come first; where too few networks were known to tell, those with most.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmeter.devices.catalog import public_directories
from nnmeter.devices.chips import Chip, plain
from nnmeter.devices.relatives import chip_in
from nnmeter.errors import DeviceError, brief
from nnmeter.files import read_limited

OUTCOMES = "devices.csv"
_MOST_BYTES = 8 << 20  # that which ships has a fifth of a megabyte
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
    """The devices without a pack; none where there is no such list.

    Raises:
        DeviceError: a list is damaged, or cannot be read.
    """
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
        text = read_limited(path, _MOST_BYTES).decode("utf-8")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        lacking = {"device", "networks", "ships", "mape", "reason"}.difference(reader.fieldnames or ())
        if lacking:
            raise ValueError(f"no column {', '.join(sorted(lacking))}")
        return [_device(row) for row in reader if _ships(row) == "no"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error) as fault:
        raise _damaged(path, brief(fault)) from fault


def _ships(row: Mapping[str, str]) -> str:
    if row["ships"] not in ("yes", "no"):
        raise ValueError(f"column 'ships' says {row['ships']!r:.40}")
    return row["ships"]


def _device(row: Mapping[str, str]) -> Unshipped:
    mape = float(row["mape"]) if row["mape"] else None
    found = Unshipped(row["device"], int(row["networks"]), mape, row["reason"])
    if not found.id or not found.reason or not f"{found.id}{found.reason}".isprintable():
        raise ValueError(f"a device {found.id!r:.80} without name or reason")
    if found.networks < 0 or (mape is not None and not 0 <= mape < math.inf):
        raise ValueError(f"{found.networks} networks and a mean error of {mape} % of {found.id:.80}")
    return found


def _damaged(path: Path, reason: str) -> DeviceError:
    return DeviceError(f"{path}: the list of devices without a pack is damaged ({reason}); install nnmeter anew")
