"""The probability that a model stays within a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.devices import load_pack
from nnmeter.devices.identity import MachineMatch, Verdict
from nnmeter.errors import NnmeterError
from nnmeter.prediction.another_machine import for_machine
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.prediction import Prediction


@pytest.fixture
def prediction(small_model: Path, small_pack: Path) -> Prediction:
    return LatencyPredictor(load_pack(small_pack)).predict(small_model)


def test_it_is_what_the_interval_says(prediction: Prediction) -> None:
    assert prediction.probability_within(prediction.latency_ms) == 0.5
    low, high = prediction.interval_ms
    assert prediction.probability_within(high) == pytest.approx(0.95, abs=1e-5)
    assert prediction.probability_within(low) == pytest.approx(0.05, abs=1e-5)
    assert prediction.probability_within(0.0) == 0.0
    assert prediction.probability_within(float("inf")) == 1.0


def test_a_rescaled_prediction_keeps_its_shares(prediction: Prediction) -> None:
    slower = prediction.rescaled(3.0, "slow today")
    assert slower.probability_within(3 * prediction.interval_ms.high) == pytest.approx(0.95, abs=1e-4)


def test_another_machine_is_less_sure(prediction: Prediction) -> None:
    other = for_machine(prediction, MachineMatch(Verdict.ANOTHER_MACHINE, "there", "here"))
    assert other.probability_within(other.interval_ms.high) == pytest.approx(0.95, abs=1e-4)
    assert other.probability_within(prediction.interval_ms.high) < 0.8


def test_a_prediction_that_says_nothing_of_its_errors_is_refused(prediction: Prediction) -> None:
    with pytest.raises(NnmeterError, match="predict it again"):
        replace(prediction, errors=None).probability_within(1.0)
