"""Times of kernels are freed from what the profiler adds, and sum to their network's latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nnmeter.lab.evaluation.kernel_times import unobserved_kernel_ms
from tests.predictor.conftest import addition, convolution, true_latency_ms

KERNELS = [convolution(64, 64, 28), addition(1, 64, 28, 28), convolution(32, 64, 14)]


def test_what_the_profiler_adds_to_every_kernel_is_taken_off(measure: Callable) -> None:
    times = unobserved_kernel_ms(measure("net", KERNELS, excess_ms=0.005))
    assert times == pytest.approx([true_latency_ms(k) for k in KERNELS], rel=1e-6)


def test_no_kernel_becomes_free_and_the_sum_stays(measure: Callable) -> None:
    m = measure("net", KERNELS)
    m = replace(m, kernel_ms=(10 * m.latency_ms, 1e-5, 1e-5))
    times = unobserved_kernel_ms(m)
    assert times is not None
    assert min(times) > 0
    assert sum(times) == pytest.approx(m.latency_ms)


def test_without_a_profiler_only_single_kernels_have_a_time(measure: Callable) -> None:
    assert unobserved_kernel_ms(replace(measure("net", KERNELS), kernel_ms=(), kernel_spread=())) is None
    single = replace(measure("one", KERNELS[:1], granularity="kernel"), kernel_ms=(), kernel_spread=())
    assert unobserved_kernel_ms(single) == pytest.approx([single.latency_ms])
