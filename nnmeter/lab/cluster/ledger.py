"""The central half of a campaign on a cluster: its plan, its blocks, and what is on disk.

1. The directory is that of any campaign (`nnmeter.lab.campaign.directory`), and either can go on with what the other
   began: each block becomes a part file.
2. The first device of a new campaign decides of which device the campaign is, and the nominal time of the reference.
   All others measure with that time; one that is another device is refused.
3. Of a block, refusals are noted first and the part is written then: a campaign that is killed in between measures the
   block again, and nothing stands twice.
4. A block that lost its worker again and again is refused as a whole: it may be what kills workers.
5. Plans are made between blocks, by the rules of `nnmeter.lab.campaign.planner`, for the seeds that are in no block
   yet.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import Recipes, Work
from nnmeter.lab.campaign.directory import STATE_FILE, CampaignDirectory, read_state
from nnmeter.lab.campaign.planner import Planner
from nnmeter.lab.cluster.block_job import BlockJob, BlockResult
from nnmeter.lab.cluster.blocks import MOST_LOSSES, Blocks
from nnmeter.lab.measuring.fingerprint import differences, identity
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import part_files, part_path, part_range, write_measurements

ENDLESS_S = 1e9


class Ledger:
    """What a campaign has, and what it asks for next.

    Attributes:
        written, networks, kernels, refused: what this call added.
        closed: whether no new blocks are begun.
    """

    def __init__(
        self,
        directory: CampaignDirectory,
        recipes: Recipes,
        runtime: str,
        threads: int,
        seed: int,
        resume: bool,
        block_networks: int,
        most_blocks: int | None,
        budget_s: float | None,
    ) -> None:
        """Takes up the campaign that is in the directory, if there is one.

        Raises:
            MeasurementError: there is one and `resume` is false, or it is damaged, or of another kind.
        """
        self._directory, self._recipes = directory, recipes
        self._runtime, self._threads, self._seed = runtime, threads, seed
        self._block_networks, self._most_blocks, self._budget_s = block_networks, most_blocks, budget_s
        self._started = time.monotonic()
        self._state: Mapping[str, Any] | None = None
        self._blocks: Blocks | None = None
        self._planner: Planner | None = None
        self.written = self.networks = self.kernels = self.refused = 0
        self.closed = False
        path = directory.path / STATE_FILE
        if path.exists() or part_files(directory.path):
            state = read_state(path)
            self._state = directory.open_state(state["fingerprint"], seed, resume, lambda: 0.0)
        self._earlier = directory.measurements()

    @property
    def is_over(self) -> bool:
        """Whether every block is written and no other will be."""
        return self._blocks is not None and self._blocks.all_there()

    @property
    def lost(self) -> int:
        """How often a block lost its worker."""
        return self._blocks.lost if self._blocks else 0

    @property
    def error(self) -> float | None:
        """The latest cross-validated error."""
        return self._planner.error if self._planner else None

    @property
    def plans_made(self) -> int:
        """Number of plans beyond the prior."""
        return self._planner.plans_made if self._planner else 0

    def question(self) -> BlockJob:
        """The job that has a device say what it is."""
        first = self._state["seed"] if self._state else self._seed
        return BlockJob(first, first, (), self._runtime, self._threads, None)

    def meet(self, result: BlockResult) -> None:
        """A device has said what it is (rule 2).

        Raises:
            MeasurementError: it is another device than the campaign's.
        """
        if self._state is None:
            told = dict(result.fingerprint)
            self._state = self._directory.open_state(told, self._seed, False, lambda: told["reference_ms"])
        fingerprint = self._state["fingerprint"]
        if identity(result.fingerprint) != identity(fingerprint):
            raise MeasurementError(
                f"is another device than the campaign's ({differences(result.fingerprint, fingerprint)}); give it a "
                "campaign of its own, by a resource of another name"
            )
        if self._blocks is None:
            there = [part_range(path) for path in part_files(self._directory.path)]
            self._blocks = Blocks(self._state["seed"], self._block_networks, there, self._most_blocks)
            budget_s = ENDLESS_S if self._budget_s is None else self._budget_s
            small = not result.has_profiler
            self._planner = Planner(
                self._directory.path, self._recipes.prior, small, self._started, budget_s, time.monotonic
            )
            self._planner.add(self._earlier)

    def next_job(self) -> BlockJob | None:
        """The next block; None where there is none at present."""
        block = self._blocks.take() if self._blocks else None
        if block is None or self._state is None:
            return None
        skipped = self._directory.refused_seeds()
        works = tuple([self._choose(seed) for seed in block if seed not in skipped])
        return BlockJob(block.start, block.stop, works, self._runtime, self._threads, self._state["fingerprint"])

    def write(
        self,
        job: BlockJob,
        rows: Sequence[Measurement],
        refused: Mapping[int, str],
        own: Mapping[str, Any],
        worker: str,
    ) -> None:
        """A block that was measured becomes a part of the campaign (rule 3).

        Args:
            job: the block.
            rows: its rows.
            refused: reason by the seed of each network without a row.
            own: fingerprint of the device that measured it.
            worker: name of the worker, kept in the fingerprint of the part.
        """
        assert self._blocks is not None and self._state is not None and self._planner is not None
        for seed, reason in sorted(refused.items()):
            self._directory.log_refused(seed, reason)
        fingerprint = {**own, "reference_ms": self._state["fingerprint"]["reference_ms"], "worker": worker}
        write_measurements(part_path(self._directory.path, job.first, job.stop), rows, fingerprint)
        self._blocks.finish(range(job.first, job.stop))
        self._planner.add(rows)
        self.written += 1
        self.networks += len(rows)
        self.kernels += sum(len(row.kernels) for row in rows)
        self.refused += len(refused)

    def give_back(self, job: BlockJob, lost: bool) -> bool:
        """A block was not measured; whether it will be tried again (rule 4)."""
        assert self._blocks is not None and self._state is not None
        if self._blocks.give_back(range(job.first, job.stop), lost):
            return True
        reason = f"died: the worker was lost {MOST_LOSSES} times while its block was measured"
        self.write(job, [], {work.seed: reason for work in job.works}, self._state["fingerprint"], "")
        return False

    def plan(self) -> None:
        """Plans, if it is time to (rule 5)."""
        if self._planner is not None and self._blocks is not None and self._state is not None:
            behind_probes = self._state["seed"] + len(self._recipes.probes)
            self._planner.plan_if_due(max(self._blocks.next_seed, behind_probes))

    def close(self) -> None:
        """Begin no new blocks; gaps are still filled."""
        if self._blocks is not None and not self.closed:
            self.closed = True
            self._blocks.close()

    def finish(self) -> None:
        """The last cross-validation."""
        if self._planner is not None:
            self._planner.finish()

    def _choose(self, seed: int) -> Work:
        """What makes the network of a seed, as in a campaign on one machine."""
        assert self._state is not None and self._planner is not None
        place = seed - self._state["seed"]
        if place < len(self._recipes.probes):
            made_of, recipe = self._recipes.probes[place]
            return Work(seed, made_of, recipe, False)
        recipe, small = self._planner.choose(seed)
        return Work(seed, seed, recipe, small)
