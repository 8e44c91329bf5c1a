"""`nnmeter calibrate` on a made-up near device."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from nnmeter.devices import load_pack
from nnmeter.lab.measuring.measurement import Measurement
from tests.conftest import make_small_model
from tests.lab.transfer.test_calibration import make_networks, measure, two_threads

pytest.importorskip("pyarrow")

FINGERPRINT: dict[str, Any] = {
    "cpu": "Test CPU",
    "vendor": "Test",
    "architecture": "x86_64",
    "isa": "avx2",
    "runtime": "onnxruntime",
    "runtime_version": "1.0.0",
    "threads": 2,
    "precision": "float32",
    "date": "2026-02-02",
}


@pytest.fixture(scope="module")
def rows(small_pack: Path) -> list[Measurement]:
    predictor = load_pack(small_pack).predictor
    return measure(make_networks(30, 0), predictor, two_threads, 1, profiled=True)


@pytest.fixture(scope="module")
def measured(rows: list[Measurement], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nnmeter.lab.measuring.store import write_measurements

    path = tmp_path_factory.mktemp("near") / "models.parquet"
    write_measurements(path, rows, FINGERPRINT)
    return path


def test_a_pack_is_calibrated_and_says_from_what(
    cli: Callable, small_pack: Path, measured: Path, rows: list[Measurement], tmp_path: Path
) -> None:
    files = {path.name: path.read_bytes() for path in small_pack.iterdir()}
    outcome = cli("calibrate", small_pack, "--measurements", measured, "--out", tmp_path / "near", "--limit", 20,
                  "--repeats", 2)  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "calibrated from test-onnxruntime-1t" in outcome.out
    assert "0, not calibrated" in outcome.out
    assert "model to measure next" in outcome.out
    assert "The 10 that were not used" in outcome.out
    assert {path.name: path.read_bytes() for path in small_pack.iterdir()} == files, "the first pack is untouched"

    pack = load_pack(tmp_path / "near")
    card = pack.card
    assert (card.id, card.threads, card.date) == ("test-onnxruntime1.0-2t", 2, "2026-02-02")
    assert card.trained_on["calibrated_from"] == "test-onnxruntime-1t"
    assert card.trained_on["measurements"] == 20
    assert "net-19" in card.trained_on["measured"]
    assert "net-20" not in card.trained_on["measured"]
    assert "calibrated from test-onnxruntime-1t with 20 measurements" in card.limits[0]
    assert pack.rules.parameters["block"] == 8, "the block of channels of AVX2"
    for row in rows[20:]:
        total = sum(p.latency_ms for p in pack.predictor.price(row.kernels)) + pack.predictor.overhead_ms
        assert total == pytest.approx(row.latency_ms, rel=0.1)
    assert "calibrated from" in cli("devices", "show", tmp_path / "near").out
    scorecard = cli("evaluate", tmp_path / "near", "--measurements", measured, "--format", "json").out
    assert json.loads(scorecard)["overall"]["within_10"] > 95


def test_json_has_the_curve_and_the_plan(cli: Callable, small_pack: Path, measured: Path, tmp_path: Path) -> None:
    outcome = cli("calibrate", small_pack, "--measurements", measured, "--out", tmp_path / "near", "--repeats", 2,
                  "--format", "json", "--id", "near")  # fmt: skip
    document = json.loads(outcome.out)
    assert document["device"] == "near"
    assert [point["measurements"] for point in document["learning_curve"]] == [0, 5, 10, 20]
    assert len(document["learning_curve"][1]["within_10"]) == 2
    assert document["measure_next"][0]["kind"] == "kernel"
    assert document["left_out"]["models"] == 30
    assert document["held_out"] is None
    assert outcome.err == f"nnmeter: wrote {tmp_path / 'near'}\n"


def test_candidates_are_models_of_a_folder(cli: Callable, small_pack: Path, measured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("net-3", "one", "two"):
        onnx.save(make_small_model(), folder / f"{name}.onnx")
    arguments = ["calibrate", small_pack, "--measurements", measured, "--out", tmp_path / "near", "--repeats", 0,
                 "--candidates", folder, "--format", "json"]  # fmt: skip
    document = json.loads(cli(*arguments).out)
    assert document["learning_curve"] == []
    assert {s["name"] for s in document["measure_next"]} == {"one", "two"}, "net-3 is measured already"


def test_a_candidate_that_cannot_be_bound_is_left_out(
    cli: Callable, small_pack: Path, measured: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    onnx.save(make_small_model(batch="batch"), folder / "free.onnx")
    arguments = ["calibrate", small_pack, "--measurements", measured, "--out", tmp_path / "near", "--repeats", 0,
                 "--candidates", folder, "--format", "json"]  # fmt: skip
    assert "input 'input' has free dimensions (batch)" in cli(*arguments).error_line
    onnx.save(make_small_model(), folder / "one.onnx")
    outcome = cli(*arguments)
    assert outcome.code == 0
    assert [s["name"] for s in json.loads(outcome.out)["measure_next"]] == ["one"]
    assert outcome.err.startswith(
        f"nnmeter: left out of the candidates: {folder / 'free.onnx'}: input 'input' has free"
    )


def test_only_the_named_models_are_used(cli: Callable, small_pack: Path, measured: Path, tmp_path: Path) -> None:
    arguments = ["calibrate", small_pack, "--measurements", measured, "--out", tmp_path / "near", "--repeats", 0]
    document = json.loads(cli(*arguments, "--only", "net-4", "--only", "net-2.onnx", "--format", "json").out)
    assert document["measurements"] == ["net-2", "net-4"]
    assert len(document["measure_next"]) == 10
    outcome = cli(*arguments, "--only", "resnet50")
    assert outcome.code == 2
    assert "'resnet50' was not measured; there are net-0" in outcome.error_line


def test_rules_of_another_runtime_are_refused(
    cli: Callable, small_pack: Path, rows: list[Measurement], tmp_path: Path
) -> None:
    from nnmeter.lab.measuring.store import write_measurements

    write_measurements(tmp_path / "other.parquet", rows[:5], {**FINGERPRINT, "runtime": "other"})
    arguments = ("calibrate", small_pack, "--measurements", tmp_path / "other.parquet", "--out", tmp_path / "near")
    outcome = cli(*arguments, "--rules", "onnxruntime_cpu")
    assert outcome.code == 2
    assert "rules of onnxruntime, measured was other" in outcome.error_line
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert "other: no fusion rules of this runtime ship; give some with --rules" in outcome.error_line
    assert not (tmp_path / "near").exists()


def test_a_directory_with_other_things_is_left_alone(
    cli: Callable, small_pack: Path, measured: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    outcome = cli("calibrate", small_pack, "--measurements", measured, "--out", tmp_path / "full", "--repeats", 0)
    assert outcome.code == 2
    assert "exists and is no device pack" in outcome.error_line
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_an_empty_measurement_file_is_one_line(cli: Callable, small_pack: Path, tmp_path: Path) -> None:
    from nnmeter.lab.measuring.store import write_measurements

    write_measurements(tmp_path / "empty.parquet", [], FINGERPRINT)
    outcome = cli("calibrate", small_pack, "--measurements", tmp_path / "empty.parquet", "--out", tmp_path / "near")
    assert outcome.code == 2
    assert "there is no measurement to calibrate on" in outcome.error_line
