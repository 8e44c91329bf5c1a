"""What kernels take longer in long networks is found in measurements that have it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.coldness import LEAST_OF_A_FAMILY, LEAST_ROWS, added_ms, fit_coldness
from nnmeter.lab.training.network_factors import in_networks_ms, warmed, without_networks
from nnmeter.lab.training.table import KernelTable, build_table
from nnmeter.lab.training.train import fit_predictor
from nnmeter.predictor.coldness import KNOTS_MS, LEAST_SHARE, Coldness
from nnmeter.predictor.network_factors import NetworkFactors
from nnmeter.predictor.reuse import DISTANCE_KNOTS_MS, PRICE_KNOTS_MS, Reuse

CALL, WEIGHTS = (0.0, 0.0, 0.1, 0.5, 0.9, 1.0, 1.0), (0.0, 0.2, 0.4, 0.7, 0.9, 1.0, 1.0)
TRUE = Coldness(CALL, WEIGHTS, (0.5, 0.55), {"convolution": (0.004, 0.02), "elementwise": (0.002, 0.0)})
EVEN = Reuse(tuple((0.0,) * len(DISTANCE_KNOTS_MS) for _ in PRICE_KNOTS_MS))


@pytest.fixture
def table(measurements: list[Measurement]) -> KernelTable:
    """Networks of all lengths."""
    generator = np.random.default_rng(3)
    found = []
    for number in range(900):
        base = measurements[number % len(measurements)]
        whole_ms = float(2 ** generator.uniform(-2, 5))
        found.append(replace(base, id=f"block:{number}", network=f"network-{number}", latency_ms=whole_ms))
    return build_table(found)


def prices_of(table: KernelTable) -> np.ndarray:
    """Prices of 8 us to 0.5 ms that have nothing to do with the network."""
    return np.asarray(np.exp2(np.random.default_rng(5).uniform(-7, -1, len(table.kernel))))


def test_the_costs_and_shares_that_measurements_were_made_with_are_found(table: KernelTable) -> None:
    assert {"convolution", "elementwise"} <= set(table.family[table.kernel].tolist())
    priced = prices_of(table)
    noise = np.random.default_rng(7).normal(0, 0.05, len(priced))
    measured = replace(table, latency_ms=(priced + added_ms(table, TRUE)) * np.exp(noise))
    found = fit_coldness(measured, priced, np.ones(len(priced)))
    assert found is not None
    assert found.costs["convolution"][0] == pytest.approx(0.004, rel=0.15)
    assert found.costs["elementwise"][0] == pytest.approx(0.002, rel=0.25)
    assert all(family in TRUE.costs or cost[0] < 5e-4 for family, cost in found.costs.items())
    assert np.abs(np.array(found.call_shares) - CALL).max() < 0.15
    assert list(found.call_shares) == sorted(found.call_shares)
    assert added_ms(table, found).mean() == pytest.approx(0.0, abs=2e-4), "prices are those of the mean kernel"


def test_measurements_that_know_nothing_of_it_cost_next_to_nothing(table: KernelTable) -> None:
    priced = prices_of(table)
    noise = np.random.default_rng(7).normal(0, 0.05, len(priced))
    found = fit_coldness(replace(table, latency_ms=priced * np.exp(noise)), priced, np.ones(len(priced)))
    assert found is not None
    assert np.abs(added_ms(table, found) / priced).max() < 0.05


def test_a_family_of_few_rows_costs_nothing(table: KernelTable) -> None:
    few = np.isin(table.family, ["elementwise"])
    rows = np.flatnonzero(few[table.kernel])
    latency_ms = prices_of(table) + added_ms(table, TRUE)
    latency_ms[rows[LEAST_OF_A_FAMILY - 1 :]] = np.nan
    found = fit_coldness(replace(table, latency_ms=latency_ms), prices_of(table), np.ones(len(latency_ms)))
    assert found is not None
    assert "elementwise" not in found.costs


def test_few_rows_say_nothing(measurements: list[Measurement]) -> None:
    table = build_table(measurements[:10])
    assert len(table.kernel) < LEAST_ROWS
    assert fit_coldness(table, prices_of(table), np.ones(len(table.kernel))) is None


def test_a_kernel_that_was_measured_alone_is_in_no_network(measurements: list[Measurement]) -> None:
    alone = replace(measurements[0], granularity="kernel", kernels=measurements[0].kernels[:1], kernel_ms=())
    assert added_ms(build_table([alone, *measurements]), TRUE)[0] == 0.0


def test_what_networks_add_is_taken_off_again(table: KernelTable) -> None:
    grid = tuple(tuple(np.linspace(-0.2, 0.2, len(DISTANCE_KNOTS_MS)).tolist()) for _ in PRICE_KNOTS_MS)
    factors = NetworkFactors((-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3), Reuse(grid), TRUE)
    priced = prices_of(table) + 0.06  # none comes to less than a part of itself, which nothing would undo
    measured = replace(table, latency_ms=in_networks_ms(table, factors, priced))
    assert np.abs(measured.latency_ms / priced - 1).max() > 0.1
    assert without_networks(measured, factors, priced).latency_ms == pytest.approx(priced)
    assert in_networks_ms(table, None, priced) is priced
    assert without_networks(table, None, priced) is table


def test_no_time_falls_below_a_part_of_itself(table: KernelTable) -> None:
    short = replace(table, latency_ms=np.full(len(table.kernel), 1e-4))
    assert (warmed(short, TRUE).latency_ms >= LEAST_SHARE * 1e-4).all()


def test_training_finds_it_and_predictions_have_it(measurements: list[Measurement]) -> None:
    """Networks of the same kernels, once or many times over, of which each takes longer in the longer network."""
    many = []
    for times in (1, 2, 4, 8):
        for base in measurements:
            call = float(TRUE.above_means(base.latency_ms * times)[0]) + TRUE.means[0]
            kernel_ms = tuple(ms + 0.03 * call for ms in base.kernel_ms) * times
            whole_ms = base.latency_ms * times + 0.03 * call * len(kernel_ms)
            name = f"{base.network}-{times}"
            many.append(
                replace(
                    base, id=f"block:{name}", network=name, kernels=base.kernels * times, kernel_ms=kernel_ms,
                    kernel_spread=base.kernel_spread * times, latency_ms=whole_ms, median_ms=whole_ms,
                )
            )  # fmt: skip
    predictor, _ = fit_predictor(many)
    assert predictor.factors is not None
    coldness = predictor.factors.coldness
    assert coldness is not None
    assert max(call_ms for call_ms, _ in coldness.costs.values()) > 0.01
    assert coldness.call_shares[KNOTS_MS.index(16.0)] > coldness.call_shares[KNOTS_MS.index(1.0)]
    assert max(price.cold_call_ms for price in predictor.price(many[0].kernels)) > 0.01
