"""Whether a device pack, or a file of measurements, is of this machine: one verdict for all that asks.

There are three: *this machine* (the same core, runtime and version), *this machine with another runtime version or
threads*, and *another machine*. Rules:

1. A core is known by vendor, family, model and instruction sets, never by its name alone: "AMD EPYC" is what Zen 3, 4
   and 5 all call themselves in many clouds. Other vendor, family, model, architecture or widest vector instructions:
   another machine. Of other vector instructions a runtime has other kernels, even where a hypervisor has only hidden
   some of the same core.
2. Names tell models of one core apart that have other clocks and caches, where both name one ("EPYC 7763", "EPYC
   7313"): another machine. So does a clock in the name, where both have one. A hypervisor often shows a name that names
   none ("AMD EPYC", "Intel Xeon Processor @ 2.80GHz"): that agrees with any name of the core.
3. Caches of a core itself (L1, L2) of another size: another machine. The last level decides only where no hypervisor is
   under either, for a hypervisor shows a share of it, or that of a whole socket. How many processors share a cache, and
   how many there are, is what a cloud sells, not what the core is: both are told, neither decides.
4. The stepping is told and does not decide: hypervisors hide it, and it changes no kernel's speed by itself.
5. What neither says cannot differ. What only one says leaves it open, and of an open family or model the verdict is
   another machine: a wrong "this machine" costs more than a wrong "another machine".
6. Phones, GPUs and accelerators are never this machine. Measurements of devices that others published are of the device
   whose name both bear.
7. The same core with another version of the runtime, without the runtime, or with other threads: this machine with
   other settings. Threads count only where both are known: nobody has said how many a predicted model will have.
8. Precision is not part of the verdict; the card and the kernels say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from nnmeter.devices.machine import Machine, runtime_version, this_machine

if TYPE_CHECKING:
    from nnmeter.devices.card import Card

SETUP = "nnmeter setup"  # the command that makes a pack of this machine


class Verdict(Enum):
    """What a pack is to a machine; the value is what JSON says."""

    THIS_MACHINE = "this_machine"
    OTHER_SETTINGS = "this_machine_other_settings"
    ANOTHER_MACHINE = "another_machine"

    @property
    def words(self) -> str:
        """The verdict for people."""
        return _WORDS[self]


_WORDS = {
    Verdict.THIS_MACHINE: "this machine",
    Verdict.OTHER_SETTINGS: "this machine with another runtime version or threads",
    Verdict.ANOTHER_MACHINE: "another machine",
}


@dataclass(frozen=True, slots=True)
class MachineMatch:
    """What a pack is to a machine: the one that runs this process, or the one that measurements are of.

    Attributes:
        verdict: the verdict.
        there: the pack's machine, runtime and threads, in words.
        here: the other machine, in words.
        differences: in what they differ, a phrase each.
        same_reference: whether the reference kernel takes the same time on both but for the state of the machine: core,
            runtime and version are the same, and it ran alike.
        named: whether the user named the pack, so that its own device is what was asked for.
        isa_there, isa_here: widest vector instructions of both, keys of `nnmeter.devices.machine.ISA_LEVELS`, or "".
    """

    verdict: Verdict
    there: str
    here: str
    differences: tuple[str, ...] = ()
    same_reference: bool = False
    named: bool = False
    isa_there: str = ""
    isa_here: str = ""

    @property
    def needs_transfer(self) -> bool:
        """Whether a prediction for *this* machine was asked of the pack of another one."""
        return self.verdict is Verdict.ANOTHER_MACHINE and not self.named

    @property
    def words(self) -> str:
        """The verdict and the differences, in a phrase."""
        return f"{self.verdict.words}{f' ({self.difference})' if self.differences else ''}"

    @property
    def difference(self) -> str:
        """The differences in a phrase."""
        return "; ".join(self.differences)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form of a match with the machine that runs this process."""
        return {
            "verdict": self.verdict.value,
            "pack_machine": self.there,
            "this_machine": self.here,
            "differences": list(self.differences),
            "device_named": self.named,
        }

    def measured_to_dict(self) -> dict[str, Any]:
        """JSON-ready form of a match with the machine that measurements are of."""
        return {
            "verdict": self.verdict.value,
            "pack_machine": self.there,
            "measured_machine": self.here,
            "differences": list(self.differences),
        }


