"""How well a campaign's measurements predict each other: trees on kernels, judged by networks they have not seen.

1. Networks are dealt to folds in the order in which they were measured. For each fold, what `nnmeter train` will learn
   is learned from the others: the logarithm of a kernel's time relative to its analytic price, a model a kernel family,
   from the features of that family, operators coded by the rank of their mean (`nnmeter.lab.training.kernels`).
2. The learner is scikit-learn's extremely randomised trees, because it takes a seventh of the time of the trainer's
   boosting: on 1,500 networks of a campaign (61,000 kernels) 5 s against 36 s of one core. The error of networks out of
   fold is 6.9 %, with the trainer's own 7.0 %; by recipe, both rank errors alike (Spearman's rho 0.98).
3. Kernels weigh by the share of time that they have in their network: its root, so that small ones count as well.
4. Where the runtime has no profiler, a network's error is laid on each of its kernels by its share of the predicted
   time, in rounds. Each round corrects the sum of what the earlier ones say.
5. The time of a whole network is the sum of its kernels times a correction (the profiler's cost a kernel, what runs
   between kernels), linear in the logarithm; it is fitted to the networks of the other folds.
6. The cross-validated error is the median of |predicted / measured - 1| over networks, each predicted by trees that
   have not seen it.
7. Where the trees disagree, more samples would help; their standard deviation is the disagreement.
8. An operator that a fold's training has not is worth the mean of all.
9. All runs in this thread: scikit-learn is given one, and is imported when it is needed, not while anything is timed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.lab.campaign.samples import SampleArrays

Array = np.ndarray[Any, Any]

LEAST_NETWORKS = 25  # fewer tell nothing
FOLDS, TREES, LEAST_ROWS = 5, 8, 3
_ROUNDS, _TREES_A_ROUND, _STEP, _LEAST_ROWS_OF_SUMS = 4, 4, 0.7, 8  # rule 4


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What is predicted of networks that were not seen.

    Attributes:
        error: median relative error of whole networks (rule 6).
        network_log_error: of each network, logarithm of predicted over measured.
        kernel_log_error: of each row the same; NaN where kernels are not timed.
        disagreement: of each row the standard deviation of the trees, in logarithms.
        share: of each row its share of its network's predicted time.
    """

    error: float
    network_log_error: Array
    kernel_log_error: Array
    disagreement: Array
    share: Array


def load_learner() -> None:
    """Import scikit-learn (rule 9), so that the first cross-validation takes no longer than others."""
    importlib.import_module("sklearn.ensemble")


def cross_validate(samples: SampleArrays, seed: int = 0) -> CrossValidation:
    """Cross-validates all networks (rules 1 to 9); the same samples and seed give the same result, bit for bit."""
    fold = np.arange(len(samples.latency_ms)) % FOLDS
    predicted, disagreement = np.zeros(len(samples.network)), np.zeros(len(samples.network))
    for number in range(FOLDS):
        own = fold[samples.network] == number
        predicted[own], disagreement[own] = _fit_and_predict(samples, own, seed + number)
    kernel_ms = samples.count * np.exp(predicted)
    total_ms = np.bincount(samples.network, kernel_ms, len(fold))
    ratio = np.log(total_ms / samples.latency_ms)
    design = np.stack([np.ones(len(fold)), np.log1p(samples.kernels / total_ms / 50.0), np.log(total_ms)], axis=1)
    log_error = np.empty(len(fold))
    for number in range(FOLDS):
        own = fold == number
        log_error[own] = ratio[own] - design[own] @ _robust_fit(design[~own], ratio[~own])
    return CrossValidation(
        error=float(np.median(np.abs(np.expm1(log_error)))),
        network_log_error=log_error,
        kernel_log_error=predicted - samples.log_ms,
        disagreement=disagreement,
        share=kernel_ms / total_ms[samples.network],
    )


