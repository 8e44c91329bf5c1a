"""The profiling campaign: random networks, each measured whole and kernel by kernel, until the time is used up.

1. Networks come from `nnmeter.profiling.blocks.random_network`, one a seed, seeds counting up; so a campaign is known
   by its first seed, and going on with it means going on counting.
2. A network is compiled once. Its first runs are profiled (protocol, rule 6), as many as fit the time for it, then the
   profiler ends and the same session is timed whole (rules 1, 2, 7). Both share the nominal time of the reference,
   which the campaign fixes when it starts.
3. A block of networks is written as one part file, whole or not at all. A campaign that is killed loses at most the
   block in hand; what it lost is measured again on resuming.
4. A network that cannot be built, compiled or matched is skipped, and its seed and reason are appended to
   `refused.jsonl`. The seed in hand is noted in `in_hand` while it runs: if the process dies with it, resuming skips
   it as `died`.
5. A campaign is resumed only on the device that it began on.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.files import write_whole
from nnmeter.profiling.fingerprint import identity, take_fingerprint
from nnmeter.profiling.measurement import Measurement
from nnmeter.profiling.protocol import Stopwatch, no_garbage_collection, profile_kernels, summarize
from nnmeter.profiling.store import next_seed, part_files, part_path, write_measurements
from nnmeter.runtimes.base import RuntimeAdapter

if TYPE_CHECKING:
    import onnx

STATE_FILE, REFUSED_FILE, IN_HAND_FILE = "campaign.json", "refused.jsonl", "in_hand"
BLOCK_NETWORKS, BLOCK_SECONDS = 100, 60.0
WARM_UP_RUNS = 2
PROFILED_SECONDS, PROFILED_RUNS = 0.15, (5, 12)
TIMED_SECONDS, TIMED_RUNS = 0.10, (5, 15)


@dataclass(frozen=True, slots=True)
class CampaignProgress:
    """How far a campaign is: what this call measured, the network that it measured last, and how quiet the machine is.

    `restlessness` is the relative spread of the latest reference runs (`Stopwatch.restlessness`).
    """

    networks: int
    kernels: int
    refused: int
    elapsed_s: float
    budget_s: float
    network: str
    restlessness: float = 0.0

    @property
    def kernels_per_s(self) -> float:
        """Kernel samples a second."""
        return self.kernels / self.elapsed_s if self.elapsed_s else 0.0


@dataclass(slots=True)
class _Setting:
    """What every network of a campaign is measured with."""

    runtime: RuntimeAdapter
    stopwatch: Stopwatch
    threads: int
    nominal_ms: float
    sitting: str


def run_campaign(
    out_dir: str | os.PathLike[str],
    runtime: RuntimeAdapter,
    threads: int = 1,
    budget_s: float = 600.0,
    seed: int = 0,
    progress: Callable[[CampaignProgress], None] | None = None,
    resume: bool = True,
    *,
    network_of: Callable[[int], onnx.ModelProto] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> CampaignProgress:
    """Measures random networks into `out_dir` until `budget_s` seconds have passed; the last network is finished.

    Args:
        out_dir: directory for part files, log and state; made if absent.
        runtime: the adapter to measure.
        threads: threads that execute one network.
        budget_s: seconds for this call, preparation included.
        seed: first seed of a new campaign; one that is resumed goes on with its own.
        progress: called after every network.
        resume: go on with a campaign that is in `out_dir`; otherwise the directory must hold none.
        network_of: makes the network of a seed; `nnmeter.profiling.blocks.random_network` if None.
        clock: seconds, ever growing.

    Returns:
        What this call did.

    Raises:
        MeasurementError: the directory holds a campaign and `resume` is false, or one of another device.
    """
    started = clock()
    build = network_of or _default_network_of()
    place = Path(out_dir)
    place.mkdir(parents=True, exist_ok=True)
    stopwatch = Stopwatch(runtime, clock)
    state = _open_state(place, runtime, threads, seed, resume, stopwatch)
    sitting = time.strftime("%Y-%m-%dT%H:%M:%S")
    setting = _Setting(runtime, stopwatch, threads, state["fingerprint"]["reference_ms"], sitting)
    skipped = _refused_seeds(place)
    first = current = next_seed(place, state["seed"])
    block: list[Measurement] = []
    block_started = started
    networks = kernels = refused = 0
    latest = CampaignProgress(0, 0, 0, 0.0, budget_s, "")
    try:
        while clock() - started < budget_s:
            name = str(current)
            if current not in skipped:
                write_whole(place / IN_HAND_FILE, str(current))
                try:
                    with no_garbage_collection():
                        measurement = _measure_network(build, current, setting)
                    block.append(measurement)
                    networks += 1
                    kernels += len(measurement.kernels)
                    name = measurement.network
                except NnmeterError as fault:
                    refused += 1
                    _log_refused(place, current, str(fault))
            current += 1
            latest = CampaignProgress(
                networks, kernels, refused, clock() - started, budget_s, name, stopwatch.restlessness()
            )
            if progress:
                progress(latest)
            if len(block) >= BLOCK_NETWORKS or clock() - block_started >= BLOCK_SECONDS:
                _write_block(place, first, current, block, state["fingerprint"])
                first, block, block_started = current, [], clock()
    finally:
        # Also on KeyboardInterrupt: what is measured is kept.
        _write_block(place, first, current, block, state["fingerprint"])
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place / IN_HAND_FILE)
        stopwatch.close()
    return latest


def _measure_network(build: Callable[[int], onnx.ModelProto], seed: int, setting: _Setting) -> Measurement:
    """One network, by rule 2."""
    try:
        proto = build(seed)
    except (ValueError, ArithmeticError, LookupError) as fault:
        raise MeasurementError(f"seed {seed}: no network could be built ({fault})") from fault
    family = next((entry.value for entry in proto.metadata_props if entry.key == "nnmeter.family"), proto.graph.name)
    network = f"{family or 'network'}-{seed}"
    stopwatch = setting.stopwatch
    profiled = setting.runtime.has_profiler
    model = setting.runtime.compile(proto, setting.threads, profiled=profiled, seed=seed)
    del proto
    try:
        _ = model.kernels  # a graph that cannot be read is refused before any time goes into it
        warm = [sum(stopwatch.time(model.run)) for _ in range(WARM_UP_RUNS)]
        ratios = None
        if profiled:
            ratios = profile_kernels(model, stopwatch, _runs_that_fit(min(warm), PROFILED_SECONDS, PROFILED_RUNS))
            model.run()
        pairs = stopwatch.time_for(model.run, TIMED_SECONDS, *TIMED_RUNS)
        return summarize(
            f"block:{network}",
            "block",
            network,
            family,
            model,
            [pairs],
            ratios,
            setting.nominal_ms,
            setting.threads,
            setting.sitting,
        )
    finally:
        model.close()


def _runs_that_fit(run_ms: float, seconds: float, limits: tuple[int, int]) -> int:
    return max(limits[0], min(limits[1], int(seconds * 1e3 / max(run_ms, 1e-6))))


def _open_state(
    place: Path, runtime: RuntimeAdapter, threads: int, seed: int, resume: bool, stopwatch: Stopwatch
) -> dict[str, Any]:
    """The state of the campaign in a directory: its first seed, and the fingerprint with the nominal reference time."""
    path = place / STATE_FILE
    fingerprint = take_fingerprint(runtime.name, runtime.version(), threads, runtime.device_settings(threads))
    if path.exists() or part_files(place):
        if not resume:
            raise MeasurementError(f"{place}: holds a campaign already; give another directory, or resume it")
        state = _read_state(path)
        if identity(state["fingerprint"]) != identity(fingerprint):
            raise MeasurementError(f"{place}: its campaign was measured on another device; give another directory")
        _skip_seed_in_hand(place)
        return state
    fingerprint["reference_ms"] = stopwatch.nominal_ms()
    state = {"schema_version": 1, "seed": seed, "fingerprint": fingerprint}
    write_whole(path, json.dumps(state, indent=2) + "\n")
    return state


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["schema_version"] != 1:
            raise MeasurementError(f"{path}: schema {state['schema_version']}, this version reads 1; update nnmeter")
        if not isinstance(state["seed"], int) or not state["fingerprint"]["reference_ms"] > 0:
            raise ValueError("seed or reference_ms")
    except (OSError, ValueError, KeyError, TypeError) as fault:
        if isinstance(fault, MeasurementError):
            raise
        raise MeasurementError(
            f"{path}: missing or damaged ({fault}); restore it, or begin in a new directory"
        ) from fault
    return dict(state)


def _skip_seed_in_hand(place: Path) -> None:
    """Logs the seed with which an earlier process died (rule 4)."""
    path = place / IN_HAND_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    if text.isdigit():
        _log_refused(place, int(text), "died: the process ended while it was measured")
    path.unlink()


def _log_refused(place: Path, seed: int, reason: str) -> None:
    with open(place / REFUSED_FILE, "a", encoding="utf-8") as stream:
        stream.write(json.dumps({"seed": seed, "reason": reason}) + "\n")


def _refused_seeds(place: Path) -> set[int]:
    try:
        lines = (place / REFUSED_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    found = set()
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line may have been cut off
            found.add(int(json.loads(line)["seed"]))
    return found


def _write_block(place: Path, first: int, end: int, block: list[Measurement], fingerprint: dict[str, Any]) -> None:
    if block:
        write_measurements(part_path(place, first, end), block, fingerprint)


def _default_network_of() -> Callable[[int], onnx.ModelProto]:
    from nnmeter.profiling.blocks import random_network

    return random_network
