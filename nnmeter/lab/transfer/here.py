"""The state that this machine is in now, against the one that a device pack's prices are of.

A shared machine is faster at one time and slower at another, and not all of it alike: in one state of a server
convolutions took 0.75 of their time in another one, and transposes 0.44. What `nnmeter predict --here` does about it:

1. The pack must be of this machine by the verdict of `nnmeter.devices.identity`, with the version of its runtime. On
   another one these times tell how fast *it* is, not how a network's time changes with its state. That is known before
   the runtime is loaded, which a phone's is not here.
2. The networks that every campaign begins with (`nnmeter.lab.campaign.probes`) are measured for `SECONDS`, as a
   campaign measures them, in a process of its own that may crash. The reference kernel runs beside each, and times are
   of the state that the clock showed, as those of a pack are (`nnmeter.lab.training.build`, rule 1).
3. What each family of kernels took now, by what the pack says of it, is its *factor*: the ratio of the two sums over
   all kernels of the family that the pack was trained on. What the profiler adds is taken off
   (`nnmeter.lab.evaluation.kernel_times`).
4. A family of few kernels says little: its factor is drawn, as a logarithm, to that of all kernels, as if `_PRIOR`
   kernels had said so. A family that was not met has that of all.
5. The overhead of a run, which is of no family, goes with the reference, which took a known time while the pack's
   device was measured (`nnmeter.lab.measuring.correction`). With fewer than `LEAST_NETWORKS` networks everything does.

What it brings is measured in docs/machines.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from nnmeter.errors import DeviceError, MeasurementError
from nnmeter.lab.evaluation.kernel_times import unobserved_kernel_ms
from nnmeter.lab.measuring.correction import correct

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.devices.pack import DevicePack
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.prediction.priced_kernel import PricedKernel

SECONDS = 20.0
LEAST_NETWORKS = 10
_PRIOR = 10.0  # rule 4
_RESTLESS = 0.1  # half the distance of the quartiles of the reference's runs, relative to their median
_APART = 0.15  # families that are further from the reference than this are told
_TOLD = 4  # of them


@dataclass(frozen=True, slots=True)
class MachineState:
    """How fast this machine is now.

    Attributes:
        reference_ms: time of the reference kernel now.
        trained_ms: its time in the state that the pack's prices are of.
        restlessness: half the distance of the quartiles of its runs, relative to their median.
        families: what takes a millisecond in the pack's state takes so many now, by kernel family (rules 3 and 4).
        networks: how many networks said so; 0 where only the reference did.
        usual: the same of all kernels together; that of the reference if no network was measured.
    """

    reference_ms: float
    trained_ms: float
    restlessness: float
    families: Mapping[str, float] = field(default_factory=dict)
    networks: int = 0
    usual: float | None = None

    @property
    def factor(self) -> float:
        """What takes a millisecond in the pack's state takes so many now, by the reference alone (rule 5)."""
        return correct(1.0, self.trained_ms, self.reference_ms)

    @property
    def note(self) -> str:
        """The rescaling in a sentence."""
        by = self.usual if self.usual is not None else self.factor
        text = (
            f"rescaled by {by:.3f} to the present state of this machine: its reference kernel takes "
            f"{self.reference_ms:.3f} ms now and took {self.trained_ms:.3f} ms when the pack was measured"
        )
        if self.networks:
            apart = sorted(self.families.items(), key=lambda item: -abs(np.log(item[1] / by)))
            told = [f"{name} by {value:.2f}" for name, value in apart if abs(np.log(value / by)) > _APART][:_TOLD]
            text += f"; {self.networks} networks were measured{', ' + ', '.join(told) if told else ''}"
        if self.restlessness > _RESTLESS:
            text += f", and is restless now, varying by {100 * self.restlessness:.0f} %"
        return text

    def rescale(self, prediction: Prediction) -> Prediction:
        """A prediction of the pack in the present state, with a warning that says what was done."""
        usual = self.factor if self.usual is None else self.usual

        def of_kernel(kernel: PricedKernel) -> float:
            return usual if kernel.price is None else self.families.get(kernel.price.kind.family, usual)

        return prediction.rescaled(self.factor, self.note, of_kernel if self.networks else None)


