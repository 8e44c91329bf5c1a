"""From profiled kernels to whole runs: what a profiler adds to a kernel, and what an inference costs beyond kernels.

`whole = scale x sum of profiled kernels + per_kernel x count + inference`, a robust fit to the networks' unobserved
times, relative errors counting. `per_kernel` may be negative: it takes off what the profiler adds to each kernel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnmeter.predictor.table import KernelTable
from nnmeter.predictor.train_folds import FOLDS

_CLIP = 0.03  # relative error beyond which a network counts linearly


class Overheads(NamedTuple):
    """What turns prices of profiled kernels into the time of a whole run (module docstring)."""

    scale: float = 1.0
    per_kernel_ms: float = 0.0
    inference_ms: float = 0.0


def fit_overheads(table: KernelTable) -> Overheads:
    """Scale, per-kernel and per-inference milliseconds, from the networks that were both profiled and timed whole."""
    timed = table.timed
    measured = [i for i, n in enumerate(table.networks) if not n.alone and timed[n.rows].all()]
    if len(measured) < 2 * FOLDS:
        return Overheads()
    whole = np.array([table.networks[i].latency_ms for i in measured])
    sums = np.bincount(table.network, table.latency_ms, len(table.networks))[measured]
    counts = np.bincount(table.network, minlength=len(table.networks))[measured]
    design = np.column_stack([sums, counts, np.ones(len(whole))]) / whole[:, None]
    columns = [0, 1, 2]
    weights = np.ones(len(whole))
    solution = np.zeros(3)
    for _ in range(30):  # Huber's weights; an overhead of the inference below zero is dropped
        root = np.sqrt(weights)
        part, *_ = np.linalg.lstsq(design[:, columns] * root[:, None], root, rcond=None)
        solution[:] = 0.0
        solution[columns] = part
        if 2 in columns and solution[2] < 0:
            columns.remove(2)
            continue
        residual = np.abs(design @ solution - 1.0)
        weights = np.minimum(1.0, _CLIP / np.maximum(residual, 1e-9))
    return Overheads(*(float(v) for v in solution))
