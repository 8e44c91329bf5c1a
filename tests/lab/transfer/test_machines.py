"""A pack that was calibrated to another machine predicts real milliseconds of that machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.fusion.loading import rules_to_dict
from nnmeter.lab.evaluation.evaluate import evaluate_pack
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.report import LAB
from nnmeter.lab.transfer.calibrate import calibrate_pack
from nnmeter.report.registry import Layout
from tests.lab.evaluation.test_machines import ZEN_4, ZEN_5
from tests.lab.transfer.test_calibration import make_networks, measure

pytest.importorskip("pyarrow")

REFERENCE_MS = 2.0  # of the reference kernel on the near machine; on the pack's own it takes one


@pytest.fixture(scope="module")
def prior(small_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> DevicePack:
    """The small pack, of a Zen 4 core on which the reference took one millisecond."""
    small = load_pack(small_pack)
    card = replace(small.card, version="1.32.0", fingerprint=ZEN_4, reference_ms=1.0)
    return save_pack(tmp_path_factory.mktemp("zen4") / card.id, card, rules_to_dict(small.rules), small.predictor)


@pytest.fixture(scope="module")
def rows(prior: DevicePack) -> list[Measurement]:
    """Networks on a core that is 0.8 times as slow as the pack's, whatever its reference takes."""
    found = measure(make_networks(30, 0), prior.predictor, lambda _, price_ms: 0.8 * price_ms, 1)
    return [replace(row, reference_ms=REFERENCE_MS, threads=1) for row in found]


@pytest.fixture(scope="module")
def calibrated(
    prior: DevicePack, rows: list[Measurement], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[dict], tuple]:
    """Calibrates on all but the last network, measured on a machine with this fingerprint."""
    from nnmeter.lab.measuring.store import write_measurements

    def make(fingerprint: dict) -> tuple:
        folder = tmp_path_factory.mktemp("near")
        write_measurements(folder / "m.parquet", rows[:-1], fingerprint)
        return calibrate_pack(prior, [folder / "m.parquet"], folder / "near", repeats=0, device_id="near")

    return make


def predicted_ms(pack: DevicePack, row: Measurement) -> float:
    return sum(p.latency_ms for p in pack.predictor.price(row.kernels)) + pack.predictor.overhead_ms


def test_another_machine_is_predicted_in_its_own_milliseconds(calibrated: Callable, rows: list[Measurement]) -> None:
    pack, report = calibrated(ZEN_5)
    assert predicted_ms(pack, rows[-1]) == pytest.approx(rows[-1].latency_ms, rel=0.05)
    assert pack.card.reference_ms == REFERENCE_MS
    assert pack.card.fingerprint == {**ZEN_5, **pack.card.fingerprint}
    assert report.left_out["within_5"] > 90
    text = LAB.render("calibration", report.to_dict(), "table", Layout(width=400))
    assert text.startswith("ANOTHER MACHINE than the pack's was measured (family 25 model 17 there, family 26 model 2")
    assert report.to_dict()["machine"]["verdict"] == "another_machine"


def test_its_evaluation_is_in_the_same_milliseconds(calibrated: Callable, rows: list[Measurement]) -> None:
    pack, _ = calibrated(ZEN_5)
    models = [replace(row, granularity="model") for row in rows]
    card = evaluate_pack(pack, models, fingerprint=ZEN_5)
    assert np.median([abs(m.predicted_ms / m.measured_ms - 1) for m in card.models]) < 0.03
    assert [m.measured_ms for m in card.models] == [row.latency_ms for row in rows]
    assert [m.state_ms for m in card.models] == pytest.approx([row.latency_ms for row in rows])


def test_the_same_machine_keeps_the_state_of_the_first_pack(calibrated: Callable, rows: list[Measurement]) -> None:
    pack, report = calibrated({**ZEN_4, "threads": 2})
    expected_ms = correct(rows[-1].latency_ms, REFERENCE_MS, 1.0)
    assert predicted_ms(pack, rows[-1]) == pytest.approx(expected_ms, rel=0.05)
    assert pack.card.reference_ms == 1.0
    assert report.to_dict()["machine"]["verdict"] == "this_machine_other_settings"
    assert "ANOTHER MACHINE" not in LAB.render("calibration", report.to_dict(), "table", Layout(width=400))


def test_a_pack_can_be_calibrated_from_the_mixture_of_two_machines(
    prior: DevicePack, rows: list[Measurement], tmp_path: Path
) -> None:
    from nnmeter.lab.measuring.store import write_measurements

    write_measurements(tmp_path / "m.parquet", rows, ZEN_5)
    twice = replace(prior.predictor, roofline=replace(prior.predictor.roofline, bandwidth_gbs=5.0))
    card = replace(prior.card, id="third")
    third = save_pack(tmp_path / "third", card, rules_to_dict(prior.rules), twice)
    pack, report = calibrate_pack(
        prior, [tmp_path / "m.parquet"], tmp_path / "near", repeats=0, device_id="near", mix=[third]
    )
    assert report.prior == pack.card.trained_on["calibrated_from"] == f"{prior.id} + third"
    assert [share.weight for share in pack.predictor.shares] == [0.5]
    assert predicted_ms(pack, rows[-1]) == pytest.approx(rows[-1].latency_ms, rel=0.1)
