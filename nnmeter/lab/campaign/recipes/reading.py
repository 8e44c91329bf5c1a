"""Reading text and finding objects: long thin maps, large maps, and what follows them.

`text_lines`: OCR. Detection on maps of 320 to 960 pixels (PP-OCR's DB: mobile backbone, upsampled sums, transposed
convolutions) and recognition on lines 32 to 64 pixels high (mobile or VGG-like stages that reduce height more than
width, then LSTM layers or attention, and a CTC head of many classes).

`detector`: detection on maps of 320 to 960 pixels: a pyramid over large maps, heads and boxes, in some the best of
them by TopK. NonMaxSuppression is left out: the size of its result is not known before the run.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import (
    Activation,
    conv_activation,
    gate_activation,
    hard_swish,
    hard_swish_decomposed,
    mobile_activation,
    relu,
    sigmoid,
    silu,
    squeeze_excite,
    token_activation,
)
from nnmeter.lab.campaign.recipes.attention import attention_form, self_attention
from nnmeter.lab.campaign.recipes.builder import FLOAT, INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    conv_norm,
    conv_transpose,
    layer_norm,
    linear,
    mul,
    pool,
    reduce,
    reshape,
    resize,
    slice_axis,
    softmax,
    transpose,
)
from nnmeter.lab.campaign.recipes.pyramid import detection_head
from nnmeter.lab.campaign.recipes.recurrent import recurrent_layer
from nnmeter.lab.campaign.recipes.tokens import feed_forward, residual

_LARGE_SIDES = (320, 416, 480, 512, 640, 640, 640, 640, 736, 800, 960)
_CLASSES = (37, 63, 97, 97, 438, 6625, 6625, 6906, 8210, 18385)


def text_lines(b: NetworkBuilder) -> None:
    """Networks of OCR: recognition of lines, or detection of text."""
    if b.rng.random() < 0.6:
        _recognition(b)
    else:
        _text_detection(b)


def _recognition(b: NetworkBuilder) -> None:
    height = b.rng.choice((32, 32, 48, 48, 48, 64))
    width = b.rng.choice((100, 160, 192, 320, 320, 320, 480, 640, sizes.round_to(sizes.log_int(b.rng, 64, 960), 16)))
    batch = b.rng.choices((1, 4, 6, 8), (62, 8, 22, 8))[0]
    act = b.rng.choices((relu, hard_swish, hard_swish_decomposed, mobile_activation(b)), (36, 22, 20, 22))[0]
    act = _between_scales(act) if b.rng.random() < 0.3 else act
    x = b.input((batch, b.rng.choice((1, 3, 3)), height, width))
    base = b.rng.choice((16, 16, 24, 32, 48, 64))
    x = act(b, conv_norm(b, x, base, 3, b.rng.choice((1, 2, 2))))
    separable = b.rng.random() < 0.6
    while x.shape[2] > 3 and not b.exhausted:
        strides = b.rng.choice(([2, 1], [2, 1], [2, 2], [1, 2], [1, 1]))
        c = min(768, sizes.round_to(x.shape[1] * b.rng.choice((1, 1.5, 2)), 8))
        if separable:
            x = act(b, conv_norm(b, x, x.shape[1], b.rng.choice((3, 3, 5)), strides, groups=x.shape[1]))
            if b.rng.random() < 0.3:
                x = squeeze_excite(b, x, max(4, x.shape[1] // 4), relu, gate_activation(b))
            x = act(b, conv_norm(b, x, c, 1))
        else:
            x = act(b, conv_norm(b, x, c, 3, strides if b.rng.random() < 0.5 else 1))
            if x.shape[2] > 3 and b.rng.random() < 0.6:
                x = pool(b, "MaxPool", x, 2, 2)
        if x.shape[3] < 8:
            break
    _sequence(b, reduce(b, "ReduceMean", x, [2], keepdims=0))


def _between_scales(act: Activation) -> Activation:
    """An activation between a learnt factor and a learnt sum of one number each (PP-LCNetV3), of shape [1]."""

    def scaled(b: NetworkBuilder, x: Tensor) -> Tensor:
        def learnt(mean: float) -> Tensor:
            return b.weight((1,), 0.1, mean=mean)

        y = act(b, add(b, mul(b, learnt(1.0), x), learnt(0.0)))
        return add(b, mul(b, learnt(1.0), y), learnt(0.0)) if b.rng.random() < 0.5 else y

    return scaled


def _sequence(b: NetworkBuilder, x: Tensor) -> None:
    """Columns of a line, (N, C, W), to classes of characters."""
    classes = b.rng.choice(_CLASSES)
    kind = b.rng.random()
    if kind < 0.4:
        y = transpose(b, x, [2, 0, 1])
        for _ in range(b.rng.choice((1, 2))):
            y = recurrent_layer(b, y, "LSTM", b.rng.choice((48, 64, 96, 128, 256, 256, 512)), 2)
        y = transpose(b, y, [1, 0, 2])
    else:
        y = transpose(b, x, [0, 2, 1])
        if kind < 0.8:
            dim = b.rng.choice((64, 96, 120, 128, 192))
            y = linear(b, y, dim)
            form, act = replace(attention_form(b.rng), guard=False), token_activation(b)
            heads = b.rng.choice([h for h in (2, 4, 6, 8) if dim % h == 0])
            for _ in range(b.rng.choice((1, 2))):
                y = residual(b, y, partial(self_attention, heads=heads, form=form), layer_norm, pre=True)
                y = residual(b, y, partial(feed_forward, hidden=2 * dim, act=act), layer_norm, pre=True)
    while y.shape[-1] * classes * 4 > b.budget.weight_bytes / 2:
        classes //= 2
    softmax(b, linear(b, y, classes))


def _large_maps(b: NetworkBuilder, act: Activation, count: int, stride: int) -> list[Tensor]:
    """Maps of a mobile or residual backbone at `stride` of a large image and each half as large again."""
    side = b.rng.choice(_LARGE_SIDES)
    other = side if b.rng.random() < 0.7 else b.rng.choice(_LARGE_SIDES)
    grid = stride << (count - 1)
    height, width = (grid * max(2, round(size / grid)) for size in (side, other))
    batch = b.rng.choices((1, 2, 4), (90, 5, 5))[0]
    if b.rng.random() < 0.5:
        x = act(b, conv_norm(b, b.input((batch, 3, height, width)), b.rng.choice((8, 16, 16, 24, 32)), 3, 2))
        reached = 2
    else:
        width_in = sizes.channels(b.rng, 8, 64)
        x, reached = b.input((batch, width_in, height // stride, width // stride)), stride
    maps: list[Tensor] = []
    while len(maps) < count:
        step = 2 if reached < stride or maps else 1
        c = min(512, sizes.round_to(x.shape[1] * b.rng.choice((1, 1.5, 2)), 8))
        if b.rng.random() < 0.5:
            x = act(b, conv_norm(b, x, x.shape[1], b.rng.choice((3, 3, 5)), step, groups=x.shape[1]))
            x = act(b, conv_norm(b, x, c, 1))
        else:
            x = act(b, conv_norm(b, x, c, 3, step))
        reached *= step
        if reached >= stride:
            maps.append(x)
    return maps


def _text_detection(b: NetworkBuilder) -> None:
    act = b.rng.choices((relu, hard_swish, conv_activation(b)), (45, 35, 20))[0]
    maps = _large_maps(b, act, b.rng.choice((3, 4)), 4)
    width = b.rng.choice((16, 24, 32, 64, 96, 128))
    sides = [conv(b, m, width, 1, bias=False) for m in maps]
    for i in range(len(sides) - 2, -1, -1):
        sides[i] = add(b, sides[i], resize(b, sides[i + 1], 2))
    parts = []
    for i, side in enumerate(sides):
        y = conv(b, side, max(4, width // 4), 3, bias=False)
        if b.rng.random() < 0.3:
            y = squeeze_excite(b, y, max(2, y.shape[1] // 4), relu, gate_activation(b))
        parts.append(resize(b, y, 2**i) if i else y)
    x = concat(b, list(reversed(parts)))
    x = act(b, conv_norm(b, x, max(4, x.shape[1] // 4), 3))
    if b.exhausted:
        return
    x = relu(b, conv_transpose(b, x, x.shape[1], 2, 2))
    sigmoid(b, conv_transpose(b, x, 1, 2, 2))


def detector(b: NetworkBuilder) -> None:
    """A detector on a large image."""
    act = b.rng.choices((silu, relu, conv_activation(b)), (50, 25, 25))[0]
    count = b.rng.choice((2, 3, 3))
    maps = _large_maps(b, act, count, 8)
    for i in range(count - 2, -1, -1):
        up = conv_norm(b, maps[i + 1], maps[i].shape[1], 1)
        joined = concat(b, [resize(b, up, 2), maps[i]])
        maps[i] = act(b, conv_norm(b, joined, maps[i].shape[1], b.rng.choice((1, 3))))
    if b.rng.random() < 0.4:
        detection_head(b, maps, act)
    else:
        _anchor_free_head(b, maps)


def _anchor_free_head(b: NetworkBuilder, maps: list[Tensor]) -> None:
    """YOLOv8's: distances as expectations over 16 bins, scores by Sigmoid, boxes from both corners."""
    classes, bins = b.rng.choice((1, 5, 18, 20, 80)), 16
    outs = []
    for fmap in maps:
        n, _, h, w = fmap.shape
        y = concat(b, [conv(b, fmap, 4 * bins, 1), conv(b, fmap, classes, 1)])
        outs.append(reshape(b, y, (n, 4 * bins + classes, h * w)))
    joined = concat(b, outs, 2)
    n, _, boxes = joined.shape
    distances = slice_axis(b, joined, 1, 0, 4 * bins)
    scores = sigmoid(b, slice_axis(b, joined, 1, 4 * bins, 4 * bins + classes))
    shares = softmax(b, transpose(b, reshape(b, distances, (n, 4, bins, boxes)), [0, 2, 1, 3]), 1)
    sides = reshape(b, conv(b, shares, 1, 1, bias=False), (n, 4, boxes))
    near, far = slice_axis(b, sides, 1, 0, 2), slice_axis(b, sides, 1, 2, 4)
    grid = b.weight((1, 2, boxes), 20.0)
    corners = concat(b, [b.node("Sub", [grid, near], near.shape), add(b, grid, far)])
    corners = mul(b, corners, b.weight((1, boxes), 1.0, mean=8.0, positive=True))
    joined = concat(b, [corners, scores])
    if b.rng.random() < 0.35:
        flat = reshape(b, scores, (n, classes * boxes))
        kept = min(100, flat.shape[1])
        shapes, work = [(n, kept)] * 2, 30.0 * flat.elements
        b.node_with_outputs("TopK", [flat, b.constant([kept])], shapes, dtypes=[FLOAT, INT64], flops=work, axis=-1)
    elif b.rng.random() < 0.5:
        transpose(b, joined, [0, 2, 1])
