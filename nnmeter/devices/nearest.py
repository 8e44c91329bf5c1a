"""The device pack that comes nearest to this machine, and what it is to this machine.

Only packs of processors in machines like this one are candidates: a phone, a GPU or another accelerator is never near,
and must be named; so must a device whose times were published. Nearness is judged by the first of these in which packs
differ:

1. the verdict (`nnmeter.devices.identity`): this machine, with other settings, another one;
2. the processor's architecture;
3. its vector instructions: they decide which kernels a runtime has, hence which fusions and speeds;
4. its maker, then its family, then its model: how many numbers lie between them;
5. the runtime is installed here, in the pack's version;
6. one thread before many, a pack that was made here before one that ships, float32 before other types, then the id:
   who has made a pack of this machine is told its times, and not those of another of the same kind.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.devices.card import Card
from nnmeter.devices.catalog import DeviceInfo, is_shipped, list_devices
from nnmeter.devices.identity import MachineMatch, Verdict, match_this_machine
from nnmeter.devices.machine import ISA_LEVELS, Machine, runtime_version, this_machine
from nnmeter.errors import DeviceError

_ORDER = list(Verdict)


def nearest_device(
    devices: Sequence[DeviceInfo] | None = None, machine: Machine | None = None
) -> tuple[DeviceInfo, MachineMatch]:
    """The device pack nearest to `machine`, and what it is to it.

    Args:
        devices: the packs to choose from; all that can be found if not given.
        machine: the machine to come near to; the one that runs this process if not given.

    Raises:
        DeviceError: there is no device pack, or none of a machine like this one.
    """
    known = list_devices() if devices is None else devices
    if not known:
        raise DeviceError("no device pack is installed; reinstall nnmeter or set NNMETER_PACKS to a directory of packs")
    candidates = [device for device in known if is_candidate(device.card)]
    if not candidates:
        raise DeviceError(
            f"no device pack is of a machine like this one; name a device with --device (there are {known[0].id}"
            f"{f' and {len(known) - 1} more' if known[1:] else ''}, see `nnmeter devices`)"
        )
    here = machine or this_machine()
    matches = {device.id: match_this_machine(device.card, here) for device in candidates}
    nearest = min(candidates, key=lambda device: _distance(device, matches[device.id], here))
    return nearest, matches[nearest.id]


def is_candidate(card: Card) -> bool:
    """Whether a device is of the kind of machine that nnmeter runs on, with times that nnmeter took."""
    return card.kind == "cpu" and card.place == "server" and not card.fingerprint.get("published")


def _distance(device: DeviceInfo, match: MachineMatch, machine: Machine) -> tuple[int | bool | str, ...]:
    card = device.card
    there = Machine.of_fingerprint(card.fingerprint)
    version = runtime_version(card.runtime)
    same_vendor = there.vendor == machine.vendor
    return (
        _ORDER.index(match.verdict),
        there.architecture != machine.architecture,
        _isa_distance(there.isa, machine.isa),
        not same_vendor,
        _between(there.family, machine.family) if same_vendor else 0,
        _between(there.model, machine.model) if same_vendor and there.family == machine.family else 0,
        version is None,
        version != card.version,
        card.threads,
        is_shipped(device.path),
        card.precision != "float32",
        card.id,
    )


def _isa_distance(one: str, other: str) -> int:
    order = list(ISA_LEVELS)
    if one not in ISA_LEVELS or other not in ISA_LEVELS:
        return 0 if one == other else len(order)
    return abs(order.index(one) - order.index(other))


def _between(one: str, other: str) -> int:
    """How far two numbers are apart; of what is no number only whether they differ."""
    if one.isdigit() and other.isdigit():
        return abs(int(one) - int(other))
    return 0 if one == other else 1000
