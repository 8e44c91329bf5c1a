"""Rates of work that no network of a device does."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.lab.training.network_work import NetworkWork
from nnmeter.lab.training.population import COLUMNS, DeviceRates
from nnmeter.lab.training.unseen_work import OPEN, ROOFLINE_VARIANCE, WIDE_OPEN, complete_rates, seen_groups
from nnmeter.operators.cost import Cost
from nnmeter.predictor.roofline import Roofline

SEEN = ("conv1x1.flops00", "conv1x1.bytes", "conv1x1.launch")
FLOPS, BYTES, LAUNCH = (COLUMNS.index(name) for name in ("attention.flops00", "attention.bytes", "attention.launch"))
ROOFLINE = Roofline({"float": 100.0, "half": 50.0, "wide": 50.0, "int8": 150.0}, 10.0, 0.01)


def network() -> NetworkWork:
    """A network of pointwise convolutions in floats."""
    work = np.zeros(len(COLUMNS))
    work[[COLUMNS.index(name) for name in SEEN]] = 5.0
    return NetworkWork(work, {}, (Cost(5_000_000, 5_000_000, 0),), (32,))


def rates(variance: float, doubt: float) -> DeviceRates:
    width = len(COLUMNS)
    return DeviceRates(np.zeros(width), np.zeros(width), variance * np.eye(width), 0.1, 3.0, np.full(width, doubt))


def test_the_groups_of_a_device_are_those_that_its_networks_have() -> None:
    assert seen_groups([network()]) == ("conv1x1",)


def test_unseen_work_is_between_what_relatives_and_the_roofline_say() -> None:
    known, _ = complete_rates(rates(0.2, 0.3), [network()], ROOFLINE)
    weight = ROOFLINE_VARIANCE / (ROOFLINE_VARIANCE + 0.5)
    assert known.theta[FLOPS] == pytest.approx((1 - weight) * -np.log(100.0))
    assert known.theta[BYTES] == pytest.approx((1 - weight) * -np.log(10.0))
    assert known.theta[LAUNCH] == 0.0, "the roofline tells nothing of one sort of launch"


def test_what_is_unseen_is_as_open_whatever_the_variances_of_its_rates() -> None:
    for variance in (0.01, 0.2, 5.0):
        _, on_cpus = complete_rates(rates(variance, 0.3), [network()], ROOFLINE)
        assert on_cpus[[FLOPS, BYTES, LAUNCH]].tolist() == [OPEN] * 3
        _, on_graphics = complete_rates(rates(variance, 0.3), [network()], ROOFLINE, "gpu")
        assert on_graphics[[FLOPS, BYTES, LAUNCH]].tolist() == [WIDE_OPEN] * 3


def test_what_was_seen_stays_as_it_was_fitted() -> None:
    known, deviations = complete_rates(rates(0.2, 0.3), [network()], ROOFLINE)
    own = [COLUMNS.index(name) for name in SEEN]
    assert known.theta[own].tolist() == [0.0, 0.0, 0.0]
    assert deviations[own] == pytest.approx(np.sqrt(0.2))


def test_relatives_in_the_same_runtime_count_for_more_than_those_in_others() -> None:
    near, far = (complete_rates(rates(0.1, doubt), [network()], ROOFLINE) for doubt in (0.05, 1.0))
    assert abs(near[0].theta[FLOPS]) < abs(far[0].theta[FLOPS])
