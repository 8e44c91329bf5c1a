"""Kernels that are priced badly are told from those that are priced well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.deviations import LEAST_ROWS, fit_deviations
from nnmeter.lab.training.kernels import sampled_as
from nnmeter.lab.training.table import KernelTable, build_table
from nnmeter.lab.training.train import fit_predictor
from tests.predictor.conftest import addition

pytest.importorskip("lightgbm")

QUIET, WILD = addition(1, 32, 7, 7), addition(1, 256, 56, 56)


@pytest.fixture(scope="module")
def table(measurements: list[Measurement]) -> KernelTable:
    return build_table(measurements)


def errors_of(table: KernelTable) -> np.ndarray:
    """Log errors of 0.05 where tensors are small, of 0.4 where they are large."""
    large = table.moved[table.kernel] > np.median(table.moved)
    return np.random.default_rng(0).normal(0.0, np.where(large, 0.4, 0.05))


def test_deviations_follow_the_errors_and_mean_the_same_as_those_of_kinds(table: KernelTable) -> None:
    error = errors_of(table)
    kinds = enumerate(table.kinds)
    vocabulary = {kind: sampled_as(table, np.flatnonzero(table.kind == i), float(i), 500) for i, kind in kinds}
    ensembles, of_row = fit_deviations(table, vocabulary, error, np.ones(len(error)), 0)
    assert set(ensembles) == {"convolution", "elementwise"}
    large = table.moved[table.kernel] > np.median(table.moved)
    assert 0.3 < np.median(of_row[large]) < 0.5
    assert 0.03 < np.median(of_row[~large]) < 0.08
    assert np.mean(np.abs(error) <= 1.645 * of_row) == pytest.approx(0.9, abs=0.05)


def test_a_family_of_few_kernels_has_none(table: KernelTable) -> None:
    error = errors_of(table)
    few = np.where(np.arange(len(error)) < LEAST_ROWS // 2, error, np.nan)
    vocabulary = {
        kind: sampled_as(table, np.flatnonzero(table.kind == i), 0.0, 9) for i, kind in enumerate(table.kinds)
    }
    ensembles, of_row = fit_deviations(table, vocabulary, few, np.ones(len(error)), 0)
    assert not ensembles
    assert np.isnan(of_row).all()


def test_training_tells_a_wild_kernel_from_a_quiet_one(measurements: list[Measurement]) -> None:
    generator = np.random.default_rng(1)

    def disturbed(measurement: Measurement) -> Measurement:
        wild = [k.op_type == "Add" and k.outputs[0].elements > 50_000 for k in measurement.kernels]
        factors = np.exp(generator.normal(0.0, np.where(wild, 0.4, 0.01)))
        return replace(measurement, kernel_ms=tuple(np.array(measurement.kernel_ms) * factors))

    predictor, _ = fit_predictor([disturbed(m) for m in measurements])
    quiet, wild = predictor.price([QUIET, WILD])
    assert wild.sigma > 3 * quiet.sigma
