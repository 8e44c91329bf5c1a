"""Normalizations: into convolutions, as operators of the plugin, or as products and sums."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import (
    Create,
    Expr,
    Op,
    Rewrite,
    Rule,
    Tensor,
    all_of,
    concat,
    maybe,
    repeat,
    tensors,
    weight,
)
from nnmeter.fusion.rulesets.builder.patterns import Wanted
from nnmeter.fusion.rulesets.builder.rules import Made
from nnmeter.fusion.rulesets.openvino.shared import CONVOLUTIONS
from nnmeter.fusion.rulesets.openvino.sources import common, conversion, frontend
from nnmeter.fusion.rulesets.shared import absent_or


def _only_scales(offset: Tensor, mean: Tensor) -> Expr:
    return all_of(offset.is_filled_with(0), mean.is_filled_with(0))


def _into_conv(form: str) -> Rule:
    """`form`: whether the convolution has a "bias", has none, or the normalization "only scales"."""
    x, w, b, scale, offset, mean, variance = tensors("x w b scale offset mean variance")
    biases: dict[str, list[Wanted]] = {"bias": [b], "none": [maybe(b)], "only scales": []}
    conv = Op(CONVOLUTIONS, x, w, *biases[form])
    normalization = Op("BatchNormalization", conv, scale, offset, mean, variance, name="normalization")
    new_bias = [] if form == "only scales" else [weight(dtype=w.dtype, shape=[normalization.dim(1)], name="bias")]
    conditions = {
        "bias": [],
        "none": [~_only_scales(offset, mean)],
        "only scales": [_only_scales(offset, mean)],
    }[form]
    return Rule(
        {
            "bias": "BatchNormalization into Conv with a bias",
            "none": "BatchNormalization into Conv",
            "only scales": "BatchNormalization that only scales into Conv",
        }[form],
        [normalization, conv],
        where=[w.is_constant, conv.uses == 1, *conditions],
        replace=Create(conv.kind, x, w, *new_bias, attributes=conv.attributes(), into=normalization),
        why="A normalization with fixed statistics is a factor and an offset a channel: both go into weights and bias "
        "of a convolution that nobody else reads.",
        source=conversion("batch_norm_decomposition.cpp"),
    )


BATCH_NORMALIZATION = Rewrite("BatchNormalization", [_into_conv(form) for form in ("none", "only scales", "bias")])


def _of_channels(x: Tensor, name: str) -> Made:
    """A constant of one number a channel, with a dimension of 1 for each one behind."""
    return weight(dtype=x.dtype, shape=concat([x.dim(1)], repeat(1, x.rank - 2)), name=name)


def _batch_alone(only_scales: bool) -> Rule:
    x, scale, offset, mean, variance = tensors("x scale offset mean variance")
    node = Op("BatchNormalization", x, scale, offset, mean, variance, name="normalization")
    factor = _of_channels(x, "factor")
    if only_scales:
        replace = [Create("Mul", x, factor, into=node)]
    else:
        scaled = Create("Mul", x, factor, like=node)
        replace = [scaled, Create("Add", scaled, _of_channels(x, "shift"), into=node, main=True)]
    return Rule(
        "BatchNormalization" + (" that only scales" if only_scales else ""),
        [node],
        where=[x.rank > 1, *([_only_scales(offset, mean)] if only_scales else [])],
        replace=replace,
        why="A normalization with fixed statistics that is in no convolution runs as a product and a sum with "
        "constants.",
        source=conversion("batch_norm_decomposition.cpp"),
    )


def _instance(with_scale: bool) -> Rule:
    x, g, b = tensors("x g b")
    node = Op("InstanceNormalization", x, g, b, name="normalization")
    spatial = {"axis": 2}
    if with_scale:
        normalized = Create("MVN", x, like=node, attributes=spatial)
        scaled = Create("Mul", normalized, _of_channels(x, "factor"), like=node)
        replace = [normalized, scaled, Create("Add", scaled, _of_channels(x, "shift"), into=node, main=True)]
    else:
        replace = [Create("MVN", x, attributes=spatial, into=node)]
    return Rule(
        "InstanceNormalization" + ("" if with_scale else " without a scale"),
        [node],
        where=[~g.is_filled_with(1)] if with_scale else [g.is_filled_with(1), b.is_filled_with(0)],
        replace=replace,
        why="InstanceNormalization is the plugin's MVN of each map, with a product and a sum behind it.",
        source=frontend("instance_norm.cpp"),
    )


WITHOUT_CONVOLUTIONS = Rewrite(
    "normalizations without convolutions",
    [
        _batch_alone(only_scales=True),
        _batch_alone(only_scales=False),
        _instance(with_scale=True),
        _instance(with_scale=False),
    ],
)


def _layer(with_scale: bool, with_offset: bool) -> Rule:
    x, g, b = tensors("x g b")
    node = Op("LayerNormalization", x, maybe(g), maybe(b), name="normalization")
    axis = {"axis": node.attr("axis", -1)}
    into = None if with_scale or with_offset else node
    replace = [Create("MVN", x, attributes=axis, like=None if into else node, into=into)]
    if with_scale:
        into = None if with_offset else node
        replace.append(Create("Mul", replace[-1], g, like=None if into else node, into=into, main=not with_offset))
    if with_offset:
        replace.append(Create("Add", replace[-1], b, into=node, main=True))
    names = {
        (False, False): "alone",
        (True, False): "with a scale",
        (False, True): "with an offset",
        (True, True): "with both",
    }
    return Rule(
        f"LayerNormalization {names[with_scale, with_offset]}",
        [node],
        where=[
            all_of(g.is_present, ~g.is_filled_with(1)) if with_scale else absent_or(g, g.is_filled_with(1)),
            all_of(b.is_present, ~b.is_filled_with(0)) if with_offset else absent_or(b, b.is_filled_with(0)),
        ],
        replace=replace,
        why="LayerNormalization is the plugin's MVN, with a product and a sum behind it where they do something.",
        source=frontend("layer_normalization.cpp"),
    )


def _mean_of_last_axis(mean: Op, x: Tensor, eps: Tensor) -> list[Expr]:
    return [eps.is_known, eps.elements == 1, mean.dim(-1) == 1, mean.rank == x.rank]


def _square(data: Tensor, two: Tensor, by_power: bool) -> Op:
    return Op("Pow", data, two, name="square") if by_power else Op("Mul", data, data, name="square")


def _decomposed(by_power: bool) -> Rule:
    x, two, eps = tensors("x two eps")
    mean = Op("ReduceMean", x, ..., name="mean")
    difference = Op("Sub", x, mean, name="difference")
    square = _square(difference, two, by_power)
    variance = Op("ReduceMean", square, ..., name="variance")
    plus_eps = Op("Add", variance, eps, commutative=True, name="plus_eps")
    root = Op("Sqrt", plus_eps, name="root")
    normalized = Op("Div", difference, root, name="normalized")
    return Rule(
        "decomposed normalization" + ("" if by_power else " (product)"),
        [normalized, root, plus_eps, variance, square, difference, mean],
        where=[*_mean_of_last_axis(mean, x, eps), *([number_two(two)] if by_power else [])],
        replace=Create("MVN", x, attributes={"axis": -1}, into=normalized),
        why="(x - mean) / sqrt(variance + eps) in single operators becomes MVN.",
        source=common("mvn_fusion.cpp"),
    )


def number_two(two: Tensor) -> Expr:
    """The power that squares."""
    return two.scalar.near(2)


LAYER_NORMALIZATION = Rewrite(
    "LayerNormalization",
    [
        _layer(with_scale=False, with_offset=False),
        _layer(with_scale=True, with_offset=False),
        _layer(with_scale=False, with_offset=True),
        _layer(with_scale=True, with_offset=True),
        _decomposed(by_power=True),
        _decomposed(by_power=False),
    ],
)


def _root_mean_square(by_power: bool, form: str) -> Rule:
    """`form`: how x is divided by the root: by a "quotient", times its "reciprocal", or times a "quotient of one"."""
    x, two, eps, one = tensors("x two eps one")
    square = _square(x, two, by_power)
    mean = Op("ReduceMean", square, ..., name="mean")
    plus_eps = Op("Add", mean, eps, commutative=True, name="plus_eps")
    root = Op("Sqrt", plus_eps, name="root")
    if form == "quotient":
        last = [Op("Div", x, root, name="normalized")]
    else:
        inverse = Op("Reciprocal", root) if form == "reciprocal" else Op("Div", one, root)
        last = [Op("Mul", x, inverse, commutative=True, name="normalized"), inverse]
    return Rule(
        f"root mean square ({'power' if by_power else 'product'}, {form})",
        [*last, root, plus_eps, mean, square],
        where=[*_mean_of_last_axis(mean, x, eps), *([number_two(two)] if by_power else [])],
        replace=Create("RMSNormalization", x, into=last[0]),
        why="x / sqrt(mean of squares + eps) in single operators becomes one.",
        source=common("rms_fusion.cpp"),
    )


def _rms_of_extension() -> Rule:
    x, g = tensors("x g")
    node = Op(("SimplifiedLayerNormalization", "com.microsoft.SimplifiedLayerNormalization"), x, g)
    return Rule(
        "RMSNormalization operator",
        [node],
        replace=Create("RMSNormalization", x, g, into=node),
        why="SimplifiedLayerNormalization of ONNX Runtime is the plugin's RMSNormalization.",
        source=common("rms_fusion.cpp"),
    )


RMS_NORMALIZATION = Rewrite(
    "RMSNormalization",
    [
        *(
            _root_mean_square(by_power, form)
            for by_power in (True, False)
            for form in ("quotient", "reciprocal", "quotient of one")
        ),
        _rms_of_extension(),
    ],
)


def _of_many_axes() -> Rule:
    (x,) = tensors("x")
    node = Op("MVN", x, name="normalization")
    mean = Create(
        "ReduceMean",
        x,
        dtype=x.dtype,
        shape=x.shape.with_one_at(-1),
        attributes={"axes": [-1], "keepdims": 1},
    )
    difference = Create("Sub", x, mean, like=x)
    return Rule(
        "normalization of the last of several axes",
        [node],
        where=[x.rank > 3, node.attr("axis", -1).one_of(-1, x.rank - 1)],
        replace=[mean, difference, Create("RMSNormalization", difference, into=node, main=True)],
        why="The plugin's MVN does not normalize the last of more than three dimensions: mean and difference run "
        "before an RMSNormalization.",
        source=conversion("mvn6_decomposition.cpp"),
    )


def _rms_and_scale() -> Rule:
    x, g = tensors("x g")
    rms = Op("RMSNormalization", x, name="rms")
    scaled = Op("Mul", rms, g, commutative=True, name="scaled")
    return Rule(
        "root mean square and scale",
        [scaled, rms],
        where=[
            g.is_constant,
            rms.uses == 1,
            g.elements > 1,
            g.elements == x.dim(-1),
            g.dim(-1) == x.dim(-1),
        ],
        replace=Create("RMSNormalization", x, weight(dtype=g.dtype, shape=[g.elements], name="scale"), into=scaled),
        why="The product of an RMSNormalization with a constant vector becomes its scale.",
        source=common("rms_fusion.cpp"),
    )


LAST_AXIS = Rewrite("normalization of the last axis", [_of_many_axes(), _rms_and_scale()], repeat=2)
