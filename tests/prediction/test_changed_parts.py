"""Models that are no more than like known ones: changed, damaged, of another process, or forgotten."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.devices import load_pack
from nnmeter.prediction.predict import LatencyPredictor
from tests.prediction.candidates import PACK, drawn, network, outcome


def no_change(model: onnx.ModelProto) -> None:
    """Nothing."""


def twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[-1])


def unread(model: onnx.ModelProto) -> None:
    model.graph.initializer.add(name="unread", data_type=1, dims=[1, 3])


def wrong_type(model: onnx.ModelProto) -> None:
    model.graph.value_info.append(helper.make_tensor_value_info("1.a", TensorProto.FLOAT16, None))


def other_order(model: onnx.ModelProto) -> None:
    weights = list(model.graph.initializer)
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights[::-1])


def other_result(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "1.bb"


def two_results(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("0.aa", TensorProto.FLOAT, None))


def a_part_less(model: onnx.ModelProto) -> None:
    kept = [node for node in model.graph.node if not node.name.startswith("0.")]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def a_part_twice(model: onnx.ModelProto) -> None:
    model.graph.node.extend([node for node in model.graph.node if node.name.startswith("1.")])


def newer(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 20


def free(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


@pytest.mark.parametrize(
    "change",
    [
        no_change,
        twice,
        unread,
        wrong_type,
        other_order,
        other_result,
        two_results,
        a_part_less,
        a_part_twice,
        newer,
        free,
    ],
)
def test_what_is_not_as_it_was_is_predicted_in_full(
    found: list[bool], in_full: Callable[[Any], Any], change: Callable[[onnx.ModelProto], None]
) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    for blocks, size in drawn(12, sizes=(16,)):
        predictor.predict(network(blocks, size).SerializeToString())
    model = network([(32, 3, "Relu"), (48, 3, "Relu")])
    predictor.predict(model)
    predictor.predict(model)
    assert found[-1]
    change(model)
    expected = in_full(model.SerializeToString())
    for _ in range(3):
        assert outcome(predictor, model.SerializeToString()) == expected


def test_damaged_bytes_have_the_outcome_that_they_have_in_full(in_full: Callable[[Any], Any]) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    data = network([(32, 3, "Relu"), (48, 3, "Relu")]).SerializeToString()
    for _ in range(3):
        predictor.predict(data)
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        at = int(random.integers(len(data)))
        damaged[at : at + int(random.integers(3))] = bytes(random.integers(0, 256, random.integers(1, 3), np.uint8))
        assert outcome(predictor, bytes(damaged)) == in_full(bytes(damaged))


def test_another_process_begins_with_nothing() -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    model = network([(32, 3, "Relu"), (48, 3, "Relu")])
    for _ in range(3):
        predictor.predict(model)
    assert predictor.parts
    assert not pickle.loads(pickle.dumps(predictor.parts))


def test_what_was_forgotten_of_blocks_is_not_put_together(found: list[bool], in_full: Callable[[Any], Any]) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    model = network([(32, 3, "Relu"), (48, 3, "Relu")])
    for _ in range(3):
        predictor.predict(model)
    assert found == [True]
    predictor.pack.rules.remembered.clear()
    assert predictor.predict(model) == in_full(model)
    assert found == [True, False]