def match_this_machine(
    card: Card, machine: Machine | None = None, named: bool = False, version: str | None = None
) -> MachineMatch:
    """What a pack is to the machine that runs this process.

    Args:
        card: of the pack.
        machine: this machine; read if not given.
        named: whether the user named the pack.
        version: of the pack's runtime here; looked up if not given.
    """
    here = machine or this_machine()
    version = version or runtime_version(card.runtime)
    there = describe_setting(card.fingerprint, card.hardware)
    words = describe_machine(here)
    if card.place != "server" or card.kind != "cpu":
        return MachineMatch(
            Verdict.ANOTHER_MACHINE, there, words, (f"a {card.place} {card.kind.upper()}",), named=named
        )
    own = Machine.of_fingerprint(card.fingerprint)
    if version is None:
        settings = [f"{card.runtime} {card.version} there, not installed here"]
    else:
        settings = [] if version == card.version else [f"{card.runtime} {card.version} there, {version} here"]
    same_reference = not settings and _same_reference(card.fingerprint, {})
    match = _judge(compare_machines(own, here), settings, same_reference, there, words)
    return replace(match, named=named, isa_there=own.isa, isa_here=here.isa)


def match_measurements(card: Card, fingerprint: Mapping[str, Any]) -> MachineMatch:
    """What a pack is to the machine that measurements were taken on.

    Args:
        card: of the pack.
        fingerprint: of the measurements.
    """
    own = card.fingerprint
    there, here = describe_setting(own, card.hardware), describe_setting(fingerprint, "an unknown machine")
    if own.get("device") or fingerprint.get("device"):
        same = own.get("device") == fingerprint.get("device")
        differences = [] if same else [f"{own.get('device') or there} there, {fingerprint.get('device') or here} here"]
        found = Compared(same, tuple(differences))
    else:
        found = compare_machines(Machine.of_fingerprint(own), Machine.of_fingerprint(fingerprint))
    pairs = [
        ("runtime", card.runtime, fingerprint.get("runtime")),
        ("version", card.version, fingerprint.get("runtime_version")),
        ("threads", card.threads, fingerprint.get("threads")),
    ]
    other = {name: f"{name} {a} there, {b} here" for name, a, b in pairs if b is not None and a != b}
    same_reference = not {"runtime", "version"} & set(other) and _same_reference(own, fingerprint)
    return _judge(found, list(other.values()), same_reference, there, here)


