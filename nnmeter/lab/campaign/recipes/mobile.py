"""Mobile networks: separable convolutions, inverted residuals, fused MBConv, ghost and shuffle units, FasterNet."""

from __future__ import annotations

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import (
    Activation,
    conv_activation,
    gate_activation,
    identity,
    mobile_activation,
    relu,
    silu,
    squeeze_excite,
)
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv_norm,
    mul,
    pool,
    reshape,
    slice_axis,
    split,
    transpose,
)
from nnmeter.lab.campaign.recipes.stages import entry, image_backbone, run_stages, stem

_BASES = (12, 16, 16, 18, 20, 24, 24, 24, 24, 28, 32, 32, 32, 36, 40, 48)


def separable(b: NetworkBuilder) -> None:
    """MobileNetV1: depthwise then pointwise, each with an activation; also depthwise without one (Xception, NASNet)."""
    act = mobile_activation(b)
    between = act if b.rng.random() < 0.75 else identity
    kernel = b.rng.choices((3, 5, 7), (85, 12, 3))[0]
    residual = b.rng.random() < 0.2

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        y = between(b, conv_norm(b, x, x.shape[1], kernel, stride, groups=x.shape[1]))
        y = act(b, conv_norm(b, y, width, 1))
        return add(b, y, x) if residual and y.shape == x.shape else y

    image_backbone(
        b, block, act, base=b.rng.choice((16, 24, 32, 48, 64, 96, 128, 128, 128)), largest=1536, repeats=(1, 2, 2)
    )


def inverted_residual(b: NetworkBuilder) -> None:
    """MobileNetV2/V3, MNASNet, EfficientNet, FBNet: expand, depthwise 3/5/7, optional gate, project, identity."""
    act = mobile_activation(b)
    kernels = b.rng.choice(((3,), (3,), (3, 5), (3, 5), (3, 5, 7), (5,)))
    excite = b.rng.choices((0.0, 1.0, 0.5), (40, 40, 20))[0]
    gate = gate_activation(b)
    inner = silu if act is silu else relu if b.rng.random() < 0.8 else act
    from_input = b.rng.random() < 0.4
    expansions = b.rng.choice(((6,), (6,), (4, 6), (3, 6), (3, 4, 6), (2.5, 4.5, 6), (1, 3, 6), (2, 4)))

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        hidden = sizes.round_to(x.shape[1] * b.rng.choice(expansions), b.rng.choice((8, 8, 8, 2)))
        y = x if hidden == x.shape[1] else act(b, conv_norm(b, x, hidden, 1))
        y = act(b, conv_norm(b, y, hidden, b.rng.choice(kernels), stride, groups=hidden))
        if b.rng.random() < excite:
            squeezed = x.shape[1] / 4 if from_input else hidden / b.rng.choice((4, 4, 8, 16))
            y = squeeze_excite(
                b, y, sizes.round_to(squeezed, 8) if b.rng.random() < 0.6 else max(4, int(squeezed)), inner, gate
            )
        y = conv_norm(b, y, width, 1)
        if y.shape != x.shape:
            return y
        return add(b, x, y) if b.rng.random() < 0.5 else add(b, y, x)

    image_backbone(b, block, act, base=b.rng.choice(_BASES), largest=448, repeats=(1, 2, 2))


