"""The machine's state is told apart from the load that a network puts on the reference run behind it."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.profiling.measurement import Measurement
from nnmeter.profiling.steady import fit_reference_load, steady_campaign, steady_models

NOMINAL_MS = 1.0


def _network(number: int, true_ms: float, state: float, load: float, sitting: str = "one") -> Measurement:
    """A network that takes `true_ms` in the state 1, timed in `state`, slowing its reference by `load`."""
    tensor = TensorType("float32", (1, 1000))
    kernel = KernelSignature("Relu", "Relu", "", (tensor,), (False,), (tensor,))
    raw = true_ms * state
    corrected = raw / (state * load) * NOMINAL_MS
    return Measurement(
        id=f"block:{number}", granularity="block", network=f"n{number}", family="f", kernels=(kernel,),
        latency_ms=corrected, min_ms=raw, median_ms=raw, p90_ms=raw, runs=5, reference_ms=NOMINAL_MS,
        half_ms=(corrected, corrected), threads=1, batch=1, sitting=sitting, kernel_ms=(corrected,),
        kernel_spread=(0.0,), kernel_runs=5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def campaign() -> tuple[list[Measurement], np.ndarray]:
    """600 networks while the machine drifts by 8 % either way; large ones slow the reference by up to 30 %."""
    generator = np.random.default_rng(0)
    true_ms = np.exp(generator.uniform(np.log(0.5), np.log(50), 600))
    states = 1.2 + 0.1 * np.sin(np.linspace(0, 2 * np.pi, 600))
    loads = np.exp(0.07 * np.log1p(true_ms * states))
    rows = [_network(i, *values) for i, values in enumerate(zip(true_ms, states, loads, strict=True))]
    return rows, true_ms


@pytest.mark.parametrize(("momentary", "limit"), [(False, 0.04), (True, 0.01)])
def test_large_networks_do_not_look_fast(
    campaign: tuple[list[Measurement], np.ndarray], momentary: bool, limit: float
) -> None:
    rows, true_ms = campaign
    steady, _ = steady_campaign(rows, momentary)
    ratio = np.array([m.latency_ms for m in steady]) / true_ms
    corrected = np.array([m.latency_ms for m in rows]) / true_ms
    assert ratio.std() / ratio.mean() < limit < corrected.std() / corrected.mean()
    assert all(m.kernel_ms == (m.latency_ms,) for m in steady)


def test_models_of_a_later_sitting_come_to_the_campaigns_scale(campaign: tuple[list[Measurement], np.ndarray]) -> None:
    rows, true_ms = campaign
    steady, load = steady_campaign(rows)
    scale = np.median([m.latency_ms for m in steady] / true_ms)
    later = [
        _network(i, t, 1.7, float(np.exp(0.07 * np.log1p(t * 1.7))), "two") for i, t in enumerate((2.0, 9.0, 40.0))
    ]
    found = [m.latency_ms for m in steady_models(later, load)]
    assert found == pytest.approx([2.0 * scale, 9.0 * scale, 40.0 * scale], rel=0.04)


def test_few_networks_are_left_to_their_own_references() -> None:
    rows = [_network(i, t, 1.3, 1.0) for i, t in enumerate((1.0, 5.0, 20.0))]
    load, states = fit_reference_load(rows)
    assert load.coefficients == (0.0, 0.0, 0.0)
    assert states == pytest.approx([0.0, 0.0, 0.0])


def test_nothing_measured_is_nothing_steady() -> None:
    assert steady_models([], steady_campaign([])[1]) == []
