"""A pack is scored on whole models only, from files or from recorded kernels, on one scale of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

import nnmeter
from nnmeter.devices import load_pack
from nnmeter.errors import MeasurementError, ModelError
from nnmeter.lab.evaluation.evaluate import evaluate_pack, read_families
from nnmeter.lab.measuring.measurement import Measurement
from tests.conftest import make_small_model


@pytest.fixture
def measured(small_pack: Path, small_model: Path) -> Measurement:
    """The small model, measured at exactly what the pack predicts."""
    kernels = nnmeter.detect_kernels(nnmeter.load_model(small_model), small_pack)
    latency = nnmeter.load_predictor(small_pack).predict(small_model).latency_ms
    return Measurement(
        id="model:small", granularity="model", network="small", family="tiny",
        kernels=tuple(k.signature for k in kernels), latency_ms=latency, min_ms=latency, median_ms=latency,
        p90_ms=latency, runs=5, reference_ms=1.0, half_ms=(latency, latency * 1.02), threads=1, batch=1, sitting="s",
    )  # fmt: skip


def test_files_and_recorded_kernels_agree(small_pack: Path, small_model: Path, measured: Measurement) -> None:
    pack = load_pack(small_pack)
    from_files = evaluate_pack(pack, [measured], models=small_model.parent)
    recorded = evaluate_pack(pack, [measured])
    assert (from_files.kernels_from, recorded.kernels_from) == ("rules", "runtime")
    assert from_files.overall.mape == pytest.approx(0.0, abs=1e-9)
    assert recorded.overall == from_files.overall
    assert from_files.interval_coverage == 100.0
    assert set(from_files.baselines) == {"flops", "flops_and_bytes", "roofline"}


def test_families_come_from_the_table_or_the_measurement(
    small_pack: Path, measured: Measurement, tmp_path: Path
) -> None:
    pack = load_pack(small_pack)
    table = tmp_path / "families.csv"
    table.write_text("model,family\nsmall.onnx,convolutional\n")
    assert set(evaluate_pack(pack, [measured]).families) == {"tiny"}
    assert set(evaluate_pack(pack, [measured], read_families(table)).families) == {"convolutional"}


def test_only_whole_models_are_scored(small_pack: Path, measured: Measurement) -> None:
    with pytest.raises(MeasurementError, match="no whole model"):
        evaluate_pack(load_pack(small_pack), [replace(measured, granularity="block")])


def test_a_model_that_is_not_in_the_folder_is_named(small_pack: Path, measured: Measurement, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="'small' was measured"):
        evaluate_pack(load_pack(small_pack), [measured], models=tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "no column family and model"),
        (b"", "no column family and model"),
        (b"model,family\na,\x1b[31m\n", "a family's name has control characters"),
        (b"model,family\n\xff,b\n", "codec can't decode"),
        (b"model,family\n" + b"a" * 200_000 + b",b\n", "field larger than field limit"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(MeasurementError, match=rf"columns model,family \(.*{said}"):
        read_families(tmp_path / "bad.csv")


def test_a_table_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfmodel,family,note\r\na,x\r\nb\r\n")
    assert read_families(tmp_path / "t.csv") == {"a": "x", "b": ""}


def test_training_adds_the_nearest_kernel_and_leaves_out_what_was_trained_on(
    small_pack: Path, measured: Measurement
) -> None:
    pack = load_pack(small_pack)
    other = replace(measured, id="model:other", network="other")
    count = len(measured.kernels)
    times = {"kernel_ms": (measured.latency_ms / count,) * count, "kernel_spread": (0.0,) * count}
    training = [replace(other, granularity="block", id="block:b", network="b", **times), other]
    card = evaluate_pack(pack, [measured, other], training=training)
    assert [m.model for m in card.models] == ["small"]
    assert card.notes == ("left out, because they were trained on: other",)
    assert "nearest_kernel" in card.baselines
    with pytest.raises(MeasurementError, match="among those that were trained on"):
        evaluate_pack(pack, [other], training=training)


def test_several_sittings_of_a_model_are_scored_once(small_pack: Path, measured: Measurement) -> None:
    rows = [measured, replace(measured, id="model:small@t", sitting="t")]
    card = evaluate_pack(load_pack(small_pack), rows)
    assert card.overall.models == 1
    assert card.overall.mape == pytest.approx(0.0, abs=1e-6)


def test_free_dimensions_of_the_files_are_given(small_pack: Path, measured: Measurement, tmp_path: Path) -> None:
    onnx.save(make_small_model(batch="batch"), tmp_path / "small.onnx")
    with pytest.raises(ModelError, match="batch"):
        evaluate_pack(load_pack(small_pack), [measured], models=tmp_path)
    card = evaluate_pack(load_pack(small_pack), [measured], models=tmp_path, dims={"batch": 1})
    assert card.overall.mape == pytest.approx(0.0, abs=1e-6)