def _fit_and_predict(samples: SampleArrays, held_out: Array, seed: int) -> tuple[Array, Array]:
    """Logarithm of the milliseconds of the held-out rows, and the disagreement of the trees."""
    timed = ~np.isnan(samples.log_ms)
    price = samples.log_roofline.copy()
    variance = np.zeros(len(price))
    profiled = bool(timed[~held_out].all())
    measured_ms = np.bincount(samples.network, np.where(timed, np.exp(samples.log_ms), 0.0) * samples.count)
    for number in range(1 if profiled else _ROUNDS):
        price_ms = np.exp(price) * samples.count
        total_ms = np.bincount(samples.network, price_ms)
        missing = np.log(samples.latency_ms / total_ms)[samples.network]
        # A network's missing time by rule 4; a kernel's own where it was timed.
        target = np.where(timed, samples.log_ms - price, missing)
        share = np.where(
            timed,
            np.exp(samples.log_ms) * samples.count / np.maximum(measured_ms, 1e-9)[samples.network],
            price_ms / total_ms[samples.network],
        )
        weight = np.sqrt(np.maximum(share, 1e-6)) if profiled else np.maximum(share, 1e-6)
        weight = np.where(timed, weight * np.sqrt(samples.count), weight)
        if profiled:
            mean, spread = _fit_families(samples, held_out, target, weight, TREES, LEAST_ROWS, seed)
            step = 1.0
        else:
            own_seed = seed + FOLDS * (number + 1)
            mean, spread = _fit_families(
                samples, held_out, target, weight, _TREES_A_ROUND, _LEAST_ROWS_OF_SUMS, own_seed
            )
            step = _STEP
        price += step * mean
        variance += (step * spread) ** 2
    return price[held_out], np.sqrt(variance[held_out])


def _fit_families(
    samples: SampleArrays, held_out: Array, target: Array, weight: Array, trees: int, least_rows: int, seed: int
) -> tuple[Array, Array]:
    """Mean and standard deviation of the trees for every row, fitted to those that are not held out (rule 1)."""
    from sklearn.ensemble import ExtraTreesRegressor

    fitted = ~held_out
    codes = _codes(samples, fitted, target)
    mean = np.full(len(target), float(np.average(target[fitted], weights=weight[fitted])))
    spread = np.zeros(len(target))
    for family in range(samples.family_count):
        rows = np.flatnonzero((samples.family == family) & (codes[samples.group] >= 0))
        own = rows[fitted[rows]]
        if not len(own):
            continue
        features = samples.features[rows]
        features[:, 0] = codes[samples.group[rows]]
        learned = features[fitted[rows]]
        features = np.ascontiguousarray(features[:, (learned != learned[0]).any(axis=0)])
        if not features.shape[1]:
            mean[rows] = np.average(target[own], weights=weight[own])
            continue
        forest = ExtraTreesRegressor(trees, min_samples_leaf=least_rows, n_jobs=1, random_state=seed)
        forest.fit(features[fitted[rows]], target[own], weight[own])
        values = np.stack([tree.tree_.predict(features).ravel() for tree in forest.estimators_])
        mean[rows], spread[rows] = values.mean(axis=0), values.std(axis=0)
    return mean, spread


def _codes(samples: SampleArrays, fitted: Array, target: Array) -> Array:
    """Rank of each group among those of its family by its mean target; -1 where no row is fitted to (rule 8)."""
    count = np.bincount(samples.group[fitted], minlength=samples.group_count)
    mean = np.bincount(samples.group[fitted], target[fitted], samples.group_count) / np.maximum(count, 1)
    codes = np.full(samples.group_count, -1.0)
    for family in range(samples.family_count):
        groups = np.flatnonzero((samples.family_of_group == family) & (count > 0))
        codes[groups[np.argsort(mean[groups], kind="stable")]] = np.arange(len(groups))
    return codes


def _robust_fit(design: Array, values: Array) -> Array:
    """Least squares, again without the fifth that lies farthest off."""
    coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
    for _ in range(2):
        off = np.abs(values - design @ coefficients)
        kept = off <= np.quantile(off, 0.8)
        coefficients = np.linalg.lstsq(design[kept], values[kept], rcond=None)[0]
    return np.asarray(coefficients)
