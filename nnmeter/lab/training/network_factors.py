"""Fitting what kernels take in short networks and in long ones (`nnmeter.predictor.network_factors`).

Rules:

1. What is fitted is the rest that prices leave of kernels' times in networks that they have not seen: a price that
   knows the kernel alone is the mean over networks of all lengths. Of kernels bound by their weights, whose time is
   little else, it is what a line in the logarithm of their bytes leaves, by kind.
2. A group's factor never falls with the time of the network, and neighbouring knots are held together by `_STIFFNESS`
   rows. Outliers count linearly.
3. It is 1 in the mean of the rows, each with its weight. A group of fewer than `LEAST_ROWS` rows has none.
4. Kernels' times are divided by it before they are fitted again, and prices multiplied where they are summed up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnmeter.lab.training.table import MOST_OF_A_GROUP, KernelTable
from nnmeter.predictor.network_factors import (
    BOUND,
    KNOTS_MS,
    LARGEST_LOG_FACTOR,
    MULTIPLYING,
    NetworkFactors,
    are_bound,
)

LEAST_ROWS = 200
_STIFFNESS = 5.0
_CLIP = 0.3
_ROUNDS = 10
_EDGES = np.log2(np.array(KNOTS_MS))


def bound_rows(table: KernelTable) -> np.ndarray:
    """Whether each row is of a kernel that is bound by its weights [rows]."""
    return np.asarray(((table.family == MULTIPLYING) & are_bound(table.flops, table.moved))[table.kernel])


def rows_of_networks(table: KernelTable) -> np.ndarray:
    """Whether each row is of a network of more than a few kernels, timed whole [rows]."""
    whole = np.array([not n.alone and len(n.rows) > MOST_OF_A_GROUP for n in table.networks], bool)
    return np.asarray(whole[table.network])


def log_factors(table: KernelTable, factors: NetworkFactors | None) -> np.ndarray:
    """Logarithm of the factor of each row, 0 where it has none [rows]."""
    found = np.zeros(len(table.kernel))
    if factors is None:
        return found
    network_ms = np.array([network.latency_ms for network in table.networks])[table.network]
    whole, bound, family = rows_of_networks(table), bound_rows(table), table.family[table.kernel]
    for group in factors.log_factors:
        mine = whole & (bound if group == BOUND else (family == group) & ~(bound & (BOUND in factors.log_factors)))
        found[mine] = factors.log_factor(group, network_ms[mine])
    return found


def out_of_networks(table: KernelTable, factors: NetworkFactors | None) -> KernelTable:
    """The table with kernels' times divided by the factors of their networks (rule 4)."""
    if factors is None:
        return table
    return replace(table, latency_ms=table.latency_ms * np.exp(-log_factors(table, factors)))


def fit_bound(table: KernelTable) -> NetworkFactors | None:
    """The factors of kernels bound by their weights (rule 1); None where they are too few."""
    rows = np.flatnonzero(bound_rows(table) & rows_of_networks(table) & table.timed)
    if len(rows) < LEAST_ROWS:
        return None
    kernels = table.kernel[rows]
    size = np.log2(table.moved[kernels])
    kinds, kind = np.unique(table.kind[kernels], return_inverse=True)
    others = np.column_stack([np.eye(len(kinds))[kind], size - size.mean(), (size - size.mean()) ** 2])
    target = np.log(table.latency_ms[rows]) - size * np.log(2.0)
    return NetworkFactors({BOUND: _levels(_steps_of(table, rows), others, target, np.ones(len(rows)))})


def fit_families(
    table: KernelTable, bound: NetworkFactors | None, rest: np.ndarray, weight: np.ndarray
) -> NetworkFactors | None:
    """The factors of all groups, those of `bound` among them.

    Args:
        table: of kernels, with times divided by the factors of `bound`.
        bound: of kernels bound by their weights.
        rest: logarithm of each row's time over its price, out of fold [rows].
        weight: of each row.
    """
    found = {} if bound is None else dict(bound.log_factors)
    usable = rows_of_networks(table) & table.timed & ~bound_rows(table)
    for family in table.features:
        rows = np.flatnonzero(usable & (table.family == family)[table.kernel])
        if len(rows) >= LEAST_ROWS:
            found[family] = _levels(_steps_of(table, rows), np.ones((len(rows), 1)), rest[rows], weight[rows])
    return NetworkFactors(found) if found else None


def _steps_of(table: KernelTable, rows: np.ndarray) -> np.ndarray:
    """Which part of each step between two knots is below the time of each row's network [rows, knots - 1].

    The factor at a knot is the sum of the steps up to it.
    """
    network_ms = np.array([network.latency_ms for network in table.networks])[table.network[rows]]
    return np.asarray(np.clip((np.log2(network_ms)[:, None] - _EDGES[:-1]) / np.diff(_EDGES), 0.0, 1.0))


def _levels(steps: np.ndarray, others: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, ...]:
    """Logarithm of the factor at each knot (rules 2 and 3)."""
    count = steps.shape[1]
    design = np.column_stack([steps, others])
    bend = np.zeros((count - 1, design.shape[1]))  # a step is held to be as high as the next
    for number in range(count - 1):
        bend[number, number], bend[number, number + 1] = 1.0, -1.0
    weight = weight / weight.mean()
    free = np.ones(design.shape[1], bool)
    solution = np.zeros(design.shape[1])
    clipped = np.ones(len(target))
    for _ in range(_ROUNDS):
        root = np.sqrt(weight * clipped)
        left = np.vstack([design * root[:, None], bend * np.sqrt(_STIFFNESS)])
        right = np.concatenate([target * root, np.zeros(count - 1)])
        solution = np.zeros(design.shape[1])
        solution[free] = np.linalg.lstsq(left[:, free], right, rcond=None)[0]
        free[:count] &= solution[:count] >= 0
        clipped = np.minimum(1.0, _CLIP / np.maximum(np.abs(target - design @ solution), 1e-9))
    heights = np.maximum(solution[:count], 0.0)
    levels = np.concatenate([[0.0], np.cumsum(heights)]) - np.average(steps @ heights, weights=weight)
    return tuple(np.clip(levels, -LARGEST_LOG_FACTOR, LARGEST_LOG_FACTOR).tolist())
