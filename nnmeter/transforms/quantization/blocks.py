"""Weights in blocks of 4 or 8 bits, activations in floating point: MatMulNBits and GatherBlockQuantized.

What `MatMulNBitsQuantizer` of ONNX Runtime 1.32 writes in its QOperator form with the default algorithm
(onnxruntime/quantization/matmul_nbits_quantizer.py), told as rules:

1. A MatMul whose second operand is a constant matrix of floating point, leading dimensions of 1 left out, becomes one
   MatMulNBits: the weight packed as columns x blocks x bytes, a scale for each column and block, and zero points, two
   in a byte for 4 bits, where the blocks are not symmetric.
2. A Gather from a constant table becomes one GatherBlockQuantized where tables are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.draft import MICROSOFT, Draft


@dataclass(frozen=True)
class BlockOptions:
    """How weights are cut into blocks.

    Attributes:
        bits: of a weight, 4 or 8.
        block: weights that share a scale.
        symmetric: whether blocks have no zero points.
        accuracy: accuracy level of the products, 4 for products of int8; 0 leaves it to the runtime.
        tables: whether tables that a Gather looks up are quantized, too.
    """

    bits: int = 4
    block: int = 32
    symmetric: bool = True
    accuracy: int = 0
    tables: bool = False


def quantize_blocks(model: UnboundModel, options: BlockOptions, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with weights of products in blocks.

    Args:
        model: the model in floating point.
        options: bits, size and form of the blocks.
        sizes: what the model leaves open.
    """
    draft = Draft(model, sizes)
    draft.nodes = [_quantized(draft, node, options) for node in draft.nodes]
    return draft.finish(same_shapes=True, note=f"(int{options.bits} blocks)")


def _quantized(draft: Draft, node: Node, options: BlockOptions) -> Node:
    if node.op_type == "MatMul" and not node.domain:
        return _product(draft, node, options)
    if node.op_type == "Gather" and not node.domain and options.tables and options.bits == 4:
        return _table(draft, node, options)
    return node


def _product(draft: Draft, node: Node, options: BlockOptions) -> Node:
    """Rule 1."""
    weight = node.inputs[1]
    kind = draft.constants.get(weight)
    if kind is None or not draft.is_float(weight) or len(kind.shape) < 2 or any(d != 1 for d in kind.shape[:-2]):
        return node
    if len(draft.types[node.inputs[0]].shape) < len(kind.shape):
        return node  # the tool adds a Reshape behind it, which no exporter asks for
    rows, columns = kind.shape[-2:]
    blocks = -(-rows // options.block)
    bytes_of_block = options.block * options.bits // 8
    inputs = [
        node.inputs[0],
        draft.weight(f"{weight}_Q{options.bits}", "uint8", (columns, blocks, bytes_of_block)),
        draft.weight(f"{weight}_scales", kind.dtype, (columns, blocks)),
    ]
    if not options.symmetric:
        packed = -(-blocks * options.bits // 8)
        inputs.append(draft.weight(f"{weight}_zero_points", "uint8", (columns, packed)))
    attributes: dict[str, Any] = {"K": rows, "N": columns, "bits": options.bits, "block_size": options.block}
    if options.accuracy:
        attributes["accuracy_level"] = options.accuracy
    return draft.node(
        "MatMulNBits", inputs, node.outputs, f"{node.name}_Q{options.bits}", MICROSOFT, node.scope, **attributes
    )


def _table(draft: Draft, node: Node, options: BlockOptions) -> Node:
    """Rule 2."""
    table = node.inputs[0]
    kind = draft.constants.get(table)
    if kind is None or not draft.is_float(table) or len(kind.shape) < 2:
        return node
    shape = (kind.shape[0], -(-kind.shape[1] // options.block), *kind.shape[2:])
    dtype = "int4" if options.symmetric else "uint4"
    inputs = [
        draft.weight(f"{table}_Q4", dtype, kind.shape),
        node.inputs[1],
        draft.weight(f"{table}_scales", kind.dtype, shape),
    ]
    if not options.symmetric:
        inputs.append(draft.weight(f"{table}_zero_points", dtype, shape))
    attributes = {"gather_axis": node.attributes.get("axis", 0), "quantize_axis": 1, "block_size": options.block}
    return draft.node("GatherBlockQuantized", inputs, node.outputs, f"{node.name}_Q4", MICROSOFT, **attributes)
