"""Vision transformers and token mixers: ViT, DeiT, CaiT, Swin, PVT and SegFormer, MLP-Mixer, gMLP, ResMLP."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import gelu_erf, token_activation
from nnmeter.lab.campaign.recipes.attention import (
    AttentionForm,
    attend,
    attention_form,
    cross_attention,
    from_heads,
    position_bias,
    project_heads,
    self_attention,
)
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    conv_norm,
    layer_norm,
    linear,
    mul,
    pad,
    reduce,
    reshape,
    select,
    slice_axis,
    split,
    transpose,
)
from nnmeter.lab.campaign.recipes.tokens import change_width, feed_forward, hidden_width, residual


def patch_tokens(b: NetworkBuilder, batch: int, dim: int) -> Tensor:
    """An image cut into patches by a strided convolution, as (N, S, C) tokens; sometimes the tokens are the input."""
    patch = b.rng.choice((4, 8, 14, 16, 16, 16, 32, 32))
    height, width = (max(1, s // patch) for s in sizes.feature_size(b.rng, 1))
    while batch * height * width > 1300:
        height, width = max(1, height // 2), max(1, width // 2)
    if b.rng.random() < 0.5:
        return b.input((batch, height * width, dim))
    x = b.input((batch, 3, height * patch, width * patch))
    y = conv(b, x, dim, patch, patch, pad=0)
    return transpose(b, reshape(b, y, (batch, dim, height * width)), [0, 2, 1])


def plain_vit(b: NetworkBuilder) -> None:
    """ViT, DeiT, CaiT, CLIP: class token, position embedding, pre-normalised layers, LayerScale in some, classifier."""
    dim, heads = sizes.model_dim(b.rng, 96, 1024)
    batch = sizes.batch(b.rng)
    form = attention_form(b.rng)
    if b.rng.random() < 0.5:
        form = replace(form, projection="fused_squeeze", scaling="both")
    act = gelu_erf if b.rng.random() < 0.8 else token_activation(b)
    scaled = b.rng.random() < 0.15
    x = patch_tokens(b, batch, dim)
    if b.rng.random() < 0.75:
        x = concat(b, [b.weight((batch, 1, dim), 0.3), x], 1)
    x = add(b, x, b.weight((1, *x.shape[1:]), 0.3))
    for _ in range(2):
        hidden = hidden_width(b, dim)
        x = residual(b, x, partial(self_attention, heads=heads, form=form), layer_norm, pre=True, scaled=scaled)
        if b.exhausted:
            break
        x = residual(b, x, partial(feed_forward, hidden=hidden, act=act), layer_norm, pre=True, scaled=scaled)
        if b.exhausted:
            break
        dim, heads = sizes.model_dim(b.rng, 64, 1024)
        x = change_width(b, x, dim)
    if b.rng.random() < 0.5:
        if b.rng.random() < 0.6:
            y = select(b, layer_norm(b, x), 1, 0)
        else:
            y = layer_norm(b, reduce(b, "ReduceMean", x, [1], keepdims=0))
        linear(b, y, b.rng.choice((1000, 1000, 10, 100, 512)))


def _windows(b: NetworkBuilder, x: Tensor, window: int) -> Tensor:
    """(N, H, W, C) to (N * windows, window * window, C)."""
    n, h, w, c = x.shape
    y = reshape(b, x, (n, h // window, window, w // window, window, c))
    y = transpose(b, y, [0, 1, 3, 2, 4, 5])
    return reshape(b, y, (n * (h // window) * (w // window), window * window, c))


def _unwindow(b: NetworkBuilder, x: Tensor, shape: tuple[int, ...], window: int) -> Tensor:
    """The inverse of `_windows`."""
    n, h, w, c = shape
    y = reshape(b, x, (n, h // window, w // window, window, window, c))
    return reshape(b, transpose(b, y, [0, 1, 3, 2, 4, 5]), shape)


def _roll(b: NetworkBuilder, x: Tensor, shift: int) -> Tensor:
    """Cyclic shift of height and width: two slices and a concatenation for each axis."""
    for axis in (1, 2):
        size = x.shape[axis]
        cut = shift % size
        if cut:
            x = concat(b, [slice_axis(b, x, axis, cut, size), slice_axis(b, x, axis, 0, cut)], axis)
    return x


def windowed(b: NetworkBuilder) -> None:
    """Swin: attention in windows with relative position bias, every second one shifted and masked, patch merging."""
    window = b.rng.choices((7, 8, 4, 12, 14, 6, 16), (55, 15, 8, 8, 4, 6, 4))[0]
    head = b.rng.choice((16, 24, 32, 32, 32, 32, 48, 64))
    level = b.rng.randrange(4)
    heads = min(32, b.rng.choice((1, 2, 2, 3, 3, 4, 4, 6)) * 2**level)
    per_side = max(1, b.rng.choice((8, 8, 6, 4, 12)) >> level)
    tall = per_side if b.rng.random() < 0.85 else max(1, per_side // 2)
    batch = b.rng.choices((1, 2, 4), (88, 6, 6))[0]
    form = replace(
        attention_form(b.rng),
        projection=b.rng.choices(("fused_squeeze", "fused_gather", "fused_split"), (70, 20, 10))[0],
        scaling=b.rng.choices(("query", "both", "scores"), (70, 20, 10))[0],
        guard=False,
    )
    act = gelu_erf if b.rng.random() < 0.85 else token_activation(b)
    if level == 0 and b.rng.random() < 0.5:
        patch = b.rng.choice((2, 4, 4))
        image = b.input((batch, 3, tall * window * patch, per_side * window * patch))
        x = layer_norm(b, transpose(b, conv(b, image, heads * head, patch, patch, pad=0), [0, 2, 3, 1]))
    else:
        ragged = b.rng.randrange(window) if b.rng.random() < 0.12 else 0
        x = b.input((batch, tall * window - ragged, per_side * window - ragged, heads * head))
        if b.rng.random() < 0.3 and x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0 and per_side > 1 and tall > 1:
            x = _merge(b, b.input((batch, 2 * x.shape[1], 2 * x.shape[2], x.shape[3] // 2)))
    zero_pad = b.rng.random() < 0.6
    for shifted in (False, True) if b.rng.random() < 0.7 else (True,):
        attention = partial(
            _window_attention, window=window, heads=heads, form=form, shifted=shifted, zero_pad=zero_pad
        )
        n, h, w, c = x.shape
        x = residual(b, x, attention, layer_norm, pre=True)
        y = reshape(b, x, (n, h * w, c)) if b.rng.random() < 0.7 else x
        y = residual(b, y, partial(feed_forward, hidden=hidden_width(b, c), act=act), layer_norm, pre=True)
        x = reshape(b, y, (n, h, w, c)) if y.shape != x.shape else y
        if b.exhausted:
            return
    if x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0:
        _merge(b, x)
    else:
        y = reduce(b, "ReduceMean", layer_norm(b, x), [1, 2], keepdims=0)
        linear(b, y, 1000)


def _window_attention(
    b: NetworkBuilder, x: Tensor, window: int, heads: int, form: AttentionForm, *, shifted: bool, zero_pad: bool
) -> Tensor:
    shift = window // 2
    inner = x.shape
    if shifted:
        x = _roll(b, x, shift)
    missing = [0, -x.shape[1] % window, -x.shape[2] % window, 0]
    if zero_pad or any(missing):
        x = pad(b, x, [0] * 4, missing)
    shape = x.shape
    _, h, w, _ = shape
    y = _windows(b, x, window)
    tokens = window * window
    masks = [position_bias(b, heads, tokens, tokens)]
    if shifted:
        masks.append(b.weight((1, (h // window) * (w // window), 1, tokens, tokens), 0.1))
    q, k, v = project_heads(b, y, heads, form)
    y = linear(b, from_heads(b, attend(b, q, k, v, form, tuple(masks))), x.shape[3])
    y = _unwindow(b, y, shape, window)
    for axis in (1, 2):
        if missing[axis]:
            y = slice_axis(b, y, axis, 0, inner[axis])
    return _roll(b, y, -shift) if shifted else y


def _merge(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Patch merging: four pixels are stacked in channels, normalised and projected to twice the width."""
    n, h, w, c = x.shape
    if b.rng.random() < 0.5:
        rows = [slice_axis(b, x, 1, i, h, 2) for i in (0, 1)]
        y = concat(b, [slice_axis(b, r, 2, j, w, 2) for j in (0, 1) for r in rows], 3)
    else:
        y = reshape(b, x, (n, h // 2, 2, w // 2, 2, c))
        y = reshape(b, transpose(b, y, [0, 1, 3, 4, 2, 5]), (n, h // 2, w // 2, 4 * c))
    return linear(b, layer_norm(b, y), 2 * c, bias=False)


def spatial_reduction(b: NetworkBuilder) -> None:
    """PVT and SegFormer: keys and values from a reduced map, a depthwise convolution in the feed-forward layer."""
    dim, heads = sizes.model_dim(b.rng, 32, 512)
    side = b.rng.choice((7, 8, 14, 14, 16, 28, 28, 32, 40, 56))
    ratio = b.rng.choice([r for r in (1, 2, 4, 8) if side % r == 0])
    form = attention_form(b.rng)
    n = b.rng.choices((1, 2, 4), (88, 7, 5))[0]
    c_in = sizes.channels(b.rng, 16, 256)
    fmap = conv_norm(b, b.input((n, c_in, side * 2, side * 2)), dim, 3, 2)
    x = layer_norm(b, transpose(b, reshape(b, fmap, (n, dim, side * side)), [0, 2, 1]))

    def mixer(b: NetworkBuilder, y: Tensor) -> Tensor:
        memory = y
        if ratio > 1:
            back = reshape(b, transpose(b, y, [0, 2, 1]), (n, dim, side, side))
            small = conv(b, back, dim, ratio, ratio, pad=0)
            area = (side // ratio) ** 2
            memory = layer_norm(b, transpose(b, reshape(b, small, (n, dim, area)), [0, 2, 1]))
        return cross_attention(b, y, memory, heads, form)

    act = gelu_erf if b.rng.random() < 0.8 else token_activation(b)
    hidden = hidden_width(b, dim)

    def mlp(b: NetworkBuilder, y: Tensor) -> Tensor:
        z = linear(b, y, hidden)
        z = reshape(b, transpose(b, z, [0, 2, 1]), (n, hidden, side, side))
        z = conv(b, z, hidden, 3, groups=hidden)
        z = transpose(b, reshape(b, z, (n, hidden, side * side)), [0, 2, 1])
        return linear(b, act(b, z), dim)

    x = residual(b, x, mixer, layer_norm, pre=True)
    x = residual(
        b, x, mlp if b.rng.random() < 0.6 else partial(feed_forward, hidden=hidden, act=act), layer_norm, pre=True
    )
    if b.rng.random() < 0.5:
        y = reshape(b, transpose(b, x, [0, 2, 1]), (n, dim, side, side))
        conv_norm(b, y, min(1024, dim * 2), 3, 2)


def token_mixer(b: NetworkBuilder) -> None:
    """MLP-Mixer, ResMLP and gMLP: products over the token axis by transposition, then over channels."""
    batch = sizes.batch(b.rng)
    dim = sizes.channels(b.rng, 64, 1024)
    x = patch_tokens(b, batch, dim)
    act = gelu_erf if b.rng.random() < 0.8 else token_activation(b)
    kind = b.rng.choices(("mixer", "gated", "affine"), (60, 25, 15))[0]
    hidden = hidden_width(b, dim)

    def tokens(b: NetworkBuilder, y: Tensor) -> Tensor:
        z = transpose(b, y, [0, 2, 1])
        z = (
            feed_forward(b, z, b.rng.choice((dim // 2, 196, 256, 384)), act)
            if kind == "mixer"
            else linear(b, z, z.shape[-1])
        )
        return transpose(b, z, [0, 2, 1])

    def gated(b: NetworkBuilder, y: Tensor) -> Tensor:
        width = y.shape[-1]
        u, v = split(b, act(b, linear(b, y, 2 * width)), [width, width], -1)
        return linear(b, mul(b, u, tokens(b, layer_norm(b, v))), width)

    def affine(b: NetworkBuilder, y: Tensor) -> Tensor:
        return add(b, mul(b, y, b.weight((y.shape[-1],), 0.1, mean=1.0)), b.weight((y.shape[-1],), 0.1))

    norm = affine if kind == "affine" else layer_norm
    for _ in range(2):
        if kind == "gated":
            x = residual(b, x, gated, norm, pre=True)
        else:
            x = residual(b, x, tokens, norm, pre=True, scaled=kind == "affine")
            x = residual(b, x, partial(feed_forward, hidden=hidden, act=act), norm, pre=True, scaled=kind == "affine")
        if b.exhausted:
            return
        x = change_width(b, x, sizes.channels(b.rng, 64, 1024))
        dim = x.shape[-1]
        hidden = hidden_width(b, dim)
    linear(b, reduce(b, "ReduceMean", norm(b, x), [1], keepdims=0), 1000)
