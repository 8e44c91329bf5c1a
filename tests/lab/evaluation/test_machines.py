"""Times are real milliseconds of the machine measured; a reference time never carries one to another machine."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nnmeter
from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.devices.identity import Verdict
from nnmeter.errors import MeasurementError
from nnmeter.fusion.loading import rules_to_dict
from nnmeter.lab.evaluation.evaluate import evaluate_pack
from nnmeter.lab.evaluation.scorecard import Scorecard
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.build import read_all
from nnmeter.report.registry import CORE, Layout

ZEN_4: dict[str, Any] = {
    "cpu": "AMD EPYC", "vendor": "AuthenticAMD", "architecture": "x86_64", "isa": "avx512-vnni", "cpu_family": "25",
    "cpu_model": "17", "stepping": "1", "runtime": "onnxruntime", "runtime_version": "1.32.0", "threads": 1,
    "precision": "float32",
}  # fmt: skip
ZEN_5 = {**ZEN_4, "cpu_family": "26", "cpu_model": "2", "stepping": "0"}
MEASURED_MS = 20.3


@pytest.fixture(scope="module")
def pack(small_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> DevicePack:
    """The small pack, of a Zen 4 core on which the reference took one millisecond."""
    small = load_pack(small_pack)
    card = replace(small.card, version="1.32.0", fingerprint=ZEN_4, reference_ms=1.0)
    return save_pack(tmp_path_factory.mktemp("zen4") / card.id, card, rules_to_dict(small.rules), small.predictor)


@pytest.fixture
def measured(pack: DevicePack, small_model: Path) -> Measurement:
    """The small model, measured at 20.3 ms where the reference takes two milliseconds."""
    kernels = nnmeter.detect_kernels(nnmeter.load_model(small_model), pack)
    return Measurement(
        id="model:small", granularity="model", network="small", family="tiny",
        kernels=tuple(k.signature for k in kernels), latency_ms=MEASURED_MS, min_ms=20.0, median_ms=20.5,
        p90_ms=22.0, runs=5, reference_ms=2.0, half_ms=(20.2, 20.4), threads=1, batch=1, sitting="s",
    )  # fmt: skip


def first_line(card: Scorecard, report_format: str) -> str:
    return CORE.render("scorecard", card.to_dict(), report_format, Layout(width=400)).splitlines()[0]


def test_another_machine_is_compared_in_its_own_milliseconds_and_told_first(
    pack: DevicePack, measured: Measurement
) -> None:
    card = evaluate_pack(pack, [measured], fingerprint=ZEN_5)
    (row,) = card.models
    assert (row.measured_ms, row.state_ms, row.compared_ms) == (MEASURED_MS, None, MEASURED_MS)
    assert card.overall.mape == pytest.approx(100 * abs(row.predicted_ms / MEASURED_MS - 1))
    assert card.machine is not None
    assert card.machine.verdict is Verdict.ANOTHER_MACHINE
    for report_format, start in (("table", "ANOTHER MACHINE"), ("md", "> ANOTHER MACHINE")):
        line = first_line(card, report_format)
        assert line.startswith(
            f"{start} than the pack's was measured (family 25 model 17 there, family 26 model 2 here"
        )
        assert "real milliseconds of the measured one (AMD EPYC (AuthenticAMD family 26 model 2" in line
    document = card.to_dict()
    assert document["machine"]["verdict"] == "another_machine"
    assert document["models"][0]["measured_ms"] == MEASURED_MS
    (told,) = csv.DictReader(io.StringIO(CORE.render("scorecard", document, "csv")))
    assert (told["measured_ms"], told["state_ms"], told["machine"]) == ("20.3", "", "another_machine")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_packs_own_machine_is_compared_in_the_packs_state_and_measured_ms_stays(
    pack: DevicePack, measured: Measurement, threads: int
) -> None:
    card = evaluate_pack(pack, [measured], fingerprint={**ZEN_4, "threads": threads})
    (row,) = card.models
    assert row.measured_ms == MEASURED_MS
    assert row.state_ms == pytest.approx(correct(MEASURED_MS, 2.0, 1.0))
    assert card.overall.mape == pytest.approx(100 * abs(row.predicted_ms / row.state_ms - 1))
    assert "measured_ms is what was measured, with the reference at 2 ms" in card.notes[0]
    assert first_line(card, "table").startswith("scorecard of")
    words = " ".join(CORE.render("scorecard", card.to_dict(), "table", Layout(width=200)).split())
    assert ("measured on the pack's machine: AMD EPYC" in words) is (threads == 1)
    assert ("another runtime version or threads (threads 1 there, 2 here)" in words) is (threads == 2)


def test_another_version_of_the_runtime_has_another_reference(pack: DevicePack, measured: Measurement) -> None:
    (row,) = evaluate_pack(pack, [measured], fingerprint={**ZEN_4, "runtime_version": "1.31.0"}).models
    assert (row.measured_ms, row.state_ms) == (MEASURED_MS, None)


def test_several_sittings_have_the_median_of_what_was_measured(pack: DevicePack, measured: Measurement) -> None:
    rows = [measured, replace(measured, id="model:small@t", latency_ms=22.3, reference_ms=1.0, sitting="t")]
    (row,) = evaluate_pack(pack, rows, fingerprint=ZEN_4).models
    assert row.measured_ms == pytest.approx((20.3 + 22.3) / 2)
    assert row.state_ms == pytest.approx((correct(20.3, 2.0, 1.0) + 22.3) / 2)


def test_an_unknown_machine_is_compared_as_measured(pack: DevicePack, measured: Measurement) -> None:
    (row,) = evaluate_pack(pack, [measured]).models
    assert (row.measured_ms, row.state_ms) == (MEASURED_MS, None)


def test_files_of_two_machines_of_one_name_are_never_read_together(measured: Measurement, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from nnmeter.lab.measuring.store import write_measurements

    again = replace(measured, id="model:again", network="again", reference_ms=1.0)
    for name, row, fingerprint in (("a", measured, ZEN_4), ("b", again, ZEN_4), ("c", again, ZEN_5)):
        write_measurements(tmp_path / f"{name}.parquet", [row], fingerprint)
    rows, _ = read_all([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert [row.latency_ms for row in rows] == pytest.approx([MEASURED_MS, correct(MEASURED_MS, 1.0, 2.0)])
    with pytest.raises(MeasurementError, match=r"another device \(AMD EPYC \(AuthenticAMD family 26 model 2"):
        read_all([tmp_path / "a.parquet", tmp_path / "c.parquet"])
