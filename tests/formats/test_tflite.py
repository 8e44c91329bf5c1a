"""TensorFlow Lite files: what their operators become, that they price as the same model in ONNX, and damaged ones."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import nnmeter
from nnmeter.errors import ModelError
from tests.formats.tflite_making import (
    RELU,
    Scalar,
    TfliteMaker,
    convolution,
    pool,
    small_network,
)

PHONE = "cortexA76cpu_tflite21"


def same_network_in_onnx() -> onnx.ModelProto:
    """`small_network` as an exporter of ONNX would write it."""
    shapes = {"w0": (16, 3, 3, 3), "b0": (16,), "w1": (16, 1, 3, 3), "b1": (16,), "w2": (10, 16), "b2": (10,)}
    weights = [helper.make_tensor(n, 1, s, np.zeros(s, np.float32).tobytes(), raw=True) for n, s in shapes.items()]
    weights += [helper.make_tensor("low", 1, (), [0.0]), helper.make_tensor("high", 1, (), [6.0])]
    nodes = [
        helper.make_node("Conv", ["image", "w0", "b0"], ["c"], pads=[0, 0, 1, 1], strides=[2, 2]),
        helper.make_node("Clip", ["c", "low", "high"], ["stem"]),
        helper.make_node("Conv", ["stem", "w1", "b1"], ["d"], pads=[1, 1, 1, 1], group=16),
        helper.make_node("Relu", ["d"], ["deep"]),
        helper.make_node("Add", ["stem", "deep"], ["total"]),
        helper.make_node("GlobalAveragePool", ["total"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w2", "b2"], ["product"], transB=1),
        helper.make_node("Softmax", ["product"], ["scores"], axis=1),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [info("image", TensorProto.FLOAT, (1, 3, 32, 32))],
                              [info("scores", TensorProto.FLOAT, (1, 10))], weights)  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_a_file_is_priced_as_the_same_model_in_onnx(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(small_network())
    predictor = nnmeter.load_predictor(PHONE)
    found, expected = predictor.predict(path), predictor.predict(same_network_in_onnx())
    assert [k.signature for k in found.kernels] == [k.signature for k in expected.kernels]
    assert found.latency_ms == expected.latency_ms > 0
    assert not [note for note in found.warnings if note.code in ("declared", "unknown")]
    assert {group.name for group in found.by_module(2)} >= {"net/stem", "net/block"}
    assert found.total().parameters == 16 * 27 + 16 + 16 * 9 + 16 + 160 + 10


def test_quantized_tensors_are_kernels_of_integers() -> None:
    kernels = nnmeter.load_predictor("pixel4-1large-tflite").predict(small_network("int8")).kernels
    types = {k.operator: {t.dtype for t in k.signature.inputs[:2] if t is not None} for k in kernels}
    assert [k.operator for k in kernels] == ["Conv", "Conv", "Add", "GlobalAveragePool", "Gemm", "Softmax"]
    assert all(found == {"int8"} for found in types.values())


def one_operator(code: int, inputs, output, options=None, maps: bool = True) -> tuple[list[str], tuple[int, ...]]:
    """The operators that one operator becomes behind a pool, and the shape that the model returns."""
    make = TfliteMaker()
    x = make.tensor("x", (1, 8, 6, 4))
    before = make.tensor("before", (1, 8, 6, 4))
    if maps:
        make.add(17, [x], [before], pool(1, 1))
    else:
        make.add(101, [x], [before])
    places = [before, *(give(make) for give in inputs)]
    outputs = [make.tensor(f"y{number}", shape) for number, shape in enumerate(output)]
    make.add(code, places, outputs, options)
    graph = nnmeter.load_model(make.file([x], outputs))
    assert not graph.warnings
    return [node.op_type for node in graph.nodes[1:]], graph.types[graph.outputs[0]].shape


def ints(*values: int):
    return lambda make: make.integers("i", values)


def const(*shape: int):
    return lambda make: make.weight("c", shape)


@pytest.mark.parametrize(
    ("code", "inputs", "output", "options", "types", "shape"),
    [
        (0, [const(4)], [(1, 8, 6, 4)], {0: Scalar("b", RELU)}, ["Add", "Relu"], (1, 4, 8, 6)),
        (18, [const(1, 1, 1, 4)], [(1, 8, 6, 4)], {}, ["Mul"], (1, 4, 8, 6)),
        (22, [ints(1, 192)], [(1, 192)], {}, ["Reshape"], (1, 192)),
        (23, [ints(16, 12)], [(1, 16, 12, 4)], {3: Scalar("b", 1)}, ["Resize"], (1, 4, 16, 12)),
        (25, [], [(1, 8, 6, 4)], {0: Scalar("f", 1)}, ["Softmax"], (1, 4, 8, 6)),
        (2, [const(1, 8, 6, 2)], [(1, 8, 6, 6)], {0: Scalar("i", 3)}, ["Concat"], (1, 6, 8, 6)),
        (34, [ints(0, 0, 1, 2, 3, 4, 0, 0)], [(1, 11, 13, 4)], None, ["Pad"], (1, 4, 11, 13)),
        (39, [ints(0, 3, 1, 2)], [(1, 4, 8, 6)], None, ["Reshape", "Transpose"], (1, 4, 8, 6)),
        (40, [ints(1, 2)], [(1, 1, 1, 4)], {0: Scalar("b", 1)}, ["ReduceMean"], (1, 4, 1, 1)),
        (40, [ints(2)], [(1, 8, 4)], {0: Scalar("b", 0)}, ["Reshape", "ReduceMean"], (1, 8, 4)),
        (45, [ints(0, 0, 0, 1), ints(0, 0, 0, 3), ints(1, 1, 1, 1)], [(1, 8, 6, 2)],
         {0: Scalar("i", 7), 1: Scalar("i", 7)}, ["Slice"], (1, 2, 8, 6)),
        (65, [ints(0, 2, 0, 0), ints(1, 4, 6, 4)], [(1, 4, 6, 4)], None, ["Slice"], (1, 4, 4, 6)),
        (5, [], [(1, 16, 12, 1)], {0: Scalar("i", 2)}, ["DepthToSpace"], (1, 1, 16, 12)),
        (117, [], [(1, 8, 6, 4)], None, ["HardSwish"], (1, 4, 8, 6)),
        (76, [], [(1, 8, 6, 4)], None, ["Sqrt", "Reciprocal"], (1, 4, 8, 6)),
        (99, [const(1, 8, 6, 4)], [(1, 8, 6, 4)], None, ["Sub", "Mul"], (1, 4, 8, 6)),
        (54, [const(1, 1, 4)], [(1, 8, 6, 4)], None, ["PRelu"], (1, 4, 8, 6)),
    ],
)  # fmt: skip
def test_operators_over_maps(code, inputs, output, options, types, shape) -> None:
    assert one_operator(code, inputs, output, options) == (types, shape)


def test_what_is_no_map_keeps_its_order() -> None:
    """Heads of attention have four dimensions, and are no maps."""
    types, shape = one_operator(126, [const(1, 8, 4, 5)], [(1, 8, 6, 5)], {}, maps=False)
    assert (types, shape) == (["MatMul"], (1, 8, 6, 5))
    types, shape = one_operator(126, [const(1, 8, 4, 5)], [(1, 8, 6, 5)], {}, maps=True)
    assert (types, shape) == (["Reshape", "MatMul"], (1, 8, 6, 5))


def test_groups_of_a_convolution_follow_from_its_weights() -> None:
    make = TfliteMaker()
    x, y = make.tensor("x", (1, 8, 8, 8)), make.tensor("y", (1, 8, 8, 16))
    make.add(3, [x, make.weight("w", (16, 1, 1, 2)), -1], [y], convolution())
    (node,) = nnmeter.load_model(make.file([x], [y])).nodes
    assert node.attributes["group"] == 4
    assert len(node.inputs) == 2


def test_weights_of_half_precision_are_constants() -> None:
    make = TfliteMaker()
    x, y = make.tensor("x", (1, 4)), make.tensor("y", (1, 6))
    half, whole = make.weight("h", (6, 4), "float16"), make.tensor("w", (6, 4))
    make.add(6, [half], [whole])
    make.add(9, [x, whole, -1], [y], {0: Scalar("b", 0)})
    (node,) = nnmeter.load_model(make.file([x], [y])).nodes
    assert (node.op_type, len(node.inputs)) == ("Gemm", 2)


def test_what_the_file_says_of_weights_is_noted() -> None:
    make = TfliteMaker()
    x, y = make.tensor("x", (1, 4)), make.tensor("y", (1, 6))
    make.add(9, [x, make.weight("w", (6, 4), "int8", 1), -1], [y], {0: Scalar("b", 0)})
    (note,) = nnmeter.read_model(make.file([x], [y])).notes
    assert "8 bits beside data in float32" in note


def test_an_operator_without_a_rule_is_named_and_priced() -> None:
    make = TfliteMaker()
    x, y, z = (make.tensor(name, (1, 8, 6, 4)) for name in "xyz")
    make.add(32, [x], [y], custom="OwnPool")
    make.add(12, [y], [z], pool(1, 1))
    prediction = nnmeter.predict(make.file([x], [z]), PHONE)
    assert {k.operator for k in prediction.kernels if k.source == "fallback"} == {"OwnPool", "L2_POOL_2D"}
    assert any("OwnPool" in note for note in prediction.warnings)


def test_a_small_constant_keeps_its_value_and_a_large_one_is_not_read() -> None:
    from nnmeter.formats.tflite_file import scan_tflite

    tensors = scan_tflite(small_network()).tensors
    assert [t.value.tolist() for t in tensors if t.name == "axes" and t.value is not None] == [[1, 2]]
    make = TfliteMaker()
    place = make.weight("large", (64, 64))
    y = make.tensor("y", (64, 64))
    make.add(101, [place], [y])
    assert scan_tflite(make.file([], [y])).tensors[0].value is None


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda data: data[:100], "outside of the file"),
        (lambda data: data[:8], "outside of the file"),
        (lambda data: b"\xff\xff\xff\x7f" + data[4:], "outside of the file"),
    ],
)
def test_a_damaged_file_is_refused_in_a_line(tmp_path: Path, damage, word: str) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(damage(small_network()))
    with pytest.raises(ModelError, match=word) as caught:
        nnmeter.read_model(path)
    assert str(caught.value).startswith(str(path))
    assert "convert the model again" in str(caught.value)


def test_damaged_bytes_are_refused_or_read_and_nothing_else() -> None:
    """Every file that differs in a few bytes is a model or a `ModelError`."""
    data, generator = small_network("int8"), random.Random(7)
    read = 0
    for _ in range(400):
        mutated = bytearray(data)
        for _ in range(generator.choice([1, 2, 5])):
            mutated[generator.randrange(len(mutated))] = generator.choice([0, 1, 127, 128, 255])
        if generator.random() < 0.2:
            del mutated[generator.randrange(len(mutated)) :]
        try:
            nnmeter.load_model(bytes(mutated))
            read += 1
        except ModelError:
            pass
    assert 0 < read < 400


@pytest.mark.parametrize(
    ("make_it", "word"),
    [
        (lambda m, x, y: m.add(3, [x, m.weight("w", (4, 3, 3, 5))], [y], convolution()), "weights of"),
        (lambda m, x, y: m.add(3, [x, m.weight("w", (4, 3, 3, 4))], [y]), "no options"),
        (lambda m, x, y: m.add(3, [x, m.weight("w", (4, 3, 3, 4))], [y], convolution(0)), "steps of"),
        (lambda m, x, y: m.add(0, [x, m.tensor("z", (1, 8, 6, 4))], [y], {}), "which nothing before it writes"),
        (lambda m, x, y: m.add(0, [x, 99], [y], {}), "names the tensor 99"),
        (lambda m, x, y: m.add(0, [x, -1], [y], {}), "no tensor where it needs one"),
        (lambda m, x, y: m.add(3, [x], [y], convolution()), "not the tensors that its kind has"),
        (lambda m, x, y: m.add(40, [x, x], [y], {}), "no constant whole numbers"),
        (lambda m, x, y: m.add(0, [x, x], [y], {0: Scalar("b", 9)}), "fused activation 9"),
        (lambda m, x, y: m.add(22, [x], [m.tensor("v", (1, 5))], {}), "a view of"),
    ],
)
def test_what_is_no_sound_operator_is_named(make_it, word: str) -> None:
    make = TfliteMaker()
    x, y = make.tensor("x", (1, 8, 6, 4)), make.tensor("y", (1, 8, 6, 4))
    make_it(make, x, y)
    with pytest.raises(ModelError, match=word):
        nnmeter.load_model(make.file([x], [y]))
