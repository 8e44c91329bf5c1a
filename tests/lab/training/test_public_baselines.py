"""Baselines of public packs are fitted to the networks that are left, the roofline among them."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.lab.training.network_work import NetworkWork
from nnmeter.lab.training.population import COLUMNS
from nnmeter.lab.training.public_baselines import NEAREST, baseline_metrics, left_out_baselines
from nnmeter.operators.cost import Cost

GFLOPS, GBS, LAUNCH_MS = 50.0, 8.0, 0.02


def network(gflop: float, mbyte: float, kernels: int) -> NetworkWork:
    """A network of equal kernels of floats."""
    cost = Cost(int(gflop * 1e9 / kernels), int(mbyte * 1e6 / kernels), 0)
    return NetworkWork(np.zeros(len(COLUMNS)), {}, (cost,) * kernels, (32,) * kernels)


def roofline_ms(work: NetworkWork) -> float:
    flops, moved, kernels = work.cost
    return flops / (GFLOPS * 1e6) + moved / (GBS * 1e6) + LAUNCH_MS * kernels


@pytest.fixture(scope="module")
def networks() -> list[NetworkWork]:
    generator = np.random.default_rng(0)
    return [
        network(*np.exp(generator.normal([0.0, 3.5], 1.0)), kernels=int(generator.integers(10, 80))) for _ in range(24)
    ]


def test_a_device_that_is_a_roofline_is_told_by_it_on_parts_left_out(networks: list[NetworkWork]) -> None:
    times = np.array([roofline_ms(work) for work in networks])
    found = baseline_metrics(left_out_baselines(networks, times, np.arange(24) % 6), times)
    assert set(found) == {"flops", "flops_and_bytes", "roofline", NEAREST}
    assert found["roofline"].mape < 5
    assert found["roofline"].mape < 0.3 * found["flops"].mape
    assert all(metrics.models == 24 for metrics in found.values())


def test_what_is_left_out_does_not_take_part_in_any_fit(networks: list[NetworkWork]) -> None:
    times = np.array([roofline_ms(work) for work in networks])
    parts = np.arange(24) % 6
    odd = np.where(parts == 2, 9.0 * times, times)
    before, after = (left_out_baselines(networks, own, parts) for own in (times, odd))
    for name in before:
        assert after[name][parts == 2] == pytest.approx(before[name][parts == 2]), name
    assert after["roofline"][parts == 3] != pytest.approx(before["roofline"][parts == 3], rel=0.02)


def test_the_nearest_network_is_of_another_part_and_scaled_by_flops() -> None:
    networks = [network(1.0, 10.0, 10), network(1.1, 10.0, 10), network(4.0, 30.0, 10), network(5.0, 30.0, 10)]
    times = np.array([3.0, 4.0, 8.0, 12.0])
    nearest = left_out_baselines(networks, times, np.array([0, 0, 1, 2]))[NEAREST]
    assert np.isnan(nearest[:2]).all(), "two networks are too few to fit anything to"
    assert nearest[2:] == pytest.approx([12.0 * 4.0 / 5.0, 8.0 * 5.0 / 4.0])


def test_nothing_is_said_where_too_little_is_left(networks: list[NetworkWork]) -> None:
    times = np.ones(24)
    assert left_out_baselines(networks, times, np.zeros(24, int)) == {}
    assert baseline_metrics({}, times) == {}
