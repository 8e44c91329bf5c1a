"""Attention by relative positions, and convolutions whose windows are made of the tokens.

`relative_positions`: scores of queries and positions that are brought to their place by a shift of rows, by gathering
along the keys, or by a table of buckets (Transformer-XL and XLNet, DeBERTa, T5 and BEiT).

`dynamic_windows`: each token is made of its neighbours, with weights made of the token itself (ConvBERT, involution,
VOLO's outlook attention).
"""

from __future__ import annotations

import math
from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import gelu_erf, token_activation
from nnmeter.lab.campaign.recipes.attention import attention_form, from_heads, project_heads, self_attention
from nnmeter.lab.campaign.recipes.builder import INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    elementwise,
    layer_norm,
    linear,
    matmul,
    mul,
    pad,
    reduce,
    reshape,
    slice_axis,
    softmax,
    transpose,
    unsqueeze,
)
from nnmeter.lab.campaign.recipes.tokens import feed_forward, hidden_width, residual

_LENGTHS = (16, 32, 48, 64, 64, 96, 128, 128, 128, 196, 197, 256, 384)


def _tokens(b: NetworkBuilder) -> tuple[Tensor, int]:
    dim, heads = sizes.model_dim(b.rng, 64, 768)
    batch, length = b.rng.choices((1, 2, 4), (86, 8, 6))[0], b.rng.choice(_LENGTHS)
    while length > 16 and batch * length * dim * (24.0 * dim + 8.0 * length) > 2.0 * b.budget.flops:
        length //= 2
    return b.input((batch, length, dim)), heads


def relative_positions(b: NetworkBuilder) -> None:
    """Layers whose scores have a part that depends on the distance of two tokens."""
    x, heads = _tokens(b)
    form = attention_form(b.rng)
    act = gelu_erf if b.rng.random() < 0.8 else token_activation(b)
    part = b.rng.choice((_shifted, _shifted, _gathered, _gathered, _from_table))
    pre = b.rng.random() < 0.3

    def attention(b: NetworkBuilder, y: Tensor) -> Tensor:
        q, k, v = project_heads(b, y, heads, form)
        scores = matmul(b, add(b, q, b.weight((1, heads, 1, q.shape[3]), 0.1)), transpose(b, k, [0, 1, 3, 2]))
        scores = mul(b, add(b, scores, part(b, q, k)), b.scalar(q.shape[3] ** -0.5))
        if b.rng.random() < 0.5:
            scores = elementwise(b, "Sub", scores, b.weight((1, 1, *scores.shape[2:]), 0.1))
        return linear(b, from_heads(b, matmul(b, softmax(b, scores), v)), y.shape[2])

    for _ in range(2):
        x = residual(b, x, attention, layer_norm, pre=pre)
        x = residual(b, x, partial(feed_forward, hidden=hidden_width(b, x.shape[2]), act=act), layer_norm, pre=pre)
        if b.exhausted:
            return


def _shifted(b: NetworkBuilder, q: Tensor, _: Tensor) -> Tensor:
    """Scores with 2 S positions, whose rows are shifted against each other by a reshape."""
    n, h, s, d = q.shape
    scores = matmul(b, q, b.weight((1, h, d, 2 * s), 0.1))
    if b.rng.random() < 0.5:
        y = reshape(b, scores, (n, h, 2 * s, s))
        y = reshape(b, slice_axis(b, y, 2, 1, 2 * s), (n, h, s, 2 * s - 1))
    else:
        y = reshape(b, pad(b, scores, [0, 0, 0, 1], [0] * 4), (n, h, 2 * s + 1, s))
        y = reshape(b, slice_axis(b, y, 2, 1, 2 * s + 1), (n, h, s, 2 * s))
    if b.rng.random() < 0.5:
        return slice_axis(b, y, 3, 0, s)
    return b.node("Gather", [y, b.constant(list(range(s)))], (n, h, s, s), flops=0, axis=3)


