"""Groups of DequantizeLinear, operator and QuantizeLinear become one operator of integers."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

UNSIGNED = ("uint8",)
WEIGHTS = ("uint8", "int8")

UNSIGNED_ACTIVATIONS = Procedure(
    "unsigned activations",
    "unsigned_activations",
    fields={
        "unless": "signed_activations",
        "quantize": ("QuantizeLinear",),
        "dequantize": ("DequantizeLinear",),
        "from": "int8",
        "to": "uint8",
    },
    why="Activations of int8 become uint8, which the products of x86 need; where the processor multiplies int8 by "
    "int8, they stay.",
    source=optimizer("qdq_transformer/qdq_s8_to_u8.cc"),
)


def _product(
    kind: str, becomes: str, inputs: list[str], *, bias: str = "", result: str = "quantized"
) -> dict[str, Any]:
    """A product by weights; its `bias` is "quantized", "float" (it is made an integer), or absent."""
    types: dict[str, Any] = {"0": UNSIGNED, "1": WEIGHTS}
    if bias == "quantized":
        types["2"] = ("int32",)
    if result == "quantized":
        types["y"] = UNSIGNED
    group: dict[str, Any] = {"op": (kind,), "quantized": (0, 1, 2) if bias == "quantized" else (0, 1)}
    if bias == "float":
        group["float"] = (2,)
    return group | {"result": result, "types": types, "becomes": becomes, "inputs": inputs}


def _alike(
    kind: str, inputs: list[str], *, becomes: str = "", quantized: Any = "all", alike: Any = "all"
) -> dict[str, Any]:
    """An operator whose quantized inputs and result have one type."""
    first = "1" if kind == "Where" else "0"
    return {
        "op": (kind,),
        "quantized": quantized,
        "result": "quantized",
        "types": {first: UNSIGNED},
        "alike": alike,
        "becomes": becomes or f"com.microsoft.QLinear{kind}",
        "inputs": inputs,
    }


def _one_input(kind: str) -> dict[str, Any]:
    return _alike(kind, ["0*", "y+"], quantized=(0,), alike=(0, "y"))


def _moves(*kinds: str, **more: Any) -> dict[str, Any]:
    """An operator that only moves integers."""
    return {"op": kinds, "quantized": (0,), "result": "same", "alike": (0, "y"), **more}


# The scale of an integer bias is the product of the scales of data and weights.
BIAS_SCALE = {"2": (0, 1), "relative": 0.01, "absolute": 1e-06}

GROUPS = [
    _product("Conv", "QLinearConv", ["0*", "1*", "y+", "2"], bias="quantized") | {"products": BIAS_SCALE},
    _product("Conv", "QLinearConv", ["0*", "1*", "y+", "2!int32"], bias="float"),
    {"op": ("ArgMax", "ArgMin"), "quantized": (0,), "result": "float", "types": {"0": UNSIGNED}, "inputs": ["0"]},
    _product("MatMul", "QLinearMatMul", ["0*", "1*", "y+"]),
    _product("MatMul", "com.microsoft.MatMulIntegerToFloat", ["0", "1", "0s", "1s", "0z", "1z"], result="float"),
    _product("Gemm", "com.microsoft.QGemm", ["0*", "1*", "2", "y+"], bias="quantized"),
    _product("Gemm", "com.microsoft.QGemm", ["0*", "1*", "2!int32", "y+"], bias="float"),
    _product("Gemm", "com.microsoft.QGemm", ["0*", "1*", "2"], bias="quantized", result="float"),
    _alike("Add", ["each*", "y+"]),
    _alike("Mul", ["each*", "y+"]),
    _alike("Concat", ["y+", "each*"]),
    _alike("Where", ["0", "1*", "2*", "y+"], quantized=(1, 2), alike=(1, 2, "y")),
    *map(_one_input, ("AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Softmax")),
    _moves("Split"),
    _moves("MaxPool", types={"0": WEIGHTS}),
    _moves("Gather", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Expand", "Tile"),
    _moves("Resize", attributes={"mode": ("nearest", None)}),
]

QUANTIZED_OPERATORS = Procedure(
    "quantized operators",
    "quantized_groups",
    fields={"dequantize": ("DequantizeLinear",), "quantize": ("QuantizeLinear",), "groups": GROUPS},
    why="An operator between DequantizeLinear and QuantizeLinear becomes one operator of integers, if there is one for "
    "its types.",
    source=optimizer("qdq_transformer/selectors_actions/qdq_selector_action_transformer.cc"),
)
