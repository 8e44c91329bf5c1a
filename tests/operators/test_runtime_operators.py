"""Shapes of the operators that ONNX Runtime puts into its optimized graphs."""

import numpy as np
import pytest
from onnx import helper

from nnmeter.graph.ir import TensorType
from tests.binding.making import BLOCKED, MICROSOFT, graph_of, i8, types_of, u8

X = (2, 7, 64)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "expected"),
    [
        ("QuickGelu", [X], {}, ["2x7x64"]),
        ("FastGelu", [X, (64,)], {}, ["2x7x64"]),
        ("BiasGelu", [X, (64,)], {}, ["2x7x64"]),
        ("SkipLayerNormalization", [X, X, (64,)], {}, ["2x7x64", "2x7x1", "2x7x1", "2x7x64"]),
        ("FusedMatMul", [(2, 7, 64), (2, 9, 64)], {"transB": 1}, ["2x7x9"]),
        ("FusedMatMul", [(2, 64, 7), (2, 64, 9)], {"transA": 1}, ["2x7x9"]),
        ("FusedMatMul", [(7, 2, 3, 64), (64, 9)], {"transBatchA": 1}, ["2x3x7x9"]),
        ("FusedMatMul", [(2, 3, 7, 64), (9, 2, 3, 64)], {"transBatchB": 1, "transB": 1}, ["2x3x7x9"]),
        ("FusedGemm", [(7, 64), (32, 64), (32,)], {"transB": 1, "activation": "Relu"}, ["7x32"]),
        ("FusedConv", [(1, 8, 9, 9), (16, 8, 3, 3), (16,), (1, 16, 9, 9)], {"pads": [1] * 4}, ["1x16x9x9"]),
        ("Attention", [X, (64, 192), (192,)], {"num_heads": 4}, ["2x7x64", "2x2x4x7x16"]),
        ("MultiHeadAttention", [X, (2, 9, 64), (2, 9, 64)], {"num_heads": 4}, ["2x7x64", "2x4x9x16"]),
        ("MultiHeadAttention", [X, (2, 4, 9, 16), (2, 4, 9, 16)], {"num_heads": 4}, ["2x7x64"]),
        (
            "GroupQueryAttention",
            [X, (2, 7, 32), (2, 7, 32), (2, 2, 5, 16)],
            {"num_heads": 4, "kv_num_heads": 2},
            ["2x7x64", "2x2x12x16"],
        ),
        ("MatMulNBits", [X, u8(96, 2, 16), (192,)], {"K": 64, "N": 96, "bits": 4, "block_size": 32}, ["2x7x96"]),
        ("EmbedLayerNormalization", [TensorType("int32", (2, 7)), None, (100, 64)], {}, ["2x7x64"]),
    ],
)
def test_fused_operators(op: str, inputs: list, attributes: dict, expected: list[str]) -> None:
    found = types_of(op, inputs, attributes, len(expected), domain=MICROSOFT)
    assert [t.partition("[")[2].rstrip("]") for t in found] == expected


S = np.array(1, np.float32)


