"""Models that are put together from known parts have the predictions that they would have in full."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.devices import load_pack
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.runs import KnownRuns
from tests.conftest import REPOSITORY
from tests.prediction.candidates import PACK, drawn, encoder, network, renamed


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


def test_parts_that_are_named_by_their_place_are_known_by_their_bytes(
    by_bytes: list[bool], in_full: Callable[[Any], Any]
) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    models = [network(blocks, size) for blocks, size in drawn(90)]
    predictions = [predictor.predict(model.SerializeToString()) for model in models]
    assert sum(by_bytes[-20:]) > 10
    for model, prediction in list(zip(models, predictions, strict=True))[-20:]:
        assert prediction == in_full(model.SerializeToString())


@pytest.mark.parametrize("device", ["epyc-genoa-onnxruntime1.32-1t", "cortexA76cpu_tflite21"])
def test_names_that_were_seen_and_others_take_turns(
    found: list[bool], by_bytes: list[bool], device: str, in_full: Callable[[Any], Any]
) -> None:
    pack = load_pack(REPOSITORY / "predictors" / device)
    pack.rules.remembered.clear()
    predictor = LatencyPredictor(pack)
    random = np.random.default_rng(1)
    models = [
        encoder([(int(random.choice((2, 4))), int(random.choice((64, 96)))) for _ in range(random.integers(2, 4))])
        if at % 3
        else network(blocks, size)
        for at, (blocks, size) in enumerate(drawn(150, seed=1, sizes=(16,)))
    ]
    models = [renamed(model, at) if at % 2 else model for at, model in enumerate(models)]
    predictions = [predictor.predict(model.SerializeToString()) for model in models]
    assert sum(found[-40:]) > 20
    assert 5 < sum(by_bytes[-40:]) < sum(found[-40:])
    for model, prediction in list(zip(models, predictions, strict=True))[-40:]:
        pack.rules.remembered.clear()
        assert prediction == LatencyPredictor(pack).predict(model)


def test_names_that_never_come_again_are_not_kept(found: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[bool] = []
    monkeypatch.setattr(KnownRuns, "learn", lambda *_: learned.append(True))
    predictor = LatencyPredictor(load_pack(PACK))
    for number in range(100):
        predictor.predict(renamed(network([(32, 3, "Relu"), (48, 3, "Relu")]), number))
    assert sum(found) > 90
    assert len(learned) < 40


def test_kernels_are_named_when_they_are_asked_for(found: list[bool]) -> None:
    pack = load_pack(PACK)
    pack.rules.remembered.clear()
    predictor = LatencyPredictor(pack)
    models = [renamed(network([(32, 3, "Relu"), (48, 3, "Relu")]), number) for number in range(4)]
    for model in models[:3]:
        predictor.predict(model)
    made, same, other = (predictor.predict(models[3]) for _ in range(3))
    assert found[-3:] == [True] * 3
    changed = made.changed(model="other").rescaled(2.0, "twice").changed(confidence=0.8)
    assert pickle.loads(pickle.dumps(same)) == same == copy.copy(other)
    names = {node.name for node in models[3].graph.node}
    assert {name for kernel in made.kernels for name in kernel.nodes} == names
    assert [kernel.name for kernel in changed.kernels] == [kernel.name for kernel in made.kernels]
    assert [kernel.latency_ms for kernel in changed.kernels] == [2 * kernel.latency_ms for kernel in made.kernels]
    assert made.latency_ms == pytest.approx(sum(kernel.latency_ms for kernel in made.kernels) + made.overhead_ms)


@pytest.mark.parametrize("device", ["epyc-genoa-onnxruntime1.32-1t", "cortexA76cpu_tflite21"])
def test_names_that_were_never_seen_do_not_matter(found: list[bool], device: str) -> None:
    """Of the second device it matters which name comes first."""
    pack = load_pack(REPOSITORY / "predictors" / device)
    pack.rules.remembered.clear()
    predictor = LatencyPredictor(pack)
    models = [renamed(network(blocks, size), at % 3) for at, (blocks, size) in enumerate(drawn(120, sizes=(16,)))]
    models = [renamed(model, number) for number, model in enumerate(models)]
    predictions = [predictor.predict(model.SerializeToString()) for model in models]
    assert sum(found[-20:]) > 10
    for model, prediction in list(zip(models, predictions, strict=True))[-20:]:
        pack.rules.remembered.clear()
        assert prediction == LatencyPredictor(pack).predict(model)


@pytest.mark.parametrize("shared", [False, True], ids=["each its own", "shared"])
def test_layers_of_transformers_are_parts(found: list[bool], in_full: Callable[[Any], Any], shared: bool) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    random = np.random.default_rng(0)
    layers = [[(int(random.choice((2, 4))), int(random.choice((64, 96)))) for _ in range(3)] for _ in range(30)]
    models = [renamed(encoder(one, shared=shared), number) for number, one in enumerate(layers)]
    predictions = [predictor.predict(model.SerializeToString()) for model in models]
    assert (sum(found[-10:]) > 7) is not shared  # what two blocks read is looked at as a whole
    for model, prediction in list(zip(models, predictions, strict=True))[-10:]:
        assert prediction == in_full(model.SerializeToString())


def constants_as_operators(model: onnx.ModelProto) -> None:
    """Small constants as operators, as older exporters of PyTorch write them."""
    small = [one for one in model.graph.initializer if one.data_location != TensorProto.EXTERNAL]
    operators = [helper.make_node("Constant", [], [one.name], f"const/{one.name}", value=one) for one in small]
    for operator in operators:
        operator.attribute[0].t.name = "value"
    nodes = [*operators, *model.graph.node]
    kept = [one for one in model.graph.initializer if one.data_location == TensorProto.EXTERNAL]
    for repeated, values in ((model.graph.node, nodes), (model.graph.initializer, kept)):
        copies = [type(values[0]).FromString(value.SerializeToString()) for value in values]
        del repeated[:]
        repeated.extend(copies)


def modules(model: onnx.ModelProto) -> None:
    """Places in modules, as the exporter of PyTorch writes them."""
    for node in model.graph.node:
        layer, _, part = node.name.rpartition("/")[2].partition(".")
        node.metadata_props.add(
            key="pkg.torch.onnx.name_scopes", value=str(["", f"layers.{layer}", f"layers.{layer}.{part}"])
        )


def weights(model: onnx.ModelProto) -> None:
    """Weights in the file, each with other numbers."""
    random = np.random.default_rng(len(model.graph.node[0].name))
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.ClearField("data_location")
            values = random.standard_normal(tuple(tensor.dims), np.float32)
            tensor.raw_data = (values if len(tensor.dims) > 1 else np.zeros_like(values)).tobytes()  # vectors count


def places_of_data(model: onnx.ModelProto) -> None:
    """Weights in another file, one behind the other."""
    for number, tensor in enumerate(model.graph.initializer):
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.external_data.add(key="offset", value=str(number * len(model.graph.node[0].name)))


@pytest.mark.parametrize("change", [constants_as_operators, modules, weights, places_of_data])
def test_models_are_put_together_as_exporters_write_them(
    found: list[bool], in_full: Callable[[Any], Any], change: Callable[[onnx.ModelProto], None]
) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    model = encoder([(2, 160)] * 3, width=80)  # the values of smaller weights would count
    others = [renamed(model, 10**number) for number in range(4)]
    for other in others:
        change(other)
    predictions = [predictor.predict(other.SerializeToString()) for other in others]
    assert found[-1]
    assert predictions == [in_full(other.SerializeToString()) for other in others]


@pytest.mark.parametrize("name", ["a~1", "", "long" * 40, "op1/0.norm"])
def test_names_that_rules_would_change_are_left_to_them(
    found: list[bool], in_full: Callable[[Any], Any], name: str
) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    for number in range(3):
        predictor.predict(renamed(encoder([(2, 64)] * 3), number))
    assert found[-1]
    model = renamed(encoder([(2, 64)] * 3), 1)
    model.graph.node[4].name = name
    assert predictor.predict(model) == in_full(model)
    assert not found[-1]


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


def unusual(middles: Sequence[int]) -> onnx.ModelProto:
    """Operators with several results, with many inputs, and with one that is left out."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def add(op_type: str, inputs: list[str], name: str, count: int = 1, **attributes: Any) -> list[str]:
        results = [f"{name}:{at}" for at in range(count)]
        nodes.append(helper.make_node(op_type, inputs, results, name, **attributes))
        return results

    def conv(x: str, name: str, out: int, into: int) -> str:
        constants.append(TensorProto(name=f"{name}.w", data_type=1, dims=[out, into, 1, 1], data_location=1))
        return add("Conv", [x, f"{name}.w"], name)[0]

    x = "x"
    for at, middle in enumerate(middles):
        (y,) = add(
            "Clip", [conv(x, f"{at}.a", 32, 32), "", constant(constants, f"{at}.most", 1, [], [6.0])], f"{at}.clip"
        )
        parts = add("Split", [y, constant(constants, f"{at}.sizes", 7, [2], [16, 16])], f"{at}.split", 2, axis=1)
        (y,) = add("Concat", [*parts, *parts, *parts, parts[0]], f"{at}.joined", axis=1)
        y = conv(add("Relu", [conv(y, f"{at}.b", middle, 112)], f"{at}.relu")[0], f"{at}.c", 32, middle)
        (x,) = add("Add", [y, x], f"{at}.sum")
    graph = helper.make_graph(
        nodes, "unusual",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 16, 16])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 32, 16, 16])],
        constants,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constant(
    constants: list[onnx.TensorProto], name: str, kind: int, dims: Sequence[int], values: Sequence[float]
) -> str:
    constants.append(helper.make_tensor(name, kind, dims, values))
    return name


