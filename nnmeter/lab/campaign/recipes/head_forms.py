"""Attention whose heads do more than softmax(q k) v: mixed with each other, pooled, convolved, at two scales.

`mixed_heads`: scores are mixed between the heads by a small product before and behind the softmax (CaiT's talking
heads), and layers in which the class token alone asks.

`pooled_heads`: queries, keys and values are maps again, thinned by depthwise convolutions or pooling within each head
(MViT), with biases made of the queries and of positions along height and width.

`convolved_heads`: attention of linear cost, the softmax going over the tokens, beside depthwise convolutions of several
sizes over the values, a group of heads each (CoaT).

`two_scales`: the image cut into patches of two sizes, one of them behind a resize, and class tokens that ask the other
scale (CrossViT).
"""

from __future__ import annotations

from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import gelu_erf, token_activation
from nnmeter.lab.campaign.recipes.attention import (
    AttentionForm,
    attend,
    attention_form,
    cross_attention,
    from_heads,
    project_heads,
    self_attention,
    to_heads,
)
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    layer_norm,
    linear,
    matmul,
    mul,
    pool,
    reduce,
    reshape,
    select,
    slice_axis,
    softmax,
    split,
    transpose,
    unsqueeze,
)
from nnmeter.lab.campaign.recipes.tokens import change_width, feed_forward, hidden_width, residual

_MOST_SCORES = 4e6


def _tokens(b: NetworkBuilder, low: int = 64, high: int = 512) -> tuple[Tensor, int, int]:
    """Tokens of a square map as a network's input, the map's side, and a number of heads."""
    dim, heads = sizes.model_dim(b.rng, low, high)
    side = b.rng.choice((7, 8, 10, 14, 14, 14, 16, 20, 28, 28, 40, 56))
    batch = b.rng.choices((1, 2, 4), (88, 8, 4))[0]
    while side > 7 and batch * heads * side**4 > _MOST_SCORES:
        side //= 2
    return b.input((batch, side * side, dim)), side, heads


def _layers(b: NetworkBuilder, x: Tensor, attention: partial[Tensor], scaled: bool = False) -> Tensor:
    """One layer of an attention and its feed-forward part."""
    act = gelu_erf if b.rng.random() < 0.8 else token_activation(b)
    x = residual(b, x, attention, layer_norm, pre=True, scaled=scaled)
    hidden = hidden_width(b, x.shape[-1])
    return residual(b, x, partial(feed_forward, hidden=hidden, act=act), layer_norm, pre=True, scaled=scaled)


def mixed_heads(b: NetworkBuilder) -> None:
    """CaiT: heads that talk before and behind the softmax, then layers of the class token alone."""
    x, _, heads = _tokens(b)
    form = attention_form(b.rng)

    def talking(b: NetworkBuilder, y: Tensor) -> Tensor:
        q, k, v = project_heads(b, y, heads, form)
        scores = mul(b, matmul(b, q, transpose(b, k, [0, 1, 3, 2])), b.scalar(0.1))
        weights = _between_heads(b, softmax(b, _between_heads(b, scores)))
        return linear(b, from_heads(b, matmul(b, weights, v)), y.shape[-1])

    for _ in range(2):
        x = _layers(b, x, partial(talking), scaled=b.rng.random() < 0.7)
        if b.exhausted:
            return
    n, _, c = x.shape
    token = add(b, select(b, x, 1, 0), b.weight((n, c), 0.3))
    token = unsqueeze(b, token, [1])
    both = layer_norm(b, concat(b, [token, x], 1))
    asked = to_heads(b, linear(b, slice_axis(b, both, 1, 0, 1), c), heads)
    k, v = (to_heads(b, linear(b, both, c), heads) for _ in range(2))
    token = add(b, token, linear(b, from_heads(b, attend(b, asked, k, v, form)), c))
    token = residual(b, token, partial(feed_forward, hidden=4 * c, act=gelu_erf), layer_norm, pre=True)
    linear(b, select(b, token, 1, 0), 1000)


def _between_heads(b: NetworkBuilder, scores: Tensor) -> Tensor:
    """A product along the axis of heads: as a linear layer on the transposed scores, or as a convolution."""
    heads = scores.shape[1]
    if b.rng.random() < 0.25:
        return conv(b, scores, heads)
    return transpose(b, linear(b, transpose(b, scores, [0, 2, 3, 1]), heads), [0, 3, 1, 2])


