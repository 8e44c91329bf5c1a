"""How well a campaign's measurements predict each other: trees on kernels, judged by networks they have not seen.

1. Networks are dealt to folds in the order in which they were measured. For each fold an ensemble is fitted to the
   others: a linear function a group of kernels (an operator with an element type) of FLOPs and bytes, in logarithms and
   relative to the analytic price, and extremely randomised trees on what that leaves.
2. Kernels weigh by the share of time that they have in their network: its root, so that small ones count as well.
3. Where the runtime has no profiler, a network's error is laid on each of its kernels by its share of the predicted
   time, in rounds. Each round corrects the sum of what the earlier ones say.
4. The time of a whole network is the sum of its kernels times a correction (the profiler's cost a kernel, what runs
   between kernels), linear in the logarithm; it is fitted to the networks of the other folds.
5. The cross-validated error is the median of |predicted / measured - 1| over networks, each predicted by the ensemble
   that has not seen it.
6. Where the trees of an ensemble disagree, more samples would help; their standard deviation is the disagreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.lab.campaign.forest import fit_trees
from nnmeter.lab.campaign.samples import SampleArrays

Array = np.ndarray[Any, Any]

LEAST_NETWORKS = 25  # fewer tell nothing
FOLDS, TREES, ROW_SHARE = 5, 10, 0.4
_LINEAR = slice(1, 5)  # log_flops, log_in_bytes, log_constant_bytes, log_out_bytes
_RIDGE = 4.0
_ROUNDS, _TREES_A_ROUND, _STEP, _LEAST_ROWS = 6, 4, 0.6, 8  # rule 3


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What the ensemble says of networks that it has not seen.

    Attributes:
        error: median relative error of whole networks (rule 5).
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


def cross_validate(samples: SampleArrays, seed: int = 0) -> CrossValidation:
    """Cross-validates all networks (rules 1 to 6); the same samples and seed give the same result, bit for bit."""
    fold = np.arange(len(samples.latency_ms)) % FOLDS
    predicted, disagreement = np.zeros(len(samples.network)), np.zeros(len(samples.network))
    for number in range(FOLDS):
        own = fold[samples.network] == number
        predicted[own], disagreement[own] = _fit_and_predict(samples, own, np.random.default_rng((seed, number)))
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


def _fit_and_predict(samples: SampleArrays, held_out: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Logarithm of the milliseconds of the held-out rows, and the disagreement of the trees."""
    timed = ~np.isnan(samples.log_ms)
    price = samples.log_roofline.copy()
    variance = np.zeros(len(price))
    profiled = bool(timed[~held_out].all())
    fitted = ~held_out
    measured_ms = np.bincount(samples.network, np.where(timed, np.exp(samples.log_ms), 0.0) * samples.count)
    for _ in range(1 if profiled else _ROUNDS):
        price_ms = np.exp(price) * samples.count
        total_ms = np.bincount(samples.network, price_ms)
        missing = np.log(samples.latency_ms / total_ms)[samples.network]
        # A network's missing time by rule 3; a kernel's own where it was timed.
        target = np.where(timed, samples.log_ms - price, missing)
        share = np.where(
            timed,
            np.exp(samples.log_ms) * samples.count / np.maximum(measured_ms, 1e-9)[samples.network],
            price_ms / total_ms[samples.network],
        )
        weight = np.sqrt(np.maximum(share, 1e-6)) if profiled else np.maximum(share, 1e-6)
        weight = np.where(timed, weight * np.sqrt(samples.count), weight)
        linear = _linear_prediction(samples, fitted, target, weight)
        trees = fit_trees(
            samples.features[fitted],
            samples.group[fitted],
            samples.group_count,
            (target - linear)[fitted],
            weight[fitted],
            TREES if profiled else _TREES_A_ROUND,
            rng,
            2 if profiled else _LEAST_ROWS,
            ROW_SHARE,
        )
        values = np.stack([tree.predict(samples.features, samples.group) for tree in trees])
        step = 1.0 if profiled else _STEP
        price += step * (linear + values.mean(axis=0))
        variance += step**2 * values.var(axis=0)
    return price[held_out], np.sqrt(variance[held_out])


def _linear_prediction(samples: SampleArrays, fitted: Array, target: Array, weight: Array) -> Array:
    """Ridge regression in each group; a group without rows gets the mean of all."""
    result = np.full(len(target), float(np.average(target[fitted], weights=weight[fitted])))
    order = np.argsort(samples.group, kind="stable")
    starts = np.searchsorted(samples.group[order], np.arange(samples.group_count + 1))
    for group in range(samples.group_count):
        rows = order[starts[group] : starts[group + 1]]
        own = rows[fitted[rows]]
        if not len(own):
            continue
        w = weight[own] / weight[own].mean()
        x = samples.features[own, _LINEAR].astype(float)
        centre, level = np.average(x, axis=0, weights=w), np.average(target[own], weights=w)
        x -= centre
        slopes = np.linalg.solve(
            (x * w[:, None]).T @ x + _RIDGE * np.eye(x.shape[1]), (x * w[:, None]).T @ (target[own] - level)
        )
        result[rows] = level + (samples.features[rows, _LINEAR] - centre) @ slopes
    return result


def _robust_fit(design: Array, values: Array) -> Array:
    """Least squares, again without the fifth that lies farthest off."""
    coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
    for _ in range(2):
        off = np.abs(values - design @ coefficients)
        kept = off <= np.quantile(off, 0.8)
        coefficients = np.linalg.lstsq(design[kept], values[kept], rcond=None)[0]
    return np.asarray(coefficients)
