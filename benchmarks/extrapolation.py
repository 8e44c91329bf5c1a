"""How far prices err outside of the trained range: beyond the sampled sizes, and for operators that were not sampled.

    python benchmarks/extrapolation.py data/xeon-icelake-onnxruntime1.32-1t/campaign.parquet

Of each operator, kernels larger than nine tenths of it (in FLOPs, bytes of data or weights, or elements) are left out
of the fit, and priced by it; a fifth of the others is left out too, to compare with. Printed are standard deviations of
the log error (the 90th percentile of its absolute value over 1.645), by family and by distance in doublings. What is in
excess of the error inside is what `SIGMA_PER_DOUBLING` (nnmeter/predictor/price.py) stands for.

Then whole operators are left out in turn and priced by the fallback. Printed is the share of them whose median error is
within 1.645 `fallback_sigma`, which is what intervals take at 90 %.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np

from nnmeter.kernels.features import COMMON_NAMES
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.training.folds import FOLDS
from nnmeter.lab.training.kernels import NORMAL_90, KernelFit, fallback_sigma, fit_fallback
from nnmeter.lab.training.regressors import PRESETS, fit_regressor
from nnmeter.lab.training.table import build_table
from nnmeter.predictor.roofline import fit_roofline
from nnmeter.predictor.vocabulary import RANGE_COLUMNS

STEPS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0)
LEAST_ROWS = 20


def main() -> None:
    rows, _ = read_measurements(sys.argv[1])
    table = build_table([row for row in rows if row.kernels])
    timed = np.flatnonzero(table.timed)
    kernels = table.kernel[timed]
    roofline = fit_roofline(
        table.flops[kernels], table.moved[kernels], table.item_bits[kernels], table.latency_ms[timed]
    )
    fit = KernelFit(table, roofline, "lightgbm", 0)
    print_sizes(fit)
    print_operators(fit)


def print_sizes(fit: KernelFit) -> None:
    found = []
    for family in fit.table.features:
        mine = np.flatnonzero((fit.family == family) & fit.timed)
        beyond = beyond_most(fit, mine)
        inside = mine[beyond <= 0]
        learned = np.random.default_rng(0).random(len(inside)) < 0.8
        if learned.sum() < 10 * LEAST_ROWS or not (beyond > 0).any():
            continue
        codes = fit._codes(inside[learned])
        train = inside[learned]
        features = fit._rows(family, fit.table.kernel[train], codes)
        taught = fit_regressor("lightgbm", PRESETS["lightgbm"], features, fit.target[train], fit.weight[train], 0)
        left_out = [inside[~learned], mine[beyond > 0]]
        here, there = (
            np.abs(taught.predict(fit._rows(family, fit.table.kernel[part], codes)) - fit.target[part])
            for part in left_out
        )
        found.append((beyond[beyond > 0], there, np.full(len(there), spread(here))))
        print_distances(family, *found[-1])
    print_distances("all", *(np.concatenate(parts) for parts in zip(*found, strict=True)))


def beyond_most(fit: KernelFit, rows: np.ndarray) -> np.ndarray:
    """Doublings of each row beyond nine tenths of its operator's."""
    sizes = fit.table.common[fit.table.kernel[rows]][:, list(RANGE_COLUMNS)].astype(float)
    kinds = fit.kind[rows]
    beyond = np.zeros(len(rows))
    for number in np.unique(kinds):
        members = kinds == number
        if members.sum() >= 5 * LEAST_ROWS:
            most = np.quantile(sizes[members], 0.9, axis=0)
            beyond[members] = np.maximum((sizes[members] - most).max(axis=1), 0.0)
    return beyond


def print_distances(name: str, distance: np.ndarray, error: np.ndarray, inside: np.ndarray) -> None:
    cells = [f"{name:<24} inside {inside.mean():.3f}"]
    for low, high in pairwise(STEPS):
        members = (distance > low) & (distance <= high)
        if members.sum() >= LEAST_ROWS:
            excess = np.sqrt(max(spread(error[members]) ** 2 - (inside[members] ** 2).mean(), 0.0))
            each = excess / np.median(distance[members])
            cells.append(f"{low:g}-{high:g}: {spread(error[members]):.3f} ({each:.3f} a doubling)")
    print("  ".join(cells))


def spread(error: np.ndarray) -> float:
    return float(np.quantile(error, 0.9)) / NORMAL_90


def print_operators(fit: KernelFit) -> None:
    rows = np.flatnonzero(fit.timed)
    common = fit.table.common[fit.table.kernel[rows]]
    names = fit.table.kind_names[fit.kind[rows]]
    target, weight = fit.target[rows], fit.weight[rows]
    sigma = fallback_sigma(common, names, target, weight, "lightgbm", 0)
    operators, inverse = np.unique(names, return_inverse=True)
    dealt = np.random.default_rng(0).permutation(len(operators)) % FOLDS
    medians = np.zeros(len(operators))
    for number in range(FOLDS):
        test = dealt[inverse] == number
        blind = common[test].copy()
        blind[:, COMMON_NAMES.index("anchor")] = -1.0
        model = fit_fallback(common[~test], target[~test], weight[~test], "lightgbm", 0)
        error = model.predict(blind) - target[test]
        for i in np.unique(inverse[test]):
            medians[i] = abs(np.median(error[inverse[test] == i]))
    within = 100 * np.mean(medians <= NORMAL_90 * sigma)
    print(f"fallback: sigma {sigma:.3f}; {within:.0f} % of {len(operators)} operators within {NORMAL_90} of it")


if __name__ == "__main__":
    main()
