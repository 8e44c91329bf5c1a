"""Fitting kernels' times on top of the predictor of another machine: what a short campaign and a strong prior give.

Rules:

1. What machines have in common stays: a kernel's price starts at the prior's, and the target is
   `log(measured / the prior's price)`. What is learned is added to the prior's ensembles as further trees, so that the
   pack that comes of it is one like all others.
2. Of every family first its offset is taken, drawn towards that of all families as if `_PRIOR_ROWS` of its rows had
   that; then boosting goes on with small, strongly regularised trees. A family without a row moves with all others.
3. The feature "anchor" of an operator keeps the value that the prior gave it. One that the prior does not know joins
   its family's ensemble with a new value as soon as it was sampled `MIN_KIND_ROWS` times.
4. Weights, folds, errors, and what leads to whole runs, are those of a full campaign (`nnmeter.lab.training.train`):
   one path, and the longer the campaign, the less is left of the prior. `PRESETS` grow with it.
5. An operator that was not sampled on this machine keeps the prior's standard deviation, and that of how operators of
   its family moved against each other is added (`nnmeter.lab.training.intervals`, rule 1).
6. The prior may be a mixture of several machines (`nnmeter.predictor.shares`); its parts are kept as they are.

Seen to work between an Ice Lake and a Zen 4 core, either being the prior of the other: 100 random networks of the
other's campaign gave a mean error of 5.7 and 6.7 % on 68 models, 200 gave 4.6 and 6.0, 1,000 gave 4.0 and 5.3
(`benchmarks/short_campaigns.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.training.folds import FOLDS
from nnmeter.lab.training.kernels import MIN_KIND_ROWS, HeldOut, sampled_as
from nnmeter.lab.training.priors import pack_prior
from nnmeter.lab.training.regressors import Preset, fit_regressor
from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.kernel_predictor import KernelPredictor, log_ratio_of_shares
from nnmeter.predictor.trees import TreeEnsemble, add_ensembles
from nnmeter.predictor.vocabulary import Sampled

_PRIOR_ROWS = 20  # rule 2
_LEAST_ROWS = 10  # of a family that gets more than the offset of all
# Rows of a family -> its trees (rule 4).
PRESETS: tuple[tuple[int, Preset], ...] = (
    (0, Preset(150, 12, 0.06, 12, 5.0)),
    (4_000, Preset(250, 16, 0.06, 10, 3.0)),
    (12_000, Preset(300, 24, 0.06, 6, 1.0)),
)


@dataclass(frozen=True, slots=True)
class Learned:
    """What some rows say: the offset of all families, and the trees of each that has rows."""

    offset: float
    ensembles: Mapping[str, TreeEnsemble]

    def of(self, family: str) -> TreeEnsemble | float:
        """What is added to a family's ensemble."""
        return self.ensembles.get(family, self.offset)