@pytest.mark.parametrize(
    ("op", "domain", "inputs", "attributes", "expected"),
    [
        ("QuantizeLinear", "", [(2, 3), S, i8()], {}, "int8[2x3]"),
        ("DequantizeLinear", "", [i8(2, 3), S], {}, "float32[2x3]"),
        ("QLinearConv", "", [u8(1, 8, 9, 9), S, u8(), i8(16, 8, 3, 3), S, i8(), S, u8()], {}, "uint8[1x16x7x7]"),
        ("QLinearMatMul", "", [u8(2, 7, 64), S, u8(), i8(64, 32), S, i8(), S, u8()], {}, "uint8[2x7x32]"),
        ("MatMulInteger", "", [u8(7, 64), i8(64, 32)], {}, "int32[7x32]"),
        ("ConvInteger", "", [u8(1, 8, 9, 9), i8(16, 8, 3, 3)], {}, "int32[1x16x7x7]"),
        ("DynamicQuantizeLinear", "", [(2, 3)], {}, "uint8[2x3]"),
        ("QLinearAdd", MICROSOFT, [u8(2, 3), S, u8(), u8(3), S, u8(), S, u8()], {}, "uint8[2x3]"),
        ("QLinearConcat", MICROSOFT, [S, u8(), u8(2, 3), S, u8(), u8(2, 5), S, u8()], {"axis": 1}, "uint8[2x8]"),
        (
            "QLinearGlobalAveragePool",
            MICROSOFT,
            [u8(1, 5, 5, 8), S, u8(), S, u8()],
            {"channels_last": 1},
            "uint8[1x1x1x8]",
        ),
        (
            "QLinearConv",
            MICROSOFT,
            [u8(1, 9, 9, 8), S, u8(), i8(16, 8, 3, 3), S, i8(), S, u8()],
            {"channels_last": 1},
            "uint8[1x7x7x16]",
        ),
        ("QGemm", MICROSOFT, [u8(7, 64), S, u8(), i8(32, 64), S, i8()], {"transB": 1}, "float32[7x32]"),
        ("DynamicQuantizeMatMul", MICROSOFT, [(2, 7, 64), i8(64, 32), S], {}, "float32[2x7x32]"),
        ("MatMulIntegerToFloat", MICROSOFT, [u8(7, 64), i8(64, 32), S, S], {}, "float32[7x32]"),
    ],
)
def test_quantized_operators(op: str, domain: str, inputs: list, attributes: dict, expected: str) -> None:
    outputs = 3 if op == "DynamicQuantizeLinear" else 1
    assert types_of(op, inputs, attributes, outputs, domain=domain)[0] == expected


@pytest.mark.parametrize(("block", "padded"), [(16, 32), (8, 24)])
def test_channels_of_the_blocked_layout_are_padded_to_the_block(block: int, padded: int) -> None:
    nodes = [
        helper.make_node("ReorderInput", ["x"], ["a"], "in", domain=BLOCKED),
        helper.make_node("Conv", ["a", "w", "b", "a2"], ["c"], "conv", domain=BLOCKED, pads=[1] * 4, activation="Relu"),
        helper.make_node("ReorderInput", ["x2"], ["a2"], "skip", domain=BLOCKED),
        helper.make_node("MaxPool", ["c"], ["p"], "pool", domain=BLOCKED, kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Upsample", ["p"], ["u"], "up", domain=BLOCKED, scales=[1, 1, 2, 2]),
        helper.make_node("GlobalAveragePool", ["u"], ["g"], "gap", domain=BLOCKED),
        helper.make_node("ReorderOutput", ["u"], ["y"], "out", domain=BLOCKED, channels=20),
        helper.make_node("ReorderOutput", ["g"], ["z"], "last", domain=BLOCKED, channels=20, channels_last=1),
    ]
    weights = {"w": TensorType("float32", (padded, padded, 3, 3)), "b": TensorType("float32", (padded,))}
    graph = graph_of(nodes, {"x": (1, 20, 8, 8), "x2": (1, 20, 8, 8)}, ["y", "z"], weights)
    shapes = {name: graph.types[name].shape for name in ("a", "a2", "c", "p", "u", "g", "y", "z")}
    blocked = (1, padded, 8, 8)
    assert shapes == {
        "a": blocked, "a2": blocked, "c": blocked, "p": (1, padded, 4, 4), "u": blocked, "g": (1, padded, 1, 1),
        "y": (1, 20, 8, 8), "z": (1, 1, 1, 20),
    }  # fmt: skip


@pytest.mark.parametrize("channels", [24, 1000])
def test_channels_that_no_convolution_reads_are_whole_blocks_and_not_padded(channels: int) -> None:
    """Of 24 and 1000 channels blocks of 8 are whole, and those of 16 are not: then the runtime has no blocked pool."""
    nodes = [
        helper.make_node("ReorderInput", ["x"], ["a"], "in", domain=BLOCKED),
        helper.make_node("MaxPool", ["a"], ["p"], "pool", domain=BLOCKED, kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReorderOutput", ["p"], ["y"], "out", domain=BLOCKED, channels=channels),
    ]
    graph = graph_of(nodes, {"x": (1, channels, 8, 8)}, ["y"], {})
    assert [graph.types[name].shape for name in ("a", "p")] == [(1, channels, 8, 8), (1, channels, 4, 4)]