def _gathered(b: NetworkBuilder, q: Tensor, k: Tensor) -> Tensor:
    """Scores with positions, gathered along the keys by distance; both from queries and from keys."""
    n, h, s, d = q.shape
    span = b.rng.choice((2 * s, 2 * s, 64, 512))
    rows = [[min(max(i - j + span // 2, 0), span - 1) for j in range(s)] for i in range(s)]
    index = b.node("Expand", [b.constant([[rows]]), b.constant([n, h, s, s])], (n, h, s, s), dtype=INT64, flops=0)
    parts = []
    for asked in (q, k):
        scores = matmul(b, asked, b.weight((1, h, d, span), 0.1))
        y = b.node("GatherElements", [scores, index], (n, h, s, s), flops=0, axis=3)
        parts.append(y if asked is q else transpose(b, y, [0, 1, 3, 2]))
    return add(b, *parts)


def _from_table(b: NetworkBuilder, q: Tensor, _: Tensor) -> Tensor:
    """A table of buckets by head, looked up for each pair of tokens."""
    h, s = q.shape[1:3]
    buckets = b.rng.choice((32, 32, 128, 2 * s))
    index = [[abs(i - j) % buckets for j in range(s)] for i in range(s)]
    if b.rng.random() < 0.5:
        found = b.node("Gather", [b.weight((buckets, h), 0.1), b.constant(index)], (s, s, h), flops=0, axis=0)
    else:
        flat = b.constant([place for row in index for place in row])
        found = b.node("Gather", [b.weight((buckets, h), 0.1), flat], (s * s, h), flops=0, axis=0)
        found = reshape(b, found, (s, s, h))
    return unsqueeze(b, transpose(b, found, [2, 0, 1]), [0])


def dynamic_windows(b: NetworkBuilder) -> None:
    """Layers in which each token is a mean of its neighbours, weighted by the token."""
    x, heads = _tokens(b)
    kernel = b.rng.choice((3, 5, 7, 9, 9, 15))
    form = attention_form(b.rng)
    act = gelu_erf if b.rng.random() < 0.8 else token_activation(b)

    def windows(b: NetworkBuilder, y: Tensor) -> Tensor:
        n, s, c = y.shape
        keyed = conv(b, transpose(b, y, [0, 2, 1]), c, kernel, groups=c, bias=False)
        keyed = conv(b, keyed, c, 1)
        asked = mul(b, linear(b, y, c), transpose(b, keyed, [0, 2, 1]))
        weights = reshape(b, linear(b, asked, heads * kernel), (n * s * heads, kernel, 1))
        around = _unfolded(b, linear(b, y, c), kernel)
        around = reshape(b, around, (n * s * heads, c // heads, kernel))
        y = matmul(b, around, softmax(b, weights, 1))
        return linear(b, reshape(b, y, (n, s, c)), c)

    for _ in range(2):
        x = residual(b, x, windows, layer_norm, pre=False)
        if b.rng.random() < 0.5:
            x = residual(b, x, partial(self_attention, heads=heads, form=form), layer_norm, pre=False)
        x = residual(b, x, partial(feed_forward, hidden=hidden_width(b, x.shape[2]), act=act), layer_norm, pre=False)
        if b.exhausted:
            return
    linear(b, reduce(b, "ReduceMean", x, [1], keepdims=0), 2)


def _unfolded(b: NetworkBuilder, x: Tensor, kernel: int) -> Tensor:
    """The neighbours of each token, (N, S, C * kernel): by looking them up, or by slices that are joined."""
    n, s, c = x.shape
    reach = kernel // 2
    wide = pad(b, x, [0, reach, 0], [0, reach, 0])
    if b.rng.random() < 0.6:
        index = [[i + j for j in range(kernel)] for i in range(s)]
        y = b.node("Gather", [wide, b.constant(index)], (n, s, kernel, c), flops=0, axis=1)
        y = transpose(b, y, [0, 1, 3, 2])
    else:
        y = concat(b, [unsqueeze(b, slice_axis(b, wide, 1, i, i + s), [3]) for i in range(kernel)], 3)
    return reshape(b, y, (n, s, c * kernel))


def outlook(b: NetworkBuilder) -> None:
    """Maps whose pixels are mixed in windows with weights of their own, and put together again (VOLO, involution)."""
    side, dim = b.rng.choice((8, 14, 14, 16, 28, 28, 32)), sizes.channels(b.rng, 32, 256)
    heads = next(h for h in (6, 8, 4, 3, 2, 1) if dim % h == 0)
    x = b.input((b.rng.choices((1, 2), (88, 12))[0], side, side, dim))
    for _ in range(2):
        x = residual(b, x, partial(_looked_around, heads=heads), layer_norm, pre=True)
        x = residual(b, x, partial(feed_forward, hidden=3 * dim, act=gelu_erf), layer_norm, pre=True)
        if b.exhausted:
            return
    linear(b, reduce(b, "ReduceMean", x, [1, 2], keepdims=0), 1000)


def _looked_around(b: NetworkBuilder, x: Tensor, heads: int) -> Tensor:
    n, h, w, c = x.shape
    kernel = 3
    area, pixels = kernel * kernel, h * w
    values = pad(b, transpose(b, linear(b, x, c, bias=False), [0, 3, 1, 2]), [0, 0, 1, 1], [0, 0, 1, 1])
    parts = [
        unsqueeze(b, slice_axis(b, slice_axis(b, values, 2, i, i + h), 3, j, j + w), [2])
        for i in range(kernel)
        for j in range(kernel)
    ]
    around = reshape(b, concat(b, parts, 2), (n, heads, c // heads, area, pixels))
    around = transpose(b, around, [0, 1, 4, 3, 2])
    weights = reshape(b, linear(b, x, heads * area), (n, pixels, heads, 1, area))
    weights = softmax(b, mul(b, transpose(b, weights, [0, 2, 1, 3, 4]), b.scalar(math.sqrt(heads / c))))
    y = reshape(b, matmul(b, weights, around), (n, heads, pixels, c // heads))
    return linear(b, reshape(b, transpose(b, y, [0, 2, 1, 3]), (n, h, w, c)), c)
