"""Fitting what kernels bound by their weights take in short networks and in long ones.

Rules (what the factor is, `nnmeter.predictor.network_factors` says):

1. Such a kernel takes its bytes over a bandwidth: the logarithm of its time is fitted by its kind, a parabola in the
   logarithm of its bytes, and the factor of its network together, least squares with outliers counting linearly.
2. The factor never falls with the time of the network, and neighbouring knots are held together by `_STIFFNESS` rows.
3. It is 1 in the mean of the rows, of few bytes and of many. Fewer than `LEAST_ROWS` rows say nothing.
4. Kernels' times are divided by it before anything else is fitted to them, and prices are multiplied where they are
   summed up. Here the time of a network is the measured one.
5. Behind that, to what is left, is fitted what all kernels take longer in long networks
   (`nnmeter.lab.training.coldness`), and then by others of their kind (`nnmeter.lab.training.reuse`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnmeter.lab.training.coldness import added_ms
from nnmeter.lab.training.reuse import reuse_log_factors
from nnmeter.lab.training.table import MOST_OF_A_GROUP, KernelTable
from nnmeter.lab.training.unobserved import Unobserved
from nnmeter.predictor.coldness import Coldness, raised
from nnmeter.predictor.kernel_predictor import LEAST_LAUNCH
from nnmeter.predictor.network_factors import (
    KNOTS_MS,
    LARGEST_LOG_FACTOR,
    MULTIPLYING,
    NetworkFactors,
    are_bound,
    share_of_many,
)
from nnmeter.predictor.roofline import Roofline

LEAST_ROWS = 200
_STIFFNESS = 5.0
_CLIP = 0.3
_ROUNDS = 10
_EDGES = np.log2(np.array(KNOTS_MS))


def bound_rows(table: KernelTable) -> np.ndarray:
    """Whether each row is of a kernel that is bound by its weights, in a network of more than a few kernels [rows]."""
    whole = np.array([not n.alone and len(n.rows) > MOST_OF_A_GROUP for n in table.networks], bool)
    bound = (table.family == MULTIPLYING) & are_bound(table.flops, table.moved)
    return np.asarray(bound[table.kernel] & whole[table.network])


def in_networks_ms(table: KernelTable, factors: NetworkFactors | None, profiled_ms: np.ndarray) -> np.ndarray:
    """What each row takes in its network, as a profiler would see it [rows].

    Args:
        table: all measurements.
        factors: of a predictor.
        profiled_ms: price of each row without its network, as a profiler would see it [rows].
    """
    if factors is None:
        return profiled_ms
    found = profiled_ms
    if factors.reuse is not None:
        found = found * np.exp(reuse_log_factors(table, factors.reuse, profiled_ms))
    if factors.coldness is not None:
        found = raised(found, added_ms(table, factors.coldness))
    return found * np.exp(bound_log_factors(table, factors))


def without_networks(table: KernelTable, factors: NetworkFactors | None, profiled_ms: np.ndarray) -> KernelTable:
    """The table with kernels' times as they are in the mean of networks; what `in_networks_ms` does, undone."""
    if factors is None:
        return table
    found = divided(table, bound_log_factors(table, factors))
    if factors.coldness is not None:
        found = warmed(found, factors.coldness)
    if factors.reuse is not None:
        found = divided(found, reuse_log_factors(table, factors.reuse, profiled_ms))
    return found


def warmed(table: KernelTable, coldness: Coldness) -> KernelTable:
    """The table with kernels' times less what they take longer than in the mean of networks."""
    return replace(table, latency_ms=raised(table.latency_ms, -added_ms(table, coldness)))


def bound_log_factors(table: KernelTable, factors: NetworkFactors) -> np.ndarray:
    """Logarithm of the factor of each row that is bound by its weights, 0 for others [rows]."""
    found = np.zeros(len(table.kernel))
    bound = np.flatnonzero(bound_rows(table))
    found[bound] = factors.log_factor(_network_ms(table, bound), table.moved[table.kernel[bound]])
    return found


def with_unobserved(
    factors: NetworkFactors | None, unobserved: Unobserved, roofline: Roofline
) -> NetworkFactors | None:
    """The factors, which now know what leads from a profiled kernel to a whole run."""
    scale, per_kernel_ms, _ = unobserved
    return None if factors is None else factors.unobserved(scale, per_kernel_ms, LEAST_LAUNCH * roofline.launch_ms)


def divided(table: KernelTable, logs: np.ndarray) -> KernelTable:
    """The table with kernels' times divided by factors with these logarithms (rule 4)."""
    return replace(table, latency_ms=table.latency_ms * np.exp(-logs))


def fit_network_factors(table: KernelTable) -> NetworkFactors | None:
    """The factors that the rows of a table show (rule 1); None where they are too few."""
    rows = np.flatnonzero(bound_rows(table) & table.timed)
    if len(rows) < LEAST_ROWS:
        return None
    kernels = table.kernel[rows]
    size = np.log2(table.moved[kernels])
    kinds, kind = np.unique(table.kind[kernels], return_inverse=True)
    others = np.column_stack([np.eye(len(kinds))[kind], size - size.mean(), (size - size.mean()) ** 2])
    target = np.log(table.latency_ms[rows]) - size * np.log(2.0)
    # The factor at a knot is the sum of the steps up to it; a row between two knots has a part of the step between.
    logs = np.log2(_network_ms(table, rows))
    steps = np.clip((logs[:, None] - _EDGES[:-1]) / np.diff(_EDGES), 0.0, 1.0)
    many = share_of_many(table.moved[kernels])
    shares = [1.0 - many, many]
    heights = _heights([steps * share[:, None] for share in shares], others, target)
    few, large = (_levels(own, steps, share) for own, share in zip(heights, shares, strict=True))
    return NetworkFactors(few, many_log_factors=large)


def _levels(heights: np.ndarray, steps: np.ndarray, share: np.ndarray) -> tuple[float, ...]:
    """Logarithms of the factor at the knots, 0 in the mean of rows that have such a share (rule 3)."""
    mean = np.average(steps @ heights, weights=share) if share.any() else 0.0
    levels = np.concatenate([[0.0], np.cumsum(heights)]) - mean
    return tuple(np.clip(levels, -LARGEST_LOG_FACTOR, LARGEST_LOG_FACTOR).tolist())


def _network_ms(table: KernelTable, rows: np.ndarray) -> np.ndarray:
    return np.array([network.latency_ms for network in table.networks])[table.network[rows]]


def _heights(steps: Sequence[np.ndarray], others: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Heights of each sort of steps between knots, none below 0 (rules 1 and 2) [sorts, steps]."""
    each = steps[0].shape[1]
    count = len(steps) * each
    design = np.column_stack([*steps, others])
    bend = np.zeros((count, design.shape[1]))  # a step is held to be as high as the next of its sort
    for number in range(count):
        if (number + 1) % each:
            bend[number, number], bend[number, number + 1] = 1.0, -1.0
    free = np.ones(design.shape[1], bool)
    solution = np.zeros(design.shape[1])
    weight = np.ones(len(target))
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        left = np.vstack([design * root[:, None], bend * np.sqrt(_STIFFNESS)])
        right = np.concatenate([target * root, np.zeros(count)])
        solution = np.zeros(design.shape[1])
        solution[free] = np.linalg.lstsq(left[:, free], right, rcond=None)[0]
        free[:count] &= solution[:count] >= 0
        weight = np.minimum(1.0, _CLIP / np.maximum(np.abs(target - design @ solution), 1e-9))
    return np.maximum(solution[:count], 0.0).reshape(len(steps), each)
