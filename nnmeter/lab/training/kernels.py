"""Fitting from the times of single kernels, as a runtime's profiler gives them.

Rules:

1. The target of a kernel is `log(measured / roofline)`; the roofline is read off the same measurements.
2. One ensemble a kernel family, all of one size but for rule 6. The value of the feature "anchor" is the rank of an
   operator by its mean target, so that operators alike in price are neighbours.
3. A row weighs the square root of its share of its network's time: what matters to a total matters to the fit, and
   small kernels, of which there are many, are not lost.
4. The fallback sees the common features only, and no anchor. Its error is measured with whole operators left out.
5. Rows whose time is not known train nothing, and are priced in cross-validation as all others are.
6. A family of `_MANY_ROWS` kernels that were timed alone has little noise and much to tell: it gets a large ensemble.
   (72,000 convolutions of TensorRT, a tenth left out: median error 2.5 % with it, 8.0 % with the others' largest.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.training.folds import FOLDS
from nnmeter.lab.training.regressors import (
    FALLBACK_PRESETS,
    LARGEST_PRESET,
    PRESETS,
    Learned,
    Preset,
    Regressor,
    fit_regressor,
)
from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.kernel_predictor import FALLBACK
from nnmeter.predictor.roofline import Roofline
from nnmeter.predictor.trees import TreeEnsemble
from nnmeter.predictor.vocabulary import RANGE_COLUMNS, RANGE_FEATURES, Sampled

NORMAL_90 = 1.645  # quantile of the normal distribution that 90 % lie within
_MANY_ROWS = 20_000
MIN_KIND_ROWS = 8  # an operator sampled less often is priced by the fallback

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-fold estimate of every row: log ratio to the roofline, and whether its operator was in training."""

    log_ratio: np.ndarray
    trained: np.ndarray


