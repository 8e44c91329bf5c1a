"""Leaving families out says how much wider intervals of unlike networks must be."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.kernels.anchor import Kind
from nnmeter.lab.training.shift import LEAST_NETWORKS, MARGIN, fit_shift, known_too
from nnmeter.predictor.intervals import CONFIDENCES
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.shift import FEATURES, Shift, growth

KINDS = (Kind.parse("convolution:Conv|float32"), Kind.parse("matmul:Gemm|float32"))
COUNT, FAMILIES = 120, 6


def made(families: int = FAMILIES, count: int = COUNT, bias: float = 0.2) -> tuple[Shift | None, np.ndarray]:
    """Families apart from each other, each off by a bias of its own where it was left out."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 1, (families, FEATURES * len(KINDS)))
    described = np.repeat(centres, count, axis=0)
    described += generator.normal(0, 0.02, described.shape)
    errors = np.repeat(np.linspace(-bias, bias, families), count) + generator.normal(0, 0.01, families * count)
    half = {c: np.full(len(errors), 0.01) for c in CONFIDENCES}
    names = [f"family {i}" for i in range(families) for _ in range(count)]
    fold = np.arange(len(errors)) % 5
    return fit_shift(described, KINDS, names, fold, errors, half, 0.02), described


def test_unlike_networks_get_what_left_out_families_showed() -> None:
    shift, described = made()
    assert shift is not None
    assert len(shift.clusters) == shift.families == FAMILIES
    distances = np.min([cluster.distances(described) for cluster in shift.clusters], axis=0) / shift.near
    assert 0 < growth(distances).mean() < 0.03, "few of the families that were seen"
    far = np.full((1, described.shape[1]), 3.0)
    distance = np.min([cluster.distances(far) for cluster in shift.clusters], axis=0) / shift.near
    half = shift.spreads[0.9] * growth(distance)[0]
    assert half > 0.2, "the worst family was 20 % off"
    assert 0.5 * MARGIN * 0.2 < shift.spreads[0.9] < MARGIN * 0.25
    assert [shift.spreads[c] for c in CONFIDENCES] == sorted(shift.spreads.values())


@pytest.mark.parametrize(("families", "count"), [(4, COUNT), (FAMILIES, LEAST_NETWORKS - 1)])
def test_few_or_small_families_say_nothing(families: int, count: int) -> None:
    assert made(families, count)[0] is None


def test_networks_that_a_pack_was_calibrated_with_are_alike() -> None:
    shift, _ = made()
    assert shift is not None
    networks = [[KernelPrice(ms, "trained", 0.1, 0.0, KINDS[0], 2**40, 2**5)] for ms in (1.0, 2.0)]
    assert shift.distance(networks[0]) > 2
    known = known_too(shift, networks)
    assert known.distance(networks[0]) < 1
    assert (known.spreads, known.near) == (shift.spreads, shift.near)
    assert known_too(shift, []) is shift
