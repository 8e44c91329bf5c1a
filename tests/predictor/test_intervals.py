"""Conformal intervals hold what they promise on exchangeable networks, and widen with doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnmeter.errors import DeviceError
from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.baselines import Baselines, fit_baselines
from nnmeter.predictor.intervals import IntervalModel, fit_intervals, log_spread, state_spread
from nnmeter.predictor.price import KernelPrice


def _price(latency_ms: float, sigma: float, kind: str = "convolution:Conv|float32") -> KernelPrice:
    return KernelPrice(latency_ms, "trained", sigma, 0.0, Kind.parse(kind), 0, 0)


def test_nine_in_ten_new_networks_fall_inside() -> None:
    generator = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, list[list[KernelPrice]]]:
        sigmas = generator.uniform(0.03, 0.3, count)
        return generator.normal(0, sigmas), [[_price(1.0, float(s))] for s in sigmas]

    model = fit_intervals(*draw(800))
    errors, networks = draw(2000)
    bounds = [model.interval_ms(1.0, n, 0.9) for n in networks]
    inside = np.mean([low <= np.exp(e) <= high for e, (low, high) in zip(errors, bounds, strict=True)])
    assert 0.87 <= inside <= 0.93


def test_errors_of_one_operator_add_up_and_of_several_partly_cancel() -> None:
    together = log_spread([_price(1.0, 0.1), _price(1.0, 0.1)], base=0.01)
    apart = log_spread([_price(1.0, 0.1), _price(1.0, 0.1, "matmul:MatMul|float32")], base=0.01)
    assert together == pytest.approx(np.hypot(0.1, 0.01))
    assert apart < together


def test_the_shortest_networks_vary_by_no_more_than_they_take() -> None:
    model = IntervalModel(0.08, {0.9: 0.84}, 2940, 0.4)
    low, high = model.interval_ms(0.01, [_price(0.01, 0.1)], 0.9)
    assert 0.01 / low == pytest.approx(high / 0.01)
    assert 2.0 < high / 0.01 < 2.5
    long = model.interval_ms(100.0, [_price(100.0, 0.1)], 0.9)
    assert np.log(long[1] / 100.0) == pytest.approx(0.84 * np.sqrt(0.08**2 + (0.4 / 100.4) ** 2 + 0.1**2))


def test_an_interval_reaches_what_the_worst_data_cost() -> None:
    model = IntervalModel(0.02, {0.9: 1.7}, 100)
    kernels = [_price(10.0, 0.05), replace(_price(0.1, 0.05), worst_ms=50.0), replace(_price(1.0, 0.05), worst_ms=0.5)]
    assert model.interval_ms(11.1, kernels, 0.9)[1] == pytest.approx(11.1 + 49.9)
    usual = [replace(price, worst_ms=0.0) for price in kernels]
    assert model.interval_ms(11.1, kernels, 0.9)[0] == model.interval_ms(11.1, usual, 0.9)[0]


def test_no_kernels_leave_the_base() -> None:
    assert log_spread([], base=0.02) == pytest.approx(0.02)


def test_the_model_survives_json_and_refuses_nonsense() -> None:
    model = IntervalModel(0.02, {0.9: 1.5}, 10)
    assert IntervalModel.from_dict(model.to_dict()) == model
    with pytest.raises(ValueError, match="positive"):
        IntervalModel.from_dict({"base": 0.02, "multipliers": {"0.9": -1}, "networks": 3, "jitter_ms": 0.0})


def test_baselines_recover_their_own_coefficients() -> None:
    generator = np.random.default_rng(0)
    totals = np.column_stack([generator.uniform(1e8, 1e10, 50), generator.uniform(1e6, 1e8, 50),
                              generator.integers(5, 100, 50), generator.uniform(1, 100, 50)])  # fmt: skip
    wall = 2e-8 * totals[:, 0] + 1e-7 * totals[:, 1] + 0.002 * totals[:, 2]
    fitted = fit_baselines(totals, wall)
    assert fitted.flops_and_bytes == pytest.approx((2e-8, 1e-7, 0.002), rel=1e-6)
    assert Baselines.from_dict(fitted.to_dict()) == fitted


def test_a_baseline_has_no_negative_coefficient() -> None:
    totals = np.array([[1e9, 1e6, 10.0, 1.0], [2e9, 9e6, 10.0, 2.0], [3e9, 1e6, 12.0, 3.0], [4e9, 8e6, 90.0, 4.0]])
    wall = np.array([20.0, 30.0, 61.0, 70.0])
    assert min(fit_baselines(totals, wall).flops_and_bytes) >= 0


def test_another_state_of_the_machine_moves_families_by_their_share_of_the_time() -> None:
    plain = IntervalModel(0.03, {0.9: 2.0}, 100)
    model = replace(plain, states={"transpose": 0.2, "": 0.05})
    kernels = [_price(3.0, 0.0), _price(1.0, 0.0, "transpose:Transpose|float32")]
    assert state_spread(kernels, model.states) == pytest.approx(0.75 * 0.05 + 0.25 * 0.2)
    low, high = model.interval_ms(4.0, kernels, 0.9)
    assert np.log(high / 4.0) == pytest.approx(np.hypot(2.0 * 0.03, 1.64485 * 0.0875))
    assert 4.0 / low == pytest.approx(high / 4.0)
    assert plain.interval_ms(4.0, kernels, 0.9)[1] < high
    assert IntervalModel.from_dict(model.to_dict()) == model
    assert "states" not in plain.to_dict()


@pytest.mark.parametrize("states", [{"transpose": -0.1}, {"": "wide"}, {"": 1e9}, [0.1]])
def test_a_damaged_state_is_refused(states: object) -> None:
    with pytest.raises(DeviceError, match="state"):
        IntervalModel.from_dict(IntervalModel(0.02, {0.9: 1.7}, 100).to_dict() | {"states": states})
