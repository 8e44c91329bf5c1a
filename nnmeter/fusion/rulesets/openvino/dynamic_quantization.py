"""Dynamic quantization: scales that every run computes, and products of integers, which run in single precision."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.rulesets.builder import Create, Op, Procedure, Rewrite, Rule, constant, maybe, tensors, weight
from nnmeter.fusion.rulesets.openvino.shared import RETYPE
from nnmeter.fusion.rulesets.openvino.sources import VERSION, common, frontend

UINT8, INT32 = 2, 6  # TensorProto.DataType
LEVELS = 255


def _scales_of_the_run() -> Rule:
    x, q, s, z = tensors("x q s z")
    node = Op("DynamicQuantizeLinear", x, outputs=[q, s, z])
    number: dict[str, Any] = {"dtype": "float32", "shape": []}
    zero = constant(0.0, dtype="float32", name="zero")
    lowest, highest = constant(0.0, dtype="float32", name="lowest"), constant(255.0, dtype="float32", name="highest")
    scaled = Create("Mul", x, weight(**number, name="levels"), like=x, name="scaled")
    largest = Create("ReduceMax", x, **number, attributes={"keepdims": 0}, name="largest")
    top = Create("Max", largest, zero, **number, name="top")
    smallest = Create("ReduceMin", x, **number, attributes={"keepdims": 0}, name="smallest")
    bottom = Create("Min", smallest, zero, **number, name="bottom")
    span = Create("Sub", top, bottom, **number, name="span")
    quotient = Create("Div", scaled, span, like=x, name="quotient")
    rounded = Create("Round", quotient, like=x, name="rounded")
    scale = Create("Mul", span, weight(**number, name="step"), into=s)
    offset = Create("Mul", bottom, weight(**number, name="minus_one"), **number, name="offset")
    steps = Create("Div", offset, scale.output, **number, name="steps")
    whole = Create("Round", steps, **number, name="whole")
    bounded = Create("Clip", whole, lowest, highest, **number, name="bounded")
    point = Create("Cast", bounded, attributes={"to": UINT8}, into=z)
    added = Create("Cast", point.output, attributes={"to": 1}, **number, name="added")
    shifted = Create("Add", rounded, added, like=x, name="shifted")
    clipped = Create("Clip", shifted, lowest, highest, like=x, name="clipped")
    quantized = Create("Cast", clipped, attributes={"to": UINT8}, into=q, main=True)
    return Rule(
        "scale of the run",
        [node],
        replace=[
            *(scaled, largest, top, smallest, bottom, span, quotient, rounded, scale, offset, steps, whole, bounded),
            *(point, added, shifted, clipped, quantized),
        ],
        why="DynamicQuantizeLinear is taken apart: the largest and the smallest number, and a loop that makes scale, "
        f"zero point and integers of them, of {LEVELS} steps.",
        source=frontend("dynamic_quantize_linear.cpp"),
    )


def _product(kind: str, becomes: str, shifted: bool) -> Rule:
    """`shifted`: the data have a zero point, which is computed or is not zero."""
    a, w, z, p = tensors("a w z p")
    node = Op(kind, a, w, z if shifted else maybe(z), maybe(p), name="product")
    integers: dict[str, Any] = {"dtype": "int32", "shape": a.shape}
    data = Create("Cast", a, attributes={"to": INT32}, **integers, name="data")
    made = [data]
    if shifted:
        point = Create("Cast", z, attributes={"to": INT32}, dtype="int32", shape=z.shape, name="point")
        made += [point, Create("Sub", data, point, **integers, name="difference")]
    numbers = Create(RETYPE, made[-1], dtype="float32", shape=a.shape, name="numbers")
    weights = weight(dtype="float32", shape=w.shape, name="weights")
    product = Create(becomes, numbers, weights, attributes=node.attributes(), dtype="float32", shape=node.shape)
    return Rule(
        f"{kind}{' with a zero point' if shifted else ''}",
        [node],
        where=[w.is_constant, *([~z.is_filled_with(0)] if shifted else [])],
        replace=[*made, numbers, product, Create(RETYPE, product, into=node, main=True)],
        why="A product of integers subtracts the zero point in 32 bits and multiplies in single precision, for the "
        "plugin has no code for 32-bit factors; what it makes is read as integers again.",
        source=frontend(f"{'conv' if becomes == 'Conv' else 'matmul'}_integer.cpp"),
    )


INTEGER_PRODUCTS = Rewrite(
    "dynamic quantization",
    [
        _scales_of_the_run(),
        *(
            _product(kind, becomes, shifted)
            for kind, becomes in (("MatMulInteger", "MatMul"), ("ConvInteger", "Conv"))
            for shifted in (True, False)
        ),
    ],
)

SHARED_DATA = Procedure(
    "data of several integer products",
    "deduplicate",
    only_with=[RETYPE],
    fields={"only": ("Cast", "Sub", "Mul", RETYPE)},
    why="What several products compute of the same data, they compute once.",
    source=common("shared_ops_optimization.cpp"),
)

SCALARS = Procedure(
    "scalars",
    "scalars",
    fields={},
    why="A computed tensor without dimensions has one of size 1 in the plugin.",
    source=f"graphs of OpenVINO {VERSION}",
)
