"""Two pairs of QuantizeLinear and DequantizeLinear in a row become one."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rewrite, Rule, Tensor, choose, tensors, weight
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

SOURCE = optimizer("double_qdq_pairs_remover.cc")


def _below_zero(zero: Tensor, scale: Tensor) -> Expr:
    """How far the range reaches below 0, whether the integers have a sign or not."""
    return _unsigned(zero) * scale.scalar


def _above_zero(zero: Tensor, scale: Tensor) -> Expr:
    """How far the range reaches above 0."""
    return (255 - _unsigned(zero)) * scale.scalar


def _unsigned(zero: Tensor) -> Expr:
    return choose(zero.dtype == "int8", zero.scalar + 128, zero.scalar)


def _rule(kept: str) -> Rule:
    """`kept`: whose range the one pair has, the "first" quantization's, the "second" one's, or "neither" one's."""
    a, s1, z1, s1b, z1b, s2, z2, s2b, z2b = tensors("a s1 z1 s1b z1b s2 z2 s2b z2b")
    q1 = Op("QuantizeLinear", a, s1, z1, name="q1")
    d1 = Op("DequantizeLinear", q1, s1b, z1b, name="d1")
    q2 = Op("QuantizeLinear", d1, s2, z2, name="q2")
    d2 = Op("DequantizeLinear", q2, s2b, z2b, name="d2")
    where = [
        *(scale.is_constant for scale in (s1, s2, s1b, s2b)),
        s1.elements == 1,
        s2.elements == 1,
        q1.dtype == q2.dtype,
    ]
    below, above = (_below_zero(z1, s1), _below_zero(z2, s2)), (_above_zero(z1, s1), _above_zero(z2, s2))
    if kept == "second":
        name, why = "the second time to the smaller range", "The smaller range decides; it is the second."
        where += [below[0] >= below[1], above[0] >= above[1]]
        scale, zero = s2, z2
    elif kept == "first":
        name, why = "the first time to the smaller range", "The smaller range decides; it is the first."
        where += [below[0] <= below[1], above[0] <= above[1]]
        scale, zero = s1, z1
    else:
        name, why = "to ranges that overlap", "The one pair has the range that both have in common, a new scale."
        scale, zero = weight(like=s1, name="s"), weight(like=z1, name="z")
    quantized = Create("QuantizeLinear", a, scale, zero, like=q2)
    return Rule(
        f"quantized twice, {name}",
        [q1, d1, q2, d2],
        where=where,
        replace=[quantized, Create("DequantizeLinear", quantized, scale, zero, into=d2, main=True)],
        why=f"Two quantizations in a row become one. {why}",
        source=SOURCE,
    )


QUANTIZED_TWICE = Rewrite("quantized twice", [_rule("second"), _rule("first"), _rule("neither")])