def present_state(pack: DevicePack, seconds: float = SECONDS) -> MachineState:
    """Measure some networks on this machine, for the device of a pack.

    Args:
        pack: the device pack.
        seconds: how long to measure.

    Raises:
        DeviceError: the pack is of another machine or version, or does not say how long its reference took.
        MeasurementError: the runtime is not installed, or cannot measure anything.
    """
    from nnmeter.devices.identity import SETUP, Verdict, match_this_machine
    from nnmeter.lab.campaign.supervisor import run_supervised_campaign
    from nnmeter.lab.measuring.clock import as_the_clock_said
    from nnmeter.lab.measuring.store import read_measurements
    from nnmeter.lab.runtimes import load_runtime

    match = match_this_machine(pack.card, named=True)
    if match.verdict is Verdict.ANOTHER_MACHINE:
        raise _other_machine(pack, match)
    if pack.card.reference_ms is None:
        raise DeviceError(
            f"{pack.id}: does not say how long the reference kernel took, so --here cannot rescale it; leave --here "
            f"out, or make a pack of this machine with `{SETUP}`"
        )
    check_same_machine(pack, load_runtime(pack.card.runtime).version())
    with tempfile.TemporaryDirectory() as folder:
        done = run_supervised_campaign(folder, pack.card.runtime, pack.card.threads, seconds)
        if not done.networks:
            raise MeasurementError(
                f"--here measured no network in {seconds:.0f} s; let nothing else run on this machine meanwhile"
            )
        rows = as_the_clock_said(read_measurements(folder)[0])
    return state_of(pack, rows, median(row.reference_ms for row in rows), done.restlessness)


def state_of(
    pack: DevicePack, measurements: Iterable[Measurement], reference_ms: float, restlessness: float = 0.0
) -> MachineState:
    """The state in which networks were measured (rules 3 to 5).

    Args:
        pack: the device pack, of the machine that was measured.
        measurements: networks with the times of their kernels.
        reference_ms: the reference, in the state that the times are of.
        restlessness: of its runs.

    Raises:
        DeviceError: the pack does not say how long its reference took.
    """
    if pack.card.reference_ms is None:
        raise DeviceError(f"{pack.id}: does not say how long the reference kernel took; train it anew")
    now: dict[str, float] = {}
    then: dict[str, float] = {}
    count: dict[str, int] = {}
    networks = 0
    for row in measurements:
        kernel_ms = unobserved_kernel_ms(row)
        if kernel_ms is None:
            continue
        networks += 1
        for price, taken_ms in zip(pack.predictor.price_network(row.kernels), map(float, kernel_ms), strict=True):
            if price.source == "trained":
                family = price.kind.family
                now[family] = now.get(family, 0.0) + taken_ms
                then[family] = then.get(family, 0.0) + price.latency_ms
                count[family] = count.get(family, 0) + 1
    alone = MachineState(reference_ms, pack.card.reference_ms, restlessness)
    if networks < LEAST_NETWORKS or not now:
        return alone
    usual = sum(now.values()) / sum(then.values())
    families = {}
    for family, taken_ms in now.items():
        weight = count[family] / (count[family] + _PRIOR)
        families[family] = float((taken_ms / then[family]) ** weight * usual ** (1 - weight))
    return MachineState(reference_ms, pack.card.reference_ms, restlessness, families, networks, usual)


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
    from nnmeter.devices.identity import SETUP, Verdict

    if match.verdict is Verdict.THIS_MACHINE:
        return DeviceError(
            f"{pack.id}: --here compares the reference kernel with that of the pack's measurements, and behind these "
            f"none ran as it does here: {pack.card.fingerprint.get('reference')}; leave --here out, or make a pack "
            f"with `{SETUP}`"
        )
    return DeviceError(
        f"{pack.id}: --here rescales to the state of this machine, and the pack is of {match.words}; leave --here "
        f"out, or make a pack of this machine with `{SETUP}`"
    )
