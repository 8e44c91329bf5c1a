"""A prediction for this machine by the pack of another one is widened, and shifted where widths of vectors tell."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest

from nnmeter.devices import load_pack
from nnmeter.devices.identity import MachineMatch, Verdict
from nnmeter.devices.transfer import MachineTransfer
from nnmeter.prediction.another_machine import for_machine
from nnmeter.prediction.predict import LatencyPredictor, Prediction

ANOTHER = MachineMatch(Verdict.ANOTHER_MACHINE, "there", "here", isa_there="avx512-vnni", isa_here="avx2")


@pytest.fixture
def prediction(small_pack: Path, small_model: Path) -> Prediction:
    return LatencyPredictor(load_pack(small_pack)).predict(small_model)


def transfer_of(shift: float, monkeypatch: pytest.MonkeyPatch) -> MachineTransfer:
    transfer = MachineTransfer({0.9: 1.0}, 0.1, shift)
    monkeypatch.setattr("nnmeter.prediction.another_machine.read_transfer", lambda: transfer)
    return transfer


def test_nobody_asked_for_a_machine(prediction: Prediction) -> None:
    assert prediction.machine is None
    assert prediction.to_dict()["machine"] is None


def test_without_a_shift_only_the_interval_changes(prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = transfer_of(0.0, monkeypatch)
    found = for_machine(prediction, ANOTHER)
    assert (found.latency_ms, found.kernels, found.warnings) == (
        prediction.latency_ms, prediction.kernels, prediction.warnings,
    )  # fmt: skip
    assert tuple(found.interval_ms) == transfer.widen(prediction.latency_ms, *prediction.interval_ms, 0.9)
    assert found.machine is ANOTHER


def test_a_shift_multiplies_all_times_and_is_told(prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer_of(log(1.5), monkeypatch)
    found = for_machine(prediction, ANOTHER)
    assert found.latency_ms == pytest.approx(1.5 * prediction.latency_ms)
    assert found.kernels[0].latency_ms == pytest.approx(1.5 * prediction.kernels[0].latency_ms)
    assert found.interval_ms[0] < found.latency_ms < found.interval_ms[1]
    assert "times are those of the pack by 1.50" in found.warnings[-1]
    assert "512 there, 256 here" in found.warnings[-1]


@pytest.mark.parametrize("verdict", [Verdict.THIS_MACHINE, Verdict.OTHER_SETTINGS])
def test_on_the_packs_own_machine_nothing_changes(
    prediction: Prediction, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer_of(log(1.5), monkeypatch)
    found = for_machine(prediction, MachineMatch(verdict, "there", "here"))
    assert (found.latency_ms, found.interval_ms) == (prediction.latency_ms, prediction.interval_ms)
