"""Turns a float network under construction into one whose large matrices are quantized in blocks of 4 or 8 bits.

As the tools for language models write it (ONNX Runtime's quantizer of MatMulNBits):

1. A product with a constant matrix becomes MatMulNBits of com.microsoft, then an Add of the bias where there is one.
   All products of a network share bits, size of blocks, accuracy level and whether there are zero points.
2. In some networks embedding tables become GatherBlockQuantized. Heads stay as they are in some.
"""

from __future__ import annotations

import math

import onnx

from nnmeter.lab.campaign.recipes.builder import FLOAT, MICROSOFT, UINT4, UINT8, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import add

SOURCES = {
    "gated_decoder": 8.0, "decoder": 5.0, "encoder": 5.0, "token_layers": 5.0, "plain_vit": 2.0, "audio": 1.0,
    "sequence_to_sequence": 2.0, "cached_decoder": 5.0, "perceptron": 1.0, "adapters": 0.5,
}  # fmt: skip
"""Families that are quantized, with their weights."""

_LEAST_ELEMENTS = 1024


def quantize_blocks(b: NetworkBuilder) -> None:
    """Rewrites the builder's products with constant matrices (rule 1), and some tables (rule 2)."""
    bits = 4 if b.rng.random() < 0.85 else 8
    block = b.rng.choices((16, 32, 64, 128, 256), (10, 45, 15, 25, 5))[0]
    accuracy = b.rng.choices((4, 0, None), (65, 20, 15))[0]
    zero_points = b.rng.random() < 0.4
    tables = b.rng.random() < 0.3
    constants = b.constant_names
    nodes, b.nodes = b.nodes, []
    for node in nodes:
        weight = _weight(b, node, constants)
        if weight is not None:
            _product(b, node, weight, bits, block, accuracy, zero_points)
        elif tables and node.op_type == "Gather" and _is_table(b, node, constants, block):
            _table(b, node, block, zero_points)
        else:
            b.nodes.append(node)


def _weight(b: NetworkBuilder, node: onnx.NodeProto, constants: set[str]) -> tuple[Tensor, int, int] | None:
    """The constant matrix of a product, and its K and N; None if there is none that is worth it."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[0] in constants or node.input[1] not in constants:
        return None
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    weight = b.tensors[node.input[1]]
    if len(weight.shape) != 2 or weight.elements < _LEAST_ELEMENTS or attributes.get("transA", 0):
        return None
    k, n = reversed(weight.shape) if attributes.get("transB", 0) else weight.shape
    return weight, k, n


def _product(
    b: NetworkBuilder,
    node: onnx.NodeProto,
    weight: tuple[Tensor, int, int],
    bits: int,
    block: int,
    accuracy: int | None,
    zero_points: bool,
) -> None:
    _, k, n = weight
    blocks = math.ceil(k / block)
    inputs = [
        b.tensors[node.input[0]],
        b.weight((n, blocks, block * bits // 8), dtype=UINT8),
        b.weight((n, blocks), 0.001, mean=0.01, positive=True),
    ]
    if zero_points:
        inputs.append(b.weight((n, math.ceil(blocks * bits / 8)), dtype=UINT8))
    output = b.tensors[node.output[0]]
    extra = {} if accuracy is None else {"accuracy_level": accuracy}
    work = 2.0 * output.elements * k
    y = b.node(
        "MatMulNBits", inputs, output.shape, dtype=FLOAT, flops=work,
        domain=MICROSOFT, K=k, N=n, bits=bits, block_size=block, **extra,
    )  # fmt: skip
    if len(node.input) > 2:
        y = add(b, y, b.tensors[node.input[2]])
    b.nodes[-1].output[0] = output.name


def _is_table(b: NetworkBuilder, node: onnx.NodeProto, constants: set[str], block: int) -> bool:
    table = b.tensors[node.input[0]]
    return table.name in constants and table.dtype == FLOAT and len(table.shape) == 2 and table.shape[1] >= block


def _table(b: NetworkBuilder, node: onnx.NodeProto, block: int, zero_points: bool) -> None:
    rows, width = b.tensors[node.input[0]].shape
    blocks = math.ceil(width / block)
    inputs = [
        b.weight((rows, width), dtype=UINT4),
        b.tensors[node.input[1]],
        b.weight((rows, blocks), 0.001, mean=0.01, positive=True),
    ]
    if zero_points:
        inputs.append(b.weight((rows, blocks), dtype=UINT4))
    output = b.tensors[node.output[0]]
    b.node(
        "GatherBlockQuantized", inputs, output.shape, dtype=FLOAT,
        domain=MICROSOFT, gather_axis=0, quantize_axis=1, block_size=block,
    )  # fmt: skip
    b.nodes[-1].output[0] = output.name
