"""Additive training: prices of kernels from the times of sums of them.

A measurement says only that some kernels together took so long. One ensemble a kernel family is boosted such that the
sums match, in log error.

Rules:

1. The price of a kernel in a measurement is `base x exp(factor)`: the base is a prior's price there, the factor is
   learned and the same wherever the kernel occurs. A measurement takes its kernels' prices, a fixed part, and the time
   of an inference that no kernel accounts for, which is learned too and is never negative.
2. In each round every family gets one tree. With `r` the log error of a measurement, clipped as Huber's loss has it,
   and `w` the kernel's share of the measurement's predicted time, the gradient of a kernel is the sum over its
   measurements of `r x w` and its hessian the sum of `w`: a leaf becomes the mean error of the measurements that its
   kernels are in, weighted by their shares. All families stepping together, a sum moves by the learning rate times its
   error. (The diagonal of the true hessian, `w^2`, makes steps of many small kernels far too short together with
   lambda, and far too long without.)
3. Equal kernels are one row: sums over measurements are products with a sparse matrix [measurements, kernels].
4. The operators of `free` kinds get rates of their own before the first round, by Gauss-Newton (see
   `fit_log_factors`): a factor each for what FLOPs, bytes and launches take of the base. Boosting alone would need
   hundreds of rounds to tell operators apart that mostly occur together, and trees are flat beyond the sizes that they
   saw. Over 10 families of 17,000 generated networks on a phone's CPU, each left out in turn, one factor an operator
   left 85 % within 10 %, three leave 93 %.
5. Held-out measurements have no weight. Their kernels are rows all the same, with no gradient and no hessian unless
   others have them too, so that trees price them in passing.
6. Every round sees a random `bagging` of the measurements. The seed decides all that is random.
7. The number of rounds is that of the smallest held-out error, all folds going on together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nnmeter.lab.training.convert import ensemble_from_lightgbm
from nnmeter.lab.training.folds import FOLDS
from nnmeter.predictor.roofline import fit_log_factors
from nnmeter.predictor.trees import MAX_LEAVES, TreeEnsemble

_CHECK = 10  # rounds from one look at the held-out error to the next
_PATIENCE = 8  # looks without improvement before boosting ends
_NO_SHARE = 1e-9  # sum of shares below which a family has nothing to learn from

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AdditivePreset:
    """Hyper-parameters of additive boosting.

    Attributes:
        rounds: most rounds, each a tree for every family.
        leaves: of a tree, at most 64.
        learning_rate: of trees and of the time of an inference.
        least_share: sum of shares, in measurements, that a leaf must have.
        clip: log error beyond which a measurement counts linearly.
        bagging: share of the measurements in a round (rule 6).
        ridge: of the rates of free kinds, in measurements (rule 4).
    """

    rounds: int = 600
    leaves: int = 24
    learning_rate: float = 0.1
    least_share: float = 3.0
    clip: float = 0.2
    bagging: float = 0.8
    ridge: float = 0.05


@dataclass(frozen=True, slots=True)
class AdditiveProblem:
    """Measurements as sums of kernels (rules 1 and 3).

    Attributes:
        rows: features of kernels by ensemble, float32 [kernels of it, features].
        members: their numbers among all distinct kernels, by ensemble. Kernels of none keep their base.
        kind: number of the kind of each distinct kernel [kernels].
        free: whether each kind gets rates of its own before the first round (rule 4) [kinds].
        parts: share of FLOPs, bytes and launch in the base of each distinct kernel [kernels, 3].
        base_ms: sparse [measurements, kernels]: base of all occurrences of the kernel together.
        fixed_ms: what no factor scales [measurements].
        overhead_ms: what the prior says of an inference beyond kernels.
        measured_ms: time of each measurement.
        weight: of each measurement in training; 0 leaves it out.
        judged_ms: time that held-out predictions are compared with, NaN where the measurement is not fit to judge.
    """

    rows: Mapping[str, np.ndarray]
    members: Mapping[str, np.ndarray]
    kind: np.ndarray
    free: np.ndarray
    parts: np.ndarray
    base_ms: Any
    fixed_ms: np.ndarray
    overhead_ms: float
    measured_ms: np.ndarray
    weight: np.ndarray
    judged_ms: np.ndarray


@dataclass(frozen=True, slots=True)
class AdditiveFit:
    """What boosting on all measurements found.

    Attributes:
        ensembles: learned factors by family, without those of the kinds' rates.
        rates: of each kind, as factors of those in the base; 1 if it is not free [kinds, 3].
        log_factor: of each distinct kernel, kinds' included [kernels].
        overhead_ms: time of an inference that no kernel accounts for.
    """

    ensembles: dict[str, TreeEnsemble]
    rates: np.ndarray
    log_factor: np.ndarray
    overhead_ms: float


@dataclass(frozen=True, slots=True)
class AdditiveHeldOut:
    """What boosting without each fold says of all kernels.

    Attributes:
        rounds: number of rounds behind it.
        log_factor: by the fold that was left out [folds held, kernels].
        total_ms: out-of-fold prediction of each measurement.
        error: mean absolute log error of those that judge; not clipped.
        error_before: the same without boosting and without rates of kinds.
    """

    rounds: int
    log_factor: np.ndarray
    total_ms: np.ndarray
    error: float
    error_before: float


class _Prepared:
    """What all boosters on one problem share: binned features, the transposed matrix, and sums by kind."""

    def __init__(self, problem: AdditiveProblem) -> None:
        import lightgbm
        from scipy import sparse

        self.problem = problem
        self.by_kernel = problem.base_ms.T.tocsr()
        self.data = {
            name: lightgbm.Dataset(rows, np.zeros(len(rows)), params=_DATA_PARAMETERS).construct()
            for name, rows in problem.rows.items()
        }
        count, terms = problem.parts.shape
        columns = terms * problem.kind[:, None] + np.arange(terms)
        by_kind = sparse.csr_matrix(
            (problem.parts.ravel(), columns.ravel(), terms * np.arange(count + 1)), (count, terms * len(problem.free))
        )
        self.kind_ms = (problem.base_ms @ by_kind).toarray()  # [measurements, kinds x 3]


class _Booster:
    """Boosting on the measurements of one weighting; `log_factor` changes round by round."""

    def __init__(self, prepared: _Prepared, weight: np.ndarray, preset: AdditivePreset, seed: int) -> None:
        import lightgbm

        problem = self.problem = prepared.problem
        self.by_kernel = prepared.by_kernel
        self.preset = preset
        self.weight = weight
        self.generator = np.random.default_rng(seed)
        self.overhead_ms = problem.overhead_ms
        self.rates = _kind_rates(prepared, weight, preset)
        self.start = np.log((problem.parts * self.rates[problem.kind]).sum(axis=1))
        self.log_factor = self.start.copy()
        parameters = {
            **_DATA_PARAMETERS,
            "objective": "none",
            "metric": "None",
            "learning_rate": preset.learning_rate,
            "num_leaves": min(preset.leaves, MAX_LEAVES),
            "min_data_in_leaf": 1,
            "min_sum_hessian_in_leaf": preset.least_share,
            "lambda_l2": preset.least_share,
            "feature_fraction": 0.7,
            "seed": seed,
        }
        self.boosters = {name: lightgbm.Booster(parameters, rows) for name, rows in prepared.data.items()}

    def totals(self) -> np.ndarray:
        """Predicted time of every measurement, held out or not."""
        known = self.problem.base_ms @ np.exp(self.log_factor) + self.problem.fixed_ms
        return np.maximum(known + self.overhead_ms, 1e-9)

    def step(self) -> None:
        """One round (rule 2)."""
        problem, preset = self.problem, self.preset
        total = self.totals()
        error = np.clip(np.log(total / problem.measured_ms), -preset.clip, preset.clip)
        weight = self.weight * (self.generator.random(len(total)) < preset.bagging)
        factor = np.exp(self.log_factor)
        pull = factor * (self.by_kernel @ (weight * error / total))
        share = factor * (self.by_kernel @ (weight / total))
        for name, booster in self.boosters.items():
            mine = problem.members[name]
            own = (pull[mine], share[mine])
            if own[1].sum() <= _NO_SHARE:
                continue
            booster.update(fobj=partial(_derivatives, own))
            self.log_factor[mine] = self.start[mine] + _scores(booster)
        curvature = float((weight / total**2).sum())
        if curvature:
            step = float((weight * error / total).sum()) / curvature
            self.overhead_ms = max(self.overhead_ms - preset.learning_rate * step, 0.0)


def fit_additive(problem: AdditiveProblem, rounds: int, preset: AdditivePreset, seed: int) -> AdditiveFit:
    """Boost on all measurements for a given number of rounds.

    Args:
        problem: the measurements.
        rounds: as `cross_validate_additive` found it.
        preset: hyper-parameters.
        seed: makes the fit deterministic.
    """
    booster = _Booster(_Prepared(problem), problem.weight, preset, seed)
    for _ in range(rounds):
        booster.step()
    ensembles = {name: ensemble_from_lightgbm(b) for name, b in booster.boosters.items()}
    return AdditiveFit(ensembles, booster.rates, booster.log_factor, booster.overhead_ms)


def cross_validate_additive(
    problem: AdditiveProblem,
    fold: np.ndarray,
    preset: AdditivePreset,
    seed: int,
    rounds: int | None = None,
    say: Progress | None = None,
    held: Sequence[int] = tuple(range(FOLDS)),
) -> AdditiveHeldOut:
    """Boost without each fold in turn, and predict what was left out.

    Args:
        problem: the measurements.
        fold: of each measurement.
        preset: hyper-parameters.
        seed: makes the result deterministic.
        rounds: how many; found by the smallest held-out error if not given (rule 7).
        say: told of progress, a line at a time.
        held: the folds to leave out in turn; what is in others is not predicted (NaN).
    """
    prepared = _Prepared(problem)
    boosters = {
        number: _Booster(prepared, np.where(fold == number, 0.0, problem.weight), preset, seed) for number in held
    }
    untouched = problem.base_ms @ np.ones(len(problem.kind)) + problem.fixed_ms + problem.overhead_ms
    before = _mean_error(untouched, problem.judged_ms)
    best = _snapshot(boosters, fold, problem, 0, before)
    for number in range(1, (preset.rounds if rounds is None else rounds) + 1):
        for booster in boosters.values():
            booster.step()
        if rounds is not None or number % _CHECK:
            continue
        now = _snapshot(boosters, fold, problem, number, before)
        if now.error < best.error:
            best = now
        if say and number % (5 * _CHECK) == 0:
            say(f"round {number}: out-of-fold log error {now.error:.4f}, at best {best.error:.4f}")
        if number - best.rounds >= _CHECK * _PATIENCE:
            break
    return best if rounds is None else _snapshot(boosters, fold, problem, rounds, before)


def _snapshot(
    boosters: Mapping[int, _Booster], fold: np.ndarray, problem: AdditiveProblem, rounds: int, before: float
) -> AdditiveHeldOut:
    totals = np.full(len(fold), np.nan)
    for number, booster in boosters.items():
        totals[fold == number] = booster.totals()[fold == number]
    factors = np.array([b.log_factor for b in boosters.values()], dtype=np.float32)
    return AdditiveHeldOut(rounds, factors, totals, _mean_error(totals, problem.judged_ms), before)


def _mean_error(total_ms: np.ndarray, judged_ms: np.ndarray) -> float:
    return float(np.nanmean(np.abs(np.log(np.maximum(total_ms, 1e-9) / judged_ms))))


def _kind_rates(prepared: _Prepared, weight: np.ndarray, preset: AdditivePreset) -> np.ndarray:
    """Rates of the free kinds (rule 4), 1 for all others [kinds, 3]."""
    problem = prepared.problem
    terms = problem.parts.shape[1]
    free = np.repeat(problem.free, terms)
    bound_ms = prepared.kind_ms[:, ~free].sum(axis=1) + problem.fixed_ms + problem.overhead_ms
    rates = np.ones(len(free))
    rates[free] = np.exp(
        fit_log_factors(prepared.kind_ms[:, free], problem.measured_ms, preset.ridge, bound_ms, weight)
    )
    return rates.reshape(-1, terms)


_DATA_PARAMETERS = {
    "max_bin": 255,
    "feature_pre_filter": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # two threads that share a core with anything else are 20 times slower
    "verbose": -1,
}


def _derivatives(own: tuple[np.ndarray, np.ndarray], scores: np.ndarray, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Gradients and hessians as LightGBM asks for them; they were computed for all families at once."""
    return own


def _scores(booster: Any) -> np.ndarray:
    """The booster's present values of its own rows, which it keeps, without evaluating a tree anew."""
    kept: list[np.ndarray] = []

    def keep(scores: np.ndarray, _: Any) -> tuple[str, float, bool]:
        kept.append(np.array(scores))
        return "kept", 0.0, False

    booster.eval_train(keep)
    return kept[0]
