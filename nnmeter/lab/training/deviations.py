"""How uncertain the price of each kernel is, learned from out-of-fold errors.

Some kernels of an operator are priced well, others of it, of sizes or paths that were sampled little, badly.

Rules:

1. An ensemble a family learns the absolute log error of kernels that were held out, from the same features that prices
   are learned from. It is then scaled so that, of the weight, 90 % of networks that it has not seen lie within 1.645 of
   it: it means what the deviation of a kind does (`intervals`, rule 1). Few leaves and many rows in each: it is not to
   know single kernels.
2. A family of fewer than `LEAST_ROWS` kernels with times has the deviations of its kinds.
3. Intervals of totals are fitted to networks whose kernels have deviations that were learned from the other half of the
   networks.

On the 93 development models of the Zen 3 server, trained on three campaigns, intervals that hold 90 % (each half of the
families judged by the other) have a median half width of 6.9 %; with one deviation a kind 9.4 %, and 10.2 % if all
are alike. The rank correlation of a model's error with its spread is 0.4 in place of 0.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.training.regressors import Preset, fit_regressor
from nnmeter.lab.training.table import KernelTable
from nnmeter.predictor.kernel_predictor import kept_within
from nnmeter.predictor.trees import TreeEnsemble
from nnmeter.predictor.vocabulary import Sampled

LEAST_ROWS = 400
_PRESET = Preset(80, 12, 0.08, 40)
_LARGEST_ERROR = 1.5  # log error: beyond it a kernel was disturbed, or is of another kind
_NORMAL_90 = 1.645


def fit_deviations(
    table: KernelTable, vocabulary: Mapping[Kind, Sampled], log_error: np.ndarray, weight: np.ndarray, seed: int
) -> tuple[dict[str, TreeEnsemble], np.ndarray]:
    """Learn the deviations of families.

    Args:
        table: all measurements.
        vocabulary: what was sampled.
        log_error: of each row out of fold, NaN where it is not known [rows].
        weight: of each row [rows].
        seed: makes the result deterministic.

    Returns:
        An ensemble for each family that has enough rows; deviation of each row, by ensembles that have not seen its
        network, NaN where its kind has one (rules 2 and 3) [rows].
    """
    codes = np.array([s.code if (s := vocabulary.get(kind)) else -1.0 for kind in table.kinds])[table.kind]
    known = ~np.isnan(log_error) & (codes[table.kernel] >= 0)
    half = (np.random.default_rng(seed).permutation(len(table.networks)) % 2 == 0)[table.network]
    family = table.family[table.kernel]
    found: dict[str, TreeEnsemble] = {}
    of_row = np.full(len(log_error), np.nan)
    for name in table.features:
        own = np.flatnonzero((family == name) & (codes[table.kernel] >= 0))
        mine = own[known[own]]
        if len(mine) < LEAST_ROWS:
            continue
        for side in (half, ~half):
            others, judged = mine[~side[mine]], own[side[own]]
            if len(others) and len(judged):
                ensemble = _fit(table, name, codes, others, log_error, weight, seed)
                kernels, inverse = np.unique(table.kernel[judged], return_inverse=True)
                of_row[judged] = kept_within(ensemble.predict(_rows(table, name, codes, kernels)))[inverse]
        if np.isnan(of_row[mine]).any():  # all of them are in networks of one half
            of_row[own] = np.nan
            continue
        scale = _scale(np.abs(log_error[mine]) / of_row[mine], weight[mine])
        of_row[own] = kept_within(scale * of_row[own])
        ensemble = _fit(table, name, codes, mine, log_error, weight, seed)
        found[name] = replace(ensemble, value=ensemble.value * np.float32(scale), bias=ensemble.bias * scale)
    return found, of_row


def _fit(
    table: KernelTable,
    name: str,
    codes: np.ndarray,
    rows: np.ndarray,
    log_error: np.ndarray,
    weight: np.ndarray,
    seed: int,
) -> TreeEnsemble:
    """Absolute error of one family's kernels, from these rows (rule 1)."""
    error = np.minimum(np.abs(log_error[rows]), _LARGEST_ERROR)
    features = _rows(table, name, codes, table.kernel[rows])
    return fit_regressor("lightgbm", _PRESET, features, error, weight[rows], seed).ensemble()


def _scale(ratio: np.ndarray, weight: np.ndarray) -> float:
    """What brings 90 % of the weight within 1.645 (rule 1)."""
    order = np.argsort(ratio)
    passed = np.cumsum(weight[order])
    return float(ratio[order][np.searchsorted(passed, 0.9 * passed[-1])]) / _NORMAL_90


def _rows(table: KernelTable, name: str, codes: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    rows = table.features[name][table.place[kernels]]
    rows[:, 0] = codes[kernels]
    return rows
