"""How sure a trained predictor is, found on networks that it was not trained on.

Rules:

1. The standard deviation of an operator's log price is such that 90 % of its held-out kernels lie within 1.645 of it,
   drawn towards its family's where it was sampled little. Kernels count by their weight in training.
2. Where no kernel has a time of its own, it is how far predictors that were fitted without a network disagree on its
   kernels with the one that was fitted to all.
3. Intervals are calibrated on out-of-fold totals of whole networks (see `intervals`) that were measured repeatably: an
   interval is to hold the error of the prediction, not that of half a second of measuring on a restless machine.
4. Where no whole network was measured, they are calibrated on single kernels.
5. Coverage is that of networks (kernels) inside of what the *other* half of the networks calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nnmeter.lab.training.kernels import RANGE_COLUMNS
from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.intervals import IntervalModel, calibrate_scales, explained_scales, half_widths
from nnmeter.predictor.kernel_predictor import Anchor
from nnmeter.predictor.price import SIGMA_PER_DOUBLING

_SIGMA_FLOOR = 0.02
_PRIOR_COUNT = 20  # kernels that a family's error counts for in that of one of its operators
_NORMAL_90 = 1.645


@dataclass(frozen=True, slots=True)
class HeldOutPrices:
    """Prices of all rows as predictors would have given them that had not seen the network.

    Attributes:
        latency_ms: of each row, as it runs unobserved [rows].
        sigma: standard deviation of its logarithm, for as far as it was sampled [rows].
        unsampled: what is to be added to it where it was not [rows].
    """

    latency_ms: np.ndarray
    sigma: np.ndarray
    unsampled: np.ndarray


def kernel_sigmas(
    table: KernelTable, anchors: Mapping[str, Anchor], log_error: np.ndarray, weight: np.ndarray
) -> dict[str, Anchor]:
    """The vocabulary with its standard deviations (rules 1 and 2).

    Args:
        table: all measurements.
        anchors: the vocabulary; a deviation that an entry has already, as a prior's does, is added in quadrature.
        log_error: of each row, NaN where it is not known [rows].
        weight: of each row [rows].
    """
    known = np.flatnonzero(~np.isnan(log_error))
    error, weight = np.abs(log_error[known]), weight[known]
    number = table.anchor[table.kernel[known]]
    family = table.family[table.kernel[known]]
    shared = {name: _spread(error[family == name], weight[family == name]) for name in np.unique(family).tolist()}
    overall = _spread(error, weight)
    index = {name: i for i, name in enumerate(table.anchors)}
    result = {}
    for name, anchor in anchors.items():
        mine = number == index.get(name, -1)
        count = int(mine.sum())
        wide = shared.get(anchor.family, overall)
        own = _spread(error[mine], weight[mine]) if count else wide
        sigma = np.sqrt((count * own**2 + _PRIOR_COUNT * wide**2) / (count + _PRIOR_COUNT))
        result[name] = replace(anchor, sigma=max(float(np.hypot(sigma, anchor.sigma)), _SIGMA_FLOOR))
    return result


def _spread(error: np.ndarray, weight: np.ndarray) -> float:
    """Standard deviation of a normal distribution with the same weighted 90th percentile of absolute values."""
    order = np.argsort(error)
    passed = np.cumsum(weight[order])
    return float(error[order][np.searchsorted(passed, 0.9 * passed[-1])]) / _NORMAL_90


def row_sigmas(
    table: KernelTable, anchors: Mapping[str, Anchor], trained: np.ndarray, fallback_sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation of each row's log price for as far as it was sampled, and what is to be added.

    That is the fallback's standard deviation for a row that is not trained, else a share of the distance to the sampled
    range.
    """
    sizes = table.common[:, RANGE_COLUMNS].astype(float)
    sigma = np.zeros(len(table.anchor))
    unsampled = np.full(len(table.anchor), fallback_sigma)
    for number, name in enumerate(table.anchors):
        anchor = anchors.get(name)
        if anchor is not None:
            mine = table.anchor == number
            beyond = np.maximum(np.array(anchor.low) - sizes[mine], sizes[mine] - np.array(anchor.high))
            sigma[mine] = anchor.sigma
            unsampled[mine] = SIGMA_PER_DOUBLING * np.maximum(beyond.max(axis=1), 0.0)
    return (
        np.where(trained, sigma[table.kernel], 0.0),
        np.where(trained, unsampled[table.kernel], fallback_sigma),
    )


def calibrate_totals(
    table: KernelTable, prices: HeldOutPrices, inference_ms: float, judged_ms: np.ndarray
) -> tuple[IntervalModel, np.ndarray, float]:
    """Calibrate intervals of totals (rules 3 to 5).

    Args:
        table: all measurements.
        prices: of its rows, out of fold.
        inference_ms: time of an inference that no kernel accounts for.
        judged_ms: time of each network, NaN where it is not fit to judge [networks].

    Returns:
        Intervals; predicted total of each network [networks]; coverage of the 90 % interval in per cent.
    """
    count = len(table.networks)
    explained, totals = explained_scales(
        prices.latency_ms, prices.sigma, table.anchor[table.kernel], table.network, count
    )
    unsampled = np.bincount(table.network, prices.latency_ms * prices.unsampled, count) / totals
    predicted = totals + inference_ms
    judges = np.flatnonzero(~np.isnan(judged_ms))
    errors = np.log(judged_ms[judges] / predicted[judges])
    explained, totals, unsampled = explained[judges], totals[judges], unsampled[judges]
    half = np.random.default_rng(0).permutation(len(judges)) % 2 == 0
    inside = 0
    for mine in (half, ~half):
        model = calibrate_scales(errors[~mine], explained[~mine], totals[~mine], unsampled[~mine])
        halves = half_widths(model, 0.9, explained[mine], totals[mine], unsampled[mine])
        inside += int((np.abs(errors[mine]) <= halves).sum())
    return calibrate_scales(errors, explained, totals, unsampled), predicted, round(100.0 * inside / len(judges), 2)


def kernel_coverage(
    table: KernelTable,
    anchors: Mapping[str, Anchor],
    trained: np.ndarray,
    log_error: np.ndarray,
    weight: np.ndarray,
    fallback_sigma: float,
) -> float:
    """Per cent of the kernels' time inside the 90 % interval of single kernels (rule 5).

    Args:
        table: all measurements.
        anchors: the vocabulary.
        trained: whether each row's operator was in training [rows].
        log_error: of each row out of fold, NaN where it is not known [rows].
        weight: of each row [rows].
        fallback_sigma: standard deviation of what was not in training.
    """
    half = (np.random.default_rng(0).permutation(len(table.networks)) % 2 == 0)[table.network]
    known = ~np.isnan(log_error)
    inside = np.zeros(len(log_error), bool)
    for mine in (half, ~half):
        others = kernel_sigmas(table, anchors, np.where(mine, np.nan, log_error), weight)
        sigma = np.add(*row_sigmas(table, others, trained, fallback_sigma))
        inside[mine] = np.abs(log_error[mine]) <= _NORMAL_90 * sigma[mine]
    return round(100.0 * float(np.average(inside[known], weights=weight[known])), 2)
