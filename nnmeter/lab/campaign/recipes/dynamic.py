"""Turns a float network under construction into one with dynamic quantization, as ONNX Runtime's quantizer writes it.

1. The data of a product with a constant matrix, or of a convolution, goes through DynamicQuantizeLinear once; the
   product is MatMulInteger or ConvInteger, then Cast, Mul by the product of both scales, and Add of the bias. Scales of
   weights are of a tensor, or of a column.
2. An LSTM with constant weights becomes DynamicQuantizeLSTM of com.microsoft.
3. Weights are signed or unsigned, one way in a network; mostly unsigned where convolutions are quantized.
4. In some networks embedding tables are integers as well, dequantized behind the Gather.
5. In some networks all weights have one scale. The product of scales is then shared by products of one tensor, and
   ONNX Runtime leaves MatMulInteger, Cast and Mul apart.
"""

from __future__ import annotations

import onnx

from nnmeter.lab.campaign.recipes.builder import FLOAT, INT8, INT32, MICROSOFT, UINT8, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import add, mul, reshape

_WEIGHTED = frozenset({"Gemm", "MatMul"})

SOURCES = {
    "encoder": 8.0, "decoder": 4.0, "gated_decoder": 3.0, "plain_vit": 4.0, "windowed": 2.0, "token_layers": 3.0,
    "perceptron": 2.0, "token_mixer": 2.0, "sequence_to_sequence": 2.0, "audio": 2.0, "metaformer": 0.5,
    "cached_decoder": 2.0, "recurrent": 9.0, "speech": 7.0, "text_lines": 3.0, "deep_lines": 2.0, "convnext": 1.0,
}  # fmt: skip
"""Families whose products are quantized dynamically, with their weights."""

MAP_SOURCES = {
    "plain": 1.0, "residual_basic": 3.0, "residual_bottleneck": 3.0, "residual_grouped": 1.5, "inverted_residual": 4.0,
    "separable": 2.0, "fused_inverted_residual": 1.0, "ghost": 1.0, "shuffle_split": 1.0, "fire": 0.7, "inception": 1.0,
    "convnext": 1.5, "signal": 1.0, "dense": 1.0, "audio": 0.7, "text_lines": 2.0, "deep_lines": 2.0,
}  # fmt: skip
"""Families whose convolutions are quantized dynamically as well, with their weights."""


def quantize_dynamic(b: NetworkBuilder) -> None:
    """Rewrites products with constant matrices and LSTMs."""
    _quantize(b, _WEIGHTED, 0.35)


def quantize_dynamic_maps(b: NetworkBuilder) -> None:
    """Rewrites convolutions too."""
    _quantize(b, _WEIGHTED | {"Conv"}, 0.6)


def _quantize(b: NetworkBuilder, chosen: frozenset[str], unsigned: float) -> None:
    constants = b.constant_names
    kind = UINT8 if b.rng.random() < unsigned else INT8
    by_column, tables = b.rng.random() < 0.3, b.rng.random() < 0.3
    one_scale = b.constant(0.002, FLOAT) if b.rng.random() < 0.2 else None
    nodes, b.nodes = b.nodes, []
    quantized: dict[str, list[Tensor]] = {}
    for node in nodes:
        weight = b.tensors.get(node.input[1]) if len(node.input) > 1 else None
        fixed = weight is not None and weight.name in constants and node.input[0] not in constants
        if node.op_type == "LSTM" and fixed:
            _recurrent(b, node, kind)
        elif node.op_type == "Gather" and tables and node.input[0] in constants:
            _table(b, node, kind)
        elif weight is None or not fixed or node.op_type not in chosen:
            b.nodes.append(node)
        else:
            x = b.tensors[node.input[0]]
            if x.name not in quantized:
                quantized[x.name] = b.node_with_outputs(
                    "DynamicQuantizeLinear",
                    [x],
                    [x.shape, (), ()],
                    dtypes=[UINT8, FLOAT, UINT8],
                    flops=3.0 * x.elements,
                )
            _integer_product(b, node, weight, quantized[x.name], kind, by_column, one_scale)


