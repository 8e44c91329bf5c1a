"""A residual sum before LayerNormalization."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import FLOATS
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer


def _rule(bias_of: str) -> Rule:
    """`bias_of`: which input of the sum has a bias, the "first", the "second", or "neither" one."""
    x, skip, c, g, beta = tensors("x skip c g beta")
    biased = Op("Add", skip if bias_of == "second" else x, c, name="biased")
    pair = {"first": (biased, skip), "second": (x, biased), "neither": (x, skip)}[bias_of]
    total = Op("Add", *pair, name="total")
    normalization = Op("LayerNormalization", total, g, maybe(beta), name="normalization")
    has_bias = bias_of != "neither"
    return Rule(
        {
            "first": "bias, skip and LayerNormalization",
            "second": "skip, bias and LayerNormalization",
            "neither": "skip and LayerNormalization",
        }[bias_of],
        [normalization, total, *([biased] if has_bias else [])],
        where=[
            g.rank == 1,
            x.shape == skip.shape,
            x.rank == 3,
            x.dtype.one_of(*FLOATS),
            total.uses == 1,
            *([c.is_constant, c.rank == 1, c.dim(0) == total.dim(2)] if has_bias else []),
        ],
        replace=Create(
            "com.microsoft.SkipLayerNormalization",
            x,
            skip,
            g,
            maybe(beta),
            *([c] if has_bias else []),
            attributes={"epsilon": normalization.attr("epsilon", 1e-05)},
            into=normalization,
        ),
        why="The sum of two tensors of three dimensions that only a normalization reads, perhaps with a constant bias, "
        "becomes part of it.",
        source=optimizer("skip_layer_norm_fusion.cc"),
    )


SKIP_LAYER_NORMALIZATION = Rewrite(
    "SkipLayerNormalization", [_rule(bias_of) for bias_of in ("first", "second", "neither")]
)
