"""A bias before Gelu."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import FLOATS
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer


def _rule(name: str, kinds: tuple[str, ...], becomes: str) -> Rule:
    x, b = tensors("x b")
    add = Op("Add", x, b, commutative=True)
    gelu = Op(kinds, add, name="gelu")
    exact = [gelu.attr("approximate", "none") == "none"] if len(kinds) > 1 else []
    return Rule(
        name,
        [add, gelu],
        where=[b.rank == 1, b.dim(0) == x.dim(-1), x.rank > 1, x.dtype.one_of(*FLOATS), *exact],
        replace=Create(becomes, x, b, into=gelu),
        why="A vector that is added before Gelu becomes the bias of one operator.",
        source=optimizer("bias_gelu_fusion.cc"),
    )


BIAS_GELU = Rewrite(
    "BiasGelu",
    [
        _rule("bias and Gelu", ("com.microsoft.Gelu", "Gelu"), "com.microsoft.BiasGelu"),
        _rule("bias and FastGelu", ("com.microsoft.FastGelu",), "com.microsoft.FastGelu"),
    ],
)