def test_operators_of_other_forms_are_parts(found: list[bool], in_full: Callable[[Any], Any]) -> None:
    predictor = LatencyPredictor(load_pack(PACK))
    random = np.random.default_rng(0)
    models = [renamed(unusual(random.choice((16, 32), 3)), at // 2) for at in range(40)]
    predictions = [predictor.predict(model.SerializeToString()) for model in models]
    assert sum(found[-10:]) > 7
    for model, prediction in list(zip(models, predictions, strict=True))[-10:]:
        assert prediction == in_full(model.SerializeToString())


def perceptron(widths: Sequence[int]) -> onnx.ModelProto:
    """Residual layers of one row: products that wait for their weights."""
    nodes, weights, x = [], [], "x"
    for at, width in enumerate(widths):
        for name, shape in ((f"{at}.up", (512, width)), (f"{at}.down", (width, 512))):
            weights.append(
                TensorProto(name=name, data_type=1, dims=shape, data_location=TensorProto.EXTERNAL),
            )
        nodes += [
            helper.make_node("MatMul", [x, f"{at}.up"], [f"{at}.a"], f"{at}.a"),
            helper.make_node("Relu", [f"{at}.a"], [f"{at}.b"], f"{at}.b"),
            helper.make_node("MatMul", [f"{at}.b", f"{at}.down"], [f"{at}.c"], f"{at}.c"),
            helper.make_node("Add", [f"{at}.c", x], [f"{at}.d"], f"{at}.d"),
        ]
        x = f"{at}.d"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 512]) for name in ("x", x)]
    graph = helper.make_graph(nodes, f"{len(widths)} layers", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_waits_for_its_weights_has_the_factor_of_its_network_in_parts_too(found: list[bool]) -> None:
    pack = load_pack(REPOSITORY / "predictors" / "xeon-emeraldrapids-onnxruntime1.32-1t")
    pack.rules.remembered.clear()
    predictor = LatencyPredictor(pack)
    random = np.random.default_rng(0)
    drawn_widths = [random.choice((256, 512, 1024), random.integers(2, 9)).tolist() for _ in range(150)]
    models = [perceptron(widths).SerializeToString() for widths in drawn_widths]
    predictions = [predictor.predict(model) for model in models]
    assert sum(found[-20:]) > 10
    changed = 0
    for model, prediction in list(zip(models, predictions, strict=True))[-20:]:
        pack.rules.remembered.clear()
        assert prediction == LatencyPredictor(pack).predict(model)
        alone = pack.predictor.price([kernel.signature for kernel in prediction.kernels if kernel.signature])
        changed += sum(price.latency_ms for price in alone) > 1.1 * prediction.latency_ms
    assert changed > 10, "short networks are cheaper than their kernels are in the mean of all"
