"""What kernels bound by their weights take in short networks and in long ones is found in measurements that have it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.network_factors import bound_log_factors, divided, fit_network_factors
from nnmeter.lab.training.table import KernelTable, build_table
from nnmeter.predictor.network_factors import FEW_BYTES, KNOTS_MS, MANY_BYTES, NetworkFactors

TRUE = NetworkFactors(
    (-0.6, -0.6, -0.4, -0.2, 0.1, 0.2, 0.2), many_log_factors=(-0.2, -0.1, 0.0, 0.05, 0.05, 0.05, 0.05)
)


def gemv(rows: int, inputs: int) -> KernelSignature:
    data, weights = TensorType("float32", (1, inputs)), TensorType("float32", (inputs, rows))
    return KernelSignature("Gemm", "Gemm", "", (data, weights), (False, True), (TensorType("float32", (1, rows)),))


def networks(measurements: list[Measurement], count: int = 400) -> list[Measurement]:
    """Networks of 0.3 to 60 ms with a product each that reads 10 GB/s times what `TRUE` says of their time."""
    generator = np.random.default_rng(1)
    found = []
    for number in range(count):
        base = measurements[number % len(measurements)]
        scale = float(2 ** generator.uniform(-2, 6)) / base.latency_ms
        signature = gemv(int(generator.choice([256, 512, 2048])), int(generator.choice([128, 512, 2048, 8192])))
        moved = sum(t.bytes for t in (*signature.inputs, *signature.outputs) if t is not None)
        whole_ms = base.latency_ms * scale
        own_ms = moved / 10e6 * float(np.exp(TRUE.log_factor(whole_ms, np.array(moved)) + generator.normal(0, 0.05)))
        found.append(
            replace(
                base,
                id=f"block:{number}",
                network=f"network-{number}",
                kernels=(*base.kernels, signature),
                kernel_ms=(*(scale * np.array(base.kernel_ms)).tolist(), own_ms),
                kernel_spread=(),
                latency_ms=whole_ms,
            )
        )
    return found


@pytest.fixture
def table(measurements: list[Measurement]) -> KernelTable:
    return build_table(networks(measurements))


def test_factors_of_kernels_bound_by_their_weights_are_found(table: KernelTable) -> None:
    found = fit_network_factors(table)
    assert found is not None
    at = np.array(KNOTS_MS)
    for size in (FEW_BYTES, 2 * FEW_BYTES, MANY_BYTES):
        shape = found.log_factor(at, np.array(size)) - TRUE.log_factor(at, np.array(size))
        assert np.ptp(shape) < 0.12, "but for its mean it is what the networks were made with"
    logs = bound_log_factors(table, found)
    assert logs[np.flatnonzero(logs)].mean() == pytest.approx(0.0, abs=0.02)


def test_times_are_divided_by_them(table: KernelTable) -> None:
    logs = bound_log_factors(table, TRUE)
    without = divided(table, logs)
    changed = np.flatnonzero(without.latency_ms != table.latency_ms)
    assert len(changed) == np.count_nonzero(logs) > 300
    speed = table.moved[table.kernel[changed]] / without.latency_ms[changed] / 1e6
    assert np.median(np.abs(speed / 10 - 1)) < 0.05


def test_few_rows_say_nothing(measurements: list[Measurement]) -> None:
    assert fit_network_factors(build_table(networks(measurements, 50))) is None


def test_a_factor_does_not_fall(table: KernelTable) -> None:
    falling = NetworkFactors(tuple(-0.1 * number for number in range(len(KNOTS_MS))))
    measured = divided(table, bound_log_factors(table, TRUE) - bound_log_factors(table, falling))
    found = fit_network_factors(measured)
    assert found is not None
    assert np.ptp(found.log_factors) < 0.02
