"""Sizes at the ends of what is in use: maps of 1 x 1 to 512 x 512, batches to 32, odd channels, sequences of 1 to 4096.

The other families draw sizes as published models have them, which leaves the ends thin. Here the sizes come first,
spread evenly in their logarithms, and plain layers follow. Large maps have few channels, long sequences few heads.
"""

from __future__ import annotations

from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import mobile_activation, token_activation
from nnmeter.lab.campaign.recipes.attention import (
    AttentionForm,
    attend,
    attention_form,
    from_heads,
    self_attention,
    to_heads,
)
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import add, conv_norm, layer_norm, linear, mul, pool
from nnmeter.lab.campaign.recipes.steps import image_pool
from nnmeter.lab.campaign.recipes.tokens import feed_forward, residual, rms_norm

_SIDES = tuple(2**power for power in range(10))
_BATCHES = (1, 1, 1, 2, 3, 4, 8, 16, 24, 32, 32)
_LENGTHS = (1, 1, 1, 2, 4096)
_MAP_ELEMENTS, _TOKEN_ELEMENTS, _SCORES = 3_000_000, 2_000_000, 17_000_000


def map_extremes(b: NetworkBuilder) -> None:
    """Convolutions of all groupings, pooling and activations on one map size."""
    side = b.rng.choice(_SIDES) if b.rng.random() < 0.5 else sizes.log_int(b.rng, 1, 512)
    other = side if b.rng.random() < 0.8 else sizes.log_int(b.rng, 1, side)
    batch = b.rng.choice(_BATCHES)
    while batch * side * other * 3 > _MAP_ELEMENTS:
        batch = max(1, batch // 2)
    x = b.input((batch, _width(b, batch * side * other), side, other))
    for _ in range(9):
        if b.exhausted:
            break
        pick = b.rng.random()
        if pick < 0.3:
            x = mobile_activation(b)(b, _dense(b, x))
        elif pick < 0.5:
            x = mobile_activation(b)(b, _grouped(b, x))
        elif pick < 0.7:
            x = mobile_activation(b)(b, conv_norm(b, x, x.shape[1], _window(b, x), groups=x.shape[1]))
        elif pick < 0.85:
            x = image_pool(b, x) if b.rng.random() < 0.5 else _pool_in_place(b, x)
        else:
            x = add(b, x, mul(b, mobile_activation(b)(b, x), b.weight((x.shape[1], 1, 1))))


def sequence_extremes(b: NetworkBuilder) -> None:
    """Attention, also with a cache of keys, norms and feed-forward layers on one length."""
    length = b.rng.choice(_LENGTHS) if b.rng.random() < 0.4 else sizes.log_int(b.rng, 1, 4096)
    cached = length <= 64 and b.rng.random() < 0.6
    keys = b.rng.choice((4096, sizes.log_int(b.rng, length, 4096))) if cached else length
    head = b.rng.choice((16, 32, 32, 64, 64, 64, 80, 128))
    batch, heads = b.rng.choice(_BATCHES), sizes.log_int(b.rng, 1, 16)
    while batch > 1 and not _fits(batch, heads, length, keys, head):
        batch //= 2
    while heads > 1 and not _fits(batch, heads, length, keys, head):
        heads //= 2
    form = attention_form(b.rng)
    norm = layer_norm if b.rng.random() < 0.6 else rms_norm
    attention = partial(_cached_attention, keys=keys) if cached else self_attention
    dim = heads * head
    hidden = max(8, round(dim * b.rng.choice((1, 2, 4))))
    x = b.input((batch, length, dim))
    for _ in range(3):
        x = residual(b, x, partial(attention, heads=heads, form=form), norm, pre=True)
        if b.exhausted:
            break
        x = residual(b, x, partial(feed_forward, hidden=hidden, act=token_activation(b)), norm, pre=True)
        if b.exhausted:
            break


def _width(b: NetworkBuilder, pixels: int) -> int:
    """A channel count, odd as often as not, with which a map keeps to its elements."""
    high = max(3, min(1024, _MAP_ELEMENTS // pixels))
    width = sizes.log_int(b.rng, 3, high)
    return width if b.rng.random() < 0.5 or high < 8 else min(high, sizes.round_to(width, 8))


def _window(b: NetworkBuilder, x: Tensor) -> int:
    return b.rng.choice([k for k in (1, 3, 3, 5, 7) if k <= 2 * min(x.shape[2:])])


def _dense(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A convolution whose output channels keep its work within a third of the budget."""
    n, c, height, width = x.shape
    window = _window(b, x)
    room = int(b.budget.flops / 3 / (2.0 * n * c * height * width * window**2))
    return conv_norm(b, x, max(3, min(_width(b, n * height * width), room)), window)


def _grouped(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A convolution in groups of several channels; a map whose channels do not divide is widened first."""
    if not _divisors(x.shape[1]):
        x = conv_norm(b, x, sizes.round_to(x.shape[1], 6))
    groups = b.rng.choice(_divisors(x.shape[1]))
    return conv_norm(b, x, x.shape[1], _window(b, x), groups=groups)


def _divisors(channels: int) -> list[int]:
    return [groups for groups in range(2, channels // 2 + 1) if channels % groups == 0]


def _pool_in_place(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Pooling that keeps the size."""
    kernel = b.rng.choice([k for k in (1, 3, 3, 5) if k <= 2 * min(x.shape[2:])])
    return pool(b, b.rng.choice(("MaxPool", "AveragePool")), x, kernel, 1, kernel // 2)


def _fits(batch: int, heads: int, length: int, keys: int, head: int) -> bool:
    tokens = batch * heads * head * max(length, keys)
    return batch * heads * length * keys <= _SCORES and tokens <= _TOKEN_ELEMENTS


def _cached_attention(b: NetworkBuilder, x: Tensor, heads: int, form: AttentionForm, keys: int) -> Tensor:
    """Attention of new tokens to keys and values that are inputs, as in decoding."""
    n, _, c = x.shape
    k, v = (b.input((n, heads, keys, c // heads)) for _ in range(2))
    q = to_heads(b, linear(b, x, c, bias=form.bias), heads)
    return linear(b, from_heads(b, attend(b, q, k, v, form)), c, bias=form.bias)
