"""The profiling campaign: plans random networks, measures each whole and kernel by kernel, and plans again.

1. Networks come from `nnmeter.lab.campaign.recipes.random_network`, one a seed, seeds counting up. The first are the
   *probes*, chosen once for what they tell in little time (`nnmeter.lab.campaign.probes`). Of those behind them the
   plan in force says which recipe a seed has (`nnmeter.lab.campaign.planning`). The recipe is the family of the row. So
   a network is known by its seed and family, and going on with a campaign means going on counting.
2. A network is compiled once, and run until its memory is mapped and its code is in the caches: twice at least, and for
   30 ms. Then runs are profiled (protocol, rule 7), as many as fit the time for it, then the profiler ends, and behind
   runs of 10 ms that do not count the same session is timed whole (rules 1 to 3, 8): directly behind the profiler a
   network of half a millisecond is up to a third slower, one of 3 ms by 4 % in four runs (`benchmarks/settling.py`).
   Both share the nominal time of the reference, which the campaign fixes when it starts.
3. A block of networks is written as one part file, whole or not at all. A campaign that is killed loses at most the
   block in hand; what it lost is measured again on resuming. Networks that ended the process make blocks smaller.
4. A network that cannot be built, compiled or matched is skipped, and its seed and reason are appended to
   `refused.jsonl`. The seed in hand is noted in `in_hand` while it runs: if the process dies with it, resuming skips
   it as `died`.
5. A campaign is resumed only on the device that it began on, and by one process at a time.
6. Every couple of minutes, behind a block, what was measured is cross-validated and a new plan made, never while
   something is timed, and only as far as all of it takes `PLANNING_SHARE` of the time that has passed. The campaign
   ends early when the cross-validated error reaches what was asked for.
7. A network whose compilation may exceed the memory limit beside what the process holds is refused before it is
   compiled; a process that holds more than the limit without any network ends the campaign.
8. A campaign that is given its networks (`works`) measures these, and neither plans nor cross-validates: who gave them
   does (`nnmeter.lab.cluster`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError
from nnmeter.lab.campaign.bench import Bench, BenchLost, LocalBench, Recipes, Work, default_recipes
from nnmeter.lab.campaign.directory import CampaignDirectory
from nnmeter.lab.campaign.planner import Planner
from nnmeter.lab.campaign.shards import Shard
from nnmeter.lab.measuring.library_threads import fix_library_threads
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.memory import LIMIT_BYTES
from nnmeter.lab.measuring.store import next_seed, part_path, write_measurements
from nnmeter.lab.runtimes.base import RuntimeAdapter

if TYPE_CHECKING:
    import onnx

BLOCK_NETWORKS, BLOCK_SECONDS = 100, 20.0
_LEAST_BLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CampaignProgress:
    """How far a campaign is: what this call measured, the network that it measured last, and how quiet the machine is.

    Attributes:
        networks, kernels, refused: what this call measured and skipped.
        elapsed_s, budget_s: seconds since its start, and those that it has.
        network: name of the last network.
        restlessness: relative spread of the latest reference runs (`Stopwatch.restlessness`).
        error: latest cross-validated error of all networks of the campaign, None where there are too few
            (`nnmeter.lab.campaign.cross_validation`).
        plans: number of plans made, the prior not counted.
        planning_s: seconds spent on cross-validation and planning.
        peak_bytes: largest resident memory of the process.
        reached: whether the error that was asked for is reached.
    """

    networks: int
    kernels: int
    refused: int
    elapsed_s: float
    budget_s: float
    network: str
    restlessness: float = 0.0
    error: float | None = None
    plans: int = 0
    planning_s: float = 0.0
    peak_bytes: int = 0
    reached: bool = False

    @property
    def kernels_per_s(self) -> float:
        """Kernel samples a second."""
        return self.kernels / self.elapsed_s if self.elapsed_s else 0.0


def run_campaign(
    out_dir: str | os.PathLike[str],
    runtime: RuntimeAdapter,
    threads: int = 1,
    budget_s: float = 600.0,
    seed: int = 0,
    progress: Callable[[CampaignProgress], None] | None = None,
    resume: bool = True,
    *,
    until: float | None = None,
    memory_limit_bytes: int = LIMIT_BYTES,
    recipes: Recipes | None = None,
    network_of: Callable[[int], onnx.ModelProto] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    shard: Shard | None = None,
    works: Sequence[Work] | None = None,
    spent_s: float = 0.0,
) -> CampaignProgress:
    """Measures random networks into `out_dir` until `budget_s` seconds have passed; the last network is finished.

    Numeric libraries are limited to one thread for the rest of the process.

    Args:
        out_dir: directory for part files, plan, log and state; made if absent.
        runtime: the adapter to measure.
        threads: threads that execute one network.
        budget_s: seconds for this call, preparation and planning included.
        seed: first seed of a new campaign; one that is resumed goes on with its own.
        progress: called after every network, and after every cross-validation.
        resume: go on with a campaign that is in `out_dir`; otherwise the directory must hold none.
        until: cross-validated error at which to stop early: 0.03 for 3 %.
        memory_limit_bytes: resident memory that the process is to keep below.
        recipes: where networks come from; `nnmeter.lab.campaign.recipes` if None.
        network_of: makes the network of a seed, where there is nothing to plan; instead of `recipes`.
        clock: seconds, ever growing.
        shard: which part of a campaign this is, where it is one (`nnmeter.lab.campaign.shards`).
        works: the networks, in the order of their seeds from `seed` on (rule 8).
        spent_s: seconds of the campaign's budget that earlier processes have spent.

    Returns:
        What this call did.

    Raises:
        MeasurementError: the directory holds a campaign and `resume` is false, or one of another device; another
            process is writing to it; or the process holds more than the memory limit.
    """
    started = clock()
    fix_library_threads()
    if network_of is not None:
        recipes = Recipes({}, lambda seed, recipe, small: network_of(seed))
    elif recipes is None:
        recipes = default_recipes()
    return run_on_bench(
        out_dir,
        lambda: LocalBench(runtime, threads, recipes, memory_limit_bytes, clock),
        recipes,
        budget_s,
        seed,
        progress,
        resume,
        until=until,
        clock=clock,
        started=started,
        shard=shard,
        works=works,
        spent_s=spent_s,
    )


def run_on_bench(
    out_dir: str | os.PathLike[str],
    open_bench: Callable[[], Bench],
    recipes: Recipes,
    budget_s: float,
    seed: int = 0,
    progress: Callable[[CampaignProgress], None] | None = None,
    resume: bool = True,
    *,
    until: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
    started: float | None = None,
    shard: Shard | None = None,
    works: Sequence[Work] | None = None,
    spent_s: float = 0.0,
) -> CampaignProgress:
    """`run_campaign` with what measures it: planned, written and resumed here, wherever it is measured.

    Args:
        out_dir: as there.
        open_bench: makes what measures, once the directory is locked.
        recipes: where networks come from; the bench builds them of the same.
        budget_s: as there.
        seed: as there.
        progress: as there.
        resume: as there.
        until: as there.
        clock: as there.
        started: when the budget began, on `clock`.
        shard: as there.
        works: as there.
        spent_s: as there.

    Raises:
        MeasurementError: as there; and `BenchLost`, where the device cannot be reached any more.
    """
    started = clock() if started is None else started
    with ExitStack() as stack:
        directory = stack.enter_context(CampaignDirectory(out_dir))
        bench = open_bench()
        stack.callback(bench.close)
        pair = (shard.number, shard.count) if shard else None
        first = shard.first_seed(seed) if shard else seed
        state = directory.open_state(bench.fingerprint(), first, resume, bench.nominal_ms, pair)
        sitting = time.strftime("%Y-%m-%dT%H:%M:%S")
        prior = recipes.prior if works is None else {}
        planner = Planner(directory.path, prior, not bench.has_profiler, started, spent_s + budget_s, clock)
        planner.add(directory.measurements())
        campaign = _Campaign(directory, recipes, planner, bench, sitting, state, started, budget_s, until, clock, works)
        tell = progress or (lambda latest: None)
        try:
            while campaign.goes_on():
                campaign.measure_next()
                tell(campaign.progress())
                if campaign.block_is_full():
                    campaign.end_block()
                    if works is None and campaign.plan_if_due():
                        tell(campaign.progress())
                bench.tidy()
        finally:
            # Also on KeyboardInterrupt: what is measured is kept.
            campaign.end_block()
            directory.let_go()
        if works is None:
            planner.finish()
        return campaign.progress()


class _Campaign:
    """One call of `run_campaign`: the seed that is next, the block in hand, and what was done so far."""

    def __init__(
        self,
        directory: CampaignDirectory,
        recipes: Recipes,
        planner: Planner,
        bench: Bench,
        sitting: str,
        state: dict[str, Any],
        started: float,
        budget_s: float,
        until: float | None,
        clock: Callable[[], float],
        works: Sequence[Work] | None,
    ) -> None:
        self._works = None if works is None else {work.seed: work for work in works}
        self._directory, self._recipes, self._planner = directory, recipes, planner
        self._bench, self._sitting = bench, sitting
        self._fingerprint, self._first_of_all = state["fingerprint"], state["seed"]
        self._shard = Shard(*state["shard"]) if "shard" in state else None
        probes = len(recipes.probes)
        self._behind_probes = state["seed"] + (self._shard.share_of(probes) if self._shard else probes)
        self._started, self._budget_s, self._until, self._clock = started, budget_s, until, clock
        self._skipped = directory.refused_seeds()
        self._first = self._seed = next_seed(directory.path, state["seed"])  # of the block; the next one
        self._block: list[Measurement] = []
        self._block_started = started
        self._block_s = max(BLOCK_SECONDS / (1 + directory.deaths()), _LEAST_BLOCK_SECONDS)
        self._networks = self._kernels = self._refused = 0
        self._latest = ""

    def goes_on(self) -> bool:
        """Whether there is time for another network, and need of it (rule 6)."""
        if self._works is not None and self._seed > max(self._works, default=-1):
            return False
        end_s = self._budget_s - self._planner.last_evaluation_s()
        return self._clock() - self._started < end_s and not self._reached()

    def measure_next(self) -> None:
        """Measures the network of the next seed, or notes why not (rule 4)."""
        seed = self._seed
        self._latest = str(seed)
        if seed not in self._skipped and (self._works is None or seed in self._works):
            self._directory.take_in_hand(seed)
            try:
                nominal_ms = self._fingerprint["reference_ms"]
                measurement = self._bench.measure(self._choose(seed), nominal_ms, self._sitting)
                # In one statement: an interrupt must not find the row in the block and its seed not yet passed.
                self._block, self._seed = [*self._block, measurement], seed + 1
                self._networks += 1
                self._kernels += len(measurement.kernels)
                self._latest = measurement.network
            except BenchLost:
                raise
            except NnmeterError as fault:
                self._refused += 1
                self._directory.log_refused(seed, str(fault))
            self._directory.let_go()
        self._seed = seed + 1

    def _choose(self, seed: int) -> Work:
        """What makes the network of a campaign's seed (rule 1)."""
        if self._works is not None:
            return self._works[seed]
        place = seed - self._first_of_all
        probe = self._shard.probe(place) if self._shard else place
        if probe < len(self._recipes.probes):
            return Work(seed, *self._recipes.probes[probe], False)
        return Work(seed, seed, *self._planner.choose(seed))

    def block_is_full(self) -> bool:
        """Whether the block in hand is to be written."""
        return len(self._block) >= BLOCK_NETWORKS or self._clock() - self._block_started >= self._block_s

    def end_block(self) -> None:
        """Writes the block in hand, if anything is in it (rule 3); seeds that gave nothing go with the next one."""
        if self._block:
            path = part_path(self._directory.path, self._first, self._seed)
            write_measurements(path, self._block, self._fingerprint)
            self._planner.add(self._block)
            self._first, self._block = self._seed, []
        self._block_started = self._clock()

    def plan_if_due(self) -> bool:
        """Plans for the seeds that follow, behind the probes (rule 1), if it is time to; whether it did."""
        return self._planner.plan_if_due(max(self._seed, self._behind_probes))

    def progress(self) -> CampaignProgress:
        """How far it is."""
        return CampaignProgress(
            self._networks,
            self._kernels,
            self._refused,
            self._clock() - self._started,
            self._budget_s,
            self._latest,
            self._bench.restlessness(),
            self._planner.error,
            self._planner.plans_made,
            self._planner.spent_s,
            self._bench.peak_bytes(),
            self._reached(),
        )

    def _reached(self) -> bool:
        return self._until is not None and self._planner.error is not None and self._planner.error <= self._until
