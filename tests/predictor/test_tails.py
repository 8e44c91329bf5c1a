"""Probabilities from intervals."""

from __future__ import annotations

import pytest

from nnmeter.predictor.intervals import normal_quantile
from nnmeter.predictor.tails import probability_below

CONFIDENCES = (0.5, 0.8, 0.9, 0.95)
NORMAL = {c: 2.0 * normal_quantile(c) for c in CONFIDENCES}


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_the_ends_of_intervals_have_their_probabilities(confidence: float) -> None:
    halves = {0.5: 0.1, 0.8: 0.3, 0.9: 0.8, 0.95: 1.1}
    assert probability_below(halves[confidence], halves) == pytest.approx((1 + confidence) / 2, abs=1e-5)
    assert probability_below(-halves[confidence], halves) == pytest.approx((1 - confidence) / 2, abs=1e-5)


def test_a_normal_distribution_is_one() -> None:
    """2.0 is one standard deviation, 5.0 two and a half."""
    assert probability_below(2.0, NORMAL) == pytest.approx(0.841345, abs=1e-5)
    assert probability_below(-5.0, NORMAL) == pytest.approx(0.006210, abs=1e-5)


def test_the_middle_is_a_half_and_nothing_uncertain_is_certain() -> None:
    assert probability_below(0.0, NORMAL) == 0.5
    assert probability_below(0.1, dict.fromkeys(CONFIDENCES, 0.0)) == 1.0
    assert probability_below(-0.1, dict.fromkeys(CONFIDENCES, 0.0)) == 0.0


def test_an_end_of_several_confidences_has_the_highest() -> None:
    """Where data decide, all upper ends are the worst case."""
    assert probability_below(1.0, dict.fromkeys(CONFIDENCES, 1.0)) == pytest.approx(0.75, abs=1e-5)
    assert probability_below(1.0 + 1e-9, dict.fromkeys(CONFIDENCES, 1.0)) == pytest.approx(0.975, abs=1e-5)


def test_probabilities_rise_with_the_distance() -> None:
    halves = {0.5: 0.1, 0.8: 0.3, 0.9: 0.8, 0.95: 1.1}
    values = [probability_below(x / 20, halves) for x in range(-40, 41)]
    assert values == sorted(values)
    assert values[0] > 0 and values[-1] < 1
