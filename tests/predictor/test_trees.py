"""Trees as arrays give what the trainers' own evaluation gives, and damaged ones are refused."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.lab.training.convert import ensemble_from_lightgbm
from nnmeter.predictor.trees import TreeEnsemble, concatenate_ensembles, round_down_to_float32, split_ensembles


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 50, (1500, 6)).astype(np.float32) / 7
    return rows, np.sin(rows[:, 0]) + rows[:, 1] * rows[:, 2] + 0.1 * generator.standard_normal(1500)


@pytest.mark.parametrize("mode", ["gbdt", "rf"])
@pytest.mark.parametrize("leaves", [2, 31, 64])
def test_lightgbm_is_reproduced(problem: tuple[np.ndarray, np.ndarray], mode: str, leaves: int) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rows, target = problem
    parameters = {
        "objective": "regression", "boosting": mode, "num_leaves": leaves, "bagging_fraction": 0.8, "bagging_freq": 1,
        "min_data_in_leaf": 3, "verbose": -1, "num_threads": 2,
    }  # fmt: skip
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, target), 60)
    ensemble = ensemble_from_lightgbm(booster)
    ensemble.validate(rows.shape[1])
    np.testing.assert_allclose(ensemble.predict(rows), booster.predict(rows), rtol=1e-5, atol=1e-5)


def _stump(value: float) -> TreeEnsemble:
    """x[0] <= 1 ? value : -value, plus a bias of 0.5."""
    return TreeEnsemble(
        np.array([0], np.uint8), np.array([1.0], np.float32), np.array([0], np.uint8), np.array([1], np.uint8),
        np.array([value, -value], np.float32), np.array([1], np.uint8), 0.5,
    )  # fmt: skip


def test_a_stump_goes_left_at_its_threshold() -> None:
    rows = np.array([[1.0], [np.nextafter(np.float32(1.0), np.float32(2.0))]], np.float32)
    assert _stump(2.0).predict(rows).tolist() == [2.5, -1.5]


def test_an_ensemble_without_trees_is_its_bias() -> None:
    empty = [np.zeros(0, t) for t in (np.uint8, np.float32, np.uint8, np.uint8, np.float32, np.uint8)]
    assert TreeEnsemble(*empty, 0.25).predict(np.zeros((3, 2), np.float32)).tolist() == [0.25] * 3


def test_concatenated_ensembles_come_apart_again() -> None:
    ensembles = {"a": _stump(1.0), "b": _stump(2.0)}
    arrays, sizes = concatenate_ensembles(ensembles)
    again = split_ensembles(arrays, {k: (v[0], v[1]) for k, v in sizes.items()}, {"a": 0.5, "b": 0.5})
    rows = np.array([[0.0], [3.0]], np.float32)
    for name, ensemble in ensembles.items():
        assert again[name].predict(rows).tolist() == ensemble.predict(rows).tolist()


def test_sizes_that_do_not_fit_are_refused() -> None:
    arrays, _ = concatenate_ensembles({"a": _stump(1.0)})
    with pytest.raises(ValueError, match="longer"):
        split_ensembles(arrays, {}, {})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("feature", np.array([9], np.uint8), "feature"),
        ("threshold", np.array([np.nan], np.float32), "finite"),
        ("value", np.array([np.inf, 0.0], np.float32), "finite"),
        ("end", np.array([2], np.uint8), "range"),
        ("node_counts", np.array([2], np.uint8), "fit together"),
        ("first", np.zeros(2, np.uint8), "length"),
    ],
)
def test_damaged_trees_are_refused(name: str, value: np.ndarray, message: str) -> None:
    ensemble = _stump(1.0)
    setattr(ensemble, name, value)
    with pytest.raises(ValueError, match=message):
        ensemble.validate(features=1)


def test_thresholds_round_towards_minus_infinity() -> None:
    doubles = np.array([0.1, 1.0, -0.1, 1e-30])
    singles = round_down_to_float32(doubles)
    assert (singles.astype(np.float64) <= doubles).all()
    assert (np.nextafter(singles, np.float32(np.inf)).astype(np.float64) > doubles).all()
