"""Element types that the plugin computes in."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Procedure, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.openvino.sources import plugin, shared

BOOL, UINT8 = 9, 2  # TensorProto.DataType


def _number_to_truth() -> Rule:
    (x,) = tensors("x")
    cast = Op("Cast", x)
    size = Create("Abs", x, like=x)
    bounded = Create("Clip", size, like=x)
    return Rule(
        "number to truth",
        [cast],
        where=[cast.attr("to", 0) == BOOL, x.dtype.one_of("int32", "int64")],
        replace=[size, bounded, Create("Cast", bounded, attributes={"to": UINT8}, into=cast, main=True)],
        why="Truth is a byte: an integer is made one by its size, at most 1.",
        source=plugin("transformations/transformation_pipeline.cpp"),
    )


NUMBERS_TO_TRUTHS = Rewrite("numbers to truths", [_number_to_truth()])

COMPUTED_IN = {
    "int64": "int32",
    "bool": "uint8",
    "float64": "float32",
    "float16": "float32",
    "bfloat16": "float32",
    "uint64": "int32",
    "uint32": "int32",
    "int16": "int32",
    "uint16": "int32",
}

INTEGERS_AND_TRUTHS = Procedure(
    "integers and truths",
    "retype",
    fields={
        "types": COMPUTED_IN,
        "cast": "Cast",
        "given": ("int64", "float64", "float16", "bfloat16", "uint64", "uint32", "int16", "uint16"),
    },
    why="The plugin computes in single precision, 32-bit integers and bytes; what the caller gives and gets in other "
    "types is converted in every run.",
    source=shared("convert_precision.cpp"),
)