class ContinuedFit:
    """The prior's prices of a table's kernels, and what measurements change in them.

    Attributes:
        prior: the predictor of the other machine, as what it is made of.
        vocabulary: its own, and what joins it (rule 3).
        before: log ratio to the prior's roofline, as the prior says, of each distinct kernel [kernels].
        weight: of each row [rows].
    """

    def __init__(self, table: KernelTable, predictor: KernelPredictor, seed: int) -> None:
        """Prices the table's kernels.

        Raises:
            DeviceError: the prior was calibrated, so that its prices are not those of its ensembles.
        """
        self.table, self.seed = table, seed
        self.prior, by_row, _ = pack_prior(table, predictor)
        self._shares = predictor.shares
        self.timed = table.timed
        self.family = table.family[table.kernel]
        self.before = np.zeros(len(table.flops))
        self.before[table.kernel] = by_row
        self.vocabulary: dict[Kind, Sampled] = dict(self.prior.vocabulary)
        self._join()
        self.codes = np.array([s.code if (s := self.vocabulary.get(kind)) else -1.0 for kind in table.kinds])
        self.known = self.codes[table.kind[table.kernel]] >= 0
        roofline_ms = self.prior.roofline.latencies_ms(table.flops, table.moved, table.item_bits)
        self.log_roofline = np.log(roofline_ms)
        self.target = np.log(table.latency_ms) - (self.log_roofline + self.before)[table.kernel]
        times = np.where(self.timed, table.latency_ms, 0.0)
        totals = np.bincount(table.network, weights=times)[table.network]
        self.weight = np.sqrt(times / np.where(self.timed, totals, 1.0))
        self.weight /= self.weight[self.timed].mean()

    def first_ms(self) -> np.ndarray:
        """The prior's price of each row as a profiler shows it, brought to this machine by one factor [rows]."""
        offset = float(np.average(self.target[self.timed], weights=self.weight[self.timed]))
        return np.asarray(np.exp((self.log_roofline + self.before)[self.table.kernel] + offset))

    def take(self, table: KernelTable) -> None:
        """Go on with other times of the same kernels."""
        self.target = self.target + np.log(table.latency_ms / self.table.latency_ms)
        self.table = table

    def _join(self) -> None:
        """Take operators into the vocabulary that the prior does not know (rule 3)."""
        table = self.table
        rows = np.bincount(table.kind[table.kernel[self.timed]], minlength=len(table.kinds))
        highest: dict[str, float] = {}
        for kind, entry in self.vocabulary.items():
            highest[kind.family] = max(entry.code, highest.get(kind.family, -1.0))
        for number, kind in enumerate(table.kinds):
            if kind in self.vocabulary or rows[number] < MIN_KIND_ROWS:
                continue
            mine = np.flatnonzero(table.kind == number)
            family = kind.family
            code = highest[family] = highest.get(family, -1.0) + 1.0
            self.vocabulary[kind] = sampled_as(table, mine, code, int(rows[number]))
            self.before[mine] = 0.0
            if family in self.prior.ensembles:
                features = table.features[family][table.place[mine]]
                features[:, 0] = code
                self.before[mine] = self.prior.ensembles[family].predict(features) + self._of_shares(mine)

    def _of_shares(self, kernels: np.ndarray) -> np.ndarray:
        """What the prior's shares of other machines add to the log ratio of these kernels."""
        table = self.table
        roofline_ms = self.prior.roofline.latencies_ms(
            table.flops[kernels], table.moved[kernels], table.item_bits[kernels]
        )
        return log_ratio_of_shares(self._shares, [table.located[k] for k in kernels], roofline_ms)

    def learn(self, rows: np.ndarray) -> Learned:
        """What the rows of these numbers say (rule 2)."""
        offset = float(np.average(self.target[rows], weights=self.weight[rows]))
        ensembles: dict[str, TreeEnsemble] = {}
        for family in self.table.features:
            mine = rows[(self.family[rows] == family) & self.known[rows]]
            if len(mine) < _LEAST_ROWS:
                continue
            target, weight = self.target[mine], self.weight[mine]
            own = float(np.average(target, weights=weight))
            centre = (own * len(mine) + offset * _PRIOR_ROWS) / (len(mine) + _PRIOR_ROWS)
            preset = next(p for least, p in reversed(PRESETS) if len(mine) >= least)
            features = self._rows(family, mine)
            learned = fit_regressor("lightgbm", preset, features, target - centre, weight, self.seed).ensemble()
            ensembles[family] = replace(learned, bias=learned.bias + centre)
        return Learned(offset, ensembles)

    def _rows(self, family: str, rows: np.ndarray) -> np.ndarray:
        kernels = self.table.kernel[rows]
        features = self.table.features[family][self.table.place[kernels]]
        features[:, 0] = self.codes[self.table.kind[kernels]]
        return features

    def held_out(
        self, fold: np.ndarray, seen: np.ndarray | None = None, judged: Sequence[int] = range(FOLDS)
    ) -> HeldOut:
        """Out-of-fold estimates of all rows.

        Args:
            fold: of each row [rows].
            seen: the rows that are learned from; all that have a time, if not given [rows].
            judged: the folds that are estimated; rows of others keep the prior's price.
        """
        teaches = self.timed if seen is None else self.timed & seen
        log_ratio = self.before[self.table.kernel]
        for number in judged:
            test = np.flatnonzero(fold == number)
            training = np.flatnonzero((fold != number) & teaches)
            if len(test) and len(training):
                log_ratio[test] += self._apply(self.learn(training), test)
        return HeldOut(log_ratio, self.known)

    def _apply(self, learned: Learned, rows: np.ndarray) -> np.ndarray:
        added = np.full(len(rows), learned.offset)
        for family, ensemble in learned.ensembles.items():
            mine = (self.family[rows] == family) & self.known[rows]
            if mine.any():
                added[mine] = ensemble.predict(self._rows(family, rows[mine]))
        return added

    def fit(self) -> tuple[dict[str, TreeEnsemble], dict[Kind, Sampled]]:
        """Ensembles of all families and of the fallback, and the vocabulary; deviations of what was sampled are 0."""
        learned = self.learn(np.flatnonzero(self.timed))
        ensembles = {family: _moved(ensemble, learned.of(family)) for family, ensemble in self.prior.ensembles.items()}
        for family, ensemble in learned.ensembles.items():
            ensembles.setdefault(family, ensemble)
        return ensembles, self._sampled_here()

    def _sampled_here(self) -> dict[Kind, Sampled]:
        """The vocabulary, what was sampled on this machine with the ranges of both and without a deviation (rule 5)."""
        table = self.table
        rows = np.bincount(table.kind[table.kernel[self.timed]], minlength=len(table.kinds))
        vocabulary = dict(self.vocabulary)
        for number, kind in enumerate(table.kinds):
            entry = vocabulary.get(kind)
            if entry is None or rows[number] < MIN_KIND_ROWS:
                continue
            here = sampled_as(table, np.flatnonzero(table.kind == number), entry.code, 0)
            vocabulary[kind] = replace(
                entry,
                count=entry.count + int(rows[number]),
                sigma=0.0,
                low=tuple(map(min, entry.low, here.low)),
                high=tuple(map(max, entry.high, here.high)),
            )
        return vocabulary


def _moved(ensemble: TreeEnsemble, by: TreeEnsemble | float) -> TreeEnsemble:
    if isinstance(by, TreeEnsemble):
        return add_ensembles([ensemble, by])
    return replace(ensemble, bias=ensemble.bias + by)
