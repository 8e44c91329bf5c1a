"""Attention in the forms in which models and exporters write it: projections, heads, scaling, masks, positions.

Tokens are (N, S, C); heads are (N, H, S, D). An `AttentionForm` is drawn once for a network, as in one model file all
layers are written alike.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from nnmeter.lab.campaign.recipes.builder import BOOL, FLOAT, INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    elementwise,
    linear,
    matmul,
    mul,
    reshape,
    select,
    slice_axis,
    softmax,
    split,
    squeeze,
    transpose,
    unary,
    unsqueeze,
    where,
)

_MASKED = -3.4028234663852886e38


@dataclass(frozen=True)
class AttentionForm:
    """How attention is written.

    Attributes:
        projection: `separate` for q, k and v, or one product cut by `fused_squeeze`, `fused_gather` or `fused_split`.
        scaling: where 1 / sqrt(d) stands: on `both` factors, the `scores`, the `query`, or as a `divide`.
        guard: whether NaN is replaced behind the softmax, as for rows that are all masked.
        bias: whether projections have one.
        as_gemm: whether projections are Gemm between reshapes, as GPT-2's Conv1D layers are exported.
    """

    projection: str = "separate"
    scaling: str = "both"
    guard: bool = False
    bias: bool = True
    as_gemm: bool = False


def attention_form(rng: random.Random) -> AttentionForm:
    """A random form with the frequencies of exported models."""
    return AttentionForm(
        projection=rng.choices(("separate", "fused_squeeze", "fused_gather", "fused_split"), (40, 30, 8, 22))[0],
        scaling=rng.choices(("both", "scores", "query", "divide"), (35, 30, 20, 15))[0],
        guard=rng.random() < 0.25,
        bias=rng.random() < 0.85,
    )


def to_heads(b: NetworkBuilder, x: Tensor, heads: int) -> Tensor:
    """(N, S, C) to (N, H, S, D)."""
    n, s, c = x.shape
    return transpose(b, reshape(b, x, (n, s, heads, c // heads)), [0, 2, 1, 3])


def from_heads(b: NetworkBuilder, x: Tensor) -> Tensor:
    """(N, H, S, D) to (N, S, C)."""
    n, h, s, d = x.shape
    return reshape(b, transpose(b, x, [0, 2, 1, 3]), (n, s, h * d))


def project_heads(b: NetworkBuilder, x: Tensor, heads: int, form: AttentionForm) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of self-attention, each (N, H, S, D)."""
    n, s, c = x.shape
    d = c // heads
    if form.projection == "separate":
        q, k, v = (linear(b, x, c, bias=form.bias) for _ in range(3))
        return to_heads(b, q, heads), to_heads(b, k, heads), to_heads(b, v, heads)
    qkv = linear(b, x, 3 * c, bias=form.bias, as_gemm=form.as_gemm)
    if form.projection == "fused_split":
        q, k, v = split(b, qkv, [c, c, c], 2)
        return to_heads(b, q, heads), to_heads(b, k, heads), to_heads(b, v, heads)
    stacked = transpose(b, reshape(b, qkv, (n, s, 3, heads, d)), [2, 0, 3, 1, 4])
    if form.projection == "fused_gather":
        return select(b, stacked, 0, 0), select(b, stacked, 0, 1), select(b, stacked, 0, 2)
    q, k, v = (squeeze(b, slice_axis(b, stacked, 0, i, i + 1), [0]) for i in range(3))
    return q, k, v


def attend(
    b: NetworkBuilder, q: Tensor, k: Tensor, v: Tensor, form: AttentionForm, masks: tuple[Tensor, ...] = ()
) -> Tensor:
    """softmax(q k^T / sqrt(d) + masks) v, for (N, H, S, D) heads; the result is (N, H, S, D) again."""
    d = q.shape[-1]
    scale = d**-0.5
    if form.scaling == "both":
        n, h, s, _ = k.shape
        flat = transpose(b, reshape(b, k, (n * h, s, d)), [0, 2, 1])
        turned = reshape(b, flat, (n, h, d, s))
        root = b.scalar(math.sqrt(scale))
        scores = matmul(b, mul(b, q, root), mul(b, turned, root))
    elif form.scaling == "query":
        scores = matmul(b, mul(b, q, b.scalar(scale)), transpose(b, k, [0, 1, 3, 2]))
    else:
        scores = matmul(b, q, transpose(b, k, [0, 1, 3, 2]))
        if form.scaling == "divide":
            scores = elementwise(b, "Div", scores, b.scalar(math.sqrt(d)))
        else:
            scores = mul(b, scores, b.scalar(scale))
    for mask in masks:
        scores = _apply_mask(b, scores, mask)
    weights = softmax(b, scores)
    if form.guard:
        missing = b.node("IsNaN", [weights], weights.shape, dtype=BOOL)
        weights = where(b, missing, b.scalar(0.0), weights)
    return matmul(b, weights, v)


def self_attention(
    b: NetworkBuilder,
    x: Tensor,
    heads: int,
    form: AttentionForm,
    masks: tuple[Tensor, ...] = (),
    rotary: bool = False,
    key_heads: int | None = None,
) -> Tensor:
    """Multi-head self-attention with output projection, optionally with rotary positions and fewer key heads."""
    c = x.shape[-1]
    if key_heads and key_heads != heads:
        d = c // heads
        q = to_heads(b, linear(b, x, c, bias=form.bias), heads)
        k = to_heads(b, linear(b, x, key_heads * d, bias=form.bias), key_heads)
        v = to_heads(b, linear(b, x, key_heads * d, bias=form.bias), key_heads)
    else:
        q, k, v = project_heads(b, x, heads, form)
    if rotary:
        q, k = rotate(b, q), rotate(b, k)
    if key_heads and key_heads != heads:
        k, v = repeat_heads(b, k, heads), repeat_heads(b, v, heads)
    return linear(b, from_heads(b, attend(b, q, k, v, form, masks)), c, bias=form.bias, as_gemm=form.as_gemm)


