"""Models that are put together from known parts have the predictions that they would have in full."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.devices import load_pack
from nnmeter.errors import ModelError
from nnmeter.prediction.parts import KnownParts
from nnmeter.prediction.predict import LatencyPredictor
from tests.conftest import REPOSITORY

PACK = REPOSITORY / "predictors" / "epyc-genoa-onnxruntime1.32-1t"

Blocks = list[tuple[int, int, str]]


def network(blocks: Blocks, size: int = 16, declared: bool = False) -> onnx.ModelProto:
    """Residual bottlenecks one behind the other: middle channels, kernel, activation."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    shapes: dict[str, list[int]] = {}

    def conv(x: str, name: str, out: int, into: int, kernel: int, groups: int = 1) -> str:
        weights.append(
            TensorProto(
                name=f"{name}.w", data_type=1, dims=[out, into // groups, kernel, kernel],
                data_location=TensorProto.EXTERNAL,
            )
        )  # fmt: skip
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [x, f"{name}.w"], [name], name, group=groups, pads=pads))
        shapes[name] = [1, out, size, size]
        return name

    def add(op_type: str, inputs: list[str], name: str) -> str:
        nodes.append(helper.make_node(op_type, inputs, [name], name))
        shapes[name] = shapes[inputs[0]]
        return name

    x = add("Relu", [conv("x", "stem", 32, 3, 3)], "stem.relu")
    for at, (middle, kernel, act) in enumerate(blocks):
        y = add(act, [conv(x, f"{at}.a", middle, 32, 1)], f"{at}.aa")
        y = add(act, [conv(y, f"{at}.b", middle, middle, kernel, middle)], f"{at}.bb")
        x = add("Add", [conv(y, f"{at}.c", 32, middle, 1), x], f"{at}.sum")
    graph = helper.make_graph(
        nodes,
        f"net of {len(blocks)}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 32, size, size])],
        weights,
        value_info=[helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items() if declared],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def drawn(count: int, seed: int = 0, sizes: tuple[int, ...] = (16, 32)) -> list[tuple[Blocks, int]]:
    random = np.random.default_rng(seed)
    options = [(32, 3, "Relu"), (48, 5, "HardSwish"), (50, 3, "Relu")]
    return [
        ([options[random.integers(3)] for _ in range(random.integers(2, 4))], int(random.choice(sizes)))
        for _ in range(count)
    ]


@pytest.fixture
def in_full() -> Callable[[Any], Any]:
    """The prediction of a model, or its error, by a predictor that has seen nothing."""
    pack = load_pack(PACK)

    def predict(model: Any) -> Any:
        pack.rules.remembered.clear()
        return outcome(LatencyPredictor(pack), model)

    return predict


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each model, whether it was put together."""
    results: list[bool] = []
    put_together = KnownParts.put_together

    def watched(self: KnownParts, *arguments: Any) -> Any:
        whole = put_together(self, *arguments)
        results.append(whole is not None)
        return whole

    monkeypatch.setattr(KnownParts, "put_together", watched)
    return results


def outcome(predictor: LatencyPredictor, model: Any) -> Any:
    try:
        return predictor.predict(model)
    except ModelError as fault:
        return str(fault)


@pytest.mark.parametrize("declared", [False, True], ids=["plain", "declared types"])
def test_candidates_of_a_search_have_the_predictions_of_the_whole(
    found: list[bool], in_full: Callable[[Any], Any], declared: bool
) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    models = [network(blocks, size, declared) for blocks, size in drawn(90)]
    predictions = [predictor.predict(model.SerializeToString()) for model in models]
    assert sum(found[-20:]) > 10
    for model, prediction in list(zip(models, predictions, strict=True))[-20:]:
        assert prediction == in_full(model.SerializeToString())


def test_a_file_and_an_object_are_put_together_as_their_bytes_are(found: list[bool], tmp_path: Path) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    model = network([(32, 3, "Relu"), (48, 3, "Relu")])
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    whole = [predictor.predict(given) for given in (path, model)]
    assert found == []  # the first model is of no search, and nothing was learned of it
    again = [predictor.predict(given) for given in (path, model, model.SerializeToString())]
    assert found[-3:] == [True] * 3
    assert again[:2] == whole
    assert again[2] == whole[1]
    assert [p.model for p in again] == [str(path), "net of 2", "net of 2"]
    assert predictor.predict(model, name="other").model == "other"


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