def _same_reference(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether the reference kernel ran alike: behind every run, which fingerprints leave unsaid, or as they say.

    One that runs in a program of its own takes another time in the same state, having the caches for itself (384 x 384
    by OpenVINO on a Zen 3 server: 1.34 ms there, 1.73 behind the runs of networks). Imported profiles have none.
    """
    return bool(there.get("reference") == here.get("reference"))


def _judge(found: Compared, settings: list[str], same_reference: bool, there: str, here: str) -> MachineMatch:
    if not found.same:
        verdict = Verdict.ANOTHER_MACHINE
    else:
        verdict = Verdict.OTHER_SETTINGS if settings else Verdict.THIS_MACHINE
    return MachineMatch(verdict, there, here, (*found.differences, *settings), found.same and same_reference)


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether two machines have the same core, and in what they differ."""

    same: bool
    differences: tuple[str, ...]


def compare_machines(there: Machine, here: Machine) -> Compared:
    """Whether two machines have the same core, by rules 1 to 5.

    Differences that decide come first; of other cores nothing is told that follows from that.
    """
    deciding: list[str] = []
    told: list[str] = []
    if there.architecture != here.architecture:
        deciding.append(_differ("architecture", there.architecture, here.architecture))
    elif _core(there) != _core(here):
        whole = there.vendor != here.vendor or not (there.family and here.family)
        deciding.append(f"{_core_words(there, whole)} there, {_core_words(here, whole)} here")
    if there.isa != here.isa:
        deciding.append(_differ("instructions", there.isa, here.isa))
    if there.architecture != here.architecture or _core(there) != _core(here):
        return Compared(False, tuple(deciding))
    if _is_other_name(there, here):
        deciding.append(f"{there.cpu or 'a processor without a name'} there, {here.cpu or 'one without a name'} here")
    virtual = there.virtual is not False or here.virtual is not False
    for name in sorted(set(there.caches) & set(here.caches)):
        if there.caches[name] != here.caches[name]:
            hidden = virtual and name not in ("L1d", "L1i", "L2")
            (told if hidden else deciding).append(f"{name} {_kib(there, name)} there, {_kib(here, name)} here")
    told += [
        f"{name} shared by {there.sharing[name]} there, by {here.sharing[name]} here"
        for name in sorted(set(there.sharing) & set(here.sharing))
        if there.sharing[name] != here.sharing[name]
    ]
    if there.stepping and here.stepping and there.stepping != here.stepping:
        told.append(_differ("stepping", there.stepping, here.stepping))
    if there.cores and here.cores and there.cores != here.cores:
        told.append(f"{there.cores} logical cores there, {here.cores} here")
    return Compared(not deciding, (*deciding, *told))


def _core(machine: Machine) -> tuple[str, str, str]:
    return machine.vendor, machine.family, machine.model


def _core_words(machine: Machine, whole: bool = True) -> str:
    if not machine.family and not machine.model:
        return f"{machine.vendor} of unknown family and model" if machine.vendor else "an unknown core"
    numbers = f"family {machine.family or 'unknown'} model {machine.model or 'unknown'}"
    return f"{machine.vendor} {numbers}".strip() if whole else numbers


def _is_other_name(there: Machine, here: Machine) -> bool:
    """Rule 2; where neither says family nor model, the name is all there is, and must be the same (rule 5)."""
    if there.cpu == here.cpu:
        return not there.cpu and not there.family
    if not (there.family or there.model):
        return True
    clocks = [re.findall(r"@ *([\d.]+) *GHz", machine.cpu, re.IGNORECASE) for machine in (there, here)]
    if all(clocks) and clocks[0] != clocks[1]:
        return True
    return _names_a_model(there.cpu) and _names_a_model(here.cpu)


def _names_a_model(cpu: str) -> bool:
    """Whether a processor's name tells it from others of its core: it has a number of three digits, or is Apple's."""
    plain = re.sub(r"@.*|\b\d+-core\b", "", cpu, flags=re.IGNORECASE)
    return bool(re.search(r"\d{3}", plain)) or cpu.startswith("Apple M")


def _kib(machine: Machine, name: str) -> str:
    size = machine.caches[name]
    return f"{size / 1024:g} MiB" if size >= 1024 and size % 1024 == 0 else f"{size:g} KiB"


def _differ(what: str, there: str, here: str) -> str:
    return f"{what} {there or 'unknown'} there, {here or 'unknown'} here"


def describe_machine(machine: Machine) -> str:
    """A machine in words: `AMD EPYC (AuthenticAMD family 25 model 17, avx512-vnni)`."""
    facts = [_core_words(machine)] if machine.family or machine.model else []
    facts += [machine.isa] if machine.isa else []
    name = machine.cpu or f"an unknown {machine.architecture or 'processor'}"
    return f"{name} ({', '.join(facts)})" if facts else name


def describe_setting(fingerprint: Mapping[str, Any], otherwise: str) -> str:
    """The machine, runtime and threads of a fingerprint, in words; `otherwise` where it names no machine."""
    machine = Machine.of_fingerprint(fingerprint)
    name = describe_machine(machine) if machine.cpu or machine.family else otherwise
    runtime = [str(fingerprint[key]) for key in ("runtime", "runtime_version") if fingerprint.get(key)]
    threads = fingerprint.get("threads")
    words = [f"{threads} thread{'' if threads == 1 else 's'}"] if isinstance(threads, int) else []
    return ", ".join([name, *([" ".join(runtime)] if runtime else []), *words])
