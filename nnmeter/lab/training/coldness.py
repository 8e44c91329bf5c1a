"""Fitting what kernels take longer in long networks.

Rules (what that is, `nnmeter.predictor.coldness` says):

1. What a kernel takes in the mean of the networks is its price out of fold. What it was measured above or below that is
   fitted by the costs of its family, a call's and a mebibyte's, times the shares of its network less their means: costs
   and shares in turn, `_ROUNDS` times, by least squares of errors relative to the price, outliers counting linearly,
   rows weighing what they weigh in the ensembles. No cost is below 0, none of a mebibyte above `MOST_MEBIBYTE_MS`, and
   no share falls with the time of the network.
2. A family of fewer than `LEAST_OF_A_FAMILY` rows costs nothing. Fewer than `LEAST_ROWS` rows say nothing at all.
3. Here the time of a network is the measured one. Single kernels, and a few that were timed together, are no network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.coldness import KNOTS_MS, LOG_KNOTS, Coldness, weights_mib

LEAST_ROWS, LEAST_OF_A_FAMILY = 2_000, 300
MOST_MEBIBYTE_MS = 0.25  # 4 GiB/s: no memory is so slow
_ROUNDS, _REWEIGHTED = 8, 5
_CLIP = 0.15  # relative errors beyond this count linearly
_RESOLUTION_MS = 2e-3  # added to prices that errors are relative to: profilers count whole microseconds
_RIDGE = 1e-4  # of a coefficient's own square
_KNOTS = len(KNOTS_MS)


def added_ms(table: KernelTable, coldness: Coldness) -> np.ndarray:
    """What each row takes in its network above the mean of the networks, 0 outside of networks [rows]."""
    whole_ms = table.whole_ms
    call, weights = coldness.above_means(np.nan_to_num(whole_ms, nan=1.0))
    costs = np.array([coldness.costs.get(family, (0.0, 0.0)) for family in table.family])
    by_kernel = costs * np.column_stack([np.ones(len(costs)), _weights(table)])
    found = call * by_kernel[table.kernel, 0] + weights * by_kernel[table.kernel, 1]
    return np.where(np.isnan(whole_ms), 0.0, found)


def fit_coldness(table: KernelTable, profiled_ms: np.ndarray, weight: np.ndarray) -> Coldness | None:
    """What the rows of a table show (rule 1); None where they are too few.

    Args:
        table: all measurements.
        profiled_ms: price of each row out of fold, as a profiler would see it [rows].
        weight: of each row [rows].
    """
    whole_ms = table.whole_ms
    rows = np.flatnonzero(table.timed & ~np.isnan(whole_ms))
    if len(rows) < LEAST_ROWS:
        return None
    kernels, own = table.kernel[rows], weight[rows] / weight[rows].mean()
    names, family = np.unique(table.family[kernels], return_inverse=True)
    logs = np.log2(np.maximum(whole_ms[rows], 1e-9))
    fit = _Fit(
        family,
        _weights(table)[kernels],
        np.stack([np.interp(logs, LOG_KNOTS, knot) for knot in np.eye(_KNOTS)], axis=1),
        table.latency_ms[rows] - profiled_ms[rows],
        profiled_ms[rows] + _RESOLUTION_MS,
        own,
    )
    shares = np.linspace(0.0, 1.0, _KNOTS)[:, None].repeat(2, axis=1)
    for _ in range(_ROUNDS):
        costs = fit.costs(shares)
        shares, highest = fit.shares(costs)
        costs = costs * highest
    call, weights = shares.T.tolist()
    first, second = fit.means(shares).tolist()
    known = {str(name): (float(cost[0]), float(cost[1])) for name, cost in zip(names, costs, strict=True)}
    costing = {name: cost for name, cost in known.items() if any(cost)}
    return Coldness(tuple(call), tuple(weights), (first, second), costing)


@dataclass(frozen=True, slots=True)
class _Fit:
    """The rows that are fitted to, call and weights being the two columns of costs and shares.

    Attributes:
        family: number of each row's [rows].
        mib: mebibytes of weights [rows].
        hats: how near the network's time is to each knot, a sum of 1 [rows, knots].
        target_ms: measured above the price [rows].
        scale_ms: what errors are relative to [rows].
        own: weight, 1 in the mean [rows].
    """

    family: np.ndarray
    mib: np.ndarray
    hats: np.ndarray
    target_ms: np.ndarray
    scale_ms: np.ndarray
    own: np.ndarray

    def means(self, shares: np.ndarray) -> np.ndarray:
        """Of both shares over the rows [2]."""
        return np.asarray(np.average(self.hats @ shares, axis=0, weights=self.own))

    def costs(self, shares: np.ndarray) -> np.ndarray:
        """Milliseconds of a call and of a mebibyte of each family, given the shares at the knots [families, 2]."""
        design = self.hats @ shares - self.means(shares)
        design[:, 1] *= self.mib
        found = np.zeros((self.family.max() + 1, 2))
        for number in range(len(found)):
            mine = np.flatnonzero(self.family == number)
            if len(mine) >= LEAST_OF_A_FAMILY:
                found[number] = self._solved(design[mine], mine)
        return np.minimum(found, [np.inf, MOST_MEBIBYTE_MS])

    def shares(self, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares at the knots [knots, 2], given the costs, and how much larger than 1 the highest were [2]."""
        steps = self.hats @ np.tril(np.ones((_KNOTS, _KNOTS)))[:, 1:]
        steps = steps - np.average(steps, axis=0, weights=self.own)
        own = costs[self.family]
        design = np.hstack([steps * own[:, :1], steps * (own[:, 1] * self.mib)[:, None]])
        heights = self._solved(design, np.arange(len(design))).reshape(2, -1)
        levels = np.hstack([np.zeros((2, 1)), np.cumsum(heights, axis=1)]).T
        highest = levels[-1]
        return levels / np.where(highest > 0, highest, 1.0), highest

    def _solved(self, design: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Coefficients, none below 0, that explain the rows (rule 1)."""
        from scipy.optimize import nnls

        target, scale = self.target_ms[rows], self.scale_ms[rows]
        weight = np.ones(len(rows))
        found = np.zeros(design.shape[1])
        for _ in range(_REWEIGHTED):
            root = np.sqrt(self.own[rows] * weight) / scale
            weighted = design * root[:, None]
            gram = weighted.T @ weighted
            gram[np.diag_indices_from(gram)] *= 1 + _RIDGE
            gram[np.diag_indices_from(gram)] += 1e-12
            # Least squares without the rows: the triangle of a matrix has the same normal equations.
            triangle = np.linalg.cholesky(gram).T
            found = nnls(triangle, np.linalg.solve(triangle.T, weighted.T @ (target * root)))[0]
            weight = np.minimum(1.0, _CLIP / np.maximum(np.abs(target - design @ found) / scale, 1e-9))
        return np.asarray(found)


def _weights(table: KernelTable) -> np.ndarray:
    """Mebibytes of weights of each distinct kernel [kernels]."""
    return np.array([weights_mib(signature) for signature in table.located])
