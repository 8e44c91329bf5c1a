"""The measuring protocol. Its rules are the meaning of every time that nnmeter stores.

1. Reference: a fixed product of matrices (`nnmeter.lab.measuring.reference`), in the same runtime with one thread. Its
   time is the mean of two runs behind one that does not count, which brings its operands back into the caches: directly
   behind a network a run takes 25 to 50 % longer, the more the larger the network is.
2. A unit is as many runs as fit 10 ms, at least one, with the reference before and behind it. *The reference around a
   run* is the mean of the two. Of a model that runs several times in a unit, runs do not count until they have taken
   3 ms behind the reference, which takes the caches (`benchmarks/settling.py`).
3. Corrected latency: the time of a run, times (nominal / reference around it) ^ 0.8
   (`nnmeter.lab.measuring.correction`); then the mean of the middle 60 % of the runs. The nominal time is the median
   of the references of a session, or one that is given, so that several sessions share it.
4. Warm-up: before anything counts, a model runs until the medians of the last two groups of three corrected runs differ
   by less than 3 %, or it has run 30 times or a second and a half.
5. Interleaving: many models stay loaded, and the session makes several passes over all of them, every other pass in
   reverse, so that slow drift meets every model. If they do not fit the memory limit they are measured in groups.
6. A pass over a model is runs of 10 ms, two at least, that do not count, then at least five timed ones, and as many
   more as the given time allows.
7. Kernels: where the runtime has a profiler, every kernel is timed in profiled runs before the passes, in the same
   units, of which the same runs do not count; its time is the mean of the middle 60 % of its corrected times (durations
   are whole microseconds, a median would be too coarse).
8. Recorded: corrected latency; uncorrected minimum, median and 90th percentile; number of runs; and the corrected
   latencies of the even and the odd passes (of the even and odd runs, if there is one pass), whose difference is noise.
9. Python's garbage collector rests while something is timed.
10. After an interrupt (Ctrl-C, SIGTERM), models that were timed in at least one pass count, as if the session had ended
   there.

Seen on a shared 2-core virtual machine whose reference varied by 19 % (standard deviation; 44 models of 3 to 170 ms, 26
interleaved passes of 3 units): between two random halves of the passes the uncorrected medians differ by 7.8 % (median
of the models), ratios to the reference by 1.9 %, with the exponent 0.8 by 1.5 %, and with trimmed means 1.4 %.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.interruption import MeasuringInterrupted
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.memory import resident_bytes
from nnmeter.lab.measuring.reference import reference_model
from nnmeter.lab.runtimes.base import CompiledModel, RuntimeAdapter

Clock = Callable[[], float]
Progress = Callable[[str, int, int], None]
Executed = Callable[[Path, Sequence[Kernel]], None]

WARM_UP_GROUP, WARM_UP_TOLERANCE, WARM_UP_RUNS, WARM_UP_SECONDS = 3, 0.03, 30, 1.5  # rule 4
TIMED_RUNS_PER_PASS = 5  # rule 6
REFERENCE_RUNS = 2  # rule 1
UNIT_MS, SETTLING_MS = 10.0, 3.0  # rule 2
TRIMMED_SHARE = 0.2  # rules 3 and 7, at either end
NOMINAL_RUNS = 200


class Stopwatch:
    """Times runs between runs of the reference (rules 1 to 3). Keep one for a whole session."""

    def __init__(self, runtime: RuntimeAdapter, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._reference = runtime.compile(reference_model(), 1)
        self.reference_runs_ms: list[float] = []
        for _ in range(10):
            self._reference.run()

    def time(self, run: Callable[[], None]) -> tuple[float, float]:
        """Milliseconds of one run, and of the reference around it."""
        before_ms = self.time_reference()
        run_ms = self._time_once(run)
        return run_ms, (before_ms + self.time_reference()) / 2

    def time_reference(self) -> float:
        """Milliseconds of a run of the reference that finds its operands in the caches (rule 1)."""
        self._reference.run()
        elapsed_ms = sum(self._time_once(self._reference.run) for _ in range(REFERENCE_RUNS)) / REFERENCE_RUNS
        self.reference_runs_ms.append(elapsed_ms)
        return elapsed_ms

    def _time_once(self, run: Callable[[], None]) -> float:
        start = self._clock()
        run()
        return (self._clock() - start) * 1e3

    def nominal_ms(self) -> float:
        """Median of the reference so far (rule 3)."""
        while len(self.reference_runs_ms) < NOMINAL_RUNS:
            self.time_reference()
        return float(np.median(self.reference_runs_ms))

    def restlessness(self) -> float:
        """Half the distance of the quartiles of the last reference runs, relative to their median.

        Below 0.05 on a quiet machine; above 0.2 something else is running on it, and ratios mean little.
        """
        if not self.reference_runs_ms:
            return 0.0
        low, middle, high = np.percentile(self.reference_runs_ms[-NOMINAL_RUNS:], [25, 50, 75])
        return float((high - low) / 2 / middle)

    def now(self) -> float:
        """Seconds on the clock that times the runs."""
        return self._clock()

    def warm_up(self, run: Callable[[], None]) -> list[tuple[float, float]]:
        """Runs until the running median settles (rule 4); returns the runs, which do not count."""
        end = self.now() + WARM_UP_SECONDS
        pairs: list[tuple[float, float]] = []
        while len(pairs) < WARM_UP_RUNS and (len(pairs) < TIMED_RUNS_PER_PASS or self.now() < end):
            pairs.append(self.time(run))
            if len(pairs) >= 2 * WARM_UP_GROUP:
                corrected = [correct(run_ms, reference_ms, 1.0) for run_ms, reference_ms in pairs]
                before = float(np.median(corrected[-2 * WARM_UP_GROUP : -WARM_UP_GROUP]))
                last = float(np.median(corrected[-WARM_UP_GROUP:]))
                if abs(last - before) <= WARM_UP_TOLERANCE * before:
                    break
        return pairs

    def settle(self, run: Callable[[], None], least_ms: float) -> float:
        """Runs that do not count, one at least, until they have taken so long; milliseconds of the last one."""
        spent_ms = last_ms = self._time_once(run)
        while spent_ms < least_ms:
            last_ms = self._time_once(run)
            spent_ms += last_ms
        return last_ms

    def time_for(
        self, run: Callable[[], None], seconds: float, least: int, most: int = 1 << 30
    ) -> np.ndarray[Any, Any]:
        """Timed runs for `seconds`, at least `least` and at most `most` (rule 2).

        Returns:
            Milliseconds of each run and of the reference around it, of shape (runs, 2).
        """
        end = self.now() + seconds
        pairs: list[tuple[float, float]] = []
        last_ms = self.settle(run, 0.0)
        before_ms = self.time_reference()
        while len(pairs) < least or (len(pairs) < most and self.now() < end):
            if last_ms < UNIT_MS:
                self.settle(run, SETTLING_MS)
            unit_ms: list[float] = []
            while not unit_ms or (sum(unit_ms) + unit_ms[-1] <= UNIT_MS and len(pairs) + len(unit_ms) < most):
                unit_ms.append(self._time_once(run))
            last_ms = unit_ms[-1]
            after_ms = self.time_reference()
            pairs += [(run_ms, (before_ms + after_ms) / 2) for run_ms in unit_ms]
            before_ms = after_ms
        return np.array(pairs)

    def close(self) -> None:
        """Frees the reference."""
        self._reference.close()


@dataclass
class _Live:
    """A loaded model with what was seen of it so far."""

    path: Path
    family: str
    model: CompiledModel

    kernel_ratios: np.ndarray[Any, Any] | None = None
    passes: list[np.ndarray[Any, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the network."""
        return self.path.stem