def _integer_product(
    b: NetworkBuilder,
    node: onnx.NodeProto,
    weight: Tensor,
    x: list[Tensor],
    kind: int,
    by_column: bool,
    one_scale: Tensor | None,
) -> None:
    """MatMulInteger or ConvInteger in place of `node`, scaled back to float, under the old output name (rule 1)."""
    output = b.tensors[node.output[0]]
    conv = node.op_type == "Conv"
    shape = weight.shape[::-1] if _transposed(node) else weight.shape
    columns = (shape[-1],) if by_column and not conv and one_scale is None else ()
    integers = b.weight(shape, dtype=kind)
    zero = b.weight(columns, dtype=kind) if columns else b.constant(128 if kind == UINT8 else 0, kind)
    # As a rule a scale of its own for each, as trained weights have (rule 5).
    scale = one_scale or b.weight(columns, 0.0002, mean=0.002, positive=True)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} if conv else {}
    op_type = "ConvInteger" if conv else "MatMulInteger"
    work = 2.0 * output.elements * (weight.elements / weight.shape[0] if conv else shape[0]) / 2
    y = b.node(op_type, [x[0], integers, x[2], zero], output.shape, dtype=INT32, flops=work, **attributes)
    y = b.node("Cast", [y], y.shape, dtype=FLOAT, to=FLOAT)
    y = mul(b, y, mul(b, x[1], scale))
    if len(node.input) > 2:
        bias = b.tensors[node.input[2]]
        rank = len(output.shape)
        y = add(b, y, reshape(b, bias, (1, bias.shape[0], *[1] * (rank - 2))) if conv else bias)
    b.nodes[-1].output[0] = output.name


def _recurrent(b: NetworkBuilder, node: onnx.NodeProto, kind: int) -> None:
    """DynamicQuantizeLSTM in place of an LSTM (rule 2): its matrices stand transposed, one scale a direction."""
    wide, narrow = (b.tensors[name] for name in node.input[1:3])
    directions = wide.shape[0]
    inputs: list[Tensor | None] = [b.tensors[node.input[0]]]
    inputs += [b.weight((directions, m.shape[2], m.shape[1]), dtype=kind) for m in (wide, narrow)]
    inputs += [b.tensors[name] if name else None for name in node.input[3:8]]
    inputs += [None] * (8 - len(inputs))
    for _ in range(2):
        zero = [128 if kind == UINT8 else 0] * directions
        inputs += [b.weight((directions,), 0.0002, mean=0.004, positive=True), b.constant(zero, kind)]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes.pop("layout", None)
    shapes = [b.tensors[name].shape if name else () for name in node.output]
    x = b.tensors[node.input[0]]
    work = 2.0 * x.shape[0] * x.shape[1] * (wide.elements + narrow.elements)
    b.node_with_outputs("DynamicQuantizeLSTM", inputs, shapes, dtype=FLOAT, flops=work, domain=MICROSOFT, **attributes)
    b.nodes[-1].output[:] = list(node.output)


def _table(b: NetworkBuilder, node: onnx.NodeProto, kind: int) -> None:
    """A table of integers, dequantized behind the Gather (rule 4)."""
    table, output = b.tensors[node.input[0]], b.tensors[node.output[0]]
    if table.dtype != FLOAT:
        b.nodes.append(node)
        return
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    inputs = [b.weight(table.shape, dtype=kind), b.tensors[node.input[1]]]
    y = b.node("Gather", inputs, output.shape, dtype=kind, **attributes)
    zero = b.constant(128 if kind == UINT8 else 0, kind)
    b.node("DequantizeLinear", [y, b.scalar(0.004), zero], output.shape, dtype=FLOAT)
    b.nodes[-1].output[0] = output.name


def _transposed(node: onnx.NodeProto) -> bool:
    return any(a.name == "transB" and a.i for a in node.attribute)
