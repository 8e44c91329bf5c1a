"""A residual sum behind a convolution, and the activation behind that."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, all_of, any_of, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import CONV_ACTIVATIONS
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or


def _rule(with_activation: bool) -> Rule:
    x, w, b, z, lo, hi = tensors("x w b z lo hi")
    conv = Op("Conv", x, w, b)
    add = Op("Add", conv, z, commutative=True)
    activation = Op((*CONV_ACTIVATIONS, "Clip"), add, maybe(lo), maybe(hi), name="activation")
    bounds = any_of(activation.kind != "Clip", all_of(absent_or(lo, lo.is_known), absent_or(hi, hi.is_known)))
    return Rule(
        "Conv, Add and activation" if with_activation else "Conv and Add",
        [add, conv, *([activation] if with_activation else [])],
        where=[x.dtype == "float32", z.rank == 4, conv.shape == z.shape, *([bounds] if with_activation else [])],
        replace=Create(
            "com.microsoft.FusedConv",
            x,
            w,
            b,
            z,
            attributes=conv.attributes(activation=activation.kind) if with_activation else conv.attributes(),
            into=activation if with_activation else add,
        ),
        why="A convolution with a bias that still works on plain channels adds a tensor of its own shape, and computes "
        "the activation behind the sum.",
        source=optimizer("conv_add_act_fusion.cc"),
    )


CONV_ADD_AND_ACTIVATION = Rewrite(
    "Conv, Add and activation", [_rule(with_activation=True), _rule(with_activation=False)]
)
