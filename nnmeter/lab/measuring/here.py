"""The state that this machine is in now, against the one that a device pack's prices are of.

A shared machine is faster at one time and slower at another. What `nnmeter predict --here` does about it:

1. The pack must be of this machine by the verdict of `nnmeter.devices.identity`, with the version of its runtime. On
   another one the reference tells how fast *it* is, not how a network's time changes with its state. That is known
   before the runtime is loaded, which a phone's is not here.
2. The reference kernel (`nnmeter.lab.measuring.reference`) runs for a second in the pack's runtime, in the way of the
   protocol; the median counts.
3. It took a known time while the pack's device was measured. Times are brought from that state to the present one as
   measurements are brought from theirs to the nominal one (`nnmeter.lab.measuring.correction`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.errors import DeviceError
from nnmeter.lab.measuring.correction import correct

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.devices.pack import DevicePack
    from nnmeter.lab.runtimes.base import RuntimeAdapter

SECONDS = 1.0
_RESTLESS = 0.1  # half the distance of the quartiles of the reference's runs, relative to their median


@dataclass(frozen=True, slots=True)
class MachineState:
    """How fast this machine is now.

    Attributes:
        reference_ms: time of the reference kernel now.
        trained_ms: its time in the state that the pack's prices are of.
        restlessness: half the distance of the quartiles of its runs, relative to their median.
    """

    reference_ms: float
    trained_ms: float
    restlessness: float

    @property
    def factor(self) -> float:
        """What takes a millisecond in the pack's state takes so many now (rule 3)."""
        return correct(1.0, self.trained_ms, self.reference_ms)

    @property
    def note(self) -> str:
        """The rescaling in a sentence."""
        text = (
            f"rescaled by {self.factor:.3f} to the present state of this machine: its reference kernel takes "
            f"{self.reference_ms:.3f} ms now and took {self.trained_ms:.3f} ms when the pack was measured"
        )
        if self.restlessness > _RESTLESS:
            text += f", and is restless now, varying by {100 * self.restlessness:.0f} %"
        return text


def present_state(pack: DevicePack, runtime: RuntimeAdapter | None = None, seconds: float = SECONDS) -> MachineState:
    """Time the reference kernel on this machine, for the device of a pack.

    Args:
        pack: the device pack.
        runtime: adapter of its runtime; loaded if not given.
        seconds: how long to run the reference.

    Raises:
        DeviceError: the pack is of another machine or version, or does not say how long its reference took.
        MeasurementError: the runtime is not installed.
    """
    from nnmeter.devices.identity import SETUP, Verdict, match_this_machine
    from nnmeter.lab.measuring.protocol import Stopwatch, no_garbage_collection
    from nnmeter.lab.runtimes import load_runtime

    match = match_this_machine(pack.card, named=True)
    if match.verdict is Verdict.ANOTHER_MACHINE:
        raise _other_machine(pack, match)
    trained_ms = pack.card.reference_ms
    if trained_ms is None:
        raise DeviceError(
            f"{pack.id}: does not say how long the reference kernel took, so --here cannot rescale it; leave --here "
            f"out, or make a pack of this machine with `{SETUP}`"
        )
    adapter = runtime or load_runtime(pack.card.runtime)
    check_same_machine(pack, adapter.version())
    with no_garbage_collection():
        stopwatch = Stopwatch(adapter)
        try:
            end = stopwatch.now() + seconds
            runs_ms = [stopwatch.time_reference()]
            while stopwatch.now() < end:
                runs_ms.append(stopwatch.time_reference())
            restlessness = stopwatch.restlessness()
        finally:
            stopwatch.close()
    return MachineState(float(np.median(runs_ms)), trained_ms, restlessness)


def check_same_machine(pack: DevicePack, runtime_version: str) -> None:
    """Refuse a pack that is not of this machine with this version of its runtime (rule 1).

    Raises:
        DeviceError: it is not; the message says in what they differ.
    """
    from nnmeter.devices.identity import match_this_machine

    match = match_this_machine(pack.card, named=True, version=runtime_version)
    if not match.same_reference:
        raise _other_machine(pack, match)


def _other_machine(pack: DevicePack, match: MachineMatch) -> DeviceError:
    from nnmeter.devices.identity import SETUP

    return DeviceError(
        f"{pack.id}: --here rescales to the state of this machine, and the pack is of {match.words}; leave --here "
        f"out, or make a pack of this machine with `{SETUP}`"
    )
