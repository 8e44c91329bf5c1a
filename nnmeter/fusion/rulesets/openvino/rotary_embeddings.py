"""Rotary position embeddings written in single operators."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rewrite, Rule, Tensor, maybe, tensors
from nnmeter.fusion.rulesets.openvino.sources import common

SOURCE = common("fuse_rotary_positional_embeddings.cpp")


def _along_last_axis(joined: Op, split: Op, x: Tensor) -> list[Expr]:
    return [joined.attr("axis", 0).one_of(-1, x.rank - 1), split.attr("axis", 0).one_of(-1, x.rank - 1)]


def _whole() -> Rule:
    x, sizes, first, second, cos, sin = tensors("x sizes first second cos sin")
    split = Op("Split", x, maybe(sizes), outputs=[first, second])
    negated = Op("Neg", second, name="negated")
    turned = Op("Concat", negated, first, name="turned")
    by_sin = Op("Mul", turned, sin, commutative=True, name="by_sin")
    by_cos = Op("Mul", x, cos, commutative=True, name="by_cos")
    total = Op("Add", by_cos, by_sin, commutative=True, name="total")
    return Rule(
        "rotary embedding",
        [total, by_cos, by_sin, turned, negated, split],
        where=[cos.is_constant, sin.is_constant, *_along_last_axis(turned, split, x)],
        replace=Create("RotaryEmbedding", x, cos, sin, into=total),
        why="x * cos + (its halves swapped, one negated) * sin becomes one operator.",
        source=SOURCE,
    )


def _part() -> Rule:
    x, sizes, first, second, cos, sin = tensors("x sizes first second cos sin")
    split = Op("Split", x, maybe(sizes), outputs=[first, second])
    rotated = Op("RotaryEmbedding", first, cos, sin, name="rotated")
    joined = Op("Concat", rotated, second, name="joined")
    return Rule(
        "rotary embedding of a part",
        [joined, rotated, split],
        where=_along_last_axis(joined, split, x),
        replace=Create("RotaryEmbedding", x, cos, sin, into=joined),
        why="An embedding of the first part of each vector passes the other part on by itself.",
        source=SOURCE,
    )


def _transposed() -> Rule:
    x, cos, sin = tensors("x cos sin")
    transpose = Op("Transpose", x)
    rotated = Op("RotaryEmbedding", transpose, cos, sin, name="rotated")
    return Rule(
        "transpose into a rotary embedding",
        [rotated, transpose],
        where=[transpose.attr("perm", [0]) == [0, 2, 1, 3], transpose.uses == 1],
        replace=Create("RotaryEmbedding", x, cos, sin, into=rotated),
        why="An embedding reads heads and positions in either order.",
        source=SOURCE,
    )


ROTARY_EMBEDDINGS = Rewrite("rotary embeddings", [_whole(), _part(), _transposed()])
