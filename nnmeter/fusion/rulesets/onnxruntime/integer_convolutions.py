"""Convolutions of integers work with channels last."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Procedure, Rewrite, Rule, concat, indices, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer


def _channels_last() -> Rule:
    x, x_scale, x_zero, w, w_scale, w_zero = tensors("x x_scale x_zero w w_scale w_zero")
    y_scale, y_zero, b = tensors("y_scale y_zero b")
    conv = Op("QLinearConv", x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, maybe(b), name="conv")
    to_last = concat([0], indices(x.rank)[2 : x.rank], [1])
    there = Create("Transpose", x, dtype=x.dtype, shape=x.shape.permuted(to_last), attributes={"perm": to_last})
    inner = Create(
        "com.microsoft.QLinearConv",
        there,
        *(x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero),
        maybe(b),
        dtype=conv.dtype,
        shape=conv.shape.permuted(to_last),
        attributes=conv.attributes(channels_last=1),
        main=True,
    )
    return Rule(
        "QLinearConv with channels last",
        [conv],
        replace=[there, inner, Create("Transpose", inner, attributes={"perm": to_last.inverse}, into=conv)],
        why="A convolution of integers works with channels last, between two transposes that later ones cancel.",
        source=optimizer("nhwc_transformer.cc"),
    )


CHANNELS_LAST = Rewrite("integer convolutions with channels last", [_channels_last()])

ONE_TRANSPOSE_A_TENSOR = Procedure(
    "one transpose for all integer convolutions of a tensor",
    "deduplicate",
    only_with=["com.microsoft.QLinearConv"],
    fields={"only": ("Transpose",)},
    why="Convolutions of integers that read one tensor share the transpose to channels last.",
    source=optimizer("nhwc_transformer.cc"),
)
