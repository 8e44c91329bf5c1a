"""The measuring protocol. Its rules are the meaning of every time that nnmeter stores.

1. Reference: every timed run is followed at once by a run of the reference kernel (`nnmeter.profiling.reference`), in
   the same runtime with one thread. A run's *ratio* is its time over the reference's.
2. Corrected latency: the median of a model's ratios, times the reference's nominal time. The nominal time is the median
   of all reference runs of a sitting, or one that is given, so that several sittings share it.
3. Warm-up: before anything counts, a model runs until the medians of the last two groups of three ratios differ by
   less than 3 %, or it has run 30 times or a second and a half.
4. Interleaving: many models stay loaded, and the sitting makes several passes over all of them, every other pass in
   reverse, so that slow drift meets every model. If they do not fit the memory limit they are measured in groups.
5. A pass over a model is two runs that do not count, then at least five timed ones, and as many more as the given time
   allows.
6. Kernels: where the runtime has a profiler, every kernel's ratios come from profiled runs before the passes; its time
   is the mean of the middle 60 % of them (durations are whole microseconds, a median would be too coarse) times the
   nominal time.
7. Recorded: corrected median; uncorrected minimum, median and 90th percentile; number of runs; and the corrected
   medians of the even and the odd passes (of the even and odd runs, if there is one pass), whose difference is noise.
8. Python's garbage collector rests while something is timed.

Seen on a shared 2-core virtual machine under load (12 models, 6 passes of 0.35 s): raw medians of the two halves
differed by 5.2 % (median of the models), ratios to the reference that follows by 0.6 %, ratios to the mean of the
references before and after by 2.8 %.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.errors import NnmeterError
from nnmeter.profiling.measurement import Measurement
from nnmeter.profiling.reference import reference_model
from nnmeter.runtimes.base import CompiledModel, RuntimeAdapter

Clock = Callable[[], float]
Progress = Callable[[str, int, int], None]

WARM_UP_GROUP, WARM_UP_TOLERANCE, WARM_UP_RUNS, WARM_UP_SECONDS = 3, 0.03, 30, 1.5  # rule 3
COLD_RUNS_PER_PASS, TIMED_RUNS_PER_PASS = 2, 5  # rule 5
TRIMMED_SHARE = 0.2  # rule 6, at either end
NOMINAL_RUNS = 200


class Stopwatch:
    """Times runs, each followed by the reference (rule 1). Keep one for a whole sitting."""

    def __init__(self, runtime: RuntimeAdapter, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._reference = runtime.compile(reference_model(), 1)
        self.reference_runs_ms: list[float] = []
        for _ in range(10):
            self._reference.run()

    def time(self, run: Callable[[], None]) -> tuple[float, float]:
        """Milliseconds of one run, and of the reference run behind it."""
        start = self._clock()
        run()
        end = self._clock()
        return (end - start) * 1e3, self.time_reference()

    def time_reference(self) -> float:
        """Milliseconds of one run of the reference."""
        start = self._clock()
        self._reference.run()
        elapsed_ms = (self._clock() - start) * 1e3
        self.reference_runs_ms.append(elapsed_ms)
        return elapsed_ms

    def nominal_ms(self) -> float:
        """Median of all reference runs so far (rule 2)."""
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
        """Runs until the running median settles (rule 3); returns the runs, which do not count."""
        end = self.now() + WARM_UP_SECONDS
        pairs: list[tuple[float, float]] = []
        while len(pairs) < WARM_UP_RUNS and (len(pairs) < TIMED_RUNS_PER_PASS or self.now() < end):
            pairs.append(self.time(run))
            if len(pairs) >= 2 * WARM_UP_GROUP:
                ratios = [time_ms / reference_ms for time_ms, reference_ms in pairs]
                before = float(np.median(ratios[-2 * WARM_UP_GROUP : -WARM_UP_GROUP]))
                last = float(np.median(ratios[-WARM_UP_GROUP:]))
                if abs(last - before) <= WARM_UP_TOLERANCE * before:
                    break
        return pairs

    def time_for(
        self, run: Callable[[], None], seconds: float, least: int, most: int = 1 << 30
    ) -> np.ndarray[Any, Any]:
        """Timed runs for `seconds`, at least `least` and at most `most`: pairs of milliseconds, of shape (runs, 2)."""
        end = self.now() + seconds
        pairs: list[tuple[float, float]] = []
        while len(pairs) < least or (len(pairs) < most and self.now() < end):
            pairs.append(self.time(run))
        return np.array(pairs)

    def close(self) -> None:
        """Frees the reference."""
        self._reference.close()


@dataclass
class _Live:
    """A loaded model with what was seen of it so far."""

    name: str
    family: str
    model: CompiledModel
    kernel_ratios: np.ndarray[Any, Any] | None = None
    passes: list[np.ndarray[Any, Any]] = field(default_factory=list)


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
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """Measures whole models by the protocol.

    Args:
        models: paths of model files; weights may be absent.
        runtime: the adapter that runs them.
        threads: threads that execute one model.
        passes: passes over all models (rule 4).
        seconds_per_pass: time for one model in one pass (rule 5).
        families: family of a model by its file name (with `.onnx`); a model that is not in it has "".
        dims: sizes of named free dimensions, the same for all models.
        shapes: shapes of inputs with free dimensions, by input name.
        profile_runs: profiled runs of each model (rule 6); 0 for none.
        reference_ms: nominal time of the reference; the sitting's own median if None.
        memory_limit_bytes: resident size of this process at which no more models are loaded into a group.
        sitting: name of the sitting; date and time if empty.
        progress: called with a line of text, steps done and steps in all.
        refused: called with path and reason for a model that cannot be run, which is then left out; without it the
            error is raised.
        clock: seconds, ever growing.

    Returns:
        One measurement of granularity `model` for each model, in the order given.

    Raises:
        ModelError: a model cannot be read.
        MeasurementError: the runtime refuses a model.
    """
    paths = [Path(path) for path in models]
    sitting = sitting or time.strftime("%Y-%m-%dT%H:%M:%S")
    tell = progress or (lambda *_: None)
    total = len(paths) * (1 + passes)
    done = 0
    stopwatch = Stopwatch(runtime, clock)
    finished: list[_Live] = []
    pending = list(paths)
    with no_garbage_collection():
        while pending:
            group: list[_Live] = []
            while pending and (not group or resident_bytes() < memory_limit_bytes):
                path = pending.pop(0)
                done += 1
                tell(f"load {path.stem}", done, total)
                try:
                    model = runtime.compile(
                        path, threads, dims=dims, shapes=shapes, profiled=profile_runs > 0 and runtime.has_profiler
                    )
                    live = _Live(path.stem, (families or {}).get(path.name, ""), model)
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
                    for _ in range(COLD_RUNS_PER_PASS):
                        stopwatch.time(live.model.run)
                    live.passes.append(stopwatch.time_for(live.model.run, seconds_per_pass, TIMED_RUNS_PER_PASS))
            for live in group:
                _ = live.model.kernels  # known before the session goes
                finished.append(live)
            for live in group:
                live.model.close()
            gc.collect()
    nominal_ms = reference_ms or stopwatch.nominal_ms()
    stopwatch.close()
    return [
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


def profile_kernels(model: CompiledModel, stopwatch: Stopwatch, runs: int) -> np.ndarray[Any, Any]:
    """Ratios of every kernel in profiled runs (rule 6), of shape (runs, kernels)."""
    references: list[float] = []
    times_ms = model.profile(runs, lambda: references.append(stopwatch.time_reference()))
    return times_ms / np.array(references)[:, None]


def trimmed_mean(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean over the first axis of the middle of the values (rule 6)."""
    cut = int(len(values) * TRIMMED_SHARE)
    return np.asarray(np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0))


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
    """The measurement that timed runs amount to (rules 2, 6, 7).

    Args:
        identifier: id of the measurement.
        granularity: `block` or `model`.
        network: name of the network.
        family: its family.
        model: what was run.
        passes: for each pass pairs of run and reference milliseconds, of shape (runs, 2).
        kernel_ratios: of shape (runs, kernels), from `profile_kernels`; None without a profiler.
        nominal_ms: nominal time of the reference.
        threads: threads that executed it.
        sitting: name of the sitting.
    """
    pairs = np.concatenate(passes)
    ratios = pairs[:, 0] / pairs[:, 1]
    if len(passes) > 1:
        halves = [np.concatenate([p[:, 0] / p[:, 1] for p in passes[first::2]]) for first in (0, 1)]
    else:
        halves = [ratios[::2], ratios[1::2] if len(ratios) > 1 else ratios]
    kernel_ms: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    if kernel_ratios is not None:
        means = trimmed_mean(kernel_ratios)
        low, high = np.percentile(kernel_ratios, [25, 75], axis=0)
        kernel_ms = tuple(map(float, means * nominal_ms))
        spread = tuple(map(float, np.round((high - low) / 2 / means, 4)))
    return Measurement(
        id=identifier,
        granularity=granularity,
        network=network,
        family=family,
        kernels=tuple(kernel.signature for kernel in model.kernels),
        latency_ms=float(np.median(ratios)) * nominal_ms,
        min_ms=float(pairs[:, 0].min()),
        median_ms=float(np.median(pairs[:, 0])),
        p90_ms=float(np.percentile(pairs[:, 0], 90)),
        runs=len(pairs),
        reference_ms=nominal_ms,
        half_ms=(float(np.median(halves[0])) * nominal_ms, float(np.median(halves[1])) * nominal_ms),
        threads=threads,
        batch=model.batch,
        sitting=sitting,
        kernel_ms=kernel_ms,
        kernel_spread=spread,
        kernel_runs=0 if kernel_ratios is None else len(kernel_ratios),
    )


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keeps Python's garbage collector from running inside of a timed run (rule 8)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
