"""Learns a space as a table, from full predictions of sampled candidates.

Rules:

1. All pairs of choices are tried for whether they matter together (`nnmeter.search.interactions`).
2. Terms are added until the table is right: first those of one choice, then of two, and so on up to the largest group
   of choices that matter together; then the weakest pairs, which are left out at first; then pairs that are found where
   the table is furthest off.
3. Each time, candidates are sampled until every combination of options that a term tells apart was seen, and there are
   more of them than the terms have freedom.
4. The table is right when its largest error is within half of the tolerance on candidates that steer the making, and
   within the tolerance on as many as are asked for that did not. Where these do not agree, they join the sample, and
   others are drawn.
5. The largest error that a table states is of the last candidates, none of which it was made from. If the budget of
   predictions ends before it is within the tolerance, the table says so (`Verified.within`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.search.decomposition import Choices, choose_terms, fit_terms, freedom, largest_clique, uncovered
from nnmeter.search.interactions import Interactions, slowest
from nnmeter.search.oracle import Build, Latencies, Oracle
from nnmeter.search.space import Space
from nnmeter.search.table import LatencyTable
from nnmeter.search.terms import Step, Term, Verified

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack
    from nnmeter.prediction.predict import LatencyPredictor

_ANCHORS = 3  # at which all pairs are tried at first
_STEERING = 300  # candidates that steer the making
_SEEN = 2  # times that a combination of options is seen at least (rule 3)
_SPARE = 1.5  # predictions for each degree of freedom
_SLACK = 0.25  # of the tolerance: how much the weakest pairs, which are left out at first, may sum to
_NOT_MADE = Verified(0, float("inf"), float("inf"), 0.0)


def tabulate(
    space: Space | Mapping[str, Sequence[Any]],
    build: Build,
    device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
    *,
    tolerance: float = 0.01,
    verify: int = 1000,
    budget: int = 20_000,
    seed: int = 0,
    sizes: InputSizes = AS_DECLARED,
    progress: Callable[[Step], None] | None = None,
) -> LatencyTable:
    """Make a table of the latencies of all candidates of a space.

    Args:
        space: the options of each choice, by name.
        build: makes a model of a candidate, a dict of one option for each choice: path, bytes, `onnx.ModelProto`,
            `UnboundModel` or `Graph`, as `nnmeter.predict` takes it. It must make the same model each time.
        device: id or path of a device pack, the pack, or a predictor; the pack nearest to this machine if not given.
        tolerance: the largest relative error that the table may have.
        verify: how many candidates the error is verified on.
        budget: full predictions that may be made, about, those that verify included.
        seed: of the sampling.
        sizes: what the models leave open.
        progress: told every state of the table.

    Returns:
        The table, with its error on candidates left out (`LatencyTable.verified`).

    Raises:
        NnmeterError: the space is no space, or a candidate cannot be built or predicted.
        DeviceError: the device is unknown, or its pack is damaged.
    """
    predictor = _predictor(device)
    known = space if isinstance(space, Space) else Space(space)
    oracle = Oracle(known, build, predictor, sizes)
    return make_table(
        oracle, predictor.device, tolerance=tolerance, verify=verify, budget=budget, seed=seed, progress=progress
    )


def make_table(
    oracle: Latencies,
    device: str,
    *,
    tolerance: float = 0.01,
    verify: int = 1000,
    budget: int = 20_000,
    seed: int = 0,
    progress: Callable[[Step], None] | None = None,
) -> LatencyTable:
    """As `tabulate`, of latencies from anywhere: measured ones, or sums of several devices.

    Args:
        oracle: gives the latency of candidates; the same each time it is asked.
        device: what they are of.
        tolerance: as in `tabulate`, as are the other arguments.
        verify: as in `tabulate`.
        budget: as in `tabulate`.
        seed: as in `tabulate`.
        progress: as in `tabulate`.

    Raises:
        NnmeterError: as `tabulate`.
    """
    if not tolerance > 0:
        raise NnmeterError(f"a tolerance of {tolerance} cannot be reached; give one above 0, 0.01 for 1 %")
    if verify < 1 or budget < 1:
        raise NnmeterError("a table needs predictions; give `verify` and `budget` of 1 or more")
    maker = _Maker(oracle, tolerance, verify, budget, seed, progress)
    terms, verified = maker.make()
    return LatencyTable(oracle.space, device, tuple(terms), verified, tuple(maker.steps))


def _predictor(device: Any) -> LatencyPredictor:
    from nnmeter.devices import DevicePack
    from nnmeter.prediction.predict import LatencyPredictor, load_predictor, predictor_of

    if isinstance(device, LatencyPredictor):
        return device
    return predictor_of(device) if isinstance(device, DevicePack) else load_predictor(device)


class _Maker:
    """One table while it is made."""

    def __init__(
        self,
        oracle: Latencies,
        tolerance: float,
        verify: int,
        budget: int,
        seed: int,
        progress: Callable[[Step], None] | None,
    ) -> None:
        self._oracle = oracle
        self._space = oracle.space
        self._tolerance = tolerance
        self._verify = min(verify, self._space.count)
        self._budget = budget
        self._generator = np.random.default_rng(seed)
        self._progress = progress
        self._interactions = Interactions(oracle)
        self._slack = _SLACK * tolerance
        self._order = 1
        self._rows = np.zeros((0, len(self._space.names)), np.int64)
        self._steering = self._space.sample(min(_STEERING, self._verify), self._generator)
        self.steps: list[Step] = []

    def make(self) -> tuple[list[Term], Verified]:
        """The terms of the table, and how far it is off."""
        self._look()
        while True:
            terms, choices = self._fit()
            error, worst = self._error(terms, self._steering)
            self._note(terms, float(error.max()))
            if error.max() > self._tolerance / 2 and self._can_add(choices, self._steering[worst]):
                continue
            fresh = self._fresh()
            error, worst = self._error(terms, fresh)
            verified = Verified(len(fresh), float(error.max()), float(error.mean()), self._tolerance)
            if verified.within or self._spent:
                return terms, verified
            self._rows = np.concatenate([self._rows, self._steering])
            self._steering = fresh
            if not self._can_add(choices, fresh[worst]):
                return terms, verified

    @property
    def _spent(self) -> bool:
        return self._oracle.predictions + self._verify >= self._budget

    def _look(self) -> None:
        """Rule 1."""
        anchor = slowest(self._oracle, self._space.sample(1, self._generator)[0])
        for _ in range(_ANCHORS):
            self._interactions.look_at(anchor, self._other(anchor))
            if self._spent:
                break
            anchor = self._space.sample(1, self._generator)[0]

    def _other(self, anchor: np.ndarray) -> np.ndarray:
        """A candidate that has another option for every choice that has one."""
        sizes = np.array(self._space.sizes)
        return (anchor + self._generator.integers(1, np.maximum(sizes, 2))) % sizes

    def _fit(self) -> tuple[list[Term], list[Choices]]:
        sizes = self._space.sizes
        choices = choose_terms(self._interactions.edges(self._slack), sizes, self._order)
        self._sample(choices)
        rows = np.unique(np.concatenate([self._rows, self._interactions.rows]), axis=0)
        return fit_terms(rows, self._oracle(rows), choices, sizes), choices

    def _sample(self, choices: list[Choices]) -> None:
        """Rule 3; within the budget, of which what verification needs is kept."""
        sizes = self._space.sizes
        wanted = int(_SPARE * freedom(choices, sizes)) + 50
        room = self._budget - self._oracle.predictions - self._verify
        wanted = min(wanted - len(self._rows), max(room, 0), self._space.count)
        if wanted > 0:
            fresh = self._space.sample(wanted, self._generator)
            self._steer(fresh, choices)
            self._rows = np.concatenate([self._rows, fresh])

    def _steer(self, fresh: np.ndarray, choices: list[Choices]) -> None:
        """Give candidates combinations of options that were not seen often, one of a term each, where they fit."""
        sizes = self._space.sizes
        seen = np.concatenate([self._rows, self._interactions.rows])
        lacking = [self._generator.permutation(np.tile(few, _SEEN)) for few in uncovered(seen, choices, sizes, _SEEN)]
        next_of = [0] * len(choices)
        for row in fresh:
            fixed: dict[int, int] = {}
            for at in self._generator.permutation(len(choices)):
                queue, term = lacking[at], choices[at]
                for ahead in range(next_of[at], min(next_of[at] + 16, len(queue))):
                    options = np.unravel_index(queue[ahead], [sizes[c] for c in term]) if term else ()
                    if all(fixed.get(c, int(o)) == int(o) for c, o in zip(term, options, strict=True)):
                        queue[ahead], queue[next_of[at]] = queue[next_of[at]], queue[ahead]
                        next_of[at] += 1
                        fixed.update((c, int(o)) for c, o in zip(term, options, strict=True))
                        break
            for choice, option in fixed.items():
                row[choice] = option

    def _error(self, terms: list[Term], rows: np.ndarray) -> tuple[np.ndarray, int]:
        predicted = LatencyTable(self._space, "", tuple(terms), _NOT_MADE).predict(rows)
        latency = self._oracle(rows)
        error = np.abs(predicted - latency) / latency
        return error, int(error.argmax())

    def _fresh(self) -> np.ndarray:
        """Candidates to verify on, none of which was seen, unless the space has no others."""
        found: list[np.ndarray] = []
        for _ in range(4):
            rows = np.unique(self._space.sample(self._verify, self._generator), axis=0)
            found += [row for row in rows if not self._oracle.knows(row)]
            if len(found) >= self._verify:
                break
        if not found:
            return self._space.sample(self._verify, self._generator)
        rows = np.unique(np.array(found), axis=0)
        return rows[self._generator.permutation(len(rows))][: self._verify]

    def _can_add(self, choices: list[Choices], worst: np.ndarray) -> bool:
        """Rule 2: let the next fit know more; whether it does."""
        if self._spent:
            return False
        edges = self._interactions.edges(self._slack)
        if self._order < largest_clique(edges, self._space.sizes):
            self._order += 1
            return True
        if self._slack > 0:
            self._slack = self._slack / 8 if self._slack > 1e-3 * self._tolerance else 0.0
            return True
        for _ in range(2):
            if self._interactions.look_at(worst, self._other(worst)):
                return True
        before = len(self._rows)
        self._rows = np.concatenate([self._rows, self._space.sample(max(before // 4, 100), self._generator)])
        return True

    def _note(self, terms: list[Term], error: float) -> None:
        step = Step(
            max(len(term.choices) for term in terms),
            len(terms),
            sum(term.latency_ms.size for term in terms),
            self._oracle.predictions,
            error,
        )
        self.steps.append(step)
        if self._progress is not None:
            self._progress(step)
