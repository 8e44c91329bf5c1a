"""How sure a trained predictor is, found on networks that it was not trained on.

Rules:

1. The standard deviation of an operator's log price is such that 90 % of its held-out kernels lie within 1.645 of it,
   drawn towards its family's where it was sampled little. Kernels count by their weight in training. Where a family was
   sampled enough, each of its kernels has a deviation of its own (`deviations`).
2. Where no kernel has a time of its own, it is how far predictors that were fitted without a network disagree on its
   kernels with the one that was fitted to all.
3. Intervals are fitted to out-of-fold totals of whole networks (see `intervals`) that were measured repeatably: an
   interval is to hold the error of the prediction, not that of half a second of measuring on a restless machine.
4. Where no whole network was measured, they are fitted to single kernels.
5. Coverage is that of networks (kernels) inside of what was fitted to the *other* half of the networks.
6. How much wider intervals of unlike networks are is fitted to families that were left out (`shift`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.training.shift import fit_shift
from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.intervals import IntervalModel, explained_spreads, fit_intervals_to_spreads, half_widths
from nnmeter.predictor.price import SIGMA_PER_DOUBLING
from nnmeter.predictor.shift import Shift, describe_networks
from nnmeter.predictor.vocabulary import RANGE_COLUMNS, Sampled

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
    table: KernelTable, vocabulary: Mapping[Kind, Sampled], log_error: np.ndarray, weight: np.ndarray
) -> dict[Kind, Sampled]:
    """The vocabulary with its standard deviations (rules 1 and 2).

    Args:
        table: all measurements.
        vocabulary: with no deviations yet; one that an entry has already, as a prior's does, is added in quadrature.
        log_error: of each row, NaN where it is not known [rows].
        weight: of each row [rows].
    """
    known = np.flatnonzero(~np.isnan(log_error))
    error, weight = np.abs(log_error[known]), weight[known]
    number = table.kind[table.kernel[known]]
    family = table.family[table.kernel[known]]
    shared = {name: _spread(error[family == name], weight[family == name]) for name in np.unique(family).tolist()}
    overall = _spread(error, weight)
    index = {kind: i for i, kind in enumerate(table.kinds)}
    result = {}
    for kind, sampled in vocabulary.items():
        mine = number == index.get(kind, -1)
        count = int(mine.sum())
        wide = shared.get(kind.family, overall)
        own = _spread(error[mine], weight[mine]) if count else wide
        sigma = np.sqrt((count * own**2 + _PRIOR_COUNT * wide**2) / (count + _PRIOR_COUNT))
        result[kind] = replace(sampled, sigma=max(float(np.hypot(sigma, sampled.sigma)), _SIGMA_FLOOR))
    return result


def _spread(error: np.ndarray, weight: np.ndarray) -> float:
    """Standard deviation of a normal distribution with the same weighted 90th percentile of absolute values."""
    order = np.argsort(error)
    passed = np.cumsum(weight[order])
    return float(error[order][np.searchsorted(passed, 0.9 * passed[-1])]) / _NORMAL_90


def row_sigmas(
    table: KernelTable,
    vocabulary: Mapping[Kind, Sampled],
    trained: np.ndarray,
    fallback_sigma: float,
    learned: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation of each row's log price for as far as it was sampled, and what is to be added.

    That is the fallback's standard deviation for a row that is not trained, else a share of the distance to the sampled
    range. Where `learned` is a number it is the row's deviation (`deviations`), elsewhere that of its kind is.
    """
    sizes = table.common[:, list(RANGE_COLUMNS)].astype(float)
    sigma = np.zeros(len(table.kind))
    unsampled = np.full(len(table.kind), fallback_sigma)
    for number, kind in enumerate(table.kinds):
        sampled = vocabulary.get(kind)
        if sampled is not None:
            mine = table.kind == number
            beyond = np.maximum(np.array(sampled.low) - sizes[mine], sizes[mine] - np.array(sampled.high))
            sigma[mine] = sampled.sigma
            unsampled[mine] = SIGMA_PER_DOUBLING * np.maximum(beyond.max(axis=1), 0.0)
    of_row = sigma[table.kernel]
    if learned is not None:
        of_row = np.where(np.isnan(learned), of_row, learned)
    return (
        np.where(trained, of_row, 0.0),
        np.where(trained, unsampled[table.kernel], fallback_sigma),
    )


