"""Fitting what kernels take by how long ago others of their kind ran.

Rules (what the factor is, `nnmeter.predictor.reuse` says):

1. What a kernel takes without its network is its price out of fold: the logarithm of measured over priced is fitted by
   the grid, least squares with outliers counting linearly, rows weighing what they weigh in the ensembles.
2. The grid is held smooth: second differences along both axes count as `_STIFFNESS` rows of mean weight, and factors
   as `_RIDGE` rows that say 1.
3. It is 1 in the mean of the rows. Fewer than `LEAST_ROWS` rows say nothing.
4. Here the time of a network is the measured one. Single kernels, and a few that were timed together, are no network.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.reuse import LARGEST_LOG, LOG_DISTANCES, LOG_PRICES, Reuse, place_between

LEAST_ROWS = 2_000
_STIFFNESS, _RIDGE = 30.0, 3.0
_CLIP = 0.15
_ROUNDS = 8
_SIZE = (len(LOG_PRICES), len(LOG_DISTANCES))


def distances_ms(table: KernelTable) -> np.ndarray:
    """Time of each row's network over the number of kernels of its kind in it; NaN outside of networks [rows]."""
    kind = table.network.astype(np.int64) * len(table.kinds) + table.kind[table.kernel]
    _, inverse, counts = np.unique(kind, return_inverse=True, return_counts=True)
    return np.asarray(table.whole_ms / counts[inverse])


def reuse_log_factors(table: KernelTable, reuse: Reuse, profiled_ms: np.ndarray) -> np.ndarray:
    """Logarithm of the factor of each row, 0 outside of networks.

    Args:
        table: all measurements.
        reuse: the factors.
        profiled_ms: price of each row without its network, as a profiler would see it [rows].
    """
    distance_ms = distances_ms(table)
    found = reuse.log_factor(profiled_ms, np.nan_to_num(distance_ms, nan=1.0))
    return np.where(np.isnan(distance_ms), 0.0, found)


def fit_reuse(table: KernelTable, profiled_ms: np.ndarray, weight: np.ndarray) -> Reuse | None:
    """The factors that the rows of a table show (rule 1); None where they are too few.

    Args:
        table: all measurements.
        profiled_ms: price of each row out of fold, as a profiler would see it [rows].
        weight: of each row [rows].
    """
    distance_ms = distances_ms(table)
    rows = np.flatnonzero(table.timed & ~np.isnan(distance_ms))
    if len(rows) < LEAST_ROWS:
        return None
    target = np.log(table.latency_ms[rows] / profiled_ms[rows])
    own = weight[rows] / weight[rows].mean()
    grid = _fit_grid(profiled_ms[rows], distance_ms[rows], target, own)
    found = Reuse(tuple(map(tuple, grid.tolist())))
    mean = float(np.average(found.log_factor(profiled_ms[rows], distance_ms[rows]), weights=own))
    return replace(found, log_factors=tuple(map(tuple, np.clip(grid - mean, -LARGEST_LOG, LARGEST_LOG).tolist())))


def _fit_grid(price_ms: np.ndarray, distance_ms: np.ndarray, target: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Logarithms of the factors at the knots (rules 1 and 2)."""
    from scipy import sparse

    row, down = place_between(price_ms, LOG_PRICES)
    column, right = place_between(distance_ms, LOG_DISTANCES)
    corners = [(0, 0, (1 - down) * (1 - right)), (0, 1, (1 - down) * right), (1, 0, down * (1 - right))]
    corners.append((1, 1, down * right))
    numbers = np.concatenate([(row + i) * _SIZE[1] + column + j for i, j, _ in corners])
    values = np.concatenate([share for _, _, share in corners])
    lines = np.tile(np.arange(len(target)), len(corners))
    design = sparse.coo_matrix((values, (lines, numbers)), (len(target), _SIZE[0] * _SIZE[1])).tocsr()
    bend = np.vstack([np.kron(np.eye(_SIZE[0]), _bend(_SIZE[1])), np.kron(_bend(_SIZE[0]), np.eye(_SIZE[1]))])
    held = _STIFFNESS * bend.T @ bend + _RIDGE * np.eye(_SIZE[0] * _SIZE[1])
    weight = np.ones(len(target))
    found = np.zeros(_SIZE[0] * _SIZE[1])
    for _ in range(_ROUNDS):
        weighted = design.multiply((own * weight)[:, None]).tocsr()
        found = np.linalg.solve((design.T @ weighted).toarray() + held, weighted.T @ target)
        weight = np.minimum(1.0, _CLIP / np.maximum(np.abs(target - design @ found), 1e-9))
    return found.reshape(_SIZE)


def _bend(size: int) -> np.ndarray:
    """Second differences of so many numbers in a row."""
    return np.diff(np.eye(size), 2, axis=0)
