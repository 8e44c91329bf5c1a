"""Operators that are functions without a kernel of their own: they run as the operators of their body."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import ANY, Create, Op, Rule, tensor, weight
from nnmeter.fusion.rulesets.onnxruntime.sources import function_body

FLOAT32 = 1  # TensorProto.DataType


def _hard_swish() -> Rule:
    x = tensor("x")
    node = Op("HardSwish", x)
    gate = Create("HardSigmoid", x, like=node, attributes={"alpha": 0.16666667, "beta": 0.5})
    return Rule(
        "HardSwish",
        [node],
        replace=[gate, Create("Mul", x, gate, into=node, main=True)],
        why="HardSwish runs as HardSigmoid and Mul, which convolutions can fuse again.",
        source=function_body("math/defs.cc"),
    )


def _mish() -> Rule:
    x = tensor("x")
    node = Op("Mish", x)
    softplus = Create("Softplus", x, like=node)
    tanh = Create("Tanh", softplus, like=node)
    return Rule(
        "Mish",
        [node],
        replace=[softplus, tanh, Create("Mul", x, tanh, into=node, main=True)],
        why="Mish runs as Softplus, Tanh and Mul.",
        source=function_body("math/defs.cc"),
    )


def _swish() -> Rule:
    x = tensor("x")
    node = Op("Swish", x)
    alpha = Create(
        "Cast",
        weight(dtype="float32", shape=[], name="alpha"),
        dtype=x.dtype,
        shape=[],
        attributes={"to": FLOAT32},
    )
    scaled = Create("Mul", alpha, x, like=node)
    sigmoid = Create("Sigmoid", scaled, like=node)
    return Rule(
        "Swish",
        [node],
        replace=[alpha, scaled, sigmoid, Create("Mul", x, sigmoid, into=node, main=True)],
        why="Swish runs as a product with its factor, Sigmoid and Mul.",
        source=function_body("math/defs.cc"),
    )


def _cast_like() -> Rule:
    x = tensor("x")
    node = Op("CastLike", x, ANY)
    return Rule(
        "CastLike",
        [node],
        replace=Create("Cast", x, attributes={"to": node.dtype_code}, into=node),
        why="CastLike runs as Cast to the element type of its second input.",
        source=function_body("tensor/defs.cc"),
    )


def _bernoulli() -> Rule:
    x = tensor("x")
    node = Op("Bernoulli", x)
    drawn = Create("RandomUniformLike", x, dtype=x.dtype, shape=x.shape)
    less = Create("Greater", drawn, x, dtype="bool", shape=x.shape)
    return Rule(
        "Bernoulli",
        [node],
        replace=[drawn, less, Create("Cast", less, attributes={"to": node.dtype_code}, into=node, main=True)],
        why="Bernoulli runs as numbers that are drawn, compared and cast.",
        source=function_body("generator/defs.cc"),
    )


RULES = [_hard_swish(), _mish(), _swish(), _cast_like(), _bernoulli()]
