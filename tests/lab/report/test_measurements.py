"""A sitting is reported with its noise floor and the reference's time, in every format."""

from __future__ import annotations

import csv
import io
import json

import pytest

from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.report import LAB
from nnmeter.lab.report.measurements import COLUMNS, Sitting


def measured(network: str, latency_ms: float, other_half: float) -> Measurement:
    return Measurement(
        id=f"model:{network}", granularity="model", network=network, family="f", kernels=(), latency_ms=latency_ms,
        min_ms=0.9 * latency_ms, median_ms=1.05 * latency_ms, p90_ms=1.3 * latency_ms, runs=30, reference_ms=0.93,
        half_ms=(latency_ms, other_half * latency_ms), threads=1, batch=1, sitting="2026-01-31T12:00:00",
    )  # fmt: skip


@pytest.fixture
def sitting() -> Sitting:
    rows = [measured("small", 2.0, 1.02), measured("large", 200.0, 0.93)]
    return Sitting("m.parquet", "onnxruntime 1.0, 1 thread", 0.93, 1.21, rows, [("bad.onnx", "no model")])


@pytest.mark.parametrize("report_format", ["table", "md"])
def test_all_is_told(sitting: Sitting, report_format: str) -> None:
    text = LAB.render("measurements", sitting, report_format)
    words = " ".join(text.replace("*", "").split())
    for part in (
        "onnxruntime 1.0, 1 thread",
        "±5 % 50.0 %, ±10 % 100.0 %, MAPE 4.7 % between two halves of the runs (2 models)",
        "1.21 ms while this was measured",
        "0.930 ms",
        "bad.onnx: no model",
        "m.parquet",
    ):
        assert part in words, part
    line = next(line for line in text.splitlines() if "small" in line)
    for value in ("2.00", "1.80", "2.10", "2.60", "30", "-2.0 %"):
        assert value in line


def test_json_and_csv_have_every_figure(sitting: Sitting) -> None:
    document = json.loads(LAB.render("measurements", sitting, "json"))
    assert document["schema_version"] == 1
    assert (document["reference_ms"], document["own_reference_ms"]) == (0.93, 1.21)
    assert document["noise_floor"]["within_5"] == 50.0
    assert document["refused"] == [{"model": "bad.onnx", "reason": "no model"}]
    assert [m["model"] for m in document["models"]] == ["small", "large"]
    assert tuple(document["models"][0]) == COLUMNS
    rows = list(csv.DictReader(io.StringIO(LAB.render("measurements", sitting, "csv"))))
    assert rows[1]["p90_ms"] == "260"
    assert rows[0]["runs"] == "30"


def test_a_model_without_halves_has_no_noise_floor() -> None:
    one = Sitting("m", "d", 1.0, 1.0, [measured("a", 1.0, 0.0)], interrupted=True)
    assert one.noise_floor is None
    text = LAB.render("measurements", one, "table")
    assert "noise floor" not in text
    assert "interrupted" in text