def fit_total_intervals(
    table: KernelTable, prices: HeldOutPrices, overhead_ms: float, judged_ms: np.ndarray
) -> tuple[IntervalModel, np.ndarray, float]:
    """Fit intervals of totals (rules 3 to 5).

    Args:
        table: all measurements.
        prices: of its rows, out of fold.
        overhead_ms: time of an inference that no kernel accounts for.
        judged_ms: time of each network, NaN where it is not fit to judge [networks].

    Returns:
        Intervals; predicted total of each network [networks]; coverage of the 90 % interval in per cent.
    """
    count = len(table.networks)
    explained, totals = explained_spreads(
        prices.latency_ms, prices.sigma, table.kind[table.kernel], table.network, count
    )
    unsampled = np.bincount(table.network, prices.latency_ms * prices.unsampled, count) / totals
    predicted = totals + overhead_ms
    judges = np.flatnonzero(~np.isnan(judged_ms))
    errors = np.log(judged_ms[judges] / predicted[judges])
    explained, totals, unsampled = explained[judges], totals[judges], unsampled[judges]
    half = np.random.default_rng(0).permutation(len(judges)) % 2 == 0
    inside = 0
    for mine in (half, ~half):
        model = fit_intervals_to_spreads(errors[~mine], explained[~mine], totals[~mine], unsampled[~mine])
        halves = half_widths(model, 0.9, explained[mine], totals[mine], unsampled[mine])
        inside += int((np.abs(errors[mine]) <= halves).sum())
    return (
        fit_intervals_to_spreads(errors, explained, totals, unsampled),
        predicted,
        round(100.0 * inside / len(judges), 2),
    )


def shift_of(
    table: KernelTable,
    vocabulary: Mapping[Kind, Sampled],
    model: IntervalModel,
    apart: HeldOutPrices,
    overhead_ms: float,
    judged_ms: np.ndarray,
    fold: np.ndarray,
    seen: HeldOutPrices,
) -> Shift | None:
    """What leaving families out shows of unlike networks (rule 6); None where families do not tell.

    Args:
        table: all measurements.
        vocabulary: what was sampled.
        model: intervals without shift.
        apart: prices of the rows where their families were left out.
        overhead_ms: time of an inference that no kernel accounts for.
        judged_ms: time of each network, NaN where it is not fit to judge [networks].
        fold: of each network, families mixed [networks].
        seen: prices of the rows out of these folds.
    """
    kinds = tuple(kind for kind in table.kinds if kind in vocabulary)
    totals, halves = spreads_apart(table, model, apart)
    return fit_shift(
        describe_table(table, kinds, seen.latency_ms),
        kinds,
        ["" if n.random or n.alone else n.family for n in table.networks],
        fold,
        np.log(judged_ms / (totals + overhead_ms)),
        halves,
        float(spreads_apart(table, model, seen)[1][0.9].mean()),
    )


def spreads_apart(
    table: KernelTable, model: IntervalModel, apart: HeldOutPrices
) -> tuple[np.ndarray, dict[float, np.ndarray]]:
    """Sum of the prices of each network [networks], and half its log interval without shift by confidence."""
    count = len(table.networks)
    number = table.kind[table.kernel]
    explained, totals = explained_spreads(apart.latency_ms, apart.sigma, number, table.network, count)
    unsampled = np.bincount(table.network, apart.latency_ms * apart.unsampled, count) / totals
    return totals, {c: half_widths(model, c, explained, totals, unsampled) for c in model.multipliers}


def describe_table(table: KernelTable, kinds: Sequence[Kind], latency_ms: np.ndarray) -> np.ndarray:
    """The networks of a table, described by kernels of these kinds at these prices [networks, dimensions]."""
    count = len(table.networks)
    place = np.array([kinds.index(kind) if kind in kinds else -1 for kind in table.kinds])[table.kind[table.kernel]]
    rows = np.flatnonzero(place >= 0)
    kernel, network = table.kernel[rows], table.network[rows]
    share = latency_ms / np.bincount(table.network, latency_ms, count)[table.network]
    sizes = (count, len(kinds))
    return describe_networks(place[rows], share[rows], table.flops[kernel], table.moved[kernel], network, sizes)


def kernel_coverage(
    table: KernelTable,
    vocabulary: Mapping[Kind, Sampled],
    trained: np.ndarray,
    log_error: np.ndarray,
    weight: np.ndarray,
    fallback_sigma: float,
    learned: np.ndarray | None = None,
) -> float:
    """Per cent of the kernels' time inside the 90 % interval of single kernels (rule 5).

    Args:
        table: all measurements.
        vocabulary: what was sampled.
        trained: whether each row's operator was in training [rows].
        log_error: of each row out of fold, NaN where it is not known [rows].
        weight: of each row [rows].
        fallback_sigma: standard deviation of what was not in training.
        learned: deviation of each row, NaN where that of its kind counts [rows].
    """
    half = (np.random.default_rng(0).permutation(len(table.networks)) % 2 == 0)[table.network]
    known = ~np.isnan(log_error)
    inside = np.zeros(len(log_error), bool)
    for mine in (half, ~half):
        others = kernel_sigmas(table, vocabulary, np.where(mine, np.nan, log_error), weight)
        sigma = np.add(*row_sigmas(table, others, trained, fallback_sigma, learned))
        inside[mine] = np.abs(log_error[mine]) <= _NORMAL_90 * sigma[mine]
    return round(100.0 * float(np.average(inside[known], weights=weight[known])), 2)
