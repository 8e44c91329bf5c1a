"""What a device's runtime does not run is said, and only where it is so."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.refusals import refused_by
from nnmeter.formats import read_model
from nnmeter.graph.ir import TensorType
from tests.binding.making import graph_of


def resize(mode: str, shape: tuple[int, ...], scales: list[float], antialias: int = 0):
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], "resize", mode=mode, antialias=antialias)
    return graph_of([node], {"x": shape}, ["y"], {"scales": np.array(scales, np.float32)}, opset=18)


def lstm(layout: int):
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], "lstm", hidden_size=4, layout=layout)
    weights: dict[str, Any] = {"w": np.zeros((1, 16, 3), np.float32), "r": np.zeros((1, 16, 4), np.float32)}
    return graph_of([node], {"x": (2, 5, 3)}, ["y"], weights)


def padded_convolution(op: str, auto_pad: str, **attributes: Any):
    node = helper.make_node(op, ["x", "w"], ["y"], "conv", auto_pad=auto_pad, **attributes)
    return graph_of([node], {"x": (1, 4, 8, 8)}, ["y"], {"w": np.zeros((4, 4, 3, 3), np.float32)})


def product(dtype: str):
    node = helper.make_node("MatMul", ["a", "b"], ["y"], "product")
    return graph_of([node], {"a": TensorType(dtype, (4, 4)), "b": TensorType(dtype, (4, 4))}, ["y"])


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (product("bfloat16"), "no MatMul in bfloat16"),
        (lstm(1), "LSTM: layout 1 is not implemented"),
        (padded_convolution("Conv", "VALID", pads=[0] * 4), "Conv: it has both auto_pad and pads"),
        (
            padded_convolution("ConvTranspose", "SAME_UPPER", pads=[1] * 4),
            "ConvTranspose: it has both auto_pad and pads",
        ),
        (resize("nearest", (1, 2, 4, 4), [1, 1, 2, 2], antialias=1), "antialias is of linear and cubic"),
        (resize("cubic", (1, 2, 4, 4, 4), [1, 1, 2, 2, 2]), "cubic is of rank 2 and 4"),
        (resize("linear", (1, 2, 4, 4), [1, 2, 2, 2]), "linear scales spatial axes only"),
        (resize("linear", (4,), [2]), "linear is of rank 2 to 5"),
    ],
)
def test_what_onnx_runtime_refuses_is_said(graph, says: str) -> None:
    notes = refused_by("onnxruntime", "cpu", graph)
    assert len(notes) == 1
    assert says in notes[0]
    assert notes[0].code == "runtime"
    assert "does not run this model" in notes[0]
    assert refused_by("openvino", "cpu", graph) == []


@pytest.mark.parametrize(
    "graph",
    [
        product("float32"),
        product("int32"),
        lstm(0),
        resize("linear", (1, 2, 4, 4), [1, 1, 2, 2], antialias=1),
        resize("linear", (1, 4, 4, 2), [1, 2, 2, 1]),
        resize("nearest", (1, 2, 4, 4, 4), [1, 2, 2, 2, 2]),
        resize("cubic", (1, 2, 4, 4), [1, 1, 2, 2]),
        resize("cubic", (4, 4), [2, 2]),
    ],
)
def test_what_it_runs_is_not(graph) -> None:
    assert refused_by("onnxruntime", "cpu", graph) == []


def one(op: str, inputs: dict[str, TensorType], opset: int, domain: str = "", **attributes: Any):
    node = helper.make_node(op, list(inputs), ["y"], "one", domain=domain, **attributes)
    return graph_of([node], inputs, ["y"], opset=opset)


FLOATS, HALVES, PLAIN = (TensorType(dtype, (2, 4)) for dtype in ("float32", "float16", "uint32"))
REGIONS = {"x": TensorType("float32", (1, 2, 8, 8)), "r": TensorType("float32", (3, 4)), "i": TensorType("int64", (3,))}
GROUPS = {"x": TensorType("float32", (1, 8, 8, 4)), **dict.fromkeys("gb", TensorType("float32", (4,)))}


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (one("RoiAlign", REGIONS, 16), None),
        (one("RoiAlign", REGIONS, 22), "no RoiAlign of operator set 22"),
        (one("QuantizeLinear", {"x": FLOATS, "s": TensorType("float32", ())}, 27), None),
        (one("QuantizeLinear", {"x": FLOATS, "s": TensorType("float32", ())}, 28), "no QuantizeLinear of operator set"),
        (one("Add", {"a": FLOATS, "b": FLOATS}, 6), "no Add of operator set 6"),
        (one("Pow", {"a": FLOATS, "b": TensorType("int32", (4,))}, 15), None),
        (one("Pow", {"a": FLOATS, "b": TensorType("uint32", (4,))}, 15), "no Pow in float32 and uint32"),
        (one("Relu", {"x": HALVES}, 17), None),
        (one("Cast", {"x": FLOATS}, 25, to=TensorProto.FLOAT4E2M1), "no Cast in float32 to float4e2m1"),
        (one("CastLike", {"x": HALVES, "like": PLAIN}, 21), None),
        (one("GroupNorm", GROUPS, 17, "com.microsoft", groups=2, activation=0), "no com.microsoft.GroupNorm (node"),
        (one("Swish", {"x": FLOATS}, 24), None),
        (one("Swish", {"x": FLOATS}, 25), "no Swish of operator set 25"),
    ],
)
def test_what_onnx_runtime_has_no_kernel_for_is_said(graph, says: str | None) -> None:
    assert [says in note for note in refused_by("onnxruntime", "cpu", graph)] == ([] if says is None else [True])


IMAGE, VOLUME, HYPER = ((TensorType("float32", (1, 4, *(6,) * rank))) for rank in (2, 3, 4))
BYTES, TABLE, POINTS = TensorType("uint8", (4, 8)), TensorType("uint8", (8, 3)), TensorType("uint8", (4,))
SCALE, POINT = TensorType("float32", ()), TensorType("uint8", ())
CUBE = TensorType("float32", (2, 4, 2, 2, 2))
WINDOW = TensorType("float32", (4, 4, 2, 2))
PRODUCT = {"a": BYTES, "s": SCALE, "z": POINT, "w": TABLE, "v": SCALE, "u": POINT, "r": SCALE, "q": POINT}


def scatter(op: str, dtype: str, reduction: str):
    shape, index = ((1, 2), (1, 2)) if op == "ScatterElements" else ((4,), (1, 1))
    inputs = {"x": TensorType(dtype, (4, 4)), "i": TensorType("int64", index), "u": TensorType(dtype, shape)}
    return one(op, inputs, 18, reduction=reduction)


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (one("MaxPool", {"x": VOLUME}, 17, kernel_shape=[2, 2, 2]), None),
        (one("MaxPool", {"x": HYPER}, 17, kernel_shape=[2, 2, 2, 2]), "MaxPool: it pools over three axes at most"),
        (one("GlobalAveragePool", {"x": HYPER}, 17), "GlobalAveragePool: it pools over three"),
        (one("Conv", {"x": IMAGE, "w": WINDOW}, 17, dilations=[2, 2]), None),
        (one("Conv", {"x": IMAGE, "w": WINDOW}, 17, auto_pad="SAME_UPPER", dilations=[1, 1]), None),
        (one("Conv", {"x": IMAGE, "w": WINDOW}, 17, auto_pad="SAME_UPPER", dilations=[2, 2]), "takes no dilations"),
        (one("LRN", {"x": IMAGE}, 17, size=3), None),
        (one("LRN", {"x": IMAGE}, 17, size=4), "LRN: the size is odd"),
        (one("LRN", {"x": VOLUME}, 17, size=3), "LRN: it is of rank 4"),
        (one("LpNormalization", {"x": FLOATS}, 17), None),
        (one("LpNormalization", {"x": FLOATS}, 17, p=3), "p is 1 or 2"),
        (one("Mod", {"x": FLOATS, "z": FLOATS}, 17, fmod=1), None),
        (one("Mod", {"x": FLOATS, "z": FLOATS}, 17), "real numbers need fmod 1"),
        (one("Mod", {"x": FLOATS, "z": FLOATS}, 28), None),
        (one("Mod", {"x": PLAIN, "z": PLAIN}, 17), None),
        (scatter("ScatterElements", "float16", "max"), None),
        (scatter("ScatterElements", "float16", "add"), "neither adds nor multiplies float16"),
        (scatter("ScatterND", "float16", "max"), "does not reduce float16"),
        (scatter("ScatterND", "bool", "min"), "booleans have no minimum"),
        (scatter("ScatterND", "float32", "min"), None),
        (one("MatMulInteger", {"a": BYTES, "b": TABLE, "z": POINT}, 17), None),
        (one("MatMulInteger", {"a": BYTES, "b": TABLE, "z": POINTS}, 17), "the first operand is one number"),
        (one("QLinearMatMul", PRODUCT, 17), None),
        (one("QLinearMatMul", {**PRODUCT, "s": TensorType("float32", (4,)), "z": POINTS}, 17), "scale of the first"),
        (one("GridSample", {"x": VOLUME, "g": TensorType("float32", (1, 2, 2, 2, 3))}, 20, mode="cubic"), "of rank 4"),
        (one("GridSample", {"x": VOLUME, "g": TensorType("float32", (1, 2, 2, 2, 3))}, 20, mode="linear"), None),
        (one("Bernoulli", {"x": FLOATS}, 15), None),
        (one("CastLike", {"x": FLOATS, "like": TensorType("float4e2m1", (2,))}, 25), "and float4"),
        (one("CastLike", {"x": FLOATS, "like": TensorType("float8e5m2", (2,))}, 25), None),
    ],
)  # fmt: skip
def test_forms_and_pairs_of_types_that_onnx_runtime_refuses_are_said(graph, says: str | None) -> None:
    assert [says in note for note in refused_by("onnxruntime", "cpu", graph)] == ([] if says is None else [True])


@pytest.mark.parametrize(
    ("pads", "mode", "refused"),
    [
        ([0, 2, 0, 2], "reflect", False),
        ([0, 3, 0, 0], "reflect", True),
        ([0, 0, 0, 4], "reflect", True),
        ([0, 0, 0, 4], "edge", False),
        ([1, 0, 0, 0], "reflect", True),
        ([0, 2, 0, -1], "reflect", True),
        ([0, 1, 0, -1], "reflect", False),
    ],
)
def test_a_pad_reflects_no_more_than_there_is(pads: list[int], mode: str, refused: bool) -> None:
    """ONNX Runtime fails when it runs it."""
    for axes, opset in ((None, 13), ([0, 1], 18)):
        names = ["x", "pads", "", "axes"] if axes else ["x", "pads"]
        node = helper.make_node("Pad", names, ["y"], "pad", mode=mode)
        constants = {"pads": np.array(pads), **({"axes": np.array(axes)} if axes else {})}
        notes = refused_by("onnxruntime", "cpu", graph_of([node], {"x": (1, 3)}, ["y"], constants, opset=opset))
        assert ["it reflects no more than there is" in note for note in notes] == [True] * refused


WORDS = TensorType("string", (3,))


@pytest.mark.parametrize(
    ("attributes", "locale"),
    [
        ({}, None),
        ({"case_change_action": "LOWER", "is_case_sensitive": 1}, "en_US.UTF-8"),
        ({"stopwords": ["a"], "is_case_sensitive": 1}, None),
        ({"stopwords": ["a"]}, "en_US.UTF-8"),
        ({"case_change_action": "UPPER", "locale": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"case_change_action": "UPPER", "locale": "C"}, None),
        ({"is_case_sensitive": 1}, None),
    ],
)
def test_words_need_a_locale_that_is_installed(attributes: dict[str, Any], locale: str | None) -> None:
    """ONNX Runtime makes the locale when it loads the model, or when it first runs it; many containers have none."""
    graph = one("StringNormalizer", {"x": WORDS}, 17, **attributes)
    notes = refused_by("onnxruntime", "cpu", graph)
    said = (
        f"only under a condition: StringNormalizer: the locale '{locale}' must be installed on the device (node 'one')"
    )
    assert [said in note for note in notes] == ([] if locale is None else [True])


def test_operators_of_a_loop_are_looked_at_too() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["more"]), helper.make_node("Einsum", ["s"], ["t"], equation="ij->ji")],
        "body",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.INT8, [2, 2]),
        ],
        [
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("t", TensorProto.INT8, [2, 2]),
        ],
    )
    loop = helper.make_node("Loop", ["trips", "", "x"], ["y"], "loop", body=body)
    graph = graph_of([loop], {"x": TensorType("int8", (2, 2))}, ["y"], {"trips": np.int64(3)}, opset=17)
    assert ["no Einsum in int8" in note for note in refused_by("onnxruntime", "cpu", graph)] == [True]


@pytest.mark.parametrize(("names", "told"), [(("a", "a"), True), (("a", "b"), False), (("", ""), False)])
def test_nodes_of_one_name_are_told(names: tuple[str, str], told: bool) -> None:
    nodes = [helper.make_node("Relu", [f"x{i}"], [f"x{i + 1}"], name) for i, name in enumerate(names)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x0", "x2")]
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]))
    assert isinstance(model, onnx.ModelProto)
    graph = bind_shapes(read_model(model))
    assert any("several nodes are named 'a'" in warning for warning in graph.warnings) == told


@pytest.mark.parametrize(("runtime", "kind"), [("tflite", "cpu"), ("tflite-gpu", "gpu"), ("openvino-myriad", "vpu")])
def test_phones_and_sticks_draw_no_random_numbers(runtime: str, kind: str) -> None:
    nodes = [
        helper.make_node("Dropout", ["x", "ratio", "mode"], ["d"], "dropout"),
        helper.make_node("RandomUniform", [], ["r"], "draw", shape=[2, 2]),
        helper.make_node("Add", ["d", "r"], ["y"], "sum"),
    ]
    for training, refused in ((True, ["draw", "dropout"]), (False, ["draw"])):
        values: dict[str, Any] = {"ratio": np.float32(0.5), "mode": np.bool_(training)}
        notes = refused_by(runtime, kind, graph_of(nodes, {"x": (2, 2)}, ["y"], values, opset=18))
        assert sorted(note.about for note in notes) == refused


@pytest.mark.parametrize(
    ("runtime", "kind", "graph", "says"),
    [
        ("tflite-gpu", "gpu", lstm(0), "cell (node 'lstm'); the runtime leaves it to"),
        ("tflite-gpu", "gpu", one("Conv", {"x": VOLUME, "w": CUBE}, 17), "no 3-D windows"),
        ("tflite-gpu", "gpu", one("Conv", {"x": IMAGE, "w": WINDOW}, 17), None),
        ("tflite", "cpu", one("Conv", {"x": VOLUME, "w": CUBE}, 17), "from 2.6 on"),
        ("tflite", "cpu", lstm(0), None),
    ],
)  # fmt: skip
def test_what_a_delegate_leaves_to_the_processor_is_said(runtime: str, kind: str, graph, says: str | None) -> None:
    assert [says in note for note in refused_by(runtime, kind, graph)] == ([] if says is None else [True])


def test_what_openvino_has_no_translator_for_is_told() -> None:
    values: dict[str, Any] = {"ratio": np.float32(0.5), "mode": np.bool_(True)}
    nodes = [
        helper.make_node("Dropout", ["x", "ratio", "mode"], ["d"], "dropout"),
        helper.make_node("Det", ["d"], ["y"], "det"),
    ]
    notes = refused_by("openvino", "cpu", graph_of(nodes, {"x": (2, 2)}, ["y"], values, opset=18))
    assert sorted(note.about for note in notes) == ["det", "dropout"]
    nodes = [helper.make_node("DeformConv", ["x", "w", "o"], ["y"], "deform")]
    shapes = {"x": (1, 1, 3, 3), "o": (1, 8, 2, 2)}
    graph = graph_of(nodes, shapes, ["y"], {"w": np.ones((1, 1, 2, 2), np.float32)}, opset=19)
    assert [note.about for note in refused_by("openvino", "cpu", graph)] == ["deform"]
    assert refused_by("onnxruntime", "cpu", graph) == []
