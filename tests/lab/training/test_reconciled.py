"""Kernels' times are brought to the whole run of their network, as far as its kernels have it in common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.reconciled import reconciled
from nnmeter.lab.training.table import KernelTable, build_table
from nnmeter.lab.training.unobserved import fit_unobserved


def with_kernels(measurement: Measurement, kernel_ms: np.ndarray) -> Measurement:
    return replace(measurement, kernel_ms=tuple(kernel_ms.tolist()))


def rests(table: KernelTable, scale: float, per_kernel_ms: float, overhead_ms: float) -> np.ndarray:
    """What whole runs take beyond their kernels, relative to them [networks]."""
    return np.array(
        [
            1 - (scale * table.latency_ms[n.rows].sum() + per_kernel_ms * len(n.rows) + overhead_ms) / n.latency_ms
            for n in table.networks
        ]
    )


def test_a_network_profiled_in_a_slow_state_is_brought_to_its_whole_run(measurements: list[Measurement]) -> None:
    slow = with_kernels(measurements[0], 1.2 * np.array(measurements[0].kernel_ms))
    table = build_table([slow, *measurements[1:]])
    numbers = fit_unobserved(table, table.latency_ms)
    before, after = rests(table, *numbers), rests(reconciled(table), *numbers)
    assert before[0] < -0.1
    assert abs(after[0]) < 0.25 * abs(before[0])
    assert np.abs(after).mean() < np.abs(before).mean()
    rows = table.networks[0].rows
    assert (reconciled(table).latency_ms[rows] < table.latency_ms[rows]).all()


def test_small_kernels_get_a_cost_and_large_ones_a_factor(measurements: list[Measurement]) -> None:
    own = np.array(measurements[0].kernel_ms)
    slow = with_kernels(measurements[0], own + 2e-3)
    table = build_table([slow, *measurements[1:]])
    rows = table.networks[0].rows
    change = reconciled(table).latency_ms[rows] - table.latency_ms[rows]
    assert (change < 0).all()
    assert np.ptp(change / table.latency_ms[rows]) > 0  # not by a factor alone
    assert np.corrcoef(change, table.latency_ms[rows])[0, 1] < 0  # nor by a cost alone


def test_no_kernel_loses_more_than_half(measurements: list[Measurement]) -> None:
    strange = with_kernels(measurements[0], 20 * np.array(measurements[0].kernel_ms))
    table = build_table([strange, *measurements[1:]])
    rows = table.networks[0].rows
    assert (reconciled(table).latency_ms[rows] >= 0.5 * table.latency_ms[rows]).all()


def test_what_was_not_profiled_in_full_stays(measurements: list[Measurement]) -> None:
    alone = replace(
        measurements[0], granularity="kernel", kernels=measurements[0].kernels[:1], kernel_ms=(), latency_ms=0.5
    )
    unprofiled = replace(measurements[1], kernel_ms=())
    table = build_table([alone, unprofiled, *measurements[2:]])
    found = reconciled(table).latency_ms
    assert found[0] == pytest.approx(0.5)
    assert np.isnan(found[table.networks[1].rows]).all()
