"""The device pack that comes nearest to this machine, and how near that is, in words.

Only packs of processors in machines like this one are candidates: a phone, a GPU or another accelerator is never near,
and must be named. Nearness is judged by the first of these in which packs differ:

1. the processor's architecture;
2. its vector instructions: they decide which kernels a runtime has, hence which fusions and speeds;
3. its maker, then its model;
4. the runtime is installed here, in the pack's version;
5. one thread before many, float32 before other types, then the id: the plainest pack wins a tie.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.devices.card import Card
from nnmeter.devices.catalog import DeviceInfo, list_devices
from nnmeter.devices.machine import ISA_LEVELS, Machine, runtime_version, this_machine
from nnmeter.errors import DeviceError


def nearest_device(
    devices: Sequence[DeviceInfo] | None = None, machine: Machine | None = None
) -> tuple[DeviceInfo, str]:
    """The device pack nearest to `machine`, and in words how near it is.

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
    nearest = min(candidates, key=lambda device: _distance(device.card, here))
    return nearest, explain_nearness(nearest.card, here)


def is_candidate(card: Card) -> bool:
    """Whether a device is of the kind of machine that nnmeter runs on."""
    return card.kind == "cpu" and card.place == "server"


def explain_nearness(card: Card, machine: Machine) -> str:
    """How near a device is to `machine`: `same CPU model (...)`, `same instructions (avx512), other model: ...`."""
    return f"{_compare_processors(card, machine)}; {_compare_runtimes(card)}"


def _compare_processors(card: Card, machine: Machine) -> str:
    there = _machine_of(card)
    if there.architecture != machine.architecture:
        return f"other architecture: {there.architecture or 'unknown'} there, {machine.architecture or 'unknown'} here"
    here_cpu, there_cpu = machine.cpu or "an unknown CPU", there.cpu or card.hardware
    if there.isa != machine.isa:
        there_isa, here_isa = there.isa or "unknown", machine.isa or "unknown"
        return f"other instructions: {there_isa} there ({there_cpu}), {here_isa} here ({here_cpu})"
    if there.cpu == machine.cpu and there.cpu:
        return f"same CPU model ({there.cpu})"
    kind = "other model" if there.vendor == machine.vendor and there.vendor else "other vendor"
    return f"same instructions ({there.isa or 'unknown'}), {kind}: {there_cpu} there, {here_cpu} here"


def _compare_runtimes(card: Card) -> str:
    version = runtime_version(card.runtime)
    if version is None:
        return f"{card.runtime} {card.version} there, not installed here"
    if version == card.version:
        return f"same {card.runtime} {version}"
    return f"{card.runtime} {card.version} there, {version} here"


def _distance(card: Card, machine: Machine) -> tuple[int | bool | str, ...]:
    there = _machine_of(card)
    version = runtime_version(card.runtime)
    return (
        there.architecture != machine.architecture,
        _isa_distance(there.isa, machine.isa),
        there.vendor != machine.vendor,
        there.cpu != machine.cpu,
        version is None,
        version != card.version,
        card.threads,
        card.precision != "float32",
        card.id,
    )


def _isa_distance(one: str, other: str) -> int:
    order = list(ISA_LEVELS)
    if one not in ISA_LEVELS or other not in ISA_LEVELS:
        return 0 if one == other else len(order)
    return abs(order.index(one) - order.index(other))


def _machine_of(card: Card) -> Machine:
    read = {name: str(card.fingerprint.get(name) or "") for name in ("cpu", "vendor", "architecture", "isa")}
    return Machine(**read)
