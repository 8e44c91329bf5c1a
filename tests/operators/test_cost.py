"""FLOPs and bytes: of operators by hand, of networks as published."""

from typing import Any

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.graph.ir import TensorType
from nnmeter.operators.cost import Cost, graph_cost, has_cost_rule, operator_cost, parameters
from tests.conftest import ZOO


def f32(*shape: int) -> TensorType:
    return TensorType("float32", shape)


def i64(*shape: int) -> TensorType:
    return TensorType("int64", shape)


def cost(op: str, inputs: list, outputs: list, attributes: dict[str, Any] | None = None, domain: str = "") -> Cost:
    return operator_cost(op, domain, attributes or {}, inputs, outputs)


@pytest.mark.parametrize(
    ("model", "macs", "weights"),
    [
        ("resnet50-224", 4.09e9, 25.5e6),
        ("resnet18-224", 1.81e9, 11.7e6),
        ("mobilenet_v2-224", 0.300e9, 3.5e6),
        ("vgg11-224", 7.61e9, 132.9e6),
        ("inception_v3-299", 5.71e9, 23.8e6),
        ("alexnet-224", 0.71e9, 61.1e6),
        ("squeezenet1_1-224", 0.35e9, 1.24e6),
    ],
)
def test_networks_have_the_macs_and_parameters_of_their_papers(model: str, macs: float, weights: float) -> None:
    graph = bind_shapes(read_model(ZOO / f"{model}.onnx"))
    assert graph_cost(graph).flops / 2 == pytest.approx(macs, rel=0.04)
    assert parameters(graph) == pytest.approx(weights, rel=0.03)


def test_the_convolution_of_the_documentation() -> None:
    x, w, y = f32(1, 64, 28, 28), f32(128, 32, 3, 3), f32(1, 128, 28, 28)
    found = cost("Conv", [x, w], [y], {"group": 2})
    assert found == Cost(57_802_752, 4 * (64 * 784 + 128 * 32 * 9), 4 * 128 * 784)
    assert cost("Conv", [x, w, f32(128)], [y], {"group": 2}).flops - found.flops == y.elements
    dilated = cost("Conv", [x, w], [y], {"group": 2, "dilations": [2, 2]})
    assert dilated == found


@pytest.mark.parametrize("scale", [2, 8])
def test_batch_and_width_count(scale: int) -> None:
    one = cost("Conv", [f32(1, 8, 9, 9), f32(16, 8, 3, 3)], [f32(1, 16, 9, 9)]).flops
    assert cost("Conv", [f32(scale, 8, 9, 9), f32(16, 8, 3, 3)], [f32(scale, 16, 9, 9)]).flops == scale * one
    assert cost("Conv", [f32(1, 8, 9, 9 * scale), f32(16, 8, 3, 3)], [f32(1, 16, 9, 9 * scale)]).flops == scale * one


def test_one_and_three_dimensional_convolutions_count() -> None:
    assert cost("Conv", [f32(1, 4, 10), f32(6, 4, 3)], [f32(1, 6, 8)]).flops == 2 * 6 * 8 * 4 * 3
    assert cost("Conv", [f32(1, 4, 5, 5, 5), f32(6, 4, 3, 3, 3)], [f32(1, 6, 3, 3, 3)]).flops == 2 * 6 * 27 * 4 * 27


