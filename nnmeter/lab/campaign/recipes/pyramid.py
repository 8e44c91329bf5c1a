"""Dense prediction: feature pyramids, atrous pooling, segmentation and detection heads, U-Nets, super-resolution."""

from __future__ import annotations

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import Activation, conv_activation, mobile_activation, relu, sigmoid, silu
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    conv_norm,
    conv_transpose,
    elementwise,
    global_average,
    mul,
    pool,
    reshape,
    resize,
    slice_axis,
    softmax,
    split,
    transpose,
)
from nnmeter.lab.campaign.recipes.stages import stem


def _features(b: NetworkBuilder, count: int, low: int = 24) -> list[Tensor]:
    """Feature maps of a backbone, each half as large as the one before: inputs, or made by strided convolutions."""
    batch = sizes.batch(b.rng)
    least = 2 ** (count - 1)
    h, w = (least * max(1, round(s / least)) for s in sizes.feature_size(b.rng, b.rng.choice((4, 8, 8, 16))))
    width = sizes.channels(b.rng, low, 256)
    widths = sizes.stage_widths(b.rng, width, count, 2048)
    return [b.input((batch, c, h >> i, w >> i)) for i, c in enumerate(widths)]


def feature_pyramid(b: NetworkBuilder) -> None:
    """FPN, PAN and BiFPN: lateral 1x1, upsample and add (weighted in BiFPN), smoothing 3x3, then detection heads."""
    act = relu if b.rng.random() < 0.5 else conv_activation(b)
    kind = b.rng.choice(("fpn", "fpn", "pan", "bifpn"))
    count = b.rng.choice((2, 3, 3, 4))
    width = b.rng.choice((48, 64, 88, 96, 112, 128, 160, 192, 256, 256))
    features = [conv_norm(b, f, width, 1) for f in _features(b, count)]
    mode = "nearest" if b.rng.random() < 0.85 else "linear"

    def smooth(b: NetworkBuilder, y: Tensor) -> Tensor:
        if kind == "bifpn":
            return conv_norm(b, conv_norm(b, act(b, y), width, 3, groups=width), width, 1)
        return act(b, conv_norm(b, y, width, 3))

    def join(b: NetworkBuilder, x: Tensor, y: Tensor) -> Tensor:
        if kind == "pan":
            return act(b, conv_norm(b, concat(b, [x, y]), width, 1))
        if kind == "bifpn":
            return add(b, mul(b, x, b.scalar(0.6)), mul(b, y, b.scalar(0.4)))
        return add(b, x, y)

    for i in range(count - 2, -1, -1):
        features[i] = join(b, features[i], resize(b, features[i + 1], 2, mode))
    features = [smooth(b, f) for f in features]
    if kind != "fpn":
        for i in range(1, count):
            down = (
                pool(b, "MaxPool", features[i - 1], 3, 2, 1)
                if kind == "bifpn"
                else act(b, conv_norm(b, features[i - 1], width, 3, 2))
            )
            features[i] = smooth(b, join(b, features[i], down))
    if not b.exhausted:
        detection_head(b, features, act)


def detection_head(b: NetworkBuilder, features: list[Tensor], act: Activation) -> None:
    """SSD-, RetinaNet- and YOLO-like outputs: convolutions, brought to (N, boxes, values) and concatenated."""
    values = b.rng.choice((4, 5, 6, 21, 81, 85, 91))
    anchors = b.rng.choice((1, 3, 3, 6, 9))
    channel_last = b.rng.random() < 0.7
    outs = []
    for f in features:
        y = act(b, conv_norm(b, f, f.shape[1], 3)) if b.rng.random() < 0.6 else f
        y = conv(b, y, anchors * values, b.rng.choice((1, 3)))
        n, _, h, w = y.shape
        if channel_last:
            y = transpose(b, reshape(b, y, (n, anchors, values, h, w)), [0, 3, 4, 1, 2])
            outs.append(reshape(b, y, (n, h * w * anchors, values)))
        else:
            outs.append(reshape(b, y, (n, anchors * values, h * w)))
    joined = concat(b, outs, 1 if channel_last else 2)
    if channel_last and values > 5 and b.rng.random() < 0.7:
        boxes, scores = split(b, joined, [4, values - 4], 2)
        if b.rng.random() < 0.6:
            sigmoid(b, scores)
        else:
            softmax(b, scores)
        centre = add(b, mul(b, boxes, b.scalar(0.1)), b.weight((1, joined.shape[1], 4), 1.0))
        b.node("Exp", [mul(b, centre, b.scalar(0.01))], centre.shape, flops=10.0 * centre.elements)


