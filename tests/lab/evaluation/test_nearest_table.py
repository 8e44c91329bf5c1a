"""Kernels are looked up among profiled ones of their operator; others fall back to the linear baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.kernels.features import kernel_features
from nnmeter.lab.evaluation.nearest_table import build_nearest_table
from nnmeter.predictor.baselines import Baselines
from nnmeter.predictor.roofline import DTYPE_CLASSES, Roofline
from tests.predictor.conftest import addition, convolution, true_latency_ms

ROOFLINE = Roofline(dict.fromkeys(DTYPE_CLASSES.values(), 50.0), 10.0, 0.001)
BASELINES = Baselines(1e-8, (1e-9, 2e-7, 3e-3), 1.0)


def test_a_profiled_kernel_costs_what_it_took(measure: Callable) -> None:
    kernels = [convolution(64, 64, 28), convolution(16, 32, 56)]
    table = build_nearest_table([measure("net", kernels, excess_ms=0.004)], ROOFLINE, BASELINES)
    assert len(table) == 2
    assert table.kernel_ms(kernels[::-1]) == pytest.approx([true_latency_ms(k) for k in kernels[::-1]])


def test_equal_kernels_are_one_entry_their_median(measure: Callable) -> None:
    kernel = convolution(64, 64, 28)
    rows = [measure(f"net{s}", [kernel], slowness=s) for s in (1.0, 1.1, 9.0)]
    table = build_nearest_table(rows, ROOFLINE, BASELINES)
    assert len(table) == 1
    assert table.kernel_ms([kernel]) == pytest.approx([1.1 * true_latency_ms(kernel)])


def test_another_kernel_takes_the_nearest_scaled_by_the_roofline(measure: Callable) -> None:
    near, far, asked = convolution(64, 64, 28), convolution(512, 512, 7), convolution(72, 64, 28)
    table = build_nearest_table([measure("net", [near, far])], ROOFLINE, BASELINES)
    ratio = ROOFLINE.latency_ms(kernel_features(asked).cost, 32) / ROOFLINE.latency_ms(kernel_features(near).cost, 32)
    assert ratio > 1.05
    assert table.kernel_ms([asked]) == pytest.approx([ratio * true_latency_ms(near)])


def test_an_operator_that_was_not_profiled_is_priced_linearly(measure: Callable) -> None:
    table = build_nearest_table([measure("net", [convolution(64, 64, 28)])], ROOFLINE, BASELINES)
    unknown = addition(1, 64, 28, 28)
    cost = kernel_features(unknown).cost
    expected = 1e-9 * cost.flops + 2e-7 * (cost.bytes_read + cost.bytes_written) + 3e-3
    assert not table.knows(unknown)
    assert table.kernel_ms([unknown]) == pytest.approx([expected])


def test_without_times_of_kernels_there_is_no_table(measure: Callable) -> None:
    whole = replace(measure("net", [convolution(64, 64, 28), addition(1, 64, 28, 28)]), kernel_ms=(), kernel_spread=())
    with pytest.raises(MeasurementError, match="without --training"):
        build_nearest_table([whole], ROOFLINE, BASELINES)
