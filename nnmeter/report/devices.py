"""Device packs: what the renderers of a list of packs and of one pack share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from nnmeter.devices.catalog import DeviceInfo
from nnmeter.devices.identity import MachineMatch
from nnmeter.errors import DeviceError, NnmeterError

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class DeviceList:
    """The packs that can be found.

    Attributes:
        devices: in the order in which they are listed.
        nearest: id of the pack of the machine that is nearest to this one; None if none is of a machine like it.
        machines: what each is to this machine, by id.
    """

    devices: Sequence[DeviceInfo]
    nearest: str | None = None
    machines: Mapping[str, MachineMatch] = field(default_factory=dict)


@contextmanager
def checked_scorecard(device: str) -> Iterator[None]:
    """What is no scorecard in `scorecard.json` is a fault of the pack; only here it is looked at in depth."""
    try:
        yield
    except NnmeterError:
        raise
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise DeviceError(
            f"{device}/scorecard.json: is no scorecard ({fault!r:.100}); evaluate the pack anew, or restore it"
        ) from fault
