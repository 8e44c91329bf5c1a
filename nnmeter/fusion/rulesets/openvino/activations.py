"""Activations that exporters write in single operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rewrite, Rule, Tensor, maybe, tensor, tensors
from nnmeter.fusion.rulesets.openvino.shared import number
from nnmeter.fusion.rulesets.openvino.sources import common, frontend, plugin
from nnmeter.fusion.rulesets.shared_rules import swish


def _mul(*inputs: Tensor) -> Op:
    return Op("Mul", *inputs, commutative=True)


def _clipped_sum(form: str, kind: str, behind: Callable[[Tensor, Op, Tensor], list[Op]], factor: float) -> Rule:
    """The operators that `behind` puts behind clip(x + 3, 0, 6), the last one first, with a constant of 6 or 1/6."""
    x, three, lo, hi, six = tensors("x three lo hi six")
    add = Op("Add", x, three, commutative=True)
    clip = Op("Clip", add, maybe(lo), maybe(hi))
    operators = behind(x, clip, six)
    return Rule(
        form,
        [*operators, clip, add],
        where=[number(six, factor), number(three, 3)],
        replace=Create(kind, x, into=operators[0]),
        why=f"clip(x + 3, 0, 6) / 6{' times x' if kind == 'HardSwish' else ''} is {kind}.",
        source=common("hswish_fusion.cpp" if kind == "HardSwish" else "hsigmoid_fusion.cpp"),
    )


def _quotient_of_product(x: Tensor, clip: Op, six: Tensor) -> list[Op]:
    product = _mul(x, clip)
    return [Op("Div", product, six), product]


def _product_with_quotient(x: Tensor, clip: Op, six: Tensor) -> list[Op]:
    quotient = Op("Div", clip, six)
    return [_mul(x, quotient), quotient]


def _scaled_product(x: Tensor, clip: Op, sixth: Tensor) -> list[Op]:
    product = _mul(x, clip)
    return [_mul(product, sixth), product]


def _quotient(_: Tensor, clip: Op, six: Tensor) -> list[Op]:
    return [Op("Div", clip, six)]


def _scaled(_: Tensor, clip: Op, sixth: Tensor) -> list[Op]:
    return [_mul(clip, sixth)]


def _mish() -> Rule:
    x = tensor("x")
    softplus = Op("Softplus", x)
    tanh = Op("Tanh", softplus)
    product = _mul(x, tanh)
    return Rule(
        "Mish",
        [product, tanh, softplus],
        replace=Create("Mish", x, into=product),
        why="x * tanh(softplus(x)) is Mish.",
        source=common("softplus_to_mish_fusion.cpp"),
    )


def _halved(x: Tensor, plus_one: Op, half: Tensor, half_of: str) -> tuple[Op, list[Op]]:
    """The last operator of x * 0.5 * plus_one, and all of them; the half is taken of a factor or of the product."""
    if half_of == "sum":
        halved = _mul(plus_one, half)
        last = _mul(x, halved)
    elif half_of == "product":
        halved = _mul(x, plus_one)
        last = _mul(halved, half)
    else:
        halved = _mul(x, half)
        last = _mul(halved, plus_one)
    return last, [last, halved]


def _gelu(name: str, x: Tensor, half_of: str, inner: Op, match: Sequence[Op], numbers: Sequence[Expr]) -> Rule:
    """Gelu in single operators: x * 0.5 * (1 + inner)."""
    one, half = tensors("one half")
    plus_one = Op("Add", inner, one, commutative=True, name="plus_one")
    last, outer = _halved(x, plus_one, half, half_of)
    return Rule(
        name,
        [*outer, plus_one, *match],
        where=[number(half, 0.5), number(one, 1), *numbers],
        replace=Create("Gelu", x, into=last),
        why="Gelu in single operators becomes one, wherever its half is multiplied.",
        source=common("gelu_fusion.cpp"),
    )


def _gelu_by_erf(quotient: bool, half_of: str) -> Rule:
    """`quotient`: x is divided by the root of two, not multiplied by that of a half."""
    x, root = tensors("x root")
    scaled = Op("Div", x, root, name="scaled") if quotient else Op("Mul", x, root, commutative=True, name="scaled")
    erf = Op("Erf", scaled)
    where = {"sum": "half of the sum", "product": "half at the end", "input": "half of the input"}[half_of]
    return _gelu(
        f"Gelu ({'quotient' if quotient else 'product'}, {where})",
        x,
        half_of,
        erf,
        [erf, scaled],
        [number(root, 2**0.5 if quotient else 0.5**0.5)],
    )


def _gelu_by_tanh(half_of: str) -> Rule:
    x, three, cube_factor, root = tensors("x three cube_factor root")
    cube = Op("Pow", x, three, name="cube")
    scaled_cube = Op("Mul", cube, cube_factor, commutative=True, name="scaled_cube")
    inner = Op("Add", x, scaled_cube, commutative=True, name="inner")
    argument = Op("Mul", inner, root, commutative=True, name="argument")
    tanh = Op("Tanh", argument)
    return _gelu(
        f"Gelu by Tanh (half of the {half_of})",
        x,
        half_of,
        tanh,
        [tanh, argument, inner, scaled_cube, cube],
        [number(root, 0.79788456), number(cube_factor, 0.044715), number(three, 3)],
    )


def _of_extension(kinds: tuple[str, ...], becomes: str) -> Rule:
    x = tensor("x")
    node = Op(kinds, x)
    return Rule(
        f"{becomes} of an extension",
        [node],
        replace=Create(becomes, x, into=node),
        why=f"{becomes} as ONNX Runtime's operators write it is the plugin's own.",
        source=frontend("com.microsoft/*.cpp"),
    )


ACTIVATIONS = Rewrite(
    "activations",
    [
        swish("The product of a tensor and its sigmoid is Swish.", common("swish_fusion.cpp"), alone=True),
        _clipped_sum("HardSwish of Clip", "HardSwish", _quotient_of_product, 6),
        _clipped_sum("HardSwish of Clip, quotient first", "HardSwish", _product_with_quotient, 6),
        _clipped_sum("HardSwish of Clip, product last", "HardSwish", _scaled_product, 1 / 6),
        _clipped_sum("HardSigmoid of Clip", "HardSigmoid", _quotient, 6),
        _clipped_sum("HardSigmoid of Clip and a product", "HardSigmoid", _scaled, 1 / 6),
        _mish(),
        *(_gelu_by_erf(quotient, half_of) for quotient in (True, False) for half_of in ("sum", "product", "input")),
        _gelu_by_tanh("input"),
        _gelu_by_tanh("sum"),
        _of_extension(("com.microsoft.Gelu", "com.microsoft.FastGelu"), "Gelu"),
        _of_extension(("com.microsoft.QuickGelu",), "Swish"),
    ],
)


def _hard_sigmoid_of_the_operator_set() -> Rule:
    x = tensor("x")
    node = Op("HardSigmoid", x)
    return Rule(
        "HardSigmoid of the operator set",
        [node],
        replace=Create("RefHardSigmoid", x, attributes=node.attributes(), into=node),
        why="HardSigmoid with factors of its own has no compiled form and runs as the reference does; only the one "
        "that is found in single operators is compiled.",
        source=plugin("nodes/reference.cpp"),
    )


HARD_SIGMOID = Rewrite("HardSigmoid", [_hard_sigmoid_of_the_operator_set()])
