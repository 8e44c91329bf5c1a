"""Padding before a convolution or a maximum."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rewrite, Rule, any_of, maybe, tensors
from nnmeter.fusion.rulesets.mobile.sources import converter
from nnmeter.fusion.rulesets.shared import absent_or, only_spatial_pads, spatial_pads

LOWEST = -1e30  # what exporters write for minus infinity
RANK = 4


def _rule(kind: str, by_attribute: bool) -> Rule:
    """`by_attribute`: before opset 11 the pads are an attribute of Pad, not an input."""
    x, w, b, p, v = tensors("x w b p v")
    pad = Op("Pad", x, maybe(p), maybe(v), ...)
    weights = (w, maybe(b)) if kind == "Conv" else ()
    window = Op(kind, pad, *weights, name="window")
    pads = pad.attr("pads") if by_attribute else p.value
    own: Expr = window.attr("pads", [0, 0, 0, 0])
    value = (
        absent_or(v, v.scalar == 0)
        if kind == "Conv"
        else any_of(v.scalar == 0, v.scalar < LOWEST, pad.attr("value") < LOWEST, v.is_absent)
    )
    return Rule(
        f"padding {'by attribute ' if by_attribute else ''}into a {'convolution' if kind == 'Conv' else 'maximum'}",
        [window, pad],
        where=[
            pad.attr("mode", "constant") == "constant",
            x.rank == RANK,
            window.attr("auto_pad", "NOTSET").one_of("NOTSET", "VALID"),
            p.is_absent if by_attribute else p.is_present,
            *only_spatial_pads(pads, RANK),
            value,
        ],
        replace=Create(
            kind,
            x,
            *weights,
            attributes=window.attributes(drop=["auto_pad"], pads=own.plus_each(spatial_pads(pads, RANK))),
            into=window,
        ),
        why=f"{kind} pads by itself, so that a Pad of zeros before it goes"
        + (", or one of the lowest number." if kind == "MaxPool" else "."),
        source=converter("optimize.cc"),
    )


PADDING = Rewrite(
    "padding",
    [_rule(kind, by_attribute) for by_attribute in (False, True) for kind in ("Conv", "MaxPool")],
    only_with=["Pad"],
)
