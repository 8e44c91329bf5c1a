"""Thin maps and learnt slopes: lines of text through deep convolutions, signals, faces and small enlargers.

`deep_lines`: CRNN and its like, VGG-like convolutions on maps of 1 to 16 rows with up to 512 channels, windows of 2 x 2
and strides of one axis, then LSTM layers. `slopes`: networks with PRelu after every layer, a slope for each channel or
one for all: faces (ArcFace), enlargers (FSRCNN, ESPCN), signals (Conv-TasNet, TCN). `grouped_signal`: grouped layers
on sequences, the positional convolutions of speech among them. `characters`: text by convolutions over characters,
bytes or words, which converters write as convolutions over maps of one row or one column.
"""

from __future__ import annotations

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import (
    conv_activation,
    gelu_erf,
    identity,
    relu,
    sigmoid,
    tanh,
)
from nnmeter.lab.campaign.recipes.builder import INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    conv_norm,
    conv_transpose,
    embedding,
    flatten,
    layer_norm,
    linear,
    pool,
    reduce,
    reshape,
    transpose,
    unsqueeze,
)
from nnmeter.lab.campaign.recipes.recurrent import recurrent_layer


def deep_lines(b: NetworkBuilder) -> None:
    """Recognition of lines by deep convolutions and LSTM."""
    act = relu if b.rng.random() < 0.75 else conv_activation(b)
    stage = b.rng.choice((0, 0, 1, 2, 3))
    height = 32 >> stage
    width = max(8, sizes.round_to(b.rng.choice((64, 96, 100, 128, 160, 200, 256, 320)) >> min(stage, 2), 4))
    c = min(512, b.rng.choice((32, 48, 64, 64)) << stage)
    x = b.input((b.rng.choices((1, 4), (85, 15))[0], 1 if stage == 0 and b.rng.random() < 0.6 else c, height, width))
    while x.shape[2] > 2 and not b.exhausted:
        for _ in range(b.rng.choice((1, 1, 2))):
            x = act(b, conv_norm(b, x, c, 3))
        if x.shape[2] > 8 or b.rng.random() < 0.3:
            x = pool(b, "MaxPool", x, 2, 2)
        elif b.rng.random() < 0.7:
            x = _halve_rows(b, x)
        else:
            x = act(b, conv_norm(b, x, c, 3, [2, 1]))
        c = min(512, 2 * c)
    if x.shape[2] > 1 and b.rng.random() < 0.7:
        x = act(b, conv_norm(b, x, c, 2, pad=b.rng.choice((0, 0, 1))))
    n, channels, rows, columns = x.shape
    if b.rng.random() < 0.5:
        y = reshape(b, transpose(b, x, [3, 0, 1, 2]), (columns, n, channels * rows))
    else:
        y = transpose(b, reduce(b, "ReduceMean", x, [2], keepdims=0), [2, 0, 1])
    for _ in range(b.rng.choice((1, 2))):
        if b.exhausted:
            break
        y = recurrent_layer(b, y, b.rng.choice(("LSTM", "LSTM", "GRU")), b.rng.choice((64, 128, 256, 256, 512)), 2)
        y = linear(b, y, b.rng.choice((128, 256))) if b.rng.random() < 0.4 else y
    linear(b, y, b.rng.choice((11, 37, 97, 5000)))


