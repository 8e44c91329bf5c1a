"""Quantized models: operators between DequantizeLinear and QuantizeLinear, and ONNX's own for integers."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.mobile.sources import converter

SPECIFICATION = "TensorFlow Lite 8-bit quantization specification (ai.google.dev); not checked against a dump"
SIGNED = {"uint8": "int8", "uint16": "int16"}
JOINING = ("Relu", "Clip", "HardSwish", "LeakyRelu", "Sigmoid", "Tanh")
IN_INTEGERS = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Max", "Min", "Sum", "Neg", "Abs"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum", "ReduceMax", "ArgMax"),
    *("Relu", "Clip", "HardSwish", "HardSigmoid", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Elu", "Softmax"),
    *("LogSoftmax", "Concat", "Split", "Slice", "Gather", "Pad", "Resize", "Transpose", "Reshape", "Expand", "Tile"),
    *("DepthToSpace", "SpaceToDepth"),
)

OPERATORS_OF_INTEGERS = Procedure(
    "operators of integers",
    "quantized_operators",
    fields={"types": SIGNED},
    why="ONNX names some operators anew where they compute in integers; converters know one operator of any type.",
    source=SPECIFICATION,
)

GROUPS_IN_INTEGERS = Procedure(
    "groups in integers",
    "integer_groups",
    only_with=["QuantizeLinear"],
    fields={"operators": IN_INTEGERS, "joining": JOINING, "types": SIGNED},
    why="An operator whose operands are dequantized before it, and whose result is quantized behind it, runs as one "
    "kernel in integers; the converters of these runtimes make it of the three.",
    source=converter("quantize_patterns.td"),
)
