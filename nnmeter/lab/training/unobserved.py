"""From profiled kernels to whole runs: what a profiler adds to a kernel, and what an inference costs beyond kernels.

Rules:

1. `whole = sum of max(scale x price of a profiled kernel + per_kernel, least) + overhead`, a robust fit to the
   networks' unobserved times, relative errors counting. `per_kernel` may be negative: it takes off what the profiler
   adds to each kernel.
2. Kernels are taken at their out-of-fold prices, not at their own times, since prices are what a prediction sums up. A
   kernel of a few microseconds is priced by what it takes in networks of all sizes, and takes less in a small network,
   whose data stay in the caches: a fit to kernels' own times does not see that, and leaves small networks too slow.
3. Six phones' GPUs, whose kernels and networks were timed apart: the sum of kernels is 55 to 92 % of the whole in the
   median, a third of it in small networks; with these numbers 93 to 99 % of the sums of 91 networks come within 10 %.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.lab.training.folds import FOLDS
from nnmeter.lab.training.table import MOST_OF_A_GROUP, KernelTable

_CLIP = 0.03  # relative error beyond which a network counts linearly
_STEPS = 100
_ROUNDS = 10  # until the same rows are priced at the least


class Unobserved(NamedTuple):
    """What turns prices of profiled kernels into the time of a whole run (module docstring)."""

    scale: float = 1.0
    per_kernel_ms: float = 0.0
    overhead_ms: float = 0.0


def fit_unobserved(table: KernelTable, price_ms: np.ndarray, least_ms: float = 0.0) -> Unobserved:
    """From prices of profiled kernels to whole runs, fitted to the networks that were both profiled and timed whole.

    Args:
        table: all measurements; where too few networks are both, those that were only timed whole count.
        price_ms: out-of-fold price of each row, as a profiler would see it (rule 2) [rows].
        least_ms: what no kernel is priced below.

    Raises:
        MeasurementError: whole networks do not take longer where their kernels do.
    """
    wholes = [i for i, n in enumerate(table.networks) if not n.alone and len(n.rows) > MOST_OF_A_GROUP]
    measured = [i for i in wholes if table.timed[table.networks[i].rows].all()]
    if len(measured) < 2 * FOLDS:
        measured = wholes
    if len(measured) < 2 * FOLDS:
        return Unobserved()
    whole = np.array([table.networks[i].latency_ms for i in measured])
    least = np.zeros(len(price_ms), bool)  # rows that are priced at `least_ms`
    for _ in range(_ROUNDS):
        solution = _fit(table, price_ms, least, least_ms, measured, whole)
        if not solution[0] > 0:
            raise MeasurementError(
                "the times of whole networks do not grow with those of their kernels, so one of the two is wrong; "
                "measure again, or leave the times of kernels out"
            )
        before, least = least, solution[0] * price_ms + solution[1] < least_ms
        if np.array_equal(before, least):
            break
    return Unobserved(*(float(v) for v in solution))


def _fit(
    table: KernelTable,
    price_ms: np.ndarray,
    least: np.ndarray,
    least_ms: float,
    measured: list[int],
    whole: np.ndarray,
) -> np.ndarray:
    """Scale, per kernel and overhead, where it is known which rows are priced at the least."""
    size = len(table.networks)
    sums = np.bincount(table.network, np.where(least, 0.0, price_ms), size)[measured]
    counts = np.bincount(table.network, ~least, size)[measured]
    fixed = least_ms * np.bincount(table.network, least, size)[measured]
    design = np.column_stack([sums, counts, np.ones(len(whole))]) / whole[:, None]
    goal = 1.0 - fixed / whole
    solution = _robust(design, goal, [0, 1, 2])
    return _robust(design, goal, [0, 1]) if solution[2] < 0 else solution  # no inference takes less than its kernels


def _robust(design: np.ndarray, goal: np.ndarray, columns: list[int]) -> np.ndarray:
    """Weights of the columns that bring every row to its goal, with Huber's loss."""
    weights = np.ones(len(design))
    solution = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        root = np.sqrt(weights)
        solution[columns] = np.linalg.lstsq(design[:, columns] * root[:, None], goal * root, rcond=None)[0]
        weights = np.minimum(1.0, _CLIP / np.maximum(np.abs(design @ solution - goal), 1e-9))
    return solution