def fused_inverted_residual(b: NetworkBuilder) -> None:
    """EfficientNetV2: full 3x3 expansion in early blocks, depthwise with gate in late ones."""
    act = silu if b.rng.random() < 0.7 else mobile_activation(b)
    expansion = b.rng.choice((1, 2, 4, 4, 6))
    gate = gate_activation(b)

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        hidden = x.shape[1] * expansion
        if width <= 80:
            y = act(b, conv_norm(b, x, hidden if expansion > 1 else width, 3, stride))
            y = conv_norm(b, y, width, 1) if expansion > 1 else y
        else:
            y = act(b, conv_norm(b, x, hidden, 1))
            y = act(b, conv_norm(b, y, hidden, 3, stride, groups=hidden))
            y = squeeze_excite(b, y, max(4, x.shape[1] // 4), act, gate)
            y = conv_norm(b, y, width, 1)
        return add(b, y, x) if y.shape == x.shape else y

    image_backbone(b, block, act, base=b.rng.choice((16, 24, 32, 40, 48, 56)), largest=512, repeats=(1, 2, 2))


def ghost(b: NetworkBuilder) -> None:
    """GhostNet: half of the channels from a convolution, half from a cheap depthwise of them, concatenated."""
    act = relu if b.rng.random() < 0.7 else mobile_activation(b)
    excite = b.rng.random()
    gate = gate_activation(b)
    cheap = b.rng.choice((3, 3, 3, 5, 1))

    def module(b: NetworkBuilder, x: Tensor, width: int, activation: Activation) -> Tensor:
        primary = (width + 1) // 2
        y = activation(b, conv_norm(b, x, primary, 1))
        z = activation(b, conv_norm(b, y, primary, cheap, groups=primary))
        joined = concat(b, [y, z])
        return slice_axis(b, joined, 1, 0, width) if b.rng.random() < 0.3 else joined

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        width += width % 2
        hidden = sizes.round_to(x.shape[1] * b.rng.choice((2, 3, 4, 6)), 4)
        y = module(b, x, hidden, act)
        kernel = b.rng.choice((3, 3, 5))
        if stride > 1:
            y = conv_norm(b, y, hidden, kernel, stride, groups=hidden)
        if b.rng.random() < excite:
            y = squeeze_excite(b, y, sizes.round_to(hidden / 4, 4), relu, gate)
        y = module(b, y, width, identity)
        if y.shape == x.shape:
            return add(b, y, x)
        c_in = x.shape[1]
        short = conv_norm(b, x, c_in, kernel, stride, groups=c_in)
        return add(b, y, conv_norm(b, short, width, 1))

    image_backbone(b, block, act, base=b.rng.choice((12, 16, 20, 24, 24, 32)), largest=320, repeats=(1, 2, 2))


def channel_shuffle(b: NetworkBuilder, x: Tensor, groups: int) -> Tensor:
    """Interleaves channel groups: reshape to (N, groups, C/groups, H, W), transpose, reshape back."""
    n, c, h, w = x.shape
    y = reshape(b, x, (n, groups, c // groups, h, w))
    return reshape(b, transpose(b, y, [0, 2, 1, 3, 4]), (n, c, h, w))


def shuffle_split(b: NetworkBuilder) -> None:
    """ShuffleNetV2: half of the channels pass by, half go through pointwise-depthwise-pointwise; then shuffle."""
    act = relu if b.rng.random() < 0.75 else mobile_activation(b)
    kernel = b.rng.choices((3, 5), (85, 15))[0]
    halves = (18, 24, 24, 36, 48, 58, 58, 61, 72, 88, 116, 122, 176, 232, 244, 352, 488)

    def branch(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        y = act(b, conv_norm(b, x, width, 1))
        y = conv_norm(b, y, width, kernel, stride, groups=width)
        return act(b, conv_norm(b, y, width, 1))

    def unit(b: NetworkBuilder, x: Tensor) -> Tensor:
        half = x.shape[1] // 2
        if b.rng.random() < 0.7:
            left, right = split(b, x, [half, half])
        else:
            left, right = slice_axis(b, x, 1, 0, half), slice_axis(b, x, 1, half, 2 * half)
        return concat(b, [left, branch(b, right, half, 1)])

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        half = min(halves, key=lambda c: abs(c - width / 2)) if b.rng.random() < 0.6 else width // 2
        c_in = x.shape[1]
        if stride == 1 and c_in % 2 == 0:
            y = unit(b, x)
        else:
            left = act(b, conv_norm(b, conv_norm(b, x, c_in, kernel, stride, groups=c_in), half, 1))
            y = concat(b, [left, branch(b, x, half, stride)])
        y = channel_shuffle(b, y, 2)
        return channel_shuffle(b, unit(b, y), 2) if b.rng.random() < 0.5 else y

    base = b.rng.choice((24, 36, 48, 64, 88, 116, 176, 232))
    image_backbone(b, block, act, base=base, largest=976)


def shuffle_grouped(b: NetworkBuilder) -> None:
    """ShuffleNetV1: grouped pointwise convolutions with a shuffle between; strided units append their pooled input."""
    act = relu
    groups = b.rng.choice((2, 3, 3, 4, 8))

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        width = sizes.round_to(width, 4 * groups)
        c_in = x.shape[1]
        joined = stride > 1 and width > c_in + 4 * groups and (width - c_in) % groups == 0
        c_out = width - c_in if joined else width
        hidden = sizes.round_to(width / 4, groups)
        first = groups if c_in % groups == 0 and c_in > 32 else 1
        y = act(b, conv_norm(b, x, hidden, 1, groups=first))
        y = channel_shuffle(b, y, groups)
        y = conv_norm(b, y, hidden, 3, stride, groups=hidden)
        y = conv_norm(b, y, c_out, 1, groups=groups)
        if joined:
            return act(b, concat(b, [y, pool(b, "AveragePool", x, 3, 2, 1)]))
        return act(b, add(b, y, x)) if y.shape == x.shape else act(b, y)

    image_backbone(
        b, block, act, base=b.rng.choice((60, 120, 144, 200, 240, 272, 384)), largest=1536, repeats=(1, 2, 2)
    )


def partial(b: NetworkBuilder) -> None:
    """FasterNet: a 3x3 convolution on a quarter of the channels, then two pointwise convolutions and an identity."""
    act = relu if b.rng.random() < 0.5 else conv_activation(b)
    ratio = b.rng.choice((2, 4, 4, 4, 8))

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1 or x.shape[1] != width:
            x = conv_norm(b, x, width, b.rng.choice((2, 3)) if stride > 1 else 1, stride, pad=0 if stride > 1 else None)
        some = max(1, width // ratio)
        left, right = split(b, x, [some, width - some])
        y = concat(b, [conv_norm(b, left, some, 3), right])
        y = act(b, conv_norm(b, y, 2 * width, 1))
        return add(b, x, conv_norm(b, y, width, 1))

    x, stride = entry(b, 64, 1024)
    if stride == 1:
        x = stem(b, x, 40, act)
    first = b.rng.choice((40, 48, 64, 80, 96, 128, 144, 192)) * max(1, stride // 4)
    run_stages(b, x, sizes.stage_widths(b.rng, min(first, 1024), 3, 1536), block, first_stride=b.rng.choice((1, 2)))


def gated_mobile(b: NetworkBuilder) -> None:
    """GhostNetV2's long-range gate, MicroNet and LCNet: strided depthwise gates that are resized and multiplied on."""
    act = mobile_activation(b)

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        y = act(b, conv_norm(b, x, x.shape[1], b.rng.choice((3, 5)), stride, groups=x.shape[1]))
        y = act(b, conv_norm(b, y, width, 1))
        g = conv_norm(b, y, width, [1, 5], groups=width)
        g = conv_norm(b, g, width, [5, 1], groups=width)
        return mul(b, y, b.node("Sigmoid", [g], g.shape, flops=10.0 * g.elements))

    image_backbone(b, block, act, base=b.rng.choice(_BASES), largest=640, repeats=(1, 2))