def measure_models(
    models: Iterable[str | os.PathLike[str]],
    runtime: RuntimeAdapter,
    threads: int = 1,
    passes: int = 6,
    seconds_per_pass: float = 0.4,
    *,
    families: Mapping[str, str] | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    profile_runs: int = 8,
    reference_ms: float | None = None,
    memory_limit_bytes: int = 6 << 30,
    sitting: str = "",
    progress: Progress | None = None,
    refused: Callable[[str, NnmeterError], None] | None = None,
    executed: Executed | None = None,
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """Measures whole models by the protocol.

    Args:
        models: paths of model files; weights may be absent.
        runtime: the adapter that runs them.
        threads: threads that execute one model.
        passes: passes over all models (rule 5).
        seconds_per_pass: time for one model in one pass (rule 6).
        families: family of a model by its file name (with `.onnx`); a model that is not in it has "".
        dims: sizes of named free dimensions, the same for all models.
        shapes: shapes of inputs with free dimensions, by input name.
        profile_runs: profiled runs of each model (rule 7); 0 for none.
        reference_ms: nominal time of the reference; the session's own median if None.
        memory_limit_bytes: resident size of this process at which no more models are loaded into a group.
        sitting: name of the session; date and time if empty.
        progress: called with a line of text, steps done and steps in all.
        refused: called with path and reason for a model that cannot be run, which is then left out; without it the
            error is raised.
        executed: called with the path and the kernels of each measurement, in their order: a measurement itself has
            only the signatures of its kernels, and not their names.
        clock: seconds, ever growing.

    Returns:
        One measurement of granularity `model` for each model, in the order given.

    Raises:
        ModelError: a model cannot be read.
        MeasurementError: the runtime refuses a model.
        MeasuringInterrupted: Ctrl-C; it has the measurements until then (rule 10).
    """
    paths = [Path(path) for path in models]
    sitting = sitting or time.strftime("%Y-%m-%dT%H:%M:%S")
    tell = progress or (lambda *_: None)
    total = len(paths) * (1 + passes)
    done = 0
    stopwatch = Stopwatch(runtime, clock)
    finished: list[_Live] = []
    pending = list(paths)
    interrupted = False
    with no_garbage_collection():
        while pending and not interrupted:
            group: list[_Live] = []
            try:
                while pending and (not group or resident_bytes() < memory_limit_bytes):
                    path = pending.pop(0)
                    done += 1
                    tell(f"load {path.stem}", done, total)
                    try:
                        model = runtime.compile(
                            path, threads, dims=dims, shapes=shapes, profiled=profile_runs > 0 and runtime.has_profiler
                        )
                        live = _Live(path, (families or {}).get(path.name, ""), model)
                        check_kernels(model, path.stem)
                        stopwatch.warm_up(model.run)
                        if profile_runs > 0 and runtime.has_profiler:
                            live.kernel_ratios = profile_kernels(model, stopwatch, profile_runs)
                        group.append(live)
                    except NnmeterError as fault:
                        if refused is None:
                            raise
                        refused(str(path), fault)
                        done += passes
                for number in range(passes):
                    for live in group if number % 2 == 0 else reversed(group):
                        done += 1
                        tell(f"pass {number + 1} of {passes}: {live.name}", done, total)
                        live.model.run()  # and another, as `time_for` begins
                        stopwatch.settle(live.model.run, UNIT_MS)
                        live.passes.append(stopwatch.time_for(live.model.run, seconds_per_pass, TIMED_RUNS_PER_PASS))
            except KeyboardInterrupt:
                interrupted = True
            timed = [live for live in group if live.passes]
            for live in timed:
                _ = live.model.kernels  # known before the session goes
            finished += timed
            for live in group:
                live.model.close()
            gc.collect()
    nominal_ms = reference_ms or stopwatch.nominal_ms()
    stopwatch.close()
    found = [
        summarize(
            f"model:{live.name}",
            "model",
            live.name,
            live.family,
            live.model,
            live.passes,
            live.kernel_ratios,
            nominal_ms,
            threads,
            sitting,
        )
        for live in finished
    ]
    if executed is not None:
        for live in finished:
            executed(live.path, live.model.kernels)
    if interrupted:
        raise MeasuringInterrupted(found)
    return found


def check_kernels(model: CompiledModel, name: str) -> None:
    """Refuses a model of which nothing is left to time, and closes it.

    Raises:
        MeasurementError: the runtime executes no kernel of it.
    """
    if not model.kernels:
        model.close()
        raise MeasurementError(
            f"{name}: the runtime executes no kernel of it, so there is no time to measure; leave it out"
        )


def profile_kernels(model: CompiledModel, stopwatch: Stopwatch, runs: int) -> np.ndarray[Any, Any]:
    """Corrected times of every kernel in profiled runs (rule 7), per millisecond of the reference's nominal time.

    Returns:
        Of shape (runs, kernels): the time that `correct` makes of each, for a nominal time of 1 ms.
    """
    unit, counts = _units(stopwatch.settle(model.run, 0.0), runs)
    references_ms = [stopwatch.time_reference()]
    done = 0

    def after_each() -> None:
        nonlocal done
        done += 1
        if done == len(unit) or unit[done] != unit[done - 1]:  # the unit's last run
            references_ms.append(stopwatch.time_reference())

    times_ms = model.profile(len(unit), after_each)[counts]
    behind = np.array(references_ms)
    around_ms = ((behind[:-1] + behind[1:]) / 2)[unit[counts]]
    return np.asarray(correct(times_ms, around_ms[:, None], 1.0))


def _units(run_ms: float, runs: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Number of each run's unit, and whether it counts, so that so many do (rule 2) [all runs]."""
    if run_ms >= UNIT_MS:
        return np.arange(runs), np.ones(runs, bool)
    settling, counting = math.ceil(SETTLING_MS / max(run_ms, 1e-3)), int(UNIT_MS / max(run_ms, 1e-3))
    unit: list[int] = []
    counts: list[bool] = []
    while sum(counts) < runs:
        counted = min(counting, runs - sum(counts))
        unit += [unit[-1] + 1 if unit else 0] * (settling + counted)
        counts += [False] * settling + [True] * counted
    return np.array(unit), np.array(counts)


def trimmed_mean(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean over the first axis of the middle of the values (rules 3 and 7)."""
    cut = int(len(values) * TRIMMED_SHARE)
    return np.asarray(np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0))


def relative_spread(kernel_runs: np.ndarray[Any, Any]) -> tuple[float, ...]:
    """Half the distance of the quartiles of each kernel's times, relative to its time.

    Args:
        kernel_runs: of shape (runs, kernels).

    Returns:
        NaN for a kernel that takes no time: it is shorter than what the profiler tells apart.
    """
    means = trimmed_mean(kernel_runs)
    low, high = np.percentile(kernel_runs, [25, 75], axis=0)
    relative = np.divide((high - low) / 2, means, out=np.full_like(means, np.nan), where=means > 0)
    return tuple(map(float, np.round(relative, 4)))


def summarize(
    identifier: str,
    granularity: str,
    network: str,
    family: str,
    model: CompiledModel,
    passes: Sequence[np.ndarray[Any, Any]],
    kernel_ratios: np.ndarray[Any, Any] | None,
    nominal_ms: float,
    threads: int,
    sitting: str,
) -> Measurement:
    """The measurement that timed runs amount to (rules 3, 7, 8).

    Args:
        identifier: id of the measurement.
        granularity: `block` or `model`.
        network: name of the network.
        family: its family.
        model: what was run.
        passes: for each pass milliseconds of each run and of the reference around it, of shape (runs, 2).
        kernel_ratios: of shape (runs, kernels), from `profile_kernels`; None without a profiler.
        nominal_ms: nominal time of the reference.
        threads: threads that executed it.
        sitting: name of the session.
    """
    pairs = np.concatenate(passes)
    corrected = [correct(p[:, 0], p[:, 1], nominal_ms) for p in passes]
    if len(passes) > 1:
        halves = [np.concatenate(corrected[first::2]) for first in (0, 1)]
    else:
        halves = [corrected[0][::2], corrected[0][1::2] if len(pairs) > 1 else corrected[0]]
    kernel_ms: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    if kernel_ratios is not None:
        kernel_ms = tuple(map(float, correct(trimmed_mean(kernel_ratios), 1.0, nominal_ms)))
        spread = relative_spread(kernel_ratios)
    return Measurement(
        id=identifier,
        granularity=granularity,
        network=network,
        family=family,
        kernels=tuple(kernel.signature for kernel in model.kernels),
        latency_ms=float(trimmed_mean(np.concatenate(corrected))),
        min_ms=float(pairs[:, 0].min()),
        median_ms=float(np.median(pairs[:, 0])),
        p90_ms=float(np.percentile(pairs[:, 0], 90)),
        runs=len(pairs),
        reference_ms=nominal_ms,
        half_ms=(float(trimmed_mean(halves[0])), float(trimmed_mean(halves[1]))),
        threads=threads,
        batch=model.batch,
        sitting=sitting,
        kernel_ms=kernel_ms,
        kernel_spread=spread,
        kernel_runs=0 if kernel_ratios is None else len(kernel_ratios),
    )


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keeps Python's garbage collector from running inside of a timed run (rule 9)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