def _halve_rows(b: NetworkBuilder, x: Tensor) -> Tensor:
    """The larger of two rows, columns as they are."""
    columns = b.rng.choice((1, 1, 2))  # of a window that goes on column by column
    shape = (*x.shape[:2], x.shape[2] // 2, x.shape[3])
    borders = [0, 0, 0, columns - 1]
    return b.node(
        "MaxPool", [x], shape, flops=4.0 * x.elements, kernel_shape=[2, columns], strides=[2, 1], pads=borders
    )  # fmt: skip


def slopes(b: NetworkBuilder) -> None:
    """Networks with PRelu: of faces, enlargers and signals."""
    one = b.rng.random() < 0.45

    def act(b: NetworkBuilder, x: Tensor) -> Tensor:
        shape = (1,) if one else (x.shape[1],)
        lead = (1,) if b.rng.random() < 0.3 else ()
        return b.node("PRelu", [x, b.weight((*lead, *shape, *[1] * (len(x.shape) - 2)), 0.05, mean=0.2)], x.shape)

    kind = b.rng.random()
    if kind < 0.45:
        x = b.input((1, b.rng.choice((64, 128, 256, 512)), sizes.log_int(b.rng, 50, 3200)))
        while not b.exhausted:
            wide = sizes.channels(b.rng, 32, 768)
            y = act(b, conv_norm(b, x, wide, 1))
            dilation = b.rng.choice((1, 2, 4, 8, 16))
            y = act(b, conv_norm(b, y, wide, 3, groups=b.rng.choice((1, wide, wide)), dilation=dilation))
            x = add(b, x, conv_norm(b, y, x.shape[1], 1))
    elif kind < 0.75:
        side = b.rng.choice((14, 28, 56, 112))
        x = b.input((1, min(512, b.rng.choice((64, 64, 128, 256))), side, side))
        while not b.exhausted:
            y = act(b, conv_norm(b, x, x.shape[1], 3))
            x = add(b, conv_norm(b, y, x.shape[1], 3), x)
            if min(x.shape[2:]) > 6 and b.rng.random() < 0.4:
                x = act(b, conv_norm(b, x, min(512, 2 * x.shape[1]), 3, 2))
    else:
        side = b.rng.choice((48, 64, 80, 96, 120, 160))
        x = act(b, conv(b, b.input((1, b.rng.choice((1, 3)), side, side)), b.rng.choice((16, 32, 56, 64)), 5))
        for _ in range(b.rng.randint(2, 5)):
            x = act(b, conv(b, x, b.rng.choice((12, 16, 32, x.shape[1])), b.rng.choice((1, 3, 3))))
        conv_transpose(b, x, 1, 4, 2, 1)
        return
    linear(b, flatten(b, x) if x.elements < 30000 else reduce(b, "ReduceMean", x, [2], keepdims=0), 128)


def grouped_signal(b: NetworkBuilder) -> None:
    """Grouped layers on sequences: SqueezeBERT's, and positional convolutions of long windows."""
    length = sizes.log_int(b.rng, 16, 512)
    width = b.rng.choice((128, 192, 256, 384, 512, 768, 768, 1024))
    groups = b.rng.choice((2, 4, 4, 8, 16))
    x = b.input((b.rng.choices((1, 2, 4), (85, 10, 5))[0], width, length))
    if b.rng.random() < 0.35:
        kernel = min(b.rng.choice((15, 31, 63, 128, 128)), length)
        x = gelu_erf(b, conv(b, x, width, kernel, groups=b.rng.choice((8, 16, 16)), pad=kernel // 2))
    while not b.exhausted:
        y = conv(b, x, width, 1, groups=b.rng.choice((1, groups)))
        y = conv(b, gelu_erf(b, conv(b, y, 4 * width, 1, groups=groups)), width, 1, groups=groups)
        y = add(b, x, y)
        x = transpose(b, layer_norm(b, transpose(b, y, [0, 2, 1])), [0, 2, 1])


def characters(b: NetworkBuilder) -> None:
    """Convolutions over characters: segmentation by many windows side by side, files by bytes, sentences by words."""
    kind = b.rng.random()
    if kind < 0.5:
        _windows_side_by_side(b)
    elif kind < 0.8:
        _one_row_after_another(b)
    else:
        _rows_of_words(b)


def _windows_side_by_side(b: NetworkBuilder) -> None:
    """Windows of 1 to 12 characters on the same vectors, the largest of each or all behind one another (segmenters)."""
    batch = b.rng.choices((1, 4, 16, 32, 64, 128), (20, 8, 20, 18, 24, 10))[0]
    length = sizes.log_int(b.rng, 10, 64) if batch > 8 else sizes.log_int(b.rng, 16, 512)
    x = _as_map(b, embedding(b, b.input((batch, length), INT64), 200, b.rng.choice((16, 32, 32, 64, 100, 128))))
    act = b.rng.choice((relu, identity, tanh))
    parts = []
    for window in range(1, 1 + b.rng.choice((3, 6, 8, 12))):
        if b.exhausted or window > length:
            break
        y = act(b, conv(b, x, sizes.channels(b.rng, 32, 512), _along(x, window), pad=0))
        parts.append(flatten(b, reduce(b, "ReduceMax", y, [2, 3])))
    y = linear(b, concat(b, parts), b.rng.choice((100, 128, 200)))
    sigmoid(b, linear(b, relu(b, y), b.rng.choice((1, 5))))


def _one_row_after_another(b: NetworkBuilder) -> None:
    """Layer on layer along the one axis, with borders or without."""
    batch = b.rng.choices((1, 4, 16, 32), (55, 15, 20, 10))[0]
    length = sizes.log_int(b.rng, 32, 2048 // min(batch, 8))
    x = _as_map(b, b.input((batch, length, sizes.channels(b.rng, 16, 256))))
    act = conv_activation(b)
    for _ in range(5):
        room = b.budget.flops / 2 / (10.0 * x.elements)  # channels whose work is half of the budget at most
        if b.exhausted or max(x.shape[2:]) < 12:
            break
        window = b.rng.choice((2, 3, 3, 5, 5, 7, 9))
        pad = b.rng.choice((0, 0, window // 2))
        c = max(8, min(sizes.channels(b.rng, 32, 512), sizes.round_to(room, 8)))
        x = act(b, conv_norm(b, x, c, _along(x, window), pad=_along(x, pad, 0)))
    linear(b, flatten(b, reduce(b, "ReduceMax", x, [2, 3])), b.rng.choice((2, 20, 100, 214)))


def _rows_of_words(b: NetworkBuilder) -> None:
    """Vectors of words as an image of one channel; a window is as wide as a vector (sentence classifiers)."""
    width = b.rng.choice((50, 100, 128, 200, 300))
    batch, length = b.rng.choice((1, 1, 4, 16)), sizes.log_int(b.rng, 12, 200)
    x = unsqueeze(b, embedding(b, b.input((batch, length), INT64), 5000, width), [1])
    count = b.rng.choice((32, 64, 100, 128, 256))
    parts = [relu(b, conv(b, x, count, (window, width), pad=0)) for window in b.rng.choice(((3, 4, 5), (2, 3, 4, 5)))]
    linear(b, concat(b, [flatten(b, reduce(b, "ReduceMax", y, [2, 3])) for y in parts]), b.rng.choice((2, 6, 20)))


def _as_map(b: NetworkBuilder, x: Tensor) -> Tensor:
    """(N, length, C) as a map of one row or one column."""
    return unsqueeze(b, transpose(b, x, [0, 2, 1]), [b.rng.choice((2, 2, 3))])


def _along(x: Tensor, size: int, other: int = 1) -> list[int]:
    """`size` for the axis along which a map of one row or column goes, `other` for the other one."""
    return [other, size] if x.shape[2] == 1 else [size, other]
