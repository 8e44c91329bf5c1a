"""The interval for a machine that no pack is of is as wide as machines differ."""

from __future__ import annotations

import json
from math import exp, inf, log

import pytest

from nnmeter.devices.identity import MachineMatch, Verdict
from nnmeter.devices.transfer import TRANSFER_FILE, MachineTransfer, read_transfer

MATCH = MachineMatch(Verdict.ANOTHER_MACHINE, "there", "here", isa_there="avx512", isa_here="avx2")


def test_the_interval_holds_the_machines_that_are_known() -> None:
    transfer = read_transfer()
    low, high = transfer.widen(100.0, 94.0, 106.0, 0.9)
    assert low < 100.0 / 2.5, "a Zen 5 server was 2.5 times faster than the Ice Lake pack predicted"
    assert low < 100.0 / 2.03
    assert high > 118.0, "Ice Lake is 1.18 times slower than the Zen 4 pack predicts"
    assert log(high / 100.0) == pytest.approx(-log(low / 100.0), rel=0.01)


def test_a_wider_confidence_is_a_wider_interval() -> None:
    transfer = read_transfer()
    highs = [transfer.widen(1.0, 0.9, 1.1, confidence)[1] for confidence in (0.5, 0.8, 0.9, 0.95)]
    assert highs == sorted(highs)
    with pytest.raises(KeyError):
        transfer.widen(1.0, 0.9, 1.1, 0.7)


def test_half_widths_add_in_squares() -> None:
    transfer = MachineTransfer({0.9: 0.3}, 0.4 / 1.64485, 0.0)
    low, high = transfer.widen(10.0, 10.0, 10.0, 0.9)
    assert (low, high) == (pytest.approx(10 * exp(-0.5)), pytest.approx(10 * exp(0.5)))
    assert transfer.widen(10.0, 10 * exp(-1.2), 10.0, 0.9)[0] == pytest.approx(10 * exp(-1.3))


def test_an_interval_of_nothing_stays_and_so_does_an_end_at_zero_or_infinity() -> None:
    transfer = MachineTransfer({0.9: 0.3}, 0.4 / 1.64485, 0.0)
    assert transfer.widen(0.0, 0.0, 0.0, 0.9) == (0.0, 0.0)
    assert transfer.widen(10.0, 0.0, inf, 0.9) == (0.0, inf)


def test_a_shift_is_for_each_halving_of_the_vectors() -> None:
    assert MachineTransfer({}, 0.0, log(1.5)).factor(MATCH) == pytest.approx(1.5)
    assert MachineTransfer({}, 0.0, 0.0).factor(MATCH) == 1.0
    assert MachineTransfer({}, 0.0, log(1.5)).factor(MachineMatch(Verdict.ANOTHER_MACHINE, "", "")) == 1.0


def test_what_ships_says_how_it_was_made_and_how_it_held() -> None:
    document = json.loads(TRANSFER_FILE.read_text())
    assert document["made_with"].startswith("python benchmarks/machine_transfer.py")
    assert document["left_out"]["pairs"] == len(document["left_out"]["machines"]) == len(document["ratios"])
    assert 85.0 <= document["left_out"]["held"] <= 95.0
