"""Between convolution and attention: ConvNeXt, PoolFormer, CoAtNet, EfficientFormer, MobileViT, linear attention."""

from __future__ import annotations

from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import (
    Activation,
    gate_activation,
    gelu_erf,
    hard_swish,
    mobile_activation,
    relu,
    silu,
    squeeze_excite,
    token_activation,
)
from nnmeter.lab.campaign.recipes.attention import attend, attention_form, position_bias, self_attention, to_heads
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    batch_norm,
    classifier,
    concat,
    conv,
    conv_norm,
    elementwise,
    global_average,
    layer_norm,
    linear,
    matmul,
    mul,
    pool,
    reduce,
    reshape,
    softmax,
    split,
    transpose,
    unary,
)
from nnmeter.lab.campaign.recipes.stages import entry, head, run_stages
from nnmeter.lab.campaign.recipes.tokens import feed_forward, hidden_width, residual


def to_tokens(b: NetworkBuilder, x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H * W, C)."""
    n, c, h, w = x.shape
    return transpose(b, reshape(b, x, (n, c, h * w)), [0, 2, 1])


def to_map(b: NetworkBuilder, x: Tensor, h: int, w: int) -> Tensor:
    """(N, H * W, C) to (N, C, H, W)."""
    n, _, c = x.shape
    return reshape(b, transpose(b, x, [0, 2, 1]), (n, c, h, w))


def channel_layer_norm(b: NetworkBuilder, x: Tensor) -> Tensor:
    """LayerNormalization over the channels of a feature map, by transposing there and back."""
    return transpose(b, layer_norm(b, transpose(b, x, [0, 2, 3, 1])), [0, 3, 1, 2])


def _layer_scale(b: NetworkBuilder, x: Tensor) -> Tensor:
    return mul(b, x, b.weight((1, x.shape[1], 1, 1), 0.05, mean=0.5))


def convnext(b: NetworkBuilder) -> None:
    """ConvNeXt V1 and V2: depthwise 7x7, LayerNormalization, MLP on NHWC (MatMul) or NCHW (1x1), scale or GRN."""
    as_matmul = b.rng.random() < 0.5
    kernel = b.rng.choices((7, 5, 3, 9, 11, 13), (75, 7, 6, 6, 4, 2))[0]
    act = gelu_erf if b.rng.random() < 0.85 else token_activation(b)
    grn = b.rng.random() < 0.15
    scaled = not grn and b.rng.random() < 0.8

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1 or x.shape[1] != width:
            x = conv(b, channel_layer_norm(b, x), width, stride, stride, pad=0)
        y = conv(b, x, width, kernel, groups=width)
        ratio = b.rng.choices((4, 3, 2), (85, 8, 7))[0]
        if as_matmul:
            y = layer_norm(b, transpose(b, y, [0, 2, 3, 1]))
            y = act(b, linear(b, y, ratio * width))
            y = linear(b, _response_norm(b, y) if grn else y, width)
            y = transpose(b, y, [0, 3, 1, 2])
        else:
            y = channel_layer_norm(b, y) if b.rng.random() < 0.85 else batch_norm(b, y)
            y = conv(b, act(b, conv(b, y, ratio * width)), width)
        return add(b, _layer_scale(b, y) if scaled else y, x)

    base = b.rng.choice((24, 32, 40, 48, 64, 80, 96, 96, 128))
    x, stride = entry(b, base, 1024)
    if stride == 1:
        patch = b.rng.choice((2, 4, 4, 4))
        if min(x.shape[2:]) >= patch:
            x = channel_layer_norm(b, conv(b, x, base, patch, patch, pad=0))
    first = min(1024, base * max(4, stride) // 4)
    x = run_stages(b, x, sizes.stage_widths(b.rng, first, 3, 1024), block, first_stride=b.rng.choice((1, 1, 2)))
    if b.rng.random() < 0.5:
        y = layer_norm(b, reduce(b, "ReduceMean", x, [2, 3], keepdims=0))
        linear(b, y, 1000)


def _response_norm(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Global response normalisation of ConvNeXt V2 on (N, H, W, C)."""
    norm = reduce(b, "ReduceL2", x, [1, 2])
    mean = add(b, reduce(b, "ReduceMean", norm, [-1]), b.scalar(1e-6))
    ratio = elementwise(b, "Div", norm, mean)
    scaled = mul(b, mul(b, x, ratio), b.weight((x.shape[-1],), 0.1, mean=1.0))
    return add(b, add(b, scaled, b.weight((x.shape[-1],), 0.1)), x)


