"""Products and sums with constants, one behind the other."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, broadcast, tensors, weight
from nnmeter.fusion.rulesets.openvino.shared import SWAPPED, named, of_the_file_or_scalar, ordered
from nnmeter.fusion.rulesets.openvino.sources import common, conversion

SOURCE = common("lin_op_sequence_fusion.cpp")


def _two(kind: str, first_swapped: bool, second_swapped: bool) -> Rule:
    x, c, d = tensors("x c d")
    first = Op(kind, *ordered(first_swapped, x, c), name="first")
    second = Op(kind, *ordered(second_swapped, first, d), name="second")
    both = weight(dtype=x.dtype, shape=broadcast(c.shape, d.shape), name="both")
    return Rule(
        named(f"two {kind} of constants", first_swapped, second_swapped),
        [second, first],
        where=[
            c.is_constant,
            d.is_constant,
            first.uses == 1,
            of_the_file_or_scalar(c),
            of_the_file_or_scalar(d),
            first.attr("offset", 0) == 0,
            second.attr("offset", 0) == 0,
        ],
        replace=Create(kind, x, both, into=second),
        why=f"Two {kind} with constants in a row are one with a constant.",
        source=SOURCE,
    )


CHAINS = Rewrite(
    "chains of linear operators",
    [
        _two(kind, first_swapped, second_swapped)
        for kind in ("Mul", "Add")
        for first_swapped in SWAPPED
        for second_swapped in SWAPPED
    ],
)


def _scaled(inner: str, swapped: bool) -> Rule:
    """(c - x) * d, (x + c) * d or (c + x) * d: a product, and a sum that is written as a product with an offset."""
    x, c, d = tensors("x c d")
    total = Op("Sub" if inner == "difference" else "Add", *ordered(inner != "sum", x, c), name="total")
    product = Op("Mul", *ordered(swapped, total, d))
    name = {
        "difference": "scaled difference from a constant",
        "sum": "scaled sum with a constant",
        "swapped sum": "scaled sum with a constant, swapped",
    }[inner]
    scaled = Create("Mul", x, weight(like=d, name="factor"), like=product)
    shift = weight(dtype=c.dtype, shape=broadcast(c.shape, d.shape), name="shift")
    return Rule(
        named(name, swapped),
        [product, total],
        where=[
            c.is_constant,
            d.is_constant,
            ~x.is_constant,
            total.uses == 1,
            of_the_file_or_scalar(c),
            of_the_file_or_scalar(d),
            x.shape == total.shape,
        ],
        replace=[scaled, Create("Mul", scaled, shift, attributes={"offset": 1}, into=product, main=True)],
        why="A sum with a constant that is scaled by another is scaled first and shifted then, so that chains of "
        "linear operators end in one product and one sum.",
        source=SOURCE,
    )


SCALED_SUMS = Rewrite(
    "scaled sums with constants",
    [_scaled(inner, swapped) for swapped in SWAPPED for inner in ("difference", "sum", "swapped sum")],
)


def _difference() -> Rule:
    a, b = tensors("a b")
    node = Op("Sub", a, b)
    negated = Create("Mul", b, weight(dtype=b.dtype, shape=[], name="minus_one"), like=b)
    return Rule(
        "difference of computed tensors",
        [node],
        where=[~b.is_constant, node.attr("negated", 0) == 0],
        replace=[negated, Create("Sub", a, negated, attributes=node.attributes(negated=1), into=node, main=True)],
        why="A difference is a sum with the product of its second tensor and -1.",
        source=conversion("convert_subtract.cpp"),
    )


def _quotient() -> Rule:
    a, b = tensors("a b")
    node = Op("Div", a, b)
    inverted = Create("Pow", b, weight(dtype=b.dtype, shape=[], name="minus_one"), like=b)
    return Rule(
        "quotient of computed tensors",
        [node],
        where=[~b.is_constant, b.dtype.one_of("float32"), node.attr("inverted", 0) == 0],
        replace=[inverted, Create("Div", a, inverted, attributes=node.attributes(inverted=1), into=node, main=True)],
        why="A quotient of floats is a product with its second tensor to the power of -1.",
        source=conversion("convert_divide.cpp"),
    )


DIFFERENCES = Rewrite("differences", [_difference(), _quotient()])
