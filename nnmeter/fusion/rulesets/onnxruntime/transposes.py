"""Which operators transposes are pushed through, in each of the runs of the transpose optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

ELEMENT_WISE = (
    *("Cast", "Exp", "Gelu", "Identity", "LeakyRelu", "Log", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Tanh", "Abs"),
    *("Not", "Ceil", "Floor", "Neg", "Erf", "HardSigmoid", "Round", "IsInf", "IsNaN", "Selu", "Shrink", "Sign"),
    *("Softplus", "Softsign", "ThresholdedRelu", "Celu", "HardSwish", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Asin"),
    *("Acos", "Atan", "Asinh", "Acosh", "Atanh"),
)
BROADCASTING = (
    *("Add", "Max", "Min", "Mul", "Sub", "Div", "And", "Or", "Xor", "Mod", "PRelu", "BitShift", "Equal", "Greater"),
    *("Less", "GreaterOrEqual", "LessOrEqual", "Mean", "Sum", "Pow", "Where"),
)
REDUCTIONS = (
    *("ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"),
    *("ReduceSumSquare", "ReduceL1", "ReduceL2"),
)

HANDLERS: dict[str, Sequence[str]] = {
    "simple": ELEMENT_WISE,
    "first": ("Clip", "CastLike"),
    "broadcast": BROADCASTING,
    "concat": ("Concat",),
    "split": ("Split",),
    "softmax": ("Softmax", "Hardmax", "LogSoftmax"),
    "reduce": REDUCTIONS,
    "arg": ("ArgMin", "ArgMax"),
    "squeeze": ("Squeeze",),
    "unsqueeze": ("Unsqueeze",),
    "slice": ("Slice",),
    "pad": ("Pad",),
    "tile": ("Tile",),
    "gather": ("Gather",),
    "reshape": ("Reshape",),
    "quantize": ("QuantizeLinear", "DequantizeLinear"),
    "shape": ("Shape",),
}

# What takes part only once convolutions of integers work with channels last.
OF_INTEGERS: dict[str, Sequence[str]] = {
    "first": (*HANDLERS["first"], "com.microsoft.QLinearLeakyRelu", "com.microsoft.QLinearSigmoid"),
    "softmax": (*HANDLERS["softmax"], "com.microsoft.QLinearSoftmax"),
    "reduce": (*REDUCTIONS, "com.microsoft.QLinearReduceMean"),
    "quantized_pair": ("com.microsoft.QLinearAdd", "com.microsoft.QLinearMul"),
    "quantized_concat": ("com.microsoft.QLinearConcat",),
    "quantized_pool": ("com.microsoft.QLinearAveragePool", "com.microsoft.QLinearGlobalAveragePool"),
    "integer_pool": ("MaxPool",),
}


def _pass(
    name: str,
    handlers: Mapping[str, Sequence[str]],
    why: str,
    source: str = optimizer("transpose_optimization/onnx_transpose_optimization.cc"),
    only_with: Sequence[str] = (),
    **fields: Mapping[str, str],
) -> Procedure:
    return Procedure(
        name,
        "push_transposes",
        only_with=only_with,
        fields={"transposes": ("Transpose",), "handlers": {**HANDLERS, **handlers}, **fields},
        why=why,
        source=source,
    )


TRANSPOSES = _pass(
    "transposes",
    {"never": ("MaxPool", "Resize")},
    "Transposes are pushed through operators where that lets some of them cancel. MaxPool and Resize stop them.",
)
TRANSPOSES_PAST_RESIZE = _pass(
    "transposes past Resize",
    {"never": ("MaxPool",), "resize": ("Resize",)},
    "Once operators are assigned to the CPU, transposes are pushed through Resize, too.",
    optimizer("transpose_optimization/ort_transpose_optimization.cc"),
    only_with=["Resize"],
)
TRANSPOSES_OF_INTEGER_OPERATORS = _pass(
    "transposes of integer operators",
    {"never": (), **OF_INTEGERS, "resize": ("Resize",)},
    "The transposes around convolutions of integers with channels last are pushed through the integer operators "
    "between them, so that most cancel.",
    optimizer("nhwc_transformer.cc"),
    only_with=["com.microsoft.QLinearConv"],
    channels_last={"MaxPool": "com.microsoft.NhwcMaxPool"},
)