def test_the_element_type_counts_in_bytes() -> None:
    whole = cost("Relu", [f32(1000)], [f32(1000)])
    half = cost("Relu", [TensorType("float16", (1000,))], [TensorType("float16", (1000,))])
    assert (half.bytes_read, half.bytes_written) == (whole.bytes_read // 2, whole.bytes_written // 2)
    assert half.flops == whole.flops
    assert TensorType("int4", (3,)).bytes == 2


@pytest.mark.parametrize(
    ("op", "inputs", "outputs", "attributes", "flops"),
    [
        ("MatMul", [f32(2, 7, 64), f32(64, 32)], [f32(2, 7, 32)], {}, 2 * 2 * 7 * 64 * 32),
        ("FusedMatMul", [f32(2, 64, 7), f32(2, 64, 9)], [f32(2, 7, 9)], {"transA": 1}, 2 * 2 * 7 * 9 * 64),
        (
            "FusedMatMul",
            [f32(64, 2, 7), f32(2, 64, 9)],
            [f32(2, 7, 9)],
            {"transA": 1, "transBatchA": 1},
            2 * 2 * 7 * 9 * 64,
        ),
        ("Gemm", [f32(7, 64), f32(32, 64), f32(32)], [f32(7, 32)], {"transB": 1}, 7 * 32 * (2 * 64 + 1)),
        (
            "FusedConv",
            [f32(1, 8, 4, 4), f32(8, 8, 1, 1), f32(8), f32(1, 8, 4, 4)],
            [f32(1, 8, 4, 4)],
            {},
            128 * (2 * 8 + 2),
        ),
        ("ConvTranspose", [f32(1, 8, 4, 4), f32(8, 6, 2, 2)], [f32(1, 6, 8, 8)], {}, 2 * 8 * 16 * 6 * 4),
        ("MaxPool", [f32(1, 8, 9, 9)], [f32(1, 8, 4, 4)], {"kernel_shape": (3, 3)}, 8 * 16 * 9),
        ("GlobalAveragePool", [f32(1, 8, 9, 9)], [f32(1, 8, 1, 1)], {}, 8 * 81),
        ("Einsum", [f32(2, 3, 4), f32(2, 4, 5)], [f32(2, 3, 5)], {"equation": "bij,bjk->bik"}, 2 * 2 * 3 * 4 * 5),
        ("Add", [f32(5, 6), f32(6)], [f32(5, 6)], {}, 30),
        ("Exp", [f32(5, 6)], [f32(5, 6)], {}, 300),
        ("Sum", [f32(5)] * 4, [f32(5)], {}, 15),
        (
            "LSTM",
            [f32(10, 2, 8), f32(1, 64, 8), f32(1, 64, 16)],
            [f32(10, 1, 2, 16)],
            {},
            10 * 2 * 4 * 16 * (2 * 24 + 10),
        ),
        (
            "MultiHeadAttention",
            [f32(2, 7, 64), f32(2, 9, 64), f32(2, 9, 64)],
            [f32(2, 7, 64)],
            {"num_heads": 4},
            2 * 7 * 9 * (256 + 52),
        ),
        (
            "MatMulNBits",
            [f32(7, 64), TensorType("uint8", (96, 2, 16))],
            [f32(7, 96)],
            {"K": 64, "N": 96},
            2 * 7 * 64 * 96,
        ),
        ("Transpose", [f32(5, 6)], [f32(6, 5)], {}, 0),
    ],
)
def test_flops_of_operators(op: str, inputs: list, outputs: list, attributes: dict, flops: int) -> None:
    assert cost(op, inputs, outputs, attributes).flops == flops


def test_a_gather_reads_only_what_it_takes() -> None:
    found = cost("Gather", [f32(30_000, 512), i64(1, 8)], [f32(1, 8, 512)])
    assert found == Cost(0, 4 * 8 * 512 + 8 * 8, 4 * 8 * 512)
    sliced = cost("Slice", [f32(1000, 8), i64(1), i64(1)], [f32(10, 8)])
    assert sliced.bytes_read == 4 * 80 + 16


@pytest.mark.parametrize("op", ["Reshape", "Squeeze", "Flatten", "Identity", "Shape"])
def test_reshapes_move_nothing(op: str) -> None:
    assert cost(op, [f32(100, 100), i64(1)], [f32(10_000)]) == Cost(0, 0, 0)


def test_an_unknown_operator_counts_outputs_and_all_bytes() -> None:
    assert cost("Mystery", [f32(10), None], [f32(5), f32(3)], domain="custom") == Cost(8, 40, 32)
    assert not has_cost_rule("Mystery", "custom")


def test_nested_graphs_cost_what_inference_noted() -> None:
    noted = {"nested_flops": 10, "nested_bytes_read": 20, "nested_bytes_written": 30}
    assert cost("Loop", [i64()], [f32(1)], noted) == Cost(10, 20, 30)
