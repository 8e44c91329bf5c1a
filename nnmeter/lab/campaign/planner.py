"""The planner of a running campaign: keeps the samples, says what a seed is, and decides when to plan anew.

1. The first plan of a campaign is the prior. Plans are stored before the first network that they decide.
2. A new one is made when `INTERVAL_S` seconds have passed since the last and its cross-validation takes no more than
   `PLANNING_SHARE` of them. What it takes is foreseen from the last one: so much a kernel. Before there is one, that is
   a guess, which does not put the first one off: on a machine that measures more kernels a second than was guessed, it
   would never be due. All that this module takes stays below that share of the budget.
3. Time for one more cross-validation is kept at the end, so that the last word on the error includes all networks.
4. A process that goes on with a campaign counts from its last plan, not from its own start: under a runtime that ends
   the process every minute, plans would never be due.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from nnmeter.lab.campaign.cross_validation import LEAST_NETWORKS, cross_validate, load_learner
from nnmeter.lab.campaign.planning import (
    PLAN_FILE,
    SMALL_SHARE,
    Plan,
    make_plan,
    plan_for,
    prior_plan,
    read_plans,
    write_plans,
)
from nnmeter.lab.campaign.samples import Samples
from nnmeter.lab.measuring.measurement import Measurement

INTERVAL_S = 120.0
PLANNING_SHARE = 0.03
_SECONDS_A_KERNEL = 1.5e-4  # until the first one is timed


class Planner:
    """Samples, plans and time of one campaign.

    Attributes:
        error: the latest cross-validated error, of an earlier process if need be; None before there is one.
        spent_s: seconds for cross-validation, plans and the features of kernels, in this process.
        plans_made: number of plans beyond the prior.
    """

    def __init__(
        self,
        directory: Path,
        prior: Mapping[str, float],
        small: bool,
        started: float,
        budget_s: float,
        clock: Callable[[], float],
    ) -> None:
        """Takes up the plans in `directory`.

        Args:
            directory: the campaign's.
            prior: weight of each recipe; empty if there is nothing to plan.
            small: whether small networks are preferred.
            started: when this process began with it, on `clock`.
            budget_s: seconds that the campaign has, with those of earlier processes.
            clock: seconds.

        Raises:
            MeasurementError: the plans are damaged.
        """
        self._directory, self._prior, self._clock = directory, prior, clock
        self._budget_s = budget_s
        self._small_share = SMALL_SHARE if small else 0.0
        self._samples = Samples()
        self._plans: list[Plan] = read_plans(directory) if prior else []
        self._last = started - (_age_s(directory / PLAN_FILE) if self._plans else 0.0)
        self._rate_s = _SECONDS_A_KERNEL
        self._is_timed = False  # whether that is of a cross-validation here
        self._judged = 0  # networks behind `error`
        self.error: float | None = self._plans[-1].error if self._plans else None
        self.spent_s = 0.0

    @property
    def plans_made(self) -> int:
        """Number of plans beyond the prior."""
        return max(len(self._plans) - 1, 0)

    def choose(self, seed: int) -> tuple[str, bool]:
        """Recipe of a seed, and whether its network is a small one."""
        if not self._prior:
            return "", False
        plan = plan_for(self._plans, seed)
        if plan is None:
            plan = prior_plan(seed, self._prior, self._small_share)
            self._plans.append(plan)
            write_plans(self._directory, self._plans)
        return plan.recipe_of(seed), plan.is_small(seed)

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Adds what is on disk."""
        begin = self._clock()
        self._samples.add(measurements)
        self.spent_s += self._clock() - begin

    def plan_if_due(self, next_seed: int) -> bool:
        """Cross-validates and plans for the seeds from `next_seed` on, if it is time to (rule 2); whether it did."""
        foreseen_s = self._foreseen_s()
        interval_s = max(INTERVAL_S, foreseen_s / PLANNING_SHARE) if self._is_timed else INTERVAL_S
        if len(self._samples) < LEAST_NETWORKS or self._clock() - self._last < interval_s:
            return False
        if self.spent_s + 2 * foreseen_s > PLANNING_SHARE * self._budget_s:  # one more at the end (rule 3)
            return False
        self._evaluate(next_seed if self._prior else None)
        return True

    def last_evaluation_s(self) -> float:
        """Seconds to keep for the last cross-validation (rule 3)."""
        return self._foreseen_s() if self._may_finish() else 0.0

    def finish(self) -> None:
        """The last cross-validation, if anything is new and there is time for it."""
        if len(self._samples) > self._judged and self._may_finish():
            self._evaluate(None)

    def _may_finish(self) -> bool:
        enough = len(self._samples) >= LEAST_NETWORKS
        return enough and self.spent_s + self._foreseen_s() <= PLANNING_SHARE * self._budget_s

    def _foreseen_s(self) -> float:
        return self._rate_s * self._samples.kernel_count

    def _evaluate(self, next_seed: int | None) -> None:
        begin = self._clock()
        load_learner()
        loaded = self._clock()
        if next_seed is None:
            self.error = cross_validate(self._samples.arrays()).error
        else:
            plan, validation = make_plan(next_seed, self._prior, self._small_share, self._samples)
            self._plans.append(plan)
            write_plans(self._directory, self._plans)
            self.error = validation.error
        self._judged = len(self._samples)
        self._last = self._clock()
        self.spent_s += self._last - begin
        self._rate_s = (self._last - loaded) / max(self._samples.kernel_count, 1)
        self._is_timed = True


def _age_s(path: Path) -> float:
    """Seconds since a file was written; none where the clock was set back since."""
    return max(time.time() - path.stat().st_mtime, 0.0)
