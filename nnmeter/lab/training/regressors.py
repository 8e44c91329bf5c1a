"""The learners behind a kernel family: LightGBM (default) or a random forest, both on log-ratio to the roofline.

The forest is LightGBM's too: the mean of trees on samples of the rows, each node choosing among some of the features.
Since they are averaged, not added, each must be large; `split_tree` makes trees of them that a pack can hold. On the
first campaign of the Zen 3 server 30 trees of 512 leaves take as long as boosting (13 s for all families; scikit-learn
takes minutes), and its 93 development models come out at 68.8, 86.0 and 5.67 % (within 5 and 10 %, mean error; boosting
67.7, 84.9 and 5.61 %). 60 trees have 5.72, 1024 leaves 5.79, 2048 leaves 5.92, thresholds drawn at random 7.06 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nnmeter.lab.training.convert import ensemble_from_lightgbm
from nnmeter.predictor.trees import ARRAYS, TreeEnsemble

Regressor = Literal["lightgbm", "random-forest"]


@dataclass(frozen=True, slots=True)
class Preset:
    """Hyper-parameters of one fit."""

    trees: int
    leaves: int
    learning_rate: float
    min_rows_in_leaf: int
    l2: float = 1.0


PRESETS: Mapping[Regressor, Preset] = {
    "lightgbm": Preset(300, 24, 0.06, 6),
    "random-forest": Preset(30, 512, 0.0, 3, 0.0),
}
FALLBACK_PRESETS: Mapping[Regressor, Preset] = {
    "lightgbm": Preset(200, 12, 0.07, 12),
    "random-forest": Preset(30, 512, 0.0, 3, 0.0),
}
_DEEPEST = 24  # of a forest's trees, so that they can be split into trees of few leaves
LARGEST_PRESET = Preset(2000, 63, 0.06, 6)


@dataclass(frozen=True, slots=True)
class Learned:
    """What one fit learned.

    Attributes:
        predict: estimates of rows, float32 [n, features], by the library that fitted: cross-validation needs no more.
        ensemble: makes of it what a pack can hold, which takes as long as the fit.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    ensemble: Callable[[], TreeEnsemble]


def fit_regressor(
    regressor: Regressor, preset: Preset, rows: np.ndarray, target: np.ndarray, weight: np.ndarray, seed: int
) -> Learned:
    """Fit one ensemble.

    Args:
        regressor: which learner.
        preset: its hyper-parameters.
        rows: features, float32 [n, features].
        target: log-ratio of latency to roofline [n].
        weight: importance of each row [n].
        seed: makes the fit deterministic.
    """
    if len(rows) < 2 * preset.min_rows_in_leaf or np.ptp(target) == 0:
        value = float(np.average(target, weights=weight))
        return Learned(lambda some: np.full(len(some), value), lambda: _constant(value))
    return _FIT[regressor](preset, rows, target, weight, seed)


def _constant(value: float) -> TreeEnsemble:
    return TreeEnsemble(**{name: np.zeros(0, dtype) for name, dtype in ARRAYS.items()}, bias=value)


def _fit_lightgbm(preset: Preset, rows: np.ndarray, target: np.ndarray, weight: np.ndarray, seed: int) -> Learned:
    parameters = {
        "objective": "huber",
        "alpha": 0.3,  # log error beyond which a sample is an outlier: a preempted run, not a slow kernel
        "learning_rate": preset.learning_rate,
        "num_leaves": preset.leaves,
        "min_data_in_leaf": preset.min_rows_in_leaf,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": preset.l2,
    }
    return _trained(parameters, preset, rows, target, weight, seed)


def _fit_forest(preset: Preset, rows: np.ndarray, target: np.ndarray, weight: np.ndarray, seed: int) -> Learned:
    parameters = {
        "objective": "regression",
        "boosting": "rf",
        "num_leaves": preset.leaves,
        "max_depth": _DEEPEST,
        "min_data_in_leaf": preset.min_rows_in_leaf,
        "feature_fraction_bynode": 0.6,
        "bagging_fraction": 0.632,
        "bagging_freq": 1,
        "lambda_l2": preset.l2,
    }
    return _trained(parameters, preset, rows, target, weight, seed)


def _trained(
    parameters: dict[str, Any], preset: Preset, rows: np.ndarray, target: np.ndarray, weight: np.ndarray, seed: int
) -> Learned:
    import lightgbm

    center = float(np.average(target, weights=weight))
    common = {
        "max_bin": 255,
        "boost_from_average": False,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # two threads that share a core with anything else are 20 times slower
        "verbose": -1,
    }
    data = lightgbm.Dataset(rows, target - center, weight=weight, free_raw_data=True)
    booster = lightgbm.train(parameters | common, data, num_boost_round=preset.trees)

    def ensemble() -> TreeEnsemble:
        made = ensemble_from_lightgbm(booster)
        made.bias += center
        return made

    return Learned(lambda some: np.asarray(booster.predict(some, num_threads=1)) + center, ensemble)


_FIT: Mapping[Regressor, Callable[[Any, Any, Any, Any, int], Learned]] = {
    "lightgbm": _fit_lightgbm,
    "random-forest": _fit_forest,
}
