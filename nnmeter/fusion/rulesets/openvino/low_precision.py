"""Quantized models: what reads integers, and weights of few bits."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Procedure, Rewrite, Rule, maybe, tensors, weight
from nnmeter.fusion.rulesets.openvino import activations
from nnmeter.fusion.rulesets.openvino.shared import RETYPE, ZERO_POINT
from nnmeter.fusion.rulesets.openvino.sources import VERSION, frontend, plugin
from nnmeter.fusion.rulesets.shared import VIEWS

SOURCE = f"src/common/low_precision_transformations/src; graphs of OpenVINO {VERSION}"

OPERATORS_OF_INTEGERS = Procedure(
    "operators of integers",
    "integer_operators",
    fields={},
    why="Operators that ONNX has for integers alone are read as those of numbers between dequantized operands and a "
    "quantized result.",
    source=frontend("qlinear_conv.cpp"),
)

MOVING = (*VIEWS, "MaxPool", "Transpose", "Split", "Slice", "DepthToSpace", "SpaceToDepth", "Gather")
JOINS = ("Concat",)

UNSIGNED_DATA = Procedure(
    "unsigned data of convolutions",
    "unsigned_data",
    only_with=["QuantizeLinear"],
    fields={"products": ("Conv",), "moving": MOVING, "joins": JOINS, "unless": "signed_data_of_convolutions"},
    why="Without AMX, convolutions multiply unsigned data by signed weights: what is quantized for them becomes uint8; "
    "other products read int8 too.",
    source=plugin("transformations/transformation_pipeline.cpp"),
)

INTEGERS = Procedure(
    "low precision",
    "low_precision",
    only_with=["QuantizeLinear"],
    fields={
        "products": ("Conv", "Gemm", "MatMul"),
        "moving": MOVING,
        "joins": JOINS,
        "averages": ("ReduceMean", "GlobalAveragePool", "AveragePool", "Resize"),
        "normalizations": ("LayerNormalization",),
        "sums": ("Add",),
        "activations": ("Relu",),
        "views": VIEWS,
        "transpose": "Transpose",
        "retype": RETYPE,
        "scale": "Mul",
        "difference": "Sub",
        "zero_point": ZERO_POINT,
        "apart": "apart",
    },
    why="Products of dequantized data and weights multiply the integers; scales move behind them and behind what only "
    "moves data, and become part of the next quantization.",
    source=SOURCE,
)

ACTIVATIONS = Rewrite("activations of quantized models", activations.ACTIVATIONS.rules, only_with=["QuantizeLinear"])


def _average(with_zero_point: bool) -> Rule:
    (x,) = tensors("x")
    shifted = Op(ZERO_POINT, x, name="shifted")
    dequantize = Op("DequantizeLinear", shifted if with_zero_point else x, shared=True, name="dequantize")
    mean = Op("ReduceMean", dequantize, ..., name="mean")
    return Rule(
        "average of integers" + (" with a zero point" if with_zero_point else ""),
        [mean, dequantize, *([shifted] if with_zero_point else [])],
        where=[x.dtype.one_of("int8", "uint8")],
        replace=Create("ReduceMean", x, attributes=mean.attributes(fused="DequantizeLinear"), into=mean),
        why="An average reads integers, and dequantizes what it writes.",
        source=SOURCE,
    )


AVERAGES = Rewrite("averages of integers", [_average(False), _average(True)])


def _few_bits(bits: int) -> Rule:
    x, w, s, z, g = tensors("x w s z g")
    product = Op("com.microsoft.MatMulNBits", x, w, s, maybe(z), maybe(g), name="product")
    packed = weight(dtype=f"uint{bits}", shape=[product.attr("N", 0), product.attr("K", 0)], name="packed")
    return Rule(
        f"product with weights of {bits} bits",
        [product],
        where=[product.attr("bits", 4) == bits, w.is_constant],
        replace=Create("Gemm", x, packed, attributes={"transB": 1}, into=product),
        why="A product with weights in blocks is a fully connected layer that unpacks them; it computes in single "
        "precision.",
        source=frontend("com.microsoft/matmulnbits.cpp"),
    )


def _table() -> Rule:
    table, index = tensors("table index")
    node = Op("com.microsoft.GatherBlockQuantized", table, index, ..., name="node")
    return Rule(
        "table in blocks",
        [node],
        where=[table.is_constant],
        replace=Create("Gather", table, index, attributes={"axis": node.attr("gather_axis", 0)}, into=node),
        why="Rows of a table in blocks are unpacked as they are looked up.",
        source=frontend("com.microsoft/gather_block_quantized.cpp"),
    )


WEIGHTS_OF_FEW_BITS = Rewrite("weights of few bits", [_few_bits(4), _few_bits(8), _table()])
