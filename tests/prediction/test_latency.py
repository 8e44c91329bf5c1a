"""A prediction sums its kernels, says what it guessed, and keeps its promises about coverage and confidence."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import nnmeter
from tests.conftest import make_small_model


@pytest.fixture(scope="module")
def predictor(small_pack: Path) -> nnmeter.LatencyPredictor:
    return nnmeter.load_predictor(small_pack)


def test_the_total_is_the_sum_of_kernels_and_overhead(predictor: nnmeter.LatencyPredictor, small_model: Path) -> None:
    prediction = predictor.predict(small_model)
    total = sum(k.latency_ms for k in prediction.kernels) + prediction.overhead_ms
    assert prediction.latency_ms == pytest.approx(total)
    assert all(k.latency_ms > 0 for k in prediction.kernels)
    low, high = prediction.interval_ms
    assert low < prediction.latency_ms < high
    assert sum(prediction.coverage.values()) == pytest.approx(1.0)


def test_path_bytes_object_and_graph_give_one_prediction(
    predictor: nnmeter.LatencyPredictor, small_model: Path
) -> None:
    latencies = {
        predictor.predict(source).latency_ms
        for source in (small_model, str(small_model), small_model.read_bytes(), onnx.load(small_model),
                       nnmeter.load_model(small_model))
    }  # fmt: skip
    assert len(latencies) == 1


def test_batch_is_bound_by_name_and_counts(predictor: nnmeter.LatencyPredictor) -> None:
    model = make_small_model("batch").SerializeToString()
    one, eight = (predictor.predict(model, dims={"batch": n}).latency_ms for n in (1, 8))
    by_shape = predictor.predict(model, shapes={"input": (8, 16, 14, 14)}).latency_ms
    assert one < eight == by_shape
    with pytest.raises(nnmeter.ModelError, match="--dim batch="):
        predictor.predict(model)


def test_an_untrained_kernel_is_named_priced_and_refused_when_strict(predictor: nnmeter.LatencyPredictor) -> None:
    tensor = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 8]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"], "erf")], "g", tensor[:1], tensor[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    prediction = predictor.predict(model)
    assert prediction.coverage == {"trained": 0.0, "fallback": 1.0}
    assert [k.source for k in prediction.kernels] == ["fallback"]
    assert any("Erf" in w for w in prediction.warnings)
    with pytest.raises(nnmeter.CoverageError, match="Erf"):
        predictor.predict(model, strict=True)


def test_a_wider_confidence_is_a_wider_interval(predictor: nnmeter.LatencyPredictor, small_model: Path) -> None:
    widths = []
    for confidence in (0.5, 0.8, 0.9, 0.95):
        low, high = predictor.predict(small_model, confidence=confidence).interval_ms
        widths.append(high - low)
    assert widths == sorted(widths)
    with pytest.raises(nnmeter.NnmeterError, match=r"0\.99 is not calibrated"):
        predictor.predict(small_model, confidence=0.99)


def test_a_model_without_operators_takes_the_overhead_alone(predictor: nnmeter.LatencyPredictor) -> None:
    tensor = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [tensor],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    prediction = predictor.predict(model)
    assert prediction.latency_ms >= prediction.overhead_ms
    assert set(prediction.coverage) == {"trained", "fallback"}
