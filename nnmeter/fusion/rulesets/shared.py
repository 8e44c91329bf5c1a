"""Conditions and sub-patterns that rule sets of several runtimes state in the same words."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.rulesets.builder import Expr, Tensor, all_of, any_of, concat

RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike")
VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
MOVING = ("MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice")


def absent_or(optional: Tensor, condition: Expr) -> Expr:
    """An optional input is not there, or a condition on it holds."""
    return any_of(optional.is_absent, condition)


def all_constant(*tensors: Tensor) -> list[Expr]:
    """One condition a tensor: it is known before the run."""
    return [tensor.is_constant for tensor in tensors]


def per_channel(c: Tensor, a: Tensor, channels: Expr) -> Expr:
    """`c` holds one number for each channel of `a`, its second dimension: shape [C,1,1] or [1,C,1,1]."""
    return any_of(
        all_of(c.rank == a.rank - 1, c.dim(0) == channels, c.elements == channels),
        all_of(c.rank == a.rank, c.dim(1) == channels, c.elements == channels),
    )


def spatial_pads(pads: Expr, rank: Any) -> Expr:
    """The pads of a `Pad` that a window can take over: those of all dimensions but batch and channels."""
    return concat(pads[2:rank], pads[rank + 2 : 2 * rank])


def only_spatial_pads(pads: Expr, rank: Any) -> list[Expr]:
    """Batch and channels are not padded, and nothing is cut off."""
    return [concat(pads[0:2], pads[rank : rank + 2]).all_equal(0), pads.smallest >= 0]