def cross_attention(b: NetworkBuilder, x: Tensor, memory: Tensor, heads: int, form: AttentionForm) -> Tensor:
    """Queries from `x`, keys and values from `memory`."""
    c = x.shape[-1]
    q = to_heads(b, linear(b, x, c, bias=form.bias), heads)
    if form.projection == "separate":
        k, v = (to_heads(b, linear(b, memory, c, bias=form.bias), heads) for _ in range(2))
    else:
        n, s, _ = memory.shape
        both = reshape(b, linear(b, memory, 2 * c, bias=form.bias), (n, s, 2, heads, c // heads))
        both = transpose(b, both, [2, 0, 3, 1, 4])
        k, v = select(b, both, 0, 0), select(b, both, 0, 1)
    return linear(b, from_heads(b, attend(b, q, k, v, form)), c, bias=form.bias)


def rotate(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Rotary position embedding: x * cos + rotate_half(x) * sin, by halves or by interleaved pairs."""
    n, h, s, d = x.shape
    half = d // 2
    cos, sin = b.weight((1, 1, s, d), 0.7), b.weight((1, 1, s, d), 0.7)
    if b.rng.random() < 0.9:
        first, second = slice_axis(b, x, 3, 0, half), slice_axis(b, x, 3, half, d)
        turned = concat(b, [unary(b, "Neg", second), first], -1)
    else:
        even, odd = slice_axis(b, x, 3, 0, d, 2), slice_axis(b, x, 3, 1, d, 2)
        pairs = concat(b, [unsqueeze(b, unary(b, "Neg", odd), [4]), unsqueeze(b, even, [4])], -1)
        turned = reshape(b, pairs, (n, h, s, d))
    return add(b, mul(b, x, cos), mul(b, turned, sin))


def repeat_heads(b: NetworkBuilder, x: Tensor, heads: int) -> Tensor:
    """Grouped-query attention: each key head serves several query heads (Unsqueeze, Expand, Reshape)."""
    n, h, s, d = x.shape
    wide = (n, h, heads // h, s, d)
    expanded = b.node("Expand", [unsqueeze(b, x, [2]), b.constant(list(wide))], wide, flops=0)
    return reshape(b, expanded, (n, heads, s, d))


def causal_mask(b: NetworkBuilder, length: int) -> Tensor:
    """The constant (1, 1, S, S) additive mask of decoders, folded by the exporter."""
    return b.weight((1, 1, length, length), 1.0)


def position_bias(b: NetworkBuilder, heads: int, queries: int, keys: int) -> Tensor:
    """A learned additive bias (1, H, Q, K), as Swin, T5 and LeViT have."""
    return b.weight((1, heads, queries, keys), 0.1)


def padding_mask(b: NetworkBuilder, batch: int, length: int) -> Tensor:
    """An additive (N, 1, 1 or S, S) mask computed from an integer mask input, in one of four exported ways."""
    ids = b.input((batch, length), INT64)
    kind = b.rng.random()
    if kind < 0.6:
        kept = b.node("Cast", [ids], ids.shape, dtype=BOOL, to=BOOL)
        index = [[[[[n, s] for s in range(length)]]] for n in range(batch)]
        kept = b.node("GatherND", [kept, b.constant(index)], (batch, 1, 1, length), dtype=BOOL, flops=0)
        square = b.constant([[[[True]] * length]], BOOL)
        kept = elementwise(b, "And", square, kept, BOOL)
        return where(b, kept, b.scalar(0.0), b.scalar(_MASKED))
    wide = unsqueeze(b, ids, [1, 2])
    if kind < 0.72:
        wide = b.node("Expand", [wide, b.constant([batch, 1, length, length])], (batch, 1, length, length), flops=0)
    real = b.node("Cast", [wide], wide.shape, dtype=FLOAT, to=FLOAT)
    inverted = elementwise(b, "Sub", b.scalar(1.0), real)
    if kind < 0.85:
        return mul(b, inverted, b.scalar(-10000.0))
    hidden = b.node("Cast", [inverted], inverted.shape, dtype=BOOL, to=BOOL)
    return where(b, hidden, b.scalar(_MASKED), inverted)


def boolean_mask(b: NetworkBuilder, batch: int, length: int) -> Tensor:
    """A (N, 1, 1, S) boolean that is true where a token is padding, for `masked_fill`."""
    ids = b.input((batch, length), INT64)
    equal = b.node("Equal", [ids, b.constant(0)], ids.shape, dtype=BOOL)
    return unsqueeze(b, equal, [1, 2])


def _apply_mask(b: NetworkBuilder, scores: Tensor, mask: Tensor) -> Tensor:
    """Adds a float mask, or fills where a boolean one is true."""
    if mask.dtype == BOOL:
        return where(b, mask, b.scalar(-1e9), scores)
    if len(mask.shape) <= len(scores.shape):
        return add(b, scores, mask)
    windows, n = mask.shape[1], scores.shape[0]
    grouped = reshape(b, scores, (n // windows, windows, *scores.shape[1:]))
    return reshape(b, add(b, grouped, mask), scores.shape)
