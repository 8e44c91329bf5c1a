"""Padding with zeros goes into the window behind it."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rule, any_of, maybe, repeat, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import only_spatial_pads, spatial_pads

WHY = (
    "Padding of the map with zeros is done by {} itself, whose pads grow; one of batch or channels stays, and so does "
    "one that lists an absent value."
)


def _rule(kind: str, by_attribute: bool) -> Rule:
    """`by_attribute`: before opset 11 the pads are an attribute of Pad, not an input."""
    x, w, b, p, v = tensors("x w b p v")
    pad = Op("Pad", x) if by_attribute else Op("Pad", x, p, maybe(v))
    weights = (w, maybe(b)) if kind == "Conv" else ()
    window = Op(kind, pad, *weights, name="window")
    pads = pad.attr("pads") if by_attribute else p.value
    own: Expr = window.attr("pads", repeat(0, 2 * (x.rank - 2)))
    more = {"count_include_pad": 1} if kind == "AveragePool" else {}
    return Rule(
        f"Pad of attributes into {kind}" if by_attribute else f"Pad into {kind}",
        [window, pad],
        where=[
            pad.attr("mode", "constant") == "constant",
            window.attr("auto_pad", "NOTSET") == "NOTSET",
            *only_spatial_pads(pads, x.rank),
            pad.attr("value", 0) == 0 if by_attribute else any_of(pad.slots == 2, v.scalar == 0),
        ],
        replace=Create(
            kind,
            x,
            *weights,
            attributes=window.attributes(more, pads=own.plus_each(spatial_pads(pads, x.rank))),
            into=window,
        ),
        why=WHY.format(kind),
        source=optimizer("pad_fusion.cc"),
    )


RULES = [_rule(kind, by_attribute) for kind in ("Conv", "AveragePool") for by_attribute in (False, True)]
