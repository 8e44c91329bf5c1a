"""What a pack's training does not tell of a model is said: an element type, or networks like it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter.devices import load_pack
from nnmeter.errors import CoverageError
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.predictor.shift import FEATURES, Cluster, Shift
from tests.fusion.models import CONV, make_model

HALF = "agraph (float16[1,8,16,16] x) => (float16[1,8,16,16] y) { y=Relu(x) }"
FLOAT = f"agraph (float[1,8,16,16] x) => (float[1,8,16,16] y) {{ y={CONV}(x,w) }}"


def codes(warnings) -> list[str]:
    return [note.code for note in warnings]


def test_a_precision_without_any_measurement_is_named(small_pack: Path) -> None:
    predictor = LatencyPredictor(load_pack(small_pack))
    found = predictor.predict(make_model(HALF))
    notes = [note for note in found.warnings if note.code == "precision"]
    assert [note.about for note in notes] == ["float16"]
    assert "cannot judge float16" in notes[0]
    assert "only in float32" in notes[0]
    with pytest.raises(CoverageError):
        predictor.predict(make_model(HALF), strict=True)
    assert "precision" not in codes(predictor.predict(make_model(FLOAT, w=(8, 8, 3, 3))).warnings)


def test_a_form_that_was_not_sampled_counts_as_trained_nowhere() -> None:
    """What is flagged as outside is no trained time: of coverage, of the kernel, of the budget that rests on both."""
    pooled = "MaxPool<kernel_shape=[1,1,1], dilations=[2,2,2]>(x)"
    text = f"agraph (float[1,8,8,16,16] x) => (float[1,8,8,16,16] y) {{ y={pooled} }}"
    predictor = LatencyPredictor(load_pack("cortexA76cpu_tflite21"))
    found = predictor.predict(make_model(text))
    (pool,) = found.kernels
    assert [gap.what for gap in pool.gaps] == ["path"]
    assert (pool.source, found.coverage.trained, found.outside_share) == ("fallback", 0.0, 1.0)
    assert str(found).endswith("0 % trained")
    said = [note for note in found.warnings if note.code in ("fallback", "outside", "precision")]
    assert len(said) == 1
    assert "of a form that was not measured on this device: MaxPool (3-D" in said[0]
    with pytest.raises(CoverageError, match="not 3-D"):
        predictor.predict(make_model(text), strict=True)


@pytest.mark.parametrize(("centre", "unlike"), [(0.0, True), (None, False)])
def test_a_network_unlike_those_of_training_says_so(small_pack: Path, centre: float | None, unlike: bool) -> None:
    pack = load_pack(small_pack)
    predictor = LatencyPredictor(pack)
    model = make_model(FLOAT, w=(8, 8, 3, 3))
    plain = predictor.predict(model)
    kinds = tuple(pack.predictor.vocabulary)
    prices = pack.predictor.price([k.signature for k in predictor.detect(_bound(model))])
    described = Shift(kinds, (), 1.0, {}, 0).describe(prices)
    assert described is not None
    mean = np.full(FEATURES * len(kinds), centre) if centre is not None else described
    shift = Shift(kinds, (Cluster(mean, np.zeros((0, len(mean))), np.zeros(0)),), 1.0, {0.9: 0.5}, 5)
    pack.__dict__["predictor"] = replace(pack.predictor, intervals=replace(pack.predictor.intervals, shift=shift))
    found = predictor.predict(model)
    assert ("unlike" in codes(found.warnings)) is unlike
    assert (found.interval_ms.high > plain.interval_ms.high) is unlike
    assert found.latency_ms == plain.latency_ms


def _bound(model):
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model

    return bind_shapes(read_model(model))
