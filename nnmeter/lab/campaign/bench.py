"""What measures the networks of a campaign, one at a time: in this process, or far away.

The campaign (`nnmeter.lab.campaign.campaign`) plans, writes and resumes; a bench builds the network that it is asked
for and times it. `LocalBench` does so in this process; `nnmeter.lab.wire.far_bench` has one that asks a process on
another machine, where a `LocalBench` does the work. Both refuse a network by a `MeasurementError`; where the device
itself is gone they raise `BenchLost`, and the network in hand is nobody's fault.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.joined import joined_networks
from nnmeter.lab.measuring.fingerprint import take_fingerprint
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.memory import LIMIT_BYTES, compiling_bytes, give_back, peak_resident_bytes, resident_bytes
from nnmeter.lab.measuring.protocol import (
    UNIT_MS,
    Stopwatch,
    check_kernels,
    no_garbage_collection,
    profile_kernels,
    summarize,
)
from nnmeter.lab.runtimes.base import CompiledModel, JoinsNetworks, RuntimeAdapter

if TYPE_CHECKING:
    import onnx

PROBES = 250  # about what fits two minutes; beyond, what has not been sampled at all tells more
WARM_UP_RUNS, WARM_UP_MS = (2, 8), 30.0  # rule 2 of the campaign
PROFILED_SECONDS, PROFILED_RUNS = 0.10, (5, 10)
TIMED_SECONDS, TIMED_RUNS = 0.06, (4, 40)


class BenchLost(MeasurementError):
    """The device that measures cannot be reached any more; what was measured is kept."""


class Work(NamedTuple):
    """One network to measure.

    Attributes:
        seed: the campaign's, by which the network is known.
        made_of: seed that makes it, which is another one for a probe.
        recipe: name of its recipe.
        small: whether it is a small one.
    """

    seed: int
    made_of: int
    recipe: str
    small: bool


class Bench(Protocol):
    """Measures one network at a time on one device.

    Attributes:
        has_profiler: whether kernels have times of their own.
    """

    has_profiler: bool

    def fingerprint(self) -> dict[str, Any]:
        """Of the device, the runtime and its settings."""
        ...

    def nominal_ms(self) -> float:
        """Milliseconds of the reference now."""
        ...

    def measure(self, work: Work, nominal_ms: float, sitting: str) -> Measurement:
        """The measurement of a network, in the state in which the reference takes `nominal_ms`.

        Raises:
            BenchLost: the device is gone.
            NnmeterError: the network cannot be measured.
        """
        ...

    def restlessness(self) -> float:
        """Relative spread of the latest reference runs (`Stopwatch.restlessness`)."""
        ...

    def peak_bytes(self) -> int:
        """Largest resident memory of the process that measures."""
        ...

    def tidy(self) -> None:
        """Called between networks, outside of all timing.

        Raises:
            MeasurementError: the process that measures holds more memory than its limit.
        """
        ...

    def close(self) -> None:
        """Ends it."""
        ...


@dataclass(frozen=True, slots=True)
class Recipes:
    """Where a campaign's networks come from.

    Attributes:
        prior: weight of each recipe before anything is known.
        build: makes the network of a seed and recipe, small if the last argument is true.
        probes: seed and recipe of the networks that a campaign begins with (rule 1).
    """

    prior: Mapping[str, float]
    build: Callable[[int, str, bool], onnx.ModelProto]
    probes: Sequence[tuple[int, str]] = ()


class LocalBench:
    """Measures in this process."""

    def __init__(
        self,
        runtime: RuntimeAdapter,
        threads: int,
        recipes: Recipes,
        memory_limit_bytes: int = LIMIT_BYTES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._runtime, self._threads, self._recipes = runtime, threads, recipes
        self._limit_bytes = memory_limit_bytes
        self._stopwatch = Stopwatch(runtime, clock)
        self.has_profiler = runtime.has_profiler
        self._at_once = runtime.networks_at_once if isinstance(runtime, JoinsNetworks) else 1

    def fingerprint(self) -> dict[str, Any]:
        """Of this machine."""
        runtime = self._runtime
        return take_fingerprint(runtime.name, runtime.version(), self._threads, runtime.device_settings(self._threads))

    def nominal_ms(self) -> float:
        """Milliseconds of the reference."""
        return self._stopwatch.nominal_ms()

    def measure(self, work: Work, nominal_ms: float, sitting: str) -> Measurement:
        """One network, by rule 2 of the campaign."""
        with no_garbage_collection():
            return self._measure(work, nominal_ms, sitting)

    def restlessness(self) -> float:
        """Of this machine."""
        return self._stopwatch.restlessness()

    def peak_bytes(self) -> int:
        """Of this process."""
        return peak_resident_bytes()

    def tidy(self) -> None:
        """Keeps the process below its limit."""
        _keep_below(self._limit_bytes)

    def close(self) -> None:
        """Frees the reference."""
        self._stopwatch.close()

    def _measure(self, work: Work, nominal_ms: float, sitting: str) -> Measurement:
        try:
            proto = joined_networks(self._recipes.build, work.made_of, work.recipe, work.small, self._at_once)
        except (ValueError, ArithmeticError, LookupError) as fault:
            raise MeasurementError(f"seed {work.seed}: no network could be built ({fault})") from fault
        _check_memory(proto, self._limit_bytes)
        family = next(
            (entry.value for entry in proto.metadata_props if entry.key == "nnmeter.family"), proto.graph.name
        )
        network = f"{family or 'network'}-{work.seed}"
        seed, stopwatch = work.seed, self._stopwatch
        profiled = self._runtime.has_profiler
        model = self._runtime.compile(proto, self._threads, profiled=profiled, seed=seed)
        del proto
        try:
            check_kernels(model, f"seed {seed}")  # before any time goes into it
            run_ms = _warm_up(model, stopwatch)
            ratios = None
            if profiled:
                ratios = profile_kernels(model, stopwatch, _runs_that_fit(run_ms, PROFILED_SECONDS, PROFILED_RUNS))
                stopwatch.settle(model.run, UNIT_MS)
            pairs = stopwatch.time_for(model.run, TIMED_SECONDS, *TIMED_RUNS)
            return summarize(
                f"block:{network}",
                "block",
                network,
                family,
                model,
                [pairs],
                ratios,
                nominal_ms,
                self._threads,
                sitting,
            )
        finally:
            model.close()


def _warm_up(model: CompiledModel, stopwatch: Stopwatch) -> float:
    """Runs a network until its memory is mapped and its code in the caches (rule 2); milliseconds of the fastest."""
    taken_ms: list[float] = []
    while len(taken_ms) < WARM_UP_RUNS[0] or (len(taken_ms) < WARM_UP_RUNS[1] and sum(taken_ms) < WARM_UP_MS):
        begin = stopwatch.now()
        model.run()
        taken_ms.append((stopwatch.now() - begin) * 1e3)
    return min(taken_ms)


def _runs_that_fit(run_ms: float, seconds: float, limits: tuple[int, int]) -> int:
    return max(limits[0], min(limits[1], int(seconds * 1e3 / max(run_ms, 1e-6))))


def _check_memory(proto: onnx.ModelProto, limit_bytes: int) -> None:
    """Refuses a network that may not fit (rule 7); the network itself is resident already."""
    needed = compiling_bytes(proto)
    if resident_bytes() + needed <= limit_bytes:
        return
    give_back()
    held = resident_bytes()
    if held + needed > limit_bytes:
        raise MeasurementError(
            f"{proto.graph.name}: may take {needed / 1e9:.1f} GB beside the {held / 1e9:.1f} GB in use, "
            f"more than the limit of {limit_bytes / 1e9:.1f} GB; skipped"
        )


def _keep_below(limit_bytes: int) -> None:
    """Gives memory back where half of the limit is in use; ends the campaign where that is of no use (rule 7)."""
    if resident_bytes() < limit_bytes / 2:
        return
    give_back()
    held = resident_bytes()
    if held > limit_bytes:
        raise MeasurementError(
            f"the process holds {held / 1e9:.1f} GB between networks, more than the limit of "
            f"{limit_bytes / 1e9:.1f} GB; go on in a new process with --resume"
        )


def default_recipes() -> Recipes:
    """The recipes that ship, the probes first."""
    from nnmeter.lab.campaign.probes import probes
    from nnmeter.lab.campaign.recipes import PRIOR, random_network

    return Recipes(PRIOR, random_network, probes()[:PROBES])