def metaformer(b: NetworkBuilder) -> None:
    """PoolFormer, ConvFormer, EfficientFormer stages: pooling or depthwise mixing, then 1x1 MLP on feature maps."""
    mixing = b.rng.choice(("pool", "pool", "depthwise", "identity"))
    norm_kind = b.rng.choice(("group", "batch", "batch", "layer"))
    act = gelu_erf if b.rng.random() < 0.7 else mobile_activation(b)
    ratio = b.rng.choice((4, 4, 3, 2))

    def norm(b: NetworkBuilder, x: Tensor) -> Tensor:
        if norm_kind == "group":
            return group_norm(b, x, 1)
        return batch_norm(b, x) if norm_kind == "batch" else channel_layer_norm(b, x)

    def mix(b: NetworkBuilder, y: Tensor) -> Tensor:
        if mixing == "pool":
            return elementwise(b, "Sub", pool(b, "AveragePool", y, 3, 1, 1, include_pad=0), y)
        if mixing == "depthwise":
            return conv_norm(b, y, y.shape[1], b.rng.choice((3, 5, 7)), groups=y.shape[1])
        return y

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1 or x.shape[1] != width:
            x = conv_norm(b, x, width, 3, stride)
        x = add(b, x, _layer_scale(b, mix(b, norm(b, x))))
        y = conv_norm(b, act(b, conv_norm(b, norm(b, x), ratio * width)), width)
        return add(b, x, _layer_scale(b, y) if b.rng.random() < 0.7 else y)

    base = b.rng.choice((32, 40, 48, 64, 64, 80, 96))
    x, stride = entry(b, base, 1024)
    if stride == 1:
        x = (
            conv_norm(b, x, base, 7, 4, pad=2)
            if b.rng.random() < 0.5
            else conv_norm(b, conv_norm(b, x, base // 2, 3, 2), base, 3, 2)
        )
    first = min(768, base * max(4, stride) // 4)
    x = run_stages(b, x, sizes.stage_widths(b.rng, first, 3, 768), block, first_stride=b.rng.choice((1, 2)))
    if b.rng.random() < 0.4:
        head(b, x, act)


def group_norm(b: NetworkBuilder, x: Tensor, groups: int) -> Tensor:
    """GroupNormalization as exporters write it: InstanceNormalization of reshaped groups, then scale and offset."""
    n, c, h, w = x.shape
    y = reshape(b, x, (n, groups, c * h * w // groups))
    ones, zeros = b.weight((groups,), 0.0, mean=1.0), b.weight((groups,), 0.0)
    y = b.node("InstanceNormalization", [y, ones, zeros], y.shape, flops=6.0 * y.elements, epsilon=1e-5)
    y = reshape(b, y, x.shape)
    return add(b, mul(b, y, b.weight((c, 1, 1), 0.1, mean=1.0)), b.weight((c, 1, 1), 0.1))


def convolution_and_attention(b: NetworkBuilder) -> None:
    """CoAtNet, MaxViT, EfficientFormer, LeViT, EdgeNeXt: inverted residuals first, then attention over all pixels."""
    act = b.rng.choice((gelu_erf, silu, hard_swish, relu))
    form = attention_form(b.rng)
    dim, heads = sizes.model_dim(b.rng, 48, 768)
    side = b.rng.choice((7, 7, 8, 10, 12, 14, 14, 14, 16, 20, 28))
    n = sizes.batch(b.rng)
    x = b.input((n, sizes.channels(b.rng, 24, 384), side * 2, side * 2))
    hidden = x.shape[1] * b.rng.choice((3, 4, 6))
    y = act(b, conv_norm(b, x, hidden))
    y = act(b, conv_norm(b, y, hidden, 3, 2, groups=hidden))
    if b.rng.random() < 0.5:
        y = squeeze_excite(b, y, max(8, x.shape[1] // 4), act, gate_activation(b))
    y = conv_norm(b, y, dim)
    tokens = to_tokens(b, y)
    masks = (position_bias(b, heads, side * side, side * side),) if b.rng.random() < 0.6 else ()
    mlp = partial(feed_forward, hidden=hidden_width(b, dim), act=token_activation(b))
    tokens = residual(b, tokens, lambda b, z: self_attention(b, z, heads, form, masks), layer_norm, pre=True)
    tokens = residual(b, tokens, mlp, layer_norm, pre=True)
    if not b.exhausted and b.rng.random() < 0.7:
        z = to_map(b, tokens, side, side)
        if b.rng.random() < 0.5:
            z = conv_norm(b, z, sizes.channels(b.rng, 64, 1024), 3, b.rng.choice((1, 2)))
        classifier(b, z, 1000)


def unfolded(b: NetworkBuilder) -> None:
    """MobileViT: local convolutions, unfolding into patches, attention, folding back, fusion with the input."""
    act = silu if b.rng.random() < 0.8 else mobile_activation(b)
    dim, heads = sizes.model_dim(b.rng, 48, 256)
    form = attention_form(b.rng)
    n = b.rng.choices((1, 2, 4), (85, 8, 7))[0]
    patch = 2
    side = 2 * b.rng.choice((3, 4, 5, 7, 8, 10, 12, 14, 16))
    x = b.input((n, sizes.channels(b.rng, 32, 320), side, side))
    c = x.shape[1]
    y = conv(b, act(b, conv_norm(b, x, c, 3)), dim, bias=False)
    k = side // patch
    y = transpose(b, reshape(b, y, (n * dim * k, patch, k, patch)), [0, 2, 1, 3])
    y = transpose(b, reshape(b, y, (n, dim, k * k, patch * patch)), [0, 3, 2, 1])
    y = reshape(b, y, (n * patch * patch, k * k, dim))
    mlp = partial(feed_forward, hidden=hidden_width(b, dim), act=act)
    y = residual(b, y, lambda b, z: self_attention(b, z, heads, form), layer_norm, pre=True)
    y = layer_norm(b, residual(b, y, mlp, layer_norm, pre=True))
    y = transpose(b, reshape(b, y, (n, patch * patch, k * k, dim)), [0, 3, 2, 1])
    y = transpose(b, reshape(b, y, (n * dim * k, k, patch, patch)), [0, 2, 1, 3])
    y = act(b, conv_norm(b, reshape(b, y, (n, dim, side, side)), c))
    y = act(b, conv_norm(b, concat(b, [x, y]), c, 3))
    if not b.exhausted:
        classifier(b, act(b, conv_norm(b, y, sizes.channels(b.rng, 160, 1280))), 1000)


def linear_attention(b: NetworkBuilder) -> None:
    """Attention of linear cost: XCiT (over channels), EfficientViT (ReLU kernels), separable attention, Performer."""
    kind = b.rng.choice(("channels", "kernel", "separable"))
    dim, heads = sizes.model_dim(b.rng, 48, 512)
    side = b.rng.choice((7, 8, 14, 14, 16, 20, 28, 28, 40, 56))
    n = b.rng.choices((1, 2, 4), (85, 8, 7))[0]
    x = b.input((n, dim, side, side))
    y = _ATTENTION_KINDS[kind](b, x, heads)
    x = add(b, x, y)
    act: Activation = mobile_activation(b)
    hidden = dim * b.rng.choice((2, 4))
    y = act(b, conv_norm(b, act(b, conv_norm(b, x, hidden)), hidden, 3, groups=hidden))
    x = add(b, x, conv_norm(b, y, dim))
    if not b.exhausted:
        head(b, x, act)


def _channel_attention(b: NetworkBuilder, x: Tensor, heads: int) -> Tensor:
    n, c, h, w = x.shape
    qkv = linear(b, layer_norm(b, to_tokens(b, x)), 3 * c)
    q, k, v = (transpose(b, to_heads(b, t, heads), [0, 1, 3, 2]) for t in split(b, qkv, [c, c, c], 2))
    q, k = (elementwise(b, "Div", t, _length(b, t)) for t in (q, k))
    scores = mul(b, matmul(b, q, transpose(b, k, [0, 1, 3, 2])), b.weight((heads, 1, 1), 0.1, mean=1.0))
    y = transpose(b, matmul(b, softmax(b, scores), v), [0, 3, 1, 2])
    return to_map(b, linear(b, reshape(b, y, (n, h * w, c)), c), h, w)


def _length(b: NetworkBuilder, x: Tensor) -> Tensor:
    length = reduce(b, "ReduceL2", x, [-1])
    return b.node("Clip", [length, b.scalar(1e-6)], length.shape)


def _kernel_attention(b: NetworkBuilder, x: Tensor, heads: int) -> Tensor:
    n, c, h, w = x.shape
    d = c // heads
    qkv = conv(b, x, 3 * c, bias=False)
    if b.rng.random() < 0.5:
        qkv = conv(b, qkv, 3 * c, 5, groups=3 * c, bias=False)
    q, k, v = split(b, reshape(b, qkv, (n, heads, 3 * d, h * w)), [d, d, d], 2)
    q, k = relu(b, q), relu(b, k)
    context = matmul(b, k, transpose(b, v, [0, 1, 3, 2]))
    y = matmul(b, transpose(b, context, [0, 1, 3, 2]), q)
    total = reduce(b, "ReduceSum", k, [-1])
    share = matmul(b, transpose(b, total, [0, 1, 3, 2]), q)
    y = elementwise(b, "Div", y, add(b, share, b.scalar(1e-3)))
    return conv_norm(b, reshape(b, y, (n, c, h, w)), c)


def _separable_attention(b: NetworkBuilder, x: Tensor, heads: int) -> Tensor:
    n, c, h, w = x.shape
    q, k, v = split(b, conv(b, x, 1 + 2 * c), [1, c, c], 1)
    q, k, v = (
        reshape(b, t, (n, t.shape[1], 4, h * w // 4) if h * w % 4 == 0 else (n, t.shape[1], 1, h * w))
        for t in (q, k, v)
    )
    context = reduce(b, "ReduceSum", mul(b, k, softmax(b, q)), [-1])
    y = mul(b, relu(b, v), context)
    return conv(b, reshape(b, y, (n, c, h, w)), c)


_ATTENTION_KINDS = {"channels": _channel_attention, "kernel": _kernel_attention, "separable": _separable_attention}


def nonlocal_block(b: NetworkBuilder) -> None:
    """Non-local and bottleneck-transformer blocks: attention between pixels inside a residual network."""
    side = b.rng.choice((7, 8, 10, 14, 14, 16, 20, 28))
    n = b.rng.choices((1, 2, 4), (85, 8, 7))[0]
    dim, heads = sizes.model_dim(b.rng, 64, 512)
    form = attention_form(b.rng)
    x = b.input((n, sizes.channels(b.rng, 64, 1024), side, side))
    y = relu(b, conv_norm(b, x, dim))
    maps = (reshape(b, conv(b, y, dim), (n, heads, dim // heads, side * side)) for _ in range(3))
    q, k, v = (transpose(b, m, [0, 1, 3, 2]) for m in maps)
    z = attend(b, q, k, v, form)
    z = reshape(b, transpose(b, z, [0, 1, 3, 2]), (n, dim, side, side))
    y = relu(b, add(b, conv_norm(b, z, x.shape[1]), x))
    gate = conv(b, global_average(b, y), x.shape[1])
    y = mul(b, y, unary(b, "Sigmoid", gate))
    run_stages(b, y, [sizes.channels(b.rng, 64, 1024)], lambda b, t, c, s: relu(b, conv_norm(b, t, c, 3, s)))
