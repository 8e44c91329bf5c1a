"""Rates of work that no network of a device does."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.lab.training.network_work import NetworkWork
from nnmeter.lab.training.population import COLUMNS, DeviceRates
from nnmeter.lab.training.unseen_work import ROOFLINE_VARIANCE, WIDER, WIDEST, complete_rates, seen_groups
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
    known, deviations = complete_rates(rates(0.2, 0.3), [network()], ROOFLINE)
    weight = ROOFLINE_VARIANCE / (ROOFLINE_VARIANCE + 0.5)
    assert known.theta[FLOPS] == pytest.approx((1 - weight) * -np.log(100.0))
    assert known.theta[BYTES] == pytest.approx((1 - weight) * -np.log(10.0))
    assert known.theta[LAUNCH] == 0.0, "the roofline tells nothing of one sort of launch"
    assert deviations[FLOPS] == pytest.approx(WIDER * np.sqrt(0.5 * weight))
    assert deviations[LAUNCH] == pytest.approx(WIDER * np.sqrt(0.5))
    _, of_graphics = complete_rates(rates(0.2, 0.3), [network()], ROOFLINE, "gpu")
    assert of_graphics[LAUNCH] == pytest.approx(WIDEST * np.sqrt(0.5))


def test_what_was_seen_stays_as_it_was_fitted() -> None:
    known, deviations = complete_rates(rates(0.2, 0.3), [network()], ROOFLINE)
    own = [COLUMNS.index(name) for name in SEEN]
    assert known.theta[own].tolist() == [0.0, 0.0, 0.0]
    assert deviations[own] == pytest.approx(np.sqrt(0.2))


def test_relatives_in_the_same_runtime_count_for_more_than_those_in_others() -> None:
    near, far = (complete_rates(rates(0.1, doubt), [network()], ROOFLINE) for doubt in (0.05, 1.0))
    assert abs(near[0].theta[FLOPS]) < abs(far[0].theta[FLOPS])
    assert near[1][FLOPS] < far[1][FLOPS]
