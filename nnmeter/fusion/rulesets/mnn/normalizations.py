"""Normalizations: into convolutions, and those that exporters write in single operators."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, maybe, tensors, weight
from nnmeter.fusion.rulesets.mnn.sources import after, merge
from nnmeter.fusion.rulesets.shared import all_constant
from nnmeter.fusion.rulesets.shared_rules import ROOT_FORMS, root_mean_square, x


def _into_convolution(kind: str) -> Rule:
    x, w, b, scale, offset, mean, variance = tensors("x w b scale offset mean variance")
    conv = Op(kind, x, w, maybe(b))
    normalization = Op("BatchNormalization", conv, scale, offset, mean, variance, name="normalization")
    bias = weight(dtype=w.dtype, shape=[normalization.dim(1)], name="bias")
    return Rule(
        f"BatchNormalization into {kind}",
        [normalization, conv],
        where=[*all_constant(w, scale, offset, mean, variance), conv.uses == 1],
        replace=Create(kind, x, w, bias, attributes=conv.attributes(), into=normalization),
        why="A normalization with fixed statistics is a factor and an offset a channel: both go into weights and bias "
        "of a convolution that nobody else reads.",
        source=after("MergeBNToConvolution.cpp"),
    )


def _decomposed(by_power: bool, scaled: bool) -> Rule:
    x, two, eps, g, b = tensors("x two eps g b")
    mean = Op("ReduceMean", x, ..., name="mean")
    difference = Op("Sub", x, mean, name="difference")
    square = Op("Pow", difference, two, name="square") if by_power else Op("Mul", difference, difference, name="square")
    variance = Op("ReduceMean", square, ..., name="variance")
    plus_eps = Op("Add", variance, eps, name="plus_eps")
    root = Op("Sqrt", plus_eps, name="root")
    normalized = Op("Div", difference, root, name="normalized")
    match = [normalized, root, plus_eps, variance, square, difference, mean]
    inputs, into = [x], normalized
    where = [eps.is_constant, mean.dim(-1) == 1, *([two.scalar == 2] if by_power else [])]
    if scaled:
        product = Op("Mul", normalized, g, name="product")
        into = Op("Add", product, b, name="shifted")
        match = [*match, product, into]
        inputs += [g, b]
        where += [g.is_constant, b.is_constant]
    return Rule(
        f"decomposed normalization{' with scale' if scaled else ''}{' (power)' if by_power else ''}",
        match,
        where=where,
        replace=Create("LayerNormalization", *inputs, attributes={"axis": -1}, into=into),
        why="(x - mean) / sqrt(variance + eps), times a scale and plus an offset, becomes one operator.",
        source=merge("FuseLayerNorm.cpp"),
    )


def _root_mean_square(form: str, scaled: bool) -> Rule:
    match, where = root_mean_square(form)
    into, inputs = match[0], [x]
    if scaled:
        (g,) = tensors("g")
        into = Op("Mul", match[0], g, commutative=True, name="scaled")
        match, inputs, where = [*match, into], [x, g], [*where, g.is_constant]
    return Rule(
        f"root mean square by {form}{' with scale' if scaled else ''}",
        match,
        where=where,
        replace=Create("LayerNormalization", *inputs, attributes={"axis": -1}, into=into),
        why="x / sqrt(mean of squares + eps), perhaps times a scale, becomes one operator.",
        source=merge("FuseLayerNormRMS.cpp"),
    )


NORMALIZATIONS = Rewrite(
    "normalizations",
    [
        _into_convolution("Conv"),
        _into_convolution("ConvTranspose"),
        *(_decomposed(by_power, scaled) for scaled in (True, False) for by_power in (True, False)),
        *(_root_mean_square(form, scaled) for scaled in (True, False) for form in ROOT_FORMS),
    ],
)
