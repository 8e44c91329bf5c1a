"""A cast to double precision and back."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Op, Rule, tensor
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

x = tensor("x")
there = Op("Cast", x, shared=True, name="there")
back = Op("Cast", there, name="back")

CAST_AND_BACK = Rule(
    "cast and back",
    [there, back],
    where=[x.dtype == back.dtype, there.dtype.one_of("float64")],
    forward={back: x},
    why="A cast to double precision and back loses nothing, so both are left out; the first stays for other readers.",
    source=optimizer("insert_cast_transformer.cc"),
)

RULES = [CAST_AND_BACK]
