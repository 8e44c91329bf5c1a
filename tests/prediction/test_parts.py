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
from nnmeter.errors import ModelError
from nnmeter.prediction.parts import KnownParts
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.runs import KnownRuns
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


def renamed(model: onnx.ModelProto, number: int) -> onnx.ModelProto:
    """The model with other names of its operators and tensors, in another order by name."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    names = {"": ""} | {value.name: value.name for value in (*model.graph.input, *model.graph.output)}

    def other(name: str) -> str:
        return names.setdefault(name, f"{'zyxw'[len(names) % 4]}{number}/{len(names)}")

    for node in found.graph.node:
        for given in (node.input, node.output):
            changed = [other(name) for name in given]
            del given[:]
            given.extend(changed)
        node.name = f"op{number}/{node.name}"
    for value in (*found.graph.initializer, *found.graph.value_info):
        value.name = other(value.name)
    return found


def encoder(layers: list[tuple[int, int]], width: int = 32, shared: bool = False) -> onnx.ModelProto:
    """Layers of a transformer: heads and hidden width of each; `shared` ones read one scale."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def add(op_type: str, inputs: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op_type, inputs, [f"{name}:0"], name, **attributes))
        return f"{name}:0"

    def weight(name: str, *dims: int) -> str:
        constants.append(TensorProto(name=name, data_type=1, dims=dims, data_location=TensorProto.EXTERNAL))
        return name

    def known(name: str, kind: int, dims: Sequence[int], values: Sequence[float]) -> str:
        if all(one.name != name for one in constants):
            constants.append(helper.make_tensor(name, kind, dims, values))
        return name

    x = add("Relu", ["x"], "stem")
    for at, (heads, hidden) in enumerate(layers):
        y = add("LayerNormalization", [x, weight(f"{at}.s", width), weight(f"{at}.t", width)], f"{at}.norm")
        y = add("MatMul", [y, weight(f"{at}.w", width, 3 * width)], f"{at}.m")
        y = add("Add", [y, weight(f"{at}.b", 3 * width)], f"{at}.qkv")
        shape = [1, 20, 3, heads, width // heads]
        y = add("Reshape", [y, known(f"{at}.shape", 7, [5], shape)], f"{at}.cut")
        y = add("Transpose", [y], f"{at}.turn", perm=[2, 0, 3, 1, 4])
        q, k, v = (
            add("Squeeze", [add("Gather", [y, known(f"{at}.{n}", 7, [1], [n])], f"{at}.get{n}", axis=0),
                            known(f"{at}.axis", 7, [1], [0])], f"{at}.squeeze{n}")
            for n in range(3)
        )  # fmt: skip
        q = add("Mul", [q, known("scale" if shared else f"{at}.scale", 1, [], [0.5])], f"{at}.scaled")
        y = add("Softmax", [add("MatMul", [q, add("Transpose", [k], f"{at}.kt", perm=[0, 1, 3, 2])], f"{at}.qk")],
                f"{at}.soft", axis=-1)  # fmt: skip
        y = add("Transpose", [add("MatMul", [y, v], f"{at}.qkv2")], f"{at}.back", perm=[0, 2, 1, 3])
        y = add("Reshape", [y, known(f"{at}.joined", 7, [3], [1, 20, width])], f"{at}.join")
        x = add("Add", [add("MatMul", [y, weight(f"{at}.p", width, width)], f"{at}.out"), x], f"{at}.sum")
        y = add("LayerNormalization", [x, weight(f"{at}.s2", width), weight(f"{at}.t2", width)], f"{at}.norm2")
        y = add("Add", [add("MatMul", [y, weight(f"{at}.w1", width, hidden)], f"{at}.m1"), weight(f"{at}.b1", hidden)],
                f"{at}.up")  # fmt: skip
        y = add("Mul", [y, add("Sigmoid", [y], f"{at}.gate")], f"{at}.act")
        x = add("Add", [add("MatMul", [y, weight(f"{at}.w2", hidden, width)], f"{at}.m2"), x], f"{at}.sum2")
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 20, width])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 20, width])],
        constants,
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


@pytest.fixture
def by_bytes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each model, whether its parts were known by their bytes."""
    results: list[bool] = []
    find = KnownRuns.find

    def watched(self: KnownRuns, data: bytes) -> Any:
        made = find(self, data)
        results.append(made is not None)
        return made

    monkeypatch.setattr(KnownRuns, "find", watched)
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