class KernelFit:
    """Fits ensembles by kernel family to the rows of a table that have times, and cross-validates them."""

    def __init__(self, table: KernelTable, roofline: Roofline, regressor: Regressor, seed: int) -> None:
        self.table = table
        self.regressor = regressor
        self.seed = seed
        self.timed = table.timed
        self.alone = np.array([n.alone for n in table.networks])[table.network]
        self.family = table.family[table.kernel]
        self.kind = table.kind[table.kernel]
        roofline_ms = roofline.latencies_ms(table.flops, table.moved, table.item_bits)
        self.target = np.log(table.latency_ms / roofline_ms[table.kernel])
        known = np.where(self.timed, table.latency_ms, 0.0)
        totals = np.bincount(table.network, weights=known)[table.network]
        self.weight = np.sqrt(known / np.where(self.timed, totals, 1.0))
        self.weight /= self.weight[self.timed].mean()

    def presets(self) -> dict[str, Preset]:
        """The preset of each family that has rows with times (rules 2 and 6)."""
        found = {}
        for family in self.table.features:
            mine = np.flatnonzero((self.family == family) & self.timed)
            if len(mine):
                alone = self.regressor == "lightgbm" and len(mine) >= _MANY_ROWS and self.alone[mine].mean() > 0.5
                found[family] = LARGEST_PRESET if alone else PRESETS[self.regressor]
        return found

    def cross_validate(self, presets: dict[str, Preset], fold: np.ndarray, say: Progress) -> HeldOut:
        """Out-of-fold estimates; `fold` is of each row."""
        estimates = {}
        for family, preset in presets.items():
            estimate, known = estimates[family] = self._cross_validate(family, preset, fold)
            mine = np.flatnonzero(self.family == family)
            judges = self.timed[mine]
            off = np.abs(estimate[judges] - self.target[mine[judges]])
            error = np.average(off, weights=self.weight[mine[judges]])
            say(f"{family}: {judges.sum()} rows, out-of-fold log error {error:.3f}")
        return self._held_out(estimates, fold)

    def _held_out(self, estimates: dict[str, tuple[np.ndarray, np.ndarray]], fold: np.ndarray) -> HeldOut:
        """Put families together; the fallback prices operators that a fold's training did not have."""
        log_ratio = np.zeros(len(self.target))
        trained = np.zeros(len(self.target), bool)
        for family, (estimate, known) in estimates.items():
            log_ratio[self.family == family] = estimate
            trained[self.family == family] = known
        for number in range(FOLDS):
            unknown = (fold == number) & ~trained
            if unknown.any():
                fallback = self.fit_fallback(np.flatnonzero(self.timed & (fold != number)))
                kernels, inverse = np.unique(self.table.kernel[unknown], return_inverse=True)
                common = self.table.common[kernels]
                common[:, 0] = -1.0
                log_ratio[unknown] = fallback.predict(common)[inverse]
        return HeldOut(log_ratio, trained)

    def _cross_validate(self, family: str, preset: Preset, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mine = np.flatnonzero(self.family == family)
        estimate = np.zeros(len(mine))
        known = np.ones(len(mine), bool)
        for number in range(FOLDS):
            test = fold[mine] == number
            if not test.any():
                continue
            training = mine[~test & self.timed[mine]]
            codes = self._codes(training)
            known[test] = codes[self.kind[mine[test]]] >= 0
            if not len(training):
                continue
            learned = self._fit(family, preset, training, codes)
            kernels, inverse = np.unique(self.table.kernel[mine[test]], return_inverse=True)
            estimate[test] = learned.predict(self._rows(family, kernels, codes))[inverse]
        return estimate, known

    def _fit(self, family: str, preset: Preset, training: np.ndarray, codes: np.ndarray) -> Learned:
        """What the rows of these numbers teach of a family."""
        rows = self._rows(family, self.table.kernel[training], codes)
        return fit_regressor(self.regressor, preset, rows, self.target[training], self.weight[training], self.seed)

    def _rows(self, family: str, kernels: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Features of kernels for the ensemble of a family, with the codes of their kinds."""
        rows = self.table.features[family][self.table.place[kernels]]
        rows[:, 0] = codes[self.table.kind[kernels]]
        return rows

    def _codes(self, rows: np.ndarray) -> np.ndarray:
        """Rank of each operator by its mean target (rule 2), by number of the kind; -1 where it is not in `rows`."""
        counts = np.bincount(self.kind[rows], minlength=len(self.table.kinds))
        present = np.flatnonzero(counts)
        present = present[np.argsort(self.table.kind_names[present])]
        means = np.bincount(self.kind[rows], self.target[rows], len(counts))[present] / counts[present]
        codes = np.full(len(counts), -1.0)
        codes[present[np.argsort(means, kind="stable")]] = np.arange(len(present))
        return codes

    def fit(self, presets: dict[str, Preset]) -> tuple[dict[str, TreeEnsemble], dict[Kind, Sampled]]:
        """Ensembles of all families and of the fallback, and the vocabulary with sigma 0, from all rows with times."""
        ensembles: dict[str, TreeEnsemble] = {}
        vocabulary: dict[Kind, Sampled] = {}
        for family, preset in presets.items():
            mine = np.flatnonzero((self.family == family) & self.timed)
            codes = self._codes(mine)
            kernels = self.table.kernel[mine]
            ensembles[family] = self._fit(family, preset, mine, codes).ensemble()
            for number in np.flatnonzero(codes >= 0):
                members = kernels[self.kind[mine] == number]
                if len(members) >= MIN_KIND_ROWS:
                    vocabulary[self.table.kinds[number]] = sampled_as(
                        self.table, members, float(codes[number]), len(members)
                    )
        ensembles[FALLBACK] = self.fit_fallback(np.flatnonzero(self.timed))
        return ensembles, vocabulary

    def fit_fallback(self, rows: np.ndarray) -> TreeEnsemble:
        """The fallback (rule 4) from some rows."""
        return fit_fallback(
            self.table.common[self.table.kernel[rows]], self.target[rows], self.weight[rows], self.regressor, self.seed
        )

    def fallback_sigma(self) -> float:
        """Standard deviation of the fallback with whole operators left out (rule 4)."""
        rows = np.flatnonzero(self.timed)
        common = self.table.common[self.table.kernel[rows]]
        names = self.table.kind_names[self.kind[rows]]
        return fallback_sigma(common, names, self.target[rows], self.weight[rows], self.regressor, self.seed)


def sampled_as(table: KernelTable, kernels: np.ndarray, code: float, count: int) -> Sampled:
    """The vocabulary's entry of an operator that was sampled as these distinct kernels."""
    ranges = table.common[kernels][:, list(RANGE_COLUMNS)]
    low, high = ranges.min(axis=0), ranges.max(axis=0)
    low[RANGE_FEATURES.index("log_batch")] = 0.0  # a smaller batch is nothing new
    return Sampled(code, count, 0.0, tuple(low.tolist()), tuple(high.tolist()))


def fit_fallback(
    common: np.ndarray, target: np.ndarray, weight: np.ndarray, regressor: Regressor, seed: int
) -> TreeEnsemble:
    """An ensemble on common features alone, without the anchor (rule 4)."""
    rows = common.copy()
    rows[:, 0] = -1.0
    return fit_regressor(regressor, FALLBACK_PRESETS[regressor], rows, target, weight, seed).ensemble()


def fallback_sigma(
    common: np.ndarray, kinds: np.ndarray, target: np.ndarray, weight: np.ndarray, regressor: Regressor, seed: int
) -> float:
    """Standard deviation of the fallback's log error on operators that were left out of it; at least 0.2.

    It is such that the median error of 90 % of the operators lies within 1.645 of it: a wide interval is there for the
    operators that are priced badly, and half of them being priced well says nothing of those.
    """
    names, inverse = np.unique(kinds, return_inverse=True)
    dealt = np.empty(len(names), dtype=np.intp)
    dealt[np.random.default_rng(seed).permutation(len(names))] = np.arange(len(names)) % FOLDS
    errors: list[float] = []
    for number in range(FOLDS):
        test = dealt[inverse] == number
        if not test.any() or test.all():
            continue
        rows = common[test].copy()
        rows[:, 0] = -1.0
        estimate = fit_fallback(common[~test], target[~test], weight[~test], regressor, seed).predict(rows)
        error = np.abs(estimate - target[test])
        errors += [float(np.median(error[inverse[test] == i])) for i in np.unique(inverse[test])]
    return max(float(np.quantile(errors or [0.0], 0.9)) / NORMAL_90, 0.2)