def atrous(b: NetworkBuilder) -> None:
    """DeepLab's parallel dilated convolutions with image pooling, PSPNet's pyramid pooling, LR-ASPP's gated head."""
    act = relu if b.rng.random() < 0.8 else conv_activation(b)
    low, high = _features(b, 2)[:2]
    width = b.rng.choice((64, 96, 128, 128, 256, 256))
    kind = b.rng.random()
    high = classifier_width(b, high, act)
    n, _, h, w = high.shape
    if kind < 0.5:
        rates = b.rng.choice(((6, 12, 18), (12, 24, 36), (2, 4), (3, 6, 9)))
        deep = b.rng.random() < 0.4
        parts = [act(b, conv_norm(b, high, width, 1))]
        for rate in rates:
            y = conv_norm(b, high, high.shape[1], 3, groups=high.shape[1], dilation=rate) if deep else high
            kernel = 1 if deep else 3
            parts.append(act(b, conv_norm(b, y, width, kernel, dilation=1 if deep else rate)))
        pooled = act(b, conv_norm(b, global_average(b, high), width, 1))
        parts.append(_resize_to(b, pooled, (n, width, h, w)))
        y = act(b, conv_norm(b, concat(b, parts), width, 1))
        y = act(b, conv_norm(b, y, width, 3))
    elif kind < 0.7:
        parts = [high]
        for bins in (1, 2, 3, 6):
            if h >= bins and w >= bins and h == w:
                kernel = h - (bins - 1) * (h // bins)
                y = pool(b, "AveragePool", high, kernel, h // bins)
                y = act(b, conv_norm(b, y, max(8, high.shape[1] // 4), 1))
                parts.append(_resize_to(b, y, (n, y.shape[1], h, w)))
        y = act(b, conv_norm(b, concat(b, parts), width, 3))
    else:
        y = act(b, conv_norm(b, high, width, 1))
        y = mul(b, y, sigmoid(b, conv(b, global_average(b, high), width, bias=False)))
    classes = b.rng.choice((2, 19, 21, 21, 150))
    if b.rng.random() < 0.5:
        y = resize(b, y, 2, "linear")
        y = add(b, conv(b, low, classes, 1), conv(b, y, classes, 1))
    else:
        y = conv(b, y, classes, 1)
    if not b.exhausted:
        y = resize(b, y, b.rng.choice((2, 4, 8, 8, 16)), "linear", aligned=b.rng.random() < 0.2)
        if b.rng.random() < 0.2:
            b.node("ArgMax", [y], (n, *y.shape[2:]), dtype=7, axis=1, keepdims=0)


def classifier_width(b: NetworkBuilder, x: Tensor, act: Activation) -> Tensor:
    """Mostly `x`; else the wide last layer of a classifier (320 to 2048 channels), on which published heads stand."""
    if b.rng.random() > 0.45 or x.shape[1] >= 320:
        return x
    fits = [c for c in (320, 480, 576, 672, 960, 960, 1280, 2048) if c * x.elements // x.shape[1] <= 320_000]
    return act(b, conv_norm(b, x, b.rng.choice(fits), 1)) if fits else x


def _resize_to(b: NetworkBuilder, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Bilinear resize to a given shape."""
    inputs = [x, None, None, b.constant(list(shape))]
    mode = "pytorch_half_pixel" if not b.exporter.dynamo else "half_pixel"
    cost = 8.0 * shape[0] * shape[1] * shape[2] * shape[3]
    return b.node("Resize", inputs, shape, flops=cost, mode="linear", coordinate_transformation_mode=mode)


def encoder_decoder(b: NetworkBuilder) -> None:
    """U-Net: two convolutions a level, pooling down, transposed convolution or resize up, concatenated skips."""
    act = b.rng.choices((relu, silu, conv_activation(b)), (60, 15, 25))[0]
    base = b.rng.choice((8, 16, 24, 32, 32, 48, 64))
    levels = b.rng.choice((2, 3, 3))
    light = b.rng.random() < 0.3
    least = 2**levels
    stride = b.rng.choice((1, 2, 4, 8))
    h, w = (least * max(1, round(s / least)) for s in sizes.feature_size(b.rng, stride))
    x = b.input((sizes.batch(b.rng), 3 if stride == 1 else sizes.channels(b.rng, 16, 256), h, w))

    def double(b: NetworkBuilder, y: Tensor, width: int) -> Tensor:
        for _ in range(2):
            if light and y.shape[1] > 8:
                y = conv_norm(b, y, y.shape[1], 3, groups=y.shape[1])
                y = act(b, conv_norm(b, y, width, 1))
            else:
                y = act(b, conv_norm(b, y, width, 3))
        return y

    skips = []
    width = base * stride
    for _ in range(levels):
        x = double(b, x, width)
        skips.append(x)
        x = pool(b, "MaxPool", x, 2, 2) if b.rng.random() < 0.7 else act(b, conv_norm(b, x, width, 3, 2))
        width *= 2
    x = double(b, x, width)
    for skip in reversed(skips):
        if b.cost_ms > 2 * b.budget.cost_ms:
            return
        c = skip.shape[1]
        pick = b.rng.random()
        if pick < 0.35:
            x = conv_transpose(b, x, c, 2, 2)
        elif pick < 0.5:
            x = conv_transpose(b, x, c, 4, 2, 1)
        else:
            x = conv_norm(b, resize(b, x, 2, b.rng.choice(("nearest", "linear"))), c, b.rng.choice((1, 3)))
        x = double(b, concat(b, [skip, x]) if b.rng.random() < 0.8 else add(b, skip, x), c)
    conv(b, x, b.rng.choice((1, 2, 3, 21)), 1)


def super_resolution(b: NetworkBuilder) -> None:
    """EDSR, ESPCN and image-to-image networks: 3x3 convolutions at full size, long identity, pixel shuffle."""
    act = b.rng.choices((relu, mobile_activation(b)), (70, 30))[0]
    width = b.rng.choice((16, 24, 28, 32, 48, 52, 64, 64))
    side = b.rng.choice((24, 32, 48, 56, 64, 80, 96, 112, 128, 160))
    x = b.input((1, b.rng.choice((1, 3, 3)), side, b.rng.choice((side, side, side * 2))))
    first = act(b, conv_norm(b, x, width, b.rng.choice((3, 5, 9))))
    y = first
    for _ in range(3):
        if b.exhausted:
            break
        z = conv(b, act(b, conv(b, y, width, 3)), width, 3)
        y = add(b, mul(b, z, b.scalar(0.2)), y) if b.rng.random() < 0.4 else add(b, z, y)
    y = add(b, conv(b, y, width, 3), first)
    factor = b.rng.choice((2, 2, 3, 4))
    y = conv(b, y, x.shape[1] * factor * factor, 3)
    n, c, h, w = y.shape
    shape = (n, c // factor**2, h * factor, w * factor)
    if b.rng.random() < 0.6:
        y = b.node("DepthToSpace", [y], shape, flops=0, blocksize=factor, mode="CRD")
    else:
        y = reshape(b, y, (n, c // factor**2, factor, factor, h, w))
        y = reshape(b, transpose(b, y, [0, 1, 4, 2, 5, 3]), shape)
    if b.rng.random() < 0.4:
        y = add(b, y, resize(b, x, factor, b.rng.choice(("cubic", "linear", "nearest"))))
    b.node("Clip", [y, b.scalar(0.0), b.scalar(1.0)], y.shape)


def patch_merging(b: NetworkBuilder) -> None:
    """Focus and space-to-depth stems (YOLOv5, TResNet): strided slices are stacked in channels, then convolved."""
    act = silu if b.rng.random() < 0.5 else conv_activation(b)
    stride = b.rng.choice((1, 1, 4, 8, 16))
    h, w = (2 * max(2, size // 2) for size in sizes.feature_size(b.rng, stride))
    x = b.input((sizes.batch(b.rng), 3 if stride == 1 else sizes.channels(b.rng, 16, 512), h, w))
    if b.rng.random() < 0.6:
        rows = [slice_axis(b, x, 2, i, x.shape[2], 2) for i in (0, 1)]
        y = concat(b, [slice_axis(b, r, 3, j, x.shape[3], 2) for j in (0, 1) for r in rows])
    else:
        n, c, h, w = x.shape
        y = b.node("SpaceToDepth", [x], (n, 4 * c, h // 2, w // 2), flops=0, blocksize=2)
    y = act(b, conv_norm(b, y, sizes.channels(b.rng, 16, 256), 3))
    y = stem(b, y, sizes.channels(b.rng, 16, 256), act)
    for _ in range(2):
        kernel = b.rng.choice((5, 9, 13))
        parts = [y] + [pool(b, "MaxPool", y, k, 1, k // 2) for k in (kernel, 5)]
        y = act(b, conv_norm(b, concat(b, parts), sizes.channels(b.rng, 32, 512), 1))
    elementwise(b, "Max", y, b.scalar(0.1))
