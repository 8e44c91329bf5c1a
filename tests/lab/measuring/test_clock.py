"""Times are brought to what the clock showed, short networks and long ones alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.clock import ClockState, as_the_clock_said, state_of_card, state_of_clock
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.measurement import Measurement
from tests.lab.measuring.conftest import card_of


def measured(latency_ms: float, median_ms: float, reference_ms: float = 0.5) -> Measurement:
    kind = TensorType("float32", (1, 8, 8, 8))
    kernel = KernelSignature("Relu", "Relu", "", (kind,), (False,), (kind,))
    return Measurement(
        "block:a", "block", "a", "", (kernel,), latency_ms, latency_ms, median_ms, latency_ms, 9, reference_ms,
        (latency_ms, latency_ms), 1, 1, "s", (latency_ms / 2,), (0.1,), 5,
    )  # fmt: skip


# The reference took 8 % longer around networks of 10 ms than before the campaign, and no longer around those of 0.1 ms.
SLOW = correct(1.0, 1.0, 1.08)
LONG = [measured(10.0 + n / 100, (10.0 + n / 100) * SLOW) for n in range(60)]
SHORT = [measured(0.1 + n / 10_000, 0.1 + n / 10_000) for n in range(60)]


def test_each_length_of_network_is_brought_to_what_its_clock_showed() -> None:
    found = as_the_clock_said([*LONG, *SHORT])
    assert [m.latency_ms for m in found] == pytest.approx([m.median_ms for m in (*LONG, *SHORT)], rel=1e-3)
    assert found[0].kernel_ms == pytest.approx((LONG[0].kernel_ms[0] * SLOW,), rel=1e-3)
    assert found[0].reference_ms == pytest.approx(0.54, rel=1e-3)
    assert found[-1].reference_ms == pytest.approx(0.5, rel=1e-3)


def test_a_state_is_linear_between_lengths_and_constant_beyond() -> None:
    state = ClockState((1.0, 4.0), (0.5, 0.605))
    assert state.around(2.0) == pytest.approx(0.55)
    assert (state.around(0.01), state.around(100.0)) == pytest.approx((0.5, 0.605))
    assert state.words() == "0.5 to 0.605"
    assert ClockState((1.0,), (0.5,)).words() == "0.5"


def test_one_slow_network_changes_little() -> None:
    state = state_of_clock([*LONG[:-1], measured(10.0, 30.0), *SHORT])
    assert state is not None
    assert state.around(10.0) == pytest.approx(0.54, rel=1e-3)


def test_one_time_for_all_lengths_can_be_asked_for() -> None:
    state = state_of_clock([*LONG, *LONG, *SHORT], by_length=False)
    assert state is not None
    assert len(state.network_ms) == 1
    assert state.around(0.1) == state.around(10.0) == pytest.approx(0.54, rel=1e-3)


def test_few_networks_have_one_time_for_all_lengths() -> None:
    state = state_of_clock([*LONG[:4], *SHORT[:3]])
    assert state is not None
    assert len(state.network_ms) == 1
    assert state.around(0.1) == pytest.approx(0.54)


def test_networks_that_all_take_the_same_are_one_length() -> None:
    state = state_of_clock([measured(1.0, 1.0)] * 300)
    assert state == ClockState((1.0,), (0.5,))


def test_single_kernels_and_sums_without_a_clock_do_not_tell_the_state() -> None:
    rows = [replace(measured(1.0, 3.0), granularity="kernel"), measured(1.0, 0.0)]
    assert state_of_clock(rows) is None
    assert as_the_clock_said(rows) == rows


def test_another_session_comes_to_the_state_of_a_card() -> None:
    campaign = state_of_clock([*LONG, *SHORT])
    assert campaign is not None
    card = card_of(reference_ms=0.52, reference_by_length=campaign.to_dict())
    state = state_of_card(card)
    assert state is not None
    other = measured(10.0, 9.0, reference_ms=0.54)  # corrected to another nominal time
    assert state.bring([other])[0].latency_ms == pytest.approx(10.0, rel=1e-3)
    alone = state_of_card(card_of(reference_ms=0.52))
    assert alone == ClockState((1.0,), (0.52,))
    assert state_of_card(card_of(reference_ms=None)) is None
