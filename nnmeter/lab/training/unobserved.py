"""From profiled kernels to whole runs: what a profiler adds to a kernel, and what an inference costs beyond kernels.

`whole = scale x sum of profiled kernels + per_kernel x count + overhead`, a robust fit to the networks' unobserved
times, relative errors counting. `per_kernel` may be negative: it takes off what the profiler adds to each kernel.
Where kernels and whole networks were timed apart from each other, as on phones, a network's kernels are taken at their
out-of-fold prices. (Six phones' GPUs: the sum of kernels is 55 to 92 % of the whole in the median, a third of it in
small networks; with these three numbers 93 to 99 % of the sums of 91 networks come within 10 % of the whole.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.lab.training.folds import FOLDS
from nnmeter.lab.training.table import MOST_OF_A_GROUP, KernelTable

_CLIP = 0.03  # relative error beyond which a network counts linearly
_STEPS = 100


class Unobserved(NamedTuple):
    """What turns prices of profiled kernels into the time of a whole run (module docstring)."""

    scale: float = 1.0
    per_kernel_ms: float = 0.0
    overhead_ms: float = 0.0


def fit_unobserved(table: KernelTable, price_ms: np.ndarray) -> Unobserved:
    """From profiled kernels to whole runs, fitted to the networks that were both profiled and timed whole.

    Args:
        table: all measurements; where too few networks are both, those that were only timed whole count.
        price_ms: out-of-fold price of each row, for rows that have no time of their own [rows].

    Raises:
        MeasurementError: whole networks do not take longer where their kernels do.
    """
    timed = table.timed
    wholes = [i for i, n in enumerate(table.networks) if not n.alone and len(n.rows) > MOST_OF_A_GROUP]
    measured = [i for i in wholes if timed[table.networks[i].rows].all()]
    if len(measured) < 2 * FOLDS:
        measured = wholes
    if len(measured) < 2 * FOLDS:
        return Unobserved()
    whole = np.array([table.networks[i].latency_ms for i in measured])
    sums = np.bincount(table.network, np.where(timed, table.latency_ms, price_ms), len(table.networks))[measured]
    counts = np.bincount(table.network, minlength=len(table.networks))[measured]
    design = np.column_stack([sums, counts, np.ones(len(whole))]) / whole[:, None]
    solution = _robust(design, [0, 1, 2])
    if solution[2] < 0:  # an overhead of the inference below zero is dropped
        solution = _robust(design, [0, 1])
    if not solution[0] > 0:
        raise MeasurementError(
            "the times of whole networks do not grow with those of their kernels, so one of the two is wrong; measure "
            "again, or leave the times of kernels out"
        )
    return Unobserved(*(float(v) for v in solution))


def _robust(design: np.ndarray, columns: list[int]) -> np.ndarray:
    """Weights of the columns that bring every row to 1, with Huber's loss."""
    weights = np.ones(len(design))
    solution = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        root = np.sqrt(weights)
        solution[columns] = np.linalg.lstsq(design[:, columns] * root[:, None], root, rcond=None)[0]
        weights = np.minimum(1.0, _CLIP / np.maximum(np.abs(design @ solution - 1.0), 1e-9))
    return solution
