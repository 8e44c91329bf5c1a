"""Fitting to the times of whole networks: on top of what kernels' own times taught, or from nothing but a roofline.

Rules:

1. What is known before is a prior (`priors`). Where no kernel has a time of its own, every operator gets rates of its
   own, to begin with.
2. An operator that the prior lacks joins the vocabulary if it occurs in `MIN_KIND_NETWORKS` networks or more. Its
   code follows those of the prior; new ones are ranked by the factors that the whole networks give them.
3. Additive boosting (`additive`) starts from the prior's prices. Where the prior was trained on the networks' own
   kernels, those are its out-of-fold prices, so that what is learned is the error on networks it has not seen.
4. What is learned is added to the prior: rates to its vocabulary, and a tree a round to its ensembles.
5. Additive boosting on top of kernels' times is kept only if it lowers the held-out error of whole networks by more
   than two standard errors of that difference. A network whose halves agree teaches more than one whose halves differ.
6. Without kernels' times the uncertainty of an operator is how far predictors that were fitted without a network
   disagree on its kernels with the one that was fitted to all. The fallback learns from the prices that boosting found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnmeter.lab.training.additive import (
    AdditiveFit,
    AdditiveHeldOut,
    AdditivePreset,
    AdditiveProblem,
    cross_validate_additive,
    fit_additive,
)
from nnmeter.lab.training.folds import FOLDS
from nnmeter.lab.training.kernels import HeldOut, Progress, fallback_sigma, fit_fallback, sampled_as
from nnmeter.lab.training.priors import Prior, own_rates
from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.kernel_predictor import FALLBACK, LEAST_LAUNCH
from nnmeter.predictor.roofline import fit_log_factors
from nnmeter.predictor.trees import TreeEnsemble, add_ensembles

MIN_KIND_NETWORKS = 8  # an operator that fewer networks have is priced by the fallback
_STEADY = 0.05  # error of a network's time that no difference of its halves shows
MANY_NETWORKS = 5000  # from here on one held-out fold tells presets and rounds apart, in a fifth of the time

PRESETS = (AdditivePreset(leaves=8), AdditivePreset(leaves=24))
PRESETS_OF_MANY = (AdditivePreset(leaves=24, rounds=1000),)
PRESETS_OVER_KERNELS = (AdditivePreset(leaves=8, least_share=30.0, learning_rate=0.05),)  # a slight hand


class WholeFit:
    """The additive problem that a table and a prior pose, and what its solution makes of the prior.

    Attributes:
        vocabulary: of the prior and the operators that joined it (rule 2).
        log_ratio: log ratio to the roofline of each row before boosting [rows].
    """

    def __init__(
        self, table: KernelTable, prior: Prior, log_ratio: np.ndarray, judged_ms: np.ndarray, sums: bool, seed: int
    ) -> None:
        """Pose the problem.

        Args:
            table: all measurements.
            prior: what is known.
            log_ratio: the prior's log ratio to the roofline of each row, out of fold where it was trained (rule 3).
            judged_ms: time of each network to judge by, NaN where it is not fit to.
            sums: whether sums are all that there is: then kernels that were measured alone are sums too, and the
                prior's operators get rates of their own.
            seed: makes the result deterministic.
        """
        self.table = table
        self.prior = prior
        self.seed = seed
        self.log_ratio = log_ratio.copy()
        self.used = np.flatnonzero([sums or not n.alone for n in table.networks])
        self.measured_ms = np.array([n.latency_ms for n in table.networks])[self.used]
        self.terms_ms = prior.roofline.terms_ms(table.flops, table.moved, table.item_bits)
        self.roofline_ms = self.terms_ms.sum(axis=1)
        joining = self._joining()
        self.free = np.zeros(len(table.kinds), bool)
        self.free[joining] = True
        if sums:
            self.free |= table.among_kinds(prior.vocabulary)
        self.vocabulary = dict(prior.vocabulary)
        self._join(joining)
        self.problem = self._pose(judged_ms[self.used])

    def _joining(self) -> np.ndarray:
        """Numbers of the kinds that join the vocabulary (rule 2)."""
        table = self.table
        size = len(table.kinds)
        pairs = np.unique(table.network * size + table.kind[table.kernel])
        counts = np.bincount(pairs[np.isin(pairs // size, self.used)] % size, minlength=size)
        known = table.among_kinds(self.prior.vocabulary)
        return np.flatnonzero((counts >= MIN_KIND_NETWORKS) & ~known)

    def _join(self, joining: np.ndarray) -> None:
        """Enter kinds into the vocabulary, codes by rank of their factors, and set their rows' ratio to the prior."""
        table = self.table
        rows_of = np.bincount(table.kind[table.kernel], minlength=len(table.kinds))
        family_of = {int(a): str(f) for a, f in zip(table.kind, table.family, strict=True)}
        order = joining[np.argsort(self._first_factors(joining), kind="stable")]
        last: dict[str, float] = {}
        for kind, sampled in self.prior.vocabulary.items():
            last[kind.family] = max(last.get(kind.family, -1.0), sampled.code)
        for number in order.tolist():
            family = family_of[number]
            code = last[family] = last.get(family, -1.0) + 1.0
            members = np.flatnonzero(table.kind == number)
            self.vocabulary[table.kinds[number]] = sampled_as(table, members, code, int(rows_of[number]))
        for family in sorted({family_of[a] for a in joining.tolist()}):
            joined = np.isin(table.kind, joining) & (table.family == family)
            kernels = np.flatnonzero(joined)
            ensemble = self.prior.ensembles.get(family)
            ratio = np.zeros(len(table.flops))
            if ensemble is not None:
                ratio[kernels] = ensemble.predict(self._rows(family, kernels))
            mine = joined[table.kernel]
            self.log_ratio[mine] = ratio[table.kernel[mine]]

    def _first_factors(self, joining: np.ndarray) -> np.ndarray:
        """Log factors of kinds that whole networks suggest, all else being the prior's."""
        if not len(joining):
            return np.zeros(0)
        base, fixed = self._prices()
        network, kind = self.table.network, self.table.kind[self.table.kernel]
        slot = np.full(len(self.table.kinds), len(joining))
        slot[joining] = np.arange(len(joining))
        size = (len(self.table.networks), len(joining) + 1)
        terms = np.zeros(size)
        np.add.at(terms, (network, slot[kind]), base)
        rest = terms[:, -1] + np.bincount(network, fixed, size[0]) + self.prior.unobserved.overhead_ms
        return fit_log_factors(terms[self.used, :-1], self.measured_ms, PRESETS[0].ridge, rest[self.used])

    def _prices(self) -> tuple[np.ndarray, np.ndarray]:
        """What factors scale, and what they do not, of each row's price."""
        scale, per_kernel_ms, _ = self.prior.unobserved
        base = scale * self.roofline_ms[self.table.kernel] * np.exp(self.log_ratio)
        return base, np.maximum(per_kernel_ms, LEAST_LAUNCH * self.prior.roofline.launch_ms - base)

    def _rows(self, family: str, kernels: np.ndarray) -> np.ndarray:
        kinds = self.table.kinds
        rows = self.table.features[family][self.table.place[kernels]]
        rows[:, 0] = [self.vocabulary[kinds[number]].code for number in self.table.kind[kernels]]
        return rows

    def _pose(self, judged_ms: np.ndarray) -> AdditiveProblem:
        from scipy import sparse

        table = self.table
        known = table.among_kinds(self.vocabulary)[table.kind]
        members = {f: np.flatnonzero(known & (table.family == f)) for f in table.features}
        members = {family: kernels for family, kernels in members.items() if len(kernels)}
        base, fixed = self._prices()
        shape = (len(table.networks), len(table.flops))
        own_ms = self.terms_ms * own_rates(table, self.vocabulary)
        return AdditiveProblem(
            {family: self._rows(family, kernels) for family, kernels in members.items()},
            members,
            table.kind,
            self.free,
            own_ms / own_ms.sum(axis=1, keepdims=True),
            sparse.coo_matrix((base, (table.network, table.kernel)), shape).tocsr()[self.used],
            np.bincount(table.network, fixed, shape[0])[self.used],
            self.prior.unobserved.overhead_ms,
            self.measured_ms,
            self._weights(),
            judged_ms if np.count_nonzero(~np.isnan(judged_ms)) >= 2 * FOLDS else self.measured_ms,
        )

    def _weights(self) -> np.ndarray:
        """Weight of each network: its precision, as the two halves of its measurement tell it."""
        noise = np.array([self.table.networks[i].noise for i in self.used])
        weight = 1.0 / (_STEADY**2 + (noise / 2) ** 2)
        return weight / weight.mean()

    def choose_preset(
        self, presets: Sequence[AdditivePreset], fold: np.ndarray, say: Progress
    ) -> tuple[AdditivePreset, AdditiveHeldOut]:
        """The preset with the smallest held-out error, `fold` being of each network, and what it predicted."""
        many = len(self.used) > MANY_NETWORKS and len(presets) > 1
        found: list[tuple[float, int, AdditivePreset, AdditiveHeldOut]] = []
        for preset in presets:
            held = (0,) if many else tuple(range(FOLDS))
            outcome = cross_validate_additive(self.problem, fold[self.used], preset, self.seed, say=say, held=held)
            say(f"{preset.leaves} leaves: {outcome.rounds} rounds, out-of-fold log error {outcome.error:.4f}")
            found.append((outcome.error, len(found), preset, outcome))
        _, _, preset, outcome = min(found, key=lambda f: f[:2])
        return preset, self.cross_validate(fold, preset, outcome.rounds) if many else outcome

    def cross_validate(self, fold: np.ndarray, preset: AdditivePreset, rounds: int) -> AdditiveHeldOut:
        """What boosting without each fold predicts, the hyper-parameters being chosen."""
        return cross_validate_additive(self.problem, fold[self.used], preset, self.seed, rounds)

    def helps(self, outcome: AdditiveHeldOut) -> bool:
        """Whether the held-out error fell by more than two standard errors (rule 5)."""
        problem = self.problem
        start = problem.base_ms @ np.ones(len(problem.kind)) + problem.fixed_ms + problem.overhead_ms
        before, after = (np.abs(np.log(ms / problem.judged_ms)) for ms in (start, outcome.total_ms))
        gain = (before - after)[~np.isnan(problem.judged_ms)]
        return bool(gain.mean() > 2 * gain.std() / np.sqrt(len(gain)))

    def fit(self, preset: AdditivePreset, rounds: int) -> AdditiveFit:
        """Boost on all networks."""
        return fit_additive(self.problem, rounds, preset, self.seed)

    def updated(self, fit: AdditiveFit) -> Prior:
        """The prior with what was learned (rule 4)."""
        ensembles = dict(self.prior.ensembles)
        for family, learned in fit.ensembles.items():
            ensembles[family] = add_ensembles([*([ensembles[family]] if family in ensembles else []), learned])
        learned_rates = {kind: fit.rates[i] for i, kind in enumerate(self.table.kinds) if self.free[i]}
        vocabulary = {}
        for kind, sampled in self.vocabulary.items():
            flops, moved, launch = (np.array(sampled.rates) * learned_rates.get(kind, 1.0)).tolist()
            vocabulary[kind] = replace(sampled, rates=(flops, moved, launch))
        unobserved = self.prior.unobserved._replace(overhead_ms=fit.overhead_ms)
        return replace(self.prior, vocabulary=vocabulary, ensembles=ensembles, unobserved=unobserved)

    def held_out(self, outcome: AdditiveHeldOut, fold: np.ndarray, trained: np.ndarray) -> HeldOut:
        """Log ratio to the roofline of each row out of fold; `trained` is what the prior's training had."""
        table = self.table
        factors = outcome.log_factor[fold[table.network], table.kernel]
        free = self.free[table.kind[table.kernel]]
        return HeldOut(self.log_ratio + factors, trained | (free & self._seen(fold)))

    def held_out_with_fallback(self, outcome: AdditiveHeldOut, fold: np.ndarray, trained: np.ndarray) -> HeldOut:
        """As `held_out`; without a fallback of the prior, what a fold did not have is priced by the fold's own."""
        table = self.table
        held_out = self.held_out(outcome, fold, trained)
        if FALLBACK in self.prior.ensembles:
            return held_out
        fold_of_row = fold[table.network]
        for number in range(FOLDS):
            unknown = (fold_of_row == number) & ~held_out.trained
            taught = self.taught() & (fold_of_row != number)
            if unknown.any() and taught.any():
                log_ratio = self.log_ratio + outcome.log_factor[number, table.kernel]
                kernels, inverse = np.unique(table.kernel[unknown], return_inverse=True)
                common = table.common[kernels]
                common[:, 0] = -1.0
                held_out.log_ratio[unknown] = self.learn_fallback(log_ratio, taught).predict(common)[inverse]
        return held_out

    def _seen(self, fold: np.ndarray) -> np.ndarray:
        """Whether each row's kind occurs outside of the row's fold."""
        table = self.table
        kind = table.kind[table.kernel]
        used = np.isin(table.network, self.used)
        places = fold[table.network[used]] * len(table.kinds) + kind[used]
        counts = np.bincount(places, minlength=FOLDS * len(table.kinds)).reshape(FOLDS, -1)
        return (counts.sum(axis=0) - counts)[fold[table.network], kind] > 0

    def taught(self) -> np.ndarray:
        """Whether each row's kind has a factor of its own, and its network is learned from."""
        return self.free[self.table.kind[self.table.kernel]] & np.isin(self.table.network, self.used)

    def shares(self, log_ratio: np.ndarray) -> np.ndarray:
        """Root of the share of each row in its network, at prices of these log ratios."""
        table = self.table
        price = self.roofline_ms[table.kernel] * np.exp(log_ratio)
        return np.sqrt(price / np.bincount(table.network, price)[table.network])

    def learn_fallback(self, log_ratio: np.ndarray, rows: np.ndarray) -> TreeEnsemble:
        """The fallback, from learned log ratios of some rows (rule 6)."""
        kernels, target, weight = self._distil(log_ratio, rows)
        return fit_fallback(self.table.common[kernels], target, weight, "lightgbm", self.seed)

    def fallback_sigma(self, log_ratio: np.ndarray, rows: np.ndarray) -> float:
        """How far the fallback is from learned prices of operators that it was not taught."""
        kernels, target, weight = self._distil(log_ratio, rows)
        names = self.table.kind_names[self.table.kind[kernels]]
        return fallback_sigma(self.table.common[kernels], names, target, weight, "lightgbm", self.seed)

    def _distil(self, log_ratio: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct kernels of some rows, their log ratios, and their weights."""
        kernels, inverse = np.unique(self.table.kernel[rows], return_inverse=True)
        share = self.shares(log_ratio)[rows]
        weight = np.bincount(inverse, share)
        return kernels, np.bincount(inverse, share * log_ratio[rows]) / weight, weight / weight.mean()