def pooled_heads(b: NetworkBuilder) -> None:
    """MViT: attention over maps that are thinned within each head."""
    x, side, heads = _tokens(b, 64, 384)
    has_class = b.rng.random() < 0.5
    if has_class:
        x = concat(b, [b.weight((x.shape[0], 1, x.shape[2]), 0.3), x], 1)
    form = attention_form(b.rng)
    by_convolution = b.rng.random() < 0.8
    biased = b.rng.random() < 0.6
    for _ in range(2):
        steps = (b.rng.choice((1, 1, 2)), b.rng.choice((1, 2, 4)))
        if side < 2 * max(steps):
            steps = (1, 1)
        entered = layer_norm(b, x)
        q, k, v = project_heads(b, entered, heads, form)
        q = _thinned(b, q, side, steps[0], has_class, by_convolution)
        k, v = (_thinned(b, t, side, steps[1], has_class, by_convolution) for t in (k, v))
        scores = mul(b, matmul(b, q, transpose(b, k, [0, 1, 3, 2])), b.scalar(q.shape[-1] ** -0.5))
        kept, inner = -(-side // steps[0]), -(-side // steps[1])
        if biased and not has_class:
            scores = add(b, scores, _axis_bias(b, q, kept, inner))
        y = add(b, matmul(b, softmax(b, scores), v), q)
        y = linear(b, from_heads(b, y), x.shape[2])
        x = add(b, y, _skipped(b, x, side, steps[0], has_class))
        side = kept
        mlp = partial(feed_forward, hidden=hidden_width(b, x.shape[2]), act=gelu_erf)
        x = residual(b, x, mlp, layer_norm, pre=True)
        if b.exhausted:
            return
    linear(b, select(b, layer_norm(b, x), 1, 0), 1000)


def _thinned(b: NetworkBuilder, x: Tensor, side: int, step: int, has_class: bool, by_convolution: bool) -> Tensor:
    """(N, H, S, D) as maps of each head through a depthwise convolution or a pooling, and normalised."""
    n, h, s, d = x.shape
    first = slice_axis(b, x, 2, 0, 1) if has_class else None
    rest = slice_axis(b, x, 2, 1, s) if has_class else x
    maps = transpose(b, reshape(b, rest, (n * h, side, side, d)), [0, 3, 1, 2])
    maps = conv(b, maps, d, 3, step, groups=d, bias=False) if by_convolution else pool(b, "MaxPool", maps, 3, step, 1)
    area = maps.shape[2] * maps.shape[3]
    y = transpose(b, reshape(b, maps, (n, h, d, area)), [0, 1, 3, 2])
    return layer_norm(b, y if first is None else concat(b, [first, y], 2))


def _axis_bias(b: NetworkBuilder, q: Tensor, kept: int, inner: int) -> Tensor:
    """Biases of the scores, made of the queries and of positions along height and along width."""
    n, h, _, d = q.shape
    grid = reshape(b, q, (n, h, kept, kept, d))
    along_width = matmul(b, grid, b.weight((kept, d, inner), 0.1))
    turned = transpose(b, grid, [0, 1, 3, 2, 4])
    along_height = transpose(b, matmul(b, turned, b.weight((kept, d, inner), 0.1)), [0, 1, 3, 2, 4])
    both = add(b, unsqueeze(b, along_width, [5]), unsqueeze(b, along_height, [4]))
    return reshape(b, both, (n, h, kept * kept, inner * inner))


def _skipped(b: NetworkBuilder, x: Tensor, side: int, step: int, has_class: bool) -> Tensor:
    """The way around a layer that thins its tokens: a pooling of the map."""
    if step == 1:
        return x
    n, s, c = x.shape
    rest = slice_axis(b, x, 1, 1, s) if has_class else x
    maps = pool(b, "MaxPool", transpose(b, reshape(b, rest, (n, side, side, c)), [0, 3, 1, 2]), 3, step, 1)
    y = transpose(b, reshape(b, maps, (n, c, maps.shape[2] * maps.shape[3])), [0, 2, 1])
    return concat(b, [slice_axis(b, x, 1, 0, 1), y], 1) if has_class else y


def convolved_heads(b: NetworkBuilder) -> None:
    """CoaT: attention of linear cost with convolutions of several sizes beside it."""
    x, side, heads = _tokens(b, 64, 384)
    form = attention_form(b.rng)
    windows = b.rng.choice(((3,), (3, 5), (3, 5, 7), (5, 7)))

    def attention(b: NetworkBuilder, y: Tensor) -> Tensor:
        n, s, c = y.shape
        maps = reshape(b, transpose(b, y, [0, 2, 1]), (n, c, side, side))
        y = add(b, y, transpose(b, reshape(b, conv(b, maps, c, 3, groups=c), (n, c, s)), [0, 2, 1]))
        q, k, v = project_heads(b, y, heads, form)
        context = matmul(b, transpose(b, softmax(b, k, 2), [0, 1, 3, 2]), v)
        shared = mul(b, matmul(b, q, context), b.scalar(q.shape[-1] ** -0.5))
        local = mul(b, q, _over_values(b, v, side, windows))
        return linear(b, from_heads(b, add(b, shared, local)), c)

    for _ in range(2):
        x = _layers(b, x, partial(attention))
        if b.exhausted:
            return
    linear(b, reduce(b, "ReduceMean", x, [1], keepdims=0), 1000)


def _over_values(b: NetworkBuilder, v: Tensor, side: int, windows: tuple[int, ...]) -> Tensor:
    """Depthwise convolutions over the values as maps, each over a share of the channels."""
    n, h, s, d = v.shape
    maps = reshape(b, transpose(b, v, [0, 1, 3, 2]), (n, h * d, side, side))
    each = max(1, h // len(windows)) * d
    widths = [each] * (len(windows) - 1)
    widths.append(h * d - sum(widths))
    if min(widths) < 1 or len(windows) == 1:
        y = conv(b, maps, h * d, windows[0], groups=h * d)
    else:
        parts = split(b, maps, widths)
        y = concat(b, [conv(b, p, p.shape[1], k, groups=p.shape[1]) for p, k in zip(parts, windows, strict=True)])
    return transpose(b, reshape(b, y, (n, h, d, s)), [0, 1, 3, 2])


def two_scales(b: NetworkBuilder) -> None:
    """CrossViT: patches of two sizes, layers of each, and class tokens that ask the other scale."""
    form = attention_form(b.rng)
    image = b.rng.choice((96, 160, 192, 224, 240, 240, 256))
    other = b.rng.choice((96, 128, 160, 192, 224, 224))
    x = b.input((b.rng.choices((1, 2), (85, 15))[0], 3, image, image))
    shape = (*x.shape[:2], other, other)
    small = b.node(
        "Resize", [x, None, None, b.constant(list(shape))], shape, flops=180.0 * x.shape[0] * other * other,
        mode=b.rng.choice(("cubic", "cubic", "linear")), coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    branches = [_patches(b, y, patch, *sizes.model_dim(b.rng, 64, 384)) for y, patch in ((x, 12), (small, 16))]
    branches = [(self_layer(b, tokens, heads, form), heads) for tokens, heads in branches]
    if b.exhausted:
        return
    for (own, own_heads), (memory, _) in (branches, branches[::-1]):
        c, width = own.shape[2], memory.shape[2]
        token = layer_norm(b, slice_axis(b, own, 1, 0, 1))
        token = change_width(b, gelu_erf(b, token), width)
        rest = concat(b, [token, slice_axis(b, memory, 1, 1, memory.shape[1])], 1)
        heads = next((h for h in (own_heads, 4, 2) if width % h == 0), 1)
        token = add(b, token, cross_attention(b, layer_norm(b, token), layer_norm(b, rest), heads, form))
        token = change_width(b, gelu_erf(b, layer_norm(b, token)), c)
        linear(b, select(b, concat(b, [token, slice_axis(b, own, 1, 1, own.shape[1])], 1), 1, 0), 1000)


def self_layer(b: NetworkBuilder, x: Tensor, heads: int, form: AttentionForm) -> Tensor:
    """A usual layer."""
    return _layers(b, x, partial(self_attention, heads=heads, form=form))


def _patches(b: NetworkBuilder, x: Tensor, patch: int, dim: int, heads: int) -> tuple[Tensor, int]:
    """Tokens of an image with a class token before them."""
    while (x.shape[2] // patch) ** 4 * heads > _MOST_SCORES:
        patch *= 2
    y = conv(b, x, dim, patch, patch, pad=0)
    n, _, h, w = y.shape
    y = transpose(b, reshape(b, y, (n, dim, h * w)), [0, 2, 1])
    y = concat(b, [b.weight((n, 1, dim), 0.3), y], 1)
    return add(b, y, b.weight((1, *y.shape[1:]), 0.3)), heads
