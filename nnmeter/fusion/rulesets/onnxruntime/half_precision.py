"""Functions of half precision: without a kernel of float16 an operator runs as its body, not behind casts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rule, Tensor, constant, maybe, opset, tensors, weight
from nnmeter.fusion.rulesets.onnxruntime.sources import function_body

MATH, REDUCTION = (function_body(f"{part}/defs.cc") for part in ("math", "reduction"))


def _half(x: Tensor, since: int = 0, until: int = 0) -> list[Expr]:
    """Half precision, in the opsets from `since` on, before `until`."""
    versions = ([opset() >= since] if since else []) + ([opset() < until] if until else [])
    return [x.dtype == "float16", *versions]


def _number(name: str, x: Tensor) -> Create:
    """A number of the body: a constant of single precision that is cast in every run."""
    stored = weight(dtype="float32", shape=[], name=name)
    return Create("Cast", stored, dtype=x.dtype, shape=[], attributes={"to": x.dtype_code})


def _function(
    kind: str,
    body: Callable[[Tensor, Op], list[Create]],
    since: int = 18,
    until: int = 20,
    name: str = "",
    where: Callable[[Op], Sequence[Expr]] = lambda node: (),
    source: str = MATH,
) -> Rule:
    """A function of one tensor; the last operator of its body writes the result."""
    (x,) = tensors("x")
    node = Op(kind, x, name="node")
    return Rule(
        name or f"{kind} of half precision",
        [node],
        where=[*_half(x, since, until), *where(node)],
        replace=body(x, node),
        why=f"{kind} has no kernel of half precision. The operators of its body are cast one by one, where they have "
        "none either.",
        source=source,
    )


def _last(kind: str, *inputs: Tensor, into: Op) -> Create:
    return Create(kind, *inputs, into=into, main=True)


def _relu(x: Tensor, node: Op) -> list[Create]:
    zero = _number("zero", x)
    return [zero, _last("Max", x, zero, into=node)]


def _hard_sigmoid(x: Tensor, node: Op) -> list[Create]:
    alpha, beta, one, zero = (_number(name, x) for name in ("alpha", "beta", "one", "zero"))
    scaled = Create("Mul", x, alpha, like=x)
    shifted = Create("Add", scaled, beta, like=x)
    below = Create("Min", shifted, one, like=x)
    return [alpha, beta, one, zero, scaled, shifted, below, _last("Max", below, zero, into=node)]


def _elu(x: Tensor, node: Op) -> list[Create]:
    alpha, one, zero = (_number(name, x) for name in ("alpha", "one", "zero"))
    negative = Create("Less", x, zero, dtype="bool", shape=x.shape)
    exp = Create("Exp", x, like=x)
    minus_one = Create("Sub", exp, one, like=x)
    scaled = Create("Mul", alpha, minus_one, like=x)
    return [alpha, one, zero, negative, exp, minus_one, scaled, _last("Where", negative, scaled, x, into=node)]


def _softplus(x: Tensor, node: Op) -> list[Create]:
    one = _number("one", x)
    exp = Create("Exp", x, like=x)
    plus_one = Create("Add", exp, one, like=x)
    return [one, exp, plus_one, _last("Log", plus_one, into=node)]


def _softsign(x: Tensor, node: Op) -> list[Create]:
    one = _number("one", x)
    size = Create("Abs", x, like=x)
    plus_one = Create("Add", one, size, like=x)
    return [one, size, plus_one, _last("Div", x, plus_one, into=node)]


def _gelu(x: Tensor, node: Op) -> list[Create]:
    half, one, two = (_number(name, x) for name in ("half", "one", "two"))
    halved = Create("Mul", half, x, like=x)
    root = Create("Sqrt", two, dtype=x.dtype, shape=[])
    scaled = Create("Div", x, root, like=x)
    erf = Create("Erf", scaled, like=x)
    plus_one = Create("Sum", one, erf, like=x)
    return [half, one, two, halved, root, scaled, erf, plus_one, _last("Mul", halved, plus_one, into=node)]


def _gelu_by_tanh(x: Tensor, node: Op) -> list[Create]:
    half, one, two_by_pi, three, factor = (_number(name, x) for name in ("half", "one", "two_by_pi", "three", "factor"))
    halved = Create("Mul", half, x, like=x)
    cube = Create("Pow", x, three, like=x)
    scaled_cube = Create("Mul", factor, cube, like=x)
    inner = Create("Sum", x, scaled_cube, like=x)
    root = Create("Sqrt", two_by_pi, dtype=x.dtype, shape=[])
    scaled = Create("Mul", root, inner, like=x)
    tanh = Create("Tanh", scaled, like=x)
    plus_one = Create("Sum", one, tanh, like=x)
    numbers = [half, one, two_by_pi, three, factor]
    steps = [halved, cube, scaled_cube, inner, root, scaled, tanh, plus_one]
    return [*numbers, *steps, _last("Mul", halved, plus_one, into=node)]


def _leaky_relu(x: Tensor, node: Op) -> list[Create]:
    alpha, zero = weight(dtype=x.dtype, shape=[], name="alpha"), weight(dtype=x.dtype, shape=[], name="zero")
    scaled = Create("Mul", alpha, x, like=x)
    negative = Create("Less", x, zero, dtype="bool", shape=x.shape)
    return [scaled, negative, _last("Where", negative, scaled, x, into=node)]


def _prelu() -> Rule:
    x, slope = tensors("x slope")
    node = Op("PRelu", x, slope, name="node")
    zero = _number("zero", x)
    negative = Create("Less", x, zero, dtype="bool", shape=x.shape)
    scaled = Create("Mul", slope, x, like=x)
    return Rule(
        "PRelu of half precision",
        [node],
        where=_half(x, since=16, until=20),
        replace=[zero, negative, scaled, _last("Where", negative, scaled, x, into=node)],
        why="PRelu has no kernel of half precision: it runs as a comparison, a product and a choice.",
        source=MATH,
    )


def _softmax(kind: str, axes_are_inputs: bool) -> Rule:
    """`axes_are_inputs`: from opset 18 on, ReduceMax takes its axes as an input, as ReduceSum did before."""
    (x,) = tensors("x")
    node = Op(kind, x, name="node")
    axis = node.attr("axis", -1)
    axes = constant([axis], name="axes")
    reduced = x.shape.with_one_at(axis)
    if axes_are_inputs:
        most = Create("ReduceMax", x, axes, dtype=x.dtype, shape=reduced, attributes={"keepdims": 1})
    else:
        most = Create("ReduceMax", x, dtype=x.dtype, shape=reduced, attributes={"axes": [axis], "keepdims": 1})
    difference = Create("Sub", x, most, like=x)
    exp = Create("Exp", difference, like=x)
    total = Create("ReduceSum", exp, axes, dtype=x.dtype, shape=reduced, attributes={"keepdims": 1})
    if kind == "Softmax":
        last = [_last("Div", exp, total, into=node)]
    else:
        log = Create("Log", total, dtype=x.dtype, shape=reduced)
        last = [log, _last("Sub", difference, log, into=node)]
    return Rule(
        f"{kind} of half precision" + ("" if axes_are_inputs else " before opset 18"),
        [node],
        where=[*_half(x, since=13), opset() >= 18 if axes_are_inputs else opset() < 18],
        replace=[most, difference, exp, total, *last],
        why=f"{kind} has no kernel of half precision: it runs as its maximum, difference, exponential and sum.",
        source=MATH,
    )


def _reduction(kind: str, inner: str, until: int = 0) -> Rule:
    """A sum of squares or of sizes, perhaps with a root behind it."""
    x, axes = tensors("x axes")
    node = Op(kind, x, maybe(axes), name="node")
    each = Create(inner, x, x, like=x) if inner == "Mul" else Create(inner, x, like=x)
    if kind == "ReduceL2":
        total = Create("ReduceSum", each, maybe(axes), attributes=node.attributes(), like=node, main=True)
        replace = [each, total, Create("Sqrt", total, into=node)]
    else:
        replace = [each, Create("ReduceSum", each, maybe(axes), attributes=node.attributes(), into=node, main=True)]
    return Rule(
        f"{kind} of half precision",
        [node],
        where=_half(x, since=18, until=until),
        replace=replace,
        why=f"{kind} has no kernel of half precision: it runs as {inner} and ReduceSum"
        + (" and a root." if kind == "ReduceL2" else "."),
        source=REDUCTION,
    )


RULES = [
    _softmax("Softmax", axes_are_inputs=False),
    _softmax("Softmax", axes_are_inputs=True),
    _function("Relu", _relu),
    _function("HardSigmoid", _hard_sigmoid),
    _function("Elu", _elu),
    _prelu(),
    _function("Softplus", _softplus),
    _function("Softsign", _softsign),
    _function("Gelu", _gelu, 0, 0, where=lambda node: [node.attr("approximate", "none") == "none"]),
    _function(
        "Gelu",
        _gelu_by_tanh,
        0,
        0,
        name="Gelu of half precision by Tanh",
        where=lambda node: [node.attr("approximate", "none") == "tanh"],
    ),
    _softmax("LogSoftmax", axes_are_inputs=False),
    _softmax("LogSoftmax", axes_are_inputs=True),
    _reduction("ReduceL2", "Mul", until=20),
    _reduction("ReduceSumSquare", "Mul"),
    _reduction("ReduceL1", "Abs"),
    _function("LeakyRelu", _leaky_relu, since=16),
]
