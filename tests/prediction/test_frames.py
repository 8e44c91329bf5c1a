"""Predictions as pandas frames, and what is said where pandas is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import nnmeter
from tests.conftest import make_small_model


def test_without_pandas_one_line_says_what_to_install(
    small_pack: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    prediction = nnmeter.predict(small_model, small_pack)
    for call in (prediction.to_pandas, lambda: nnmeter.predictions_to_pandas([prediction]),
                 lambda: nnmeter.read_measurements("m.parquet")):  # fmt: skip
        with pytest.raises(ModuleNotFoundError, match=r"needs pandas.*pip install 'nnmeter\[lab\]'"):
            call()


def test_kernels_are_rows(small_pack: Path, small_model: Path) -> None:
    pytest.importorskip("pandas")
    prediction = nnmeter.predict(small_model, small_pack)
    frame = prediction.to_pandas()
    assert list(frame.columns) == [
        "name", "type", "operator", "latency_ms", "share", "source", "flops", "bytes", "module", "nodes"
    ]  # fmt: skip
    assert list(frame["name"]) == [kernel.name for kernel in prediction.kernels]
    assert frame["latency_ms"].sum() + prediction.overhead_ms == pytest.approx(prediction.latency_ms)
    assert frame["share"].sum() == pytest.approx(1 - prediction.overhead_ms / prediction.latency_ms)
    assert frame["nodes"][0] == prediction.kernels[0].nodes
    assert frame.groupby("operator")["flops"].sum()["Conv"] == prediction.by_operator()[0].flops


def test_predictions_are_rows(small_pack: Path, small_model: Path) -> None:
    pandas = pytest.importorskip("pandas")
    predictor = nnmeter.load_predictor(small_pack)
    found = [*predictor.predict_each(make_small_model("batch"), {"batch": [1, 2]}), predictor.predict(small_model)]
    frame = nnmeter.predictions_to_pandas(found)
    assert list(frame["latency_ms"]) == [p.latency_ms for p in found]
    assert list(frame["low_ms"]) == [p.interval_ms.low for p in found]
    assert list(frame["trained"] + frame["fallback"]) == pytest.approx([1.0] * 3)
    assert list(frame["kernels"]) == [len(p.kernels) for p in found]
    assert list(frame["dim_batch"][:2]) == [1, 2]
    assert frame["dim_batch"][2] is pandas.NA
    assert list(nnmeter.predictions_to_pandas([]).columns)[:2] == ["model", "device"]
