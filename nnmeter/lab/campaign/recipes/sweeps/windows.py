"""Sweeps of operators that look through windows or resample: convolutions, poolings, Resize, GridSample, RoiAlign."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.builder import FLOAT, INT64, Tensor
from nnmeter.lab.campaign.recipes.sweeps.source import Source

_RANKS = ((2, 70), (1, 15), (3, 15))  # spatial axes
_PIXELS = {1: 4096, 2: 128 * 128, 3: 16384}


def _space(s: Source, rank: int) -> list[int]:
    if rank == 2:
        return list(sizes.feature_size(s.rng, s.rng.choice((1, 2, 4, 8, 16, 32))))
    if rank == 1:
        return [sizes.log_int(s.rng, 16, 4000)]
    return [sizes.log_int(s.rng, 3, 16), *[sizes.log_int(s.rng, 5, 48)] * 2]


def image(s: Source, rank: int | None = None, high: int = 512, most: int = 1 << 20) -> Tensor:
    """Feature maps (batch, channels, space) with so many spatial axes."""
    rank = rank or s.choose(*_RANKS)
    space = _space(s, rank)
    batch = sizes.batch(s.rng)
    channels = sizes.channels(s.rng, 1, high)
    while batch * channels * math.prod(space) > most:
        if batch > 1:
            batch //= 2
        elif channels > 8:
            channels //= 2
        else:
            space = [max(4, size // 2) for size in space]
    return s.floats((batch, channels, *space))


def _window(s: Source, x: Tensor, kernels: Sequence[int]) -> list[int]:
    kernel = s.rng.choice(kernels)
    return [min(kernel, size) for size in x.shape[2:]]


def _pooled(size: int, kernel: int, stride: int, pads: int, begin: int, dilation: int, ceil: int) -> int:
    span = size + pads - dilation * (kernel - 1) - 1
    out = (-(-span // stride) if ceil else span // stride) + 1
    return out - 1 if ceil and (out - 1) * stride >= size + begin else out


def pooling(kind: str) -> Any:
    """MaxPool, AveragePool or LpPool: kernel, stride, borders, ceil_mode, dilation, count_include_pad, indices."""

    def sweep(s: Source) -> None:
        x = image(s)
        rank = len(x.shape) - 2
        kernel = _window(s, x, (2, 2, 3, 3, 3, 5, 7))
        dilation = [2 if s.rng.random() < 0.2 else 1] * rank
        if any(d * (k - 1) >= size for d, k, size in zip(dilation, kernel, x.shape[2:], strict=True)):
            dilation = [1] * rank
        stride = [s.rng.choice((1, 2, 2, 3))] * rank
        begin = [s.rng.choice((0, (k - 1) // 2)) for k in kernel]
        end = [s.rng.choice((p, p, 0)) for p in begin]
        ceil = int(s.rng.random() < 0.4)
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "pads": begin + end}
        attributes |= {"ceil_mode": ceil, "dilations": dilation}
        if kind == "AveragePool":
            attributes["count_include_pad"] = s.rng.choice((0, 1))
        if kind == "LpPool":
            attributes["p"] = s.rng.choice((1, 2, 2, 3))
        space = [
            _pooled(size, k, t, p + q, p, d, ceil)
            for size, k, t, p, q, d in zip(x.shape[2:], kernel, stride, begin, end, dilation, strict=True)
        ]
        shape = (*x.shape[:2], *space)
        work = 2.0 * math.prod(shape) * math.prod(kernel)
        if kind == "MaxPool" and s.rng.random() < 0.15:
            s.b.node_with_outputs(kind, [x], [shape] * 2, dtypes=[FLOAT, INT64], flops=work, **attributes)
        else:
            s.b.node(kind, [x], shape, flops=work, **attributes)

    return sweep


def global_pooling(s: Source) -> None:
    """The three global poolings over one to three axes."""
    x = image(s)
    kind = s.rng.choice(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"))
    s.b.node(kind, [x], (*x.shape[:2], *[1] * (len(x.shape) - 2)), flops=2.0 * x.elements)


def convolution(s: Source) -> None:
    """Conv: one to three axes, groups of few and many channels, dilation, uneven borders, strides, bias or none.

    Some are of short lines in large batches, of maps of one row or column, or of windows that are long along one axis.
    """
    rank = s.choose(*_RANKS)
    form = s.choose(("usual", 76), ("line", 12), ("long", 12)) if rank < 3 else "usual"
    # Groups first: channels of a group decide what code runs.
    kind = s.choose(
        ("dense", 28 if form == "usual" else 110), ("few", 34), ("some", 18), ("wide", 12), ("multiplier", 8)
    )
    if kind == "dense":
        groups, inside, outside = 1, sizes.channels(s.rng, 1, 256), sizes.channels(s.rng, 1, 256)
    elif kind == "few":  # of 1 to 7 channels
        groups, inside = sizes.log_int(s.rng, 2, 128), s.rng.choice((1, 2, 2, 3, 4, 4, 5, 6, 7))
        outside = inside if s.rng.random() < 0.7 else s.rng.choice((1, 2, 3, 4, 8))
    elif kind == "some":
        groups, inside = sizes.log_int(s.rng, 2, 32), s.rng.choice((8, 8, 12, 16, 16, 24, 32, 40, 48, 64))
        outside = inside if s.rng.random() < 0.8 else s.rng.choice((4, 8, 16, 24))
    elif kind == "wide":
        groups, inside = s.rng.choice((2, 2, 3, 4, 4, 8)), sizes.channels(s.rng, 64, 768)
        outside = inside if s.rng.random() < 0.5 else sizes.channels(s.rng, 64, 768)
    else:  # depthwise with several results for each channel
        groups, inside, outside = sizes.channels(s.rng, 4, 256), 1, s.rng.choice((2, 2, 3, 4))
    batch, space = sizes.batch(s.rng), _space(s, rank)
    if form == "line" and rank == 1:  # frames as the batch
        batch, space = s.rng.choice((16, 32, 64, 128, 256)), [sizes.log_int(s.rng, 1, 12)]
    elif form == "line" and rank == 2:  # a sequence as a map of one row or column, as converters write it
        batch, space = s.rng.choice((batch, 16, 32, 64)), [1, sizes.log_int(s.rng, 8, 1000)]
    sides: tuple[int, ...] = (1, 3, 3, 3, 5, 7) if rank > 1 else (1, 3, 3, 5, 7, 10, 15, 31, 64, 128)
    if form == "line" and rank == 2:
        sides = (2, 3, 4, 5, 6, 7, 8, 10, 12)
    kernel = [min(s.rng.choice(sides), size) for size in space]
    if form == "long" and rank == 2:
        kernel[1] = min(s.rng.choice((9, 11, 15, 21, 31, 39, 51)), space[1])
    if form != "usual" and rank == 2 and s.rng.random() < 0.4:
        kernel, space = kernel[::-1], space[::-1]
    work = 2.0 * groups * inside * outside * math.prod(kernel)
    while form == "line" and batch > 1 and batch * math.prod(space) * work > 1.5e8:
        batch //= 2
    while batch * math.prod(space) * work > 4e8 and math.prod(space) > 16:
        batch, space = max(1, batch // 2), [max(kernel[i], size * 3 // 4) for i, size in enumerate(space)]
        if all(size == k for size, k in zip(space, kernel, strict=True)):
            break
    x = s.floats((batch, groups * inside, *space))
    dilation = [
        s.rng.choice((1, 1, 2, 3)) if k > 1 and 3 * (k - 1) < size else 1 for k, size in zip(kernel, space, strict=True)
    ]
    if s.rng.random() < 0.5:
        dilation = [1] * rank
    stride = [s.rng.choice((1, 1, 1, 2))] * rank
    same = s.rng.random() < 0.75
    begin = [d * (k - 1) // 2 if same else 0 for d, k in zip(dilation, kernel, strict=True)]
    end = [
        d * (k - 1) - p if same and s.rng.random() < 0.2 else p for d, k, p in zip(dilation, kernel, begin, strict=True)
    ]
    out = [
        (size + p + q - d * (k - 1) - 1) // t + 1
        for size, p, q, d, k, t in zip(space, begin, end, dilation, kernel, stride, strict=True)
    ]
    shape = (batch, groups * outside, *out)
    fan_in = inside * math.prod(kernel)
    weight = s.b.weight((groups * outside, inside, *kernel), (1.6 / fan_in) ** 0.5)
    inputs = [x, weight, *([s.b.weight((groups * outside,), 0.1)] if s.rng.random() < 0.7 else [])]
    y = s.b.node(
        "Conv", inputs, shape, flops=2.0 * math.prod(shape) * fan_in * 3.0,
        dilations=dilation, group=groups, kernel_shape=kernel, pads=begin + end, strides=stride,
    )  # fmt: skip
    if s.rng.random() < 0.5:
        s.b.node(s.rng.choice(("Relu", "Sigmoid", "HardSwish", "LeakyRelu")), [y], shape)


def transposed_convolution(s: Source) -> None:
    """ConvTranspose: one to three axes, groups, dilation, borders, extra rows."""
    rank = s.choose(*_RANKS)
    x = image(s, rank, 256, 100_000)
    c_in = x.shape[1]
    groups = s.choose((1, 70), (c_in, 15), (2 if c_in % 2 == 0 else 1, 15))
    outside = 1 if groups == c_in else sizes.channels(s.rng, 1, 64)
    stride = [s.rng.choice((1, 2, 2, 2, 3))] * rank
    kernel = [s.rng.choice((2, 3, 4, 4, 5))] * rank
    dilation = [s.rng.choice((1, 1, 1, 2))] * rank
    border = [s.rng.choice((0, (k - 1) // 2)) for k in kernel]
    extra = [1 if t > 1 and s.rng.random() < 0.3 else 0 for t in stride]
    space = [
        t * (size - 1) + e + d * (k - 1) + 1 - 2 * p
        for size, t, e, d, k, p in zip(x.shape[2:], stride, extra, dilation, kernel, border, strict=True)
    ]
    if min(space) < 1:
        return
    weight = s.b.weight((c_in, outside, *kernel), (1.6 / c_in) ** 0.5)
    inputs = [x, weight, *([s.b.weight((groups * outside,), 0.1)] if s.rng.random() < 0.7 else [])]
    s.b.node(
        "ConvTranspose", inputs, (x.shape[0], groups * outside, *space),
        flops=3.0 * x.elements * outside * math.prod(kernel), dilations=dilation, group=groups, kernel_shape=kernel,
        pads=border * 2, strides=stride, output_padding=extra,
    )  # fmt: skip


def resize(s: Source) -> None:
    """Resize: rank, mode, coordinates, rounding, antialias, exclude_outside; by scales or sizes; channels last, too."""
    rank = s.choose((2, 75), (1, 8), (3, 17))
    pictures = rank == 2 and s.rng.random() < 0.35  # as models bring images to their own size
    mode = (
        s.choose(("nearest", 15), ("linear", 45), ("cubic", 40))
        if pictures
        else s.choose(("nearest", 35), ("linear", 45), ("cubic", 20))
        if rank == 2
        else s.choose(("nearest", 1), ("linear", 1))
    )
    antialias = int(mode != "nearest" and rank == 2 and s.rng.random() < 0.3)
    x = image(s, rank, 256, 60_000 if mode == "cubic" else 150_000)
    side = s.rng.choice((128, 160, 192, 224, 240, 256))
    if pictures:
        x = s.floats((1, s.rng.choice((1, 3, 3)), side, side))
    last = rank == 2 and not antialias and mode == "linear" and s.rng.random() < 0.15
    if last:
        x = s.floats((x.shape[0], *x.shape[2:], min(x.shape[1], 64)))
    factor = s.rng.choice((0.5, 0.75, 0.9, 1.0, 1.5, 2.0, 2.0, 2.0, 4.0, 8.0)) if rank < 3 else s.rng.choice((0.5, 2.0))
    if pictures and not last and s.rng.random() < 0.6:
        factor = s.rng.choice((96, 112, 128, 160, 192, 224, 224, 256, 384)) / side
    coordinates = s.choose(("half_pixel", 40), ("asymmetric", 25), ("align_corners", 15), ("pytorch_half_pixel", 20))
    if antialias and coordinates in ("align_corners", "asymmetric"):
        coordinates = "half_pixel"
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = s.rng.choice(("floor", "floor", "round_prefer_floor", "ceil", "round_prefer_ceil"))
    if mode == "cubic":
        attributes["cubic_coeff_a"] = -0.75
        attributes["exclude_outside"] = s.rng.choice((0, 0, 1))
    if antialias:
        attributes["antialias"] = 1
    first = 1 if last else 2
    axes = range(first, first + rank)
    scales = [factor if axis in axes else 1.0 for axis in range(len(x.shape))]
    shape = [math.floor(size * scale) for size, scale in zip(x.shape, scales, strict=True)]
    if min(shape) < 1:
        return
    if math.prod(shape) > 1 << 20:
        return
    # By scales only where they are exact in float32: else runtimes round sizes in more than one way.
    exact = factor * 4 % 1 == 0 and all(
        size * scale == out for size, scale, out in zip(x.shape, scales, shape, strict=True)
    )
    if exact and s.rng.random() < 0.5:
        inputs = [x, None, s.b.constant(scales, FLOAT)]
    else:
        inputs = [x, None, None, s.b.constant(shape, INT64)]
    cost = {"nearest": 2.0, "linear": 10.0, "cubic": 60.0}[mode] * (3.0 if antialias or rank > 2 else 1.0)
    s.b.node("Resize", inputs, shape, flops=cost * math.prod(shape), **attributes)


def grid_sample(s: Source) -> None:
    """GridSample: two and three axes, modes, borders."""
    rank = s.choose((2, 80), (3, 20))
    x = image(s, rank, 64, 200_000)
    space = [max(1, size // s.rng.choice((1, 1, 2))) for size in x.shape[2:]]
    mode = s.rng.choice(("linear", "linear", "nearest", "cubic") if rank == 2 else ("linear", "nearest"))
    grid = s.b.node("Tanh", [s.b.input((x.shape[0], *space, rank))], (x.shape[0], *space, rank))
    shape = (*x.shape[:2], *space)
    s.b.node(
        "GridSample", [x, grid], shape, flops=(80.0 if mode == "cubic" else 25.0) * math.prod(shape), mode=mode,
        padding_mode=s.rng.choice(("zeros", "zeros", "border", "reflection")), align_corners=s.rng.choice((0, 1)),
    )  # fmt: skip


def roi_align(s: Source) -> None:
    """RoiAlign: mean and maximum, fixed and adaptive sampling."""
    x = image(s, 2, 256, 300_000)
    count, side = s.rng.choice((1, 10, 50, 100)), s.rng.choice((5, 7, 7, 14))
    boxes = s.b.node("Abs", [s.b.input((count, 4))], (count, 4))
    shape = (count, x.shape[1], side, side)
    s.b.node(
        "RoiAlign", [x, boxes, s.b.constant([0] * count)], shape, flops=100.0 * math.prod(shape),
        mode=s.rng.choice(("avg", "avg", "max")), output_height=side, output_width=side,
        sampling_ratio=s.rng.choice((0, 2, 2, 4)), spatial_scale=s.rng.choice((0.0625, 0.25, 1.0)),
        coordinate_transformation_mode=s.rng.choice(("half_pixel", "output_half_pixel")),
    )  # fmt: skip


def rearrangement(s: Source) -> None:
    """DepthToSpace in both orders, and SpaceToDepth."""
    block = s.rng.choice((2, 2, 2, 4))
    n, c, h, w = image(s, 2, 128, 300_000).shape
    if s.rng.random() < 0.6:
        x = s.floats((n, max(1, c // (block * block)) * block * block, h, w))
        shape = (n, x.shape[1] // block**2, h * block, w * block)
        s.b.node("DepthToSpace", [x], shape, flops=0, blocksize=block, mode=s.rng.choice(("DCR", "CRD")))
    else:
        x = s.floats((n, c, max(1, h // block) * block, max(1, w // block) * block))
        shape = (n, c * block**2, x.shape[2] // block, x.shape[3] // block)
        s.b.node("SpaceToDepth", [x], shape, flops=0, blocksize=block)


def local_response(s: Source) -> None:
    """LRN of several sizes."""
    x = image(s, 2, 256, 200_000)
    s.b.node("LRN", [x], x.shape, flops=60.0 * x.elements, size=s.rng.choice((3, 5, 5, 9)), alpha=1e-4, beta=0.75)


def columns_to_image(s: Source) -> None:
    """Col2Im: the inverse of cutting a map into windows."""
    side, kernel, channels = s.rng.choice((8, 14, 28, 56)), s.rng.choice((2, 3, 4)), sizes.channels(s.rng, 3, 64)
    stride = kernel if s.rng.random() < 0.7 and side % kernel == 0 else 1
    blocks = ((side - kernel) // stride + 1) ** 2
    x = s.floats((1, channels * kernel * kernel, blocks))
    inputs = [x, s.b.constant([side, side]), s.b.constant([kernel, kernel])]
    s.b.node("Col2Im", inputs, (1, channels, side, side), flops=x.elements, strides=[stride, stride])


CASES = {
    "AveragePool": (pooling("AveragePool"), 5.0),
    "MaxPool": (pooling("MaxPool"), 4.0),
    "LpPool": (pooling("LpPool"), 0.7),
    "GlobalPool": (global_pooling, 1.5),
    "Conv": (convolution, 10.0),
    "ConvTranspose": (transposed_convolution, 3.0),
    "Resize": (resize, 9.0),
    "GridSample": (grid_sample, 1.5),
    "RoiAlign": (roi_align, 1.0),
    "DepthToSpace": (rearrangement, 1.5),
    "LRN": (local_response, 0.7),
    "Col2Im": (columns_to_image, 0.5),
}
"""Operator (or several that are swept as one) -> its sweep and its weight."""
