"""What kernels take by how long ago others of their kind ran is found in measurements that have it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.reuse import LEAST_ROWS, distances_ms, fit_reuse, reuse_log_factors
from nnmeter.lab.training.table import KernelTable, build_table
from nnmeter.lab.training.train import fit_predictor
from nnmeter.predictor.reuse import DISTANCE_KNOTS_MS, PRICE_KNOTS_MS, Reuse

# Small kernels take up to twice as long where others of their kind are far, those of a millisecond the same.
SLOPE = np.linspace(-0.35, 0.35, len(DISTANCE_KNOTS_MS))
TRUE = Reuse(tuple(tuple((SLOPE * share).tolist()) for share in np.linspace(1, 0, len(PRICE_KNOTS_MS))))


@pytest.fixture
def table(measurements: list[Measurement]) -> KernelTable:
    """Networks of all lengths, so that kernels of all sizes have all distances."""
    generator = np.random.default_rng(3)
    found = []
    for number in range(600):
        base = measurements[number % len(measurements)]
        whole_ms = float(2 ** generator.uniform(-2, 5))
        found.append(replace(base, id=f"block:{number}", network=f"network-{number}", latency_ms=whole_ms))
    return build_table(found)


def prices_of(table: KernelTable) -> np.ndarray:
    """Prices of 2 us to 1.5 ms that have nothing to do with the network."""
    return np.asarray(np.exp2(np.random.default_rng(5).uniform(-9, 0.5, len(table.kernel))))


def test_a_distance_is_the_time_of_the_network_over_the_kernels_of_a_kind(table: KernelTable) -> None:
    found = distances_ms(table)
    network = table.networks[0]
    kinds = table.kind[table.kernel[network.rows]].tolist()
    expected = [network.latency_ms / kinds.count(kind) for kind in kinds]
    assert found[network.rows] == pytest.approx(expected)


def test_a_kernel_that_was_measured_alone_has_no_distance(measurements: list[Measurement]) -> None:
    alone = replace(measurements[0], granularity="kernel", kernels=measurements[0].kernels[:1], kernel_ms=())
    table = build_table([alone, *measurements])
    assert np.isnan(distances_ms(table)[0])
    assert reuse_log_factors(table, TRUE, prices_of(table))[0] == 0.0


def test_the_factors_that_measurements_were_made_with_are_found(table: KernelTable) -> None:
    priced = prices_of(table)
    noise = np.random.default_rng(7).normal(0, 0.1, len(priced))
    measured = replace(table, latency_ms=priced * np.exp(reuse_log_factors(table, TRUE, priced) + noise))
    weight = np.ones(len(priced))
    found = fit_reuse(measured, priced, weight)
    assert found is not None
    differences = reuse_log_factors(table, found, priced) - reuse_log_factors(table, TRUE, priced)
    assert np.std(differences) < 0.03
    assert np.mean(reuse_log_factors(table, found, priced)) == pytest.approx(0.0, abs=1e-6)


def test_few_rows_say_nothing(measurements: list[Measurement]) -> None:
    table = build_table(measurements[:10])
    assert len(table.kernel) < LEAST_ROWS
    assert fit_reuse(table, prices_of(table), np.ones(len(table.kernel))) is None


def test_training_finds_them_and_predictions_have_them(measurements: list[Measurement]) -> None:
    many = [replace(m, id=f"{m.id}-{turn}", network=f"{m.network}-{turn}") for turn in range(3) for m in measurements]
    assert sum(len(m.kernels) for m in many) >= LEAST_ROWS
    predictor, _ = fit_predictor(many)
    assert predictor.factors is not None
    reuse = predictor.factors.reuse
    assert reuse is not None
    assert (reuse.scale, reuse.per_kernel_ms) == (predictor.scale, predictor.per_kernel_ms)
    total = [sum(p.latency_ms for p in predictor.price_network(m.kernels)) + predictor.overhead_ms for m in many]
    error = np.abs(np.array(total) / np.array([m.latency_ms for m in many]) - 1)
    assert np.median(error) < 0.1
