"""Networks on spectra: maps of frames by frequency bands, with windows that are long along one of both.

`time_frequency`: pitch trackers and transcribers (windows of 1 to 5 by 9 to 63, few channels, a head of one channel for
each question), and enhancers (strides along frequency only, transposed convolutions back to masks of one or two
channels). What brings a spectrum to its range stands before in most: factors and sums of one number on a tensor whose
last axis is 1, as frameworks have it that keep channels last.
"""

from __future__ import annotations

import math

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import Activation, conv_activation, relu, sigmoid, tanh
from nnmeter.lab.campaign.recipes.builder import FLOAT, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import add, concat, conv, conv_norm, elementwise, mul, reduce, transpose

_BANDS = (40, 64, 80, 84, 88, 96, 128, 161, 176, 229, 252, 257, 264, 352)
_LONG = (9, 13, 15, 21, 31, 39, 39, 51, 63)
_SQUARES = (3, 5, 5, 7, 7, 9, 11)
_SMALL = ((2, 3), (3, 2), (5, 2), (2, 5), (1, 7), (3, 7), (5, 9), (1, 5), (4, 3))
_MOST_ELEMENTS = 1_500_000


def time_frequency(b: NetworkBuilder) -> None:
    """A network on a spectrum."""
    batch = b.rng.choices((1, 2, 4, 8), (70, 8, 14, 8))[0]
    frames, bands = sizes.log_int(b.rng, 16, 500 // batch), b.rng.choice(_BANDS)
    x = _in_range(b, batch, frames, bands) if b.rng.random() < 0.7 else b.input((batch, 1, frames, bands))
    if b.rng.random() < 0.3:  # harmonics: the spectrum and its shifted copies
        x = concat(b, [x, b.input((batch, b.rng.choice((3, 7, 7)), frames, bands))])
    act = relu if b.rng.random() < 0.6 else conv_activation(b)
    (_trace if b.rng.random() < 0.65 else _enhance)(b, x, act)


def _in_range(b: NetworkBuilder, batch: int, frames: int, bands: int) -> Tensor:
    """A spectrum with its channel last, brought to its range element by element; result (N, 1, frames, bands)."""
    x = b.input((batch, frames, bands, 1))
    shape = b.rng.choice(((1,), (1,), (), (1, 1, 1, 1)))

    def number(value: float) -> Tensor:
        if b.rng.random() < 0.5:
            return b.weight(shape, 0.05, mean=value)
        return b.constant([value] if shape == (1,) else value if shape == () else [[[[value]]]], FLOAT)

    if b.rng.random() < 0.6:
        least = reduce(b, "ReduceMin", x, [1, 2])
        x = elementwise(b, "Sub", x, least)
        x = elementwise(b, "Div", x, add(b, reduce(b, "ReduceMax", x, [1, 2]), number(1.0)))
    for _ in range(b.rng.choice((1, 1, 2))):
        x = add(b, mul(b, x, number(0.5)), number(0.1))
    return transpose(b, x, [0, 3, 1, 2])


def _window(b: NetworkBuilder, x: Tensor) -> list[int]:
    """A window: long along one axis, square, or small and uneven."""
    pick = b.rng.random()
    if pick < 0.5:
        size = [b.rng.choice((1, 3, 3, 5)), b.rng.choice(_LONG)]
        size = size if b.rng.random() < 0.7 else size[::-1]
    elif pick < 0.75:
        size = [b.rng.choice(_SQUARES)] * 2
    else:
        size = list(b.rng.choice(_SMALL))
    return [min(k, n) for k, n in zip(size, x.shape[2:], strict=True)]


def _room(b: NetworkBuilder, x: Tensor, window: list[int]) -> int:
    """Output channels with which a convolution takes half of the budget, and its map keeps to its elements."""
    work = 2.0 * x.elements * math.prod(window)
    return max(1, min(int(b.budget.flops / 2 / work), _MOST_ELEMENTS * x.shape[1] // x.elements))


def _layer(b: NetworkBuilder, x: Tensor, act: Activation) -> Tensor:
    window = _window(b, x)
    c = min(b.rng.choice((8, 16, 16, 24, 32, 32, 48, 64)), _room(b, x, window))
    c = c // 8 * 8 or c
    uneven = x.shape[3] >= 48 and b.rng.random() < 0.25
    return act(b, conv_norm(b, x, c, window, [1, b.rng.choice((2, 3, 4))] if uneven else 1))


def _head(b: NetworkBuilder, x: Tensor) -> Tensor:
    """One to four channels by a window of some size."""
    window = [
        min(k, n) for k, n in zip(b.rng.choice(((3, 3), (3, 3), (5, 5), (7, 3), (7, 7))), x.shape[2:], strict=True)
    ]
    y = conv(b, x, min(b.rng.choice((1, 1, 1, 2, 4)), _room(b, x, window)), window)
    return sigmoid(b, y) if b.rng.random() < 0.7 else y


def _trace(b: NetworkBuilder, x: Tensor, act: Activation) -> None:
    """Layers of long windows, and a head for each question; later heads read earlier ones."""
    for _ in range(b.rng.choice((1, 2, 2, 3, 4))):
        x = _layer(b, x, act)
        if b.exhausted:
            break
    first = _head(b, x)
    if not b.exhausted and b.rng.random() < 0.6 and first.shape[2:] == x.shape[2:]:
        _head(b, concat(b, [x, first]))


def _enhance(b: NetworkBuilder, x: Tensor, act: Activation) -> None:
    """Strides along frequency, and back by transposed convolutions: masks of one or two channels."""
    c = b.rng.choice((8, 16, 16, 24, 32))
    steps = []
    for _ in range(b.rng.choice((1, 2, 3, 4))):
        if b.exhausted or x.shape[3] < 16:
            break
        window = [min(b.rng.choice((1, 2, 2, 3, 5)), x.shape[2]), b.rng.choice((2, 3, 3, 5))]
        c = max(4, min(128, b.rng.choice((c, 2 * c)), _room(b, x, window)))
        y = act(b, conv_norm(b, x, c, window, [1, 2]))
        steps.append((x.shape[3], window, y))
        x = y
    for level in range(len(steps) - 1, -1, -1):
        bands, window, y = steps[level]
        x = concat(b, [x, y]) if x is not y and b.rng.random() < 0.6 else x
        c = max(4, x.shape[1] // 2) if level else b.rng.choice((1, 2))
        x = _back(b, x, c, window, bands)
        x = act(b, x) if level else b.rng.choice((sigmoid, tanh))(b, x)


def _back(b: NetworkBuilder, x: Tensor, c_out: int, window: list[int], bands: int) -> Tensor:
    """The transposed convolution that takes back a convolution of stride 2 along frequency, from `bands` of them."""
    n, c, frames, width = x.shape
    pads = [(k - 1) // 2 for k in window]
    short = bands - (2 * (width - 1) + window[1] - 2 * pads[1])
    shape = (n, c_out, frames + window[0] - 1 - 2 * pads[0], bands)
    work = 2.0 * x.elements * c_out * math.prod(window)
    inputs = [x, b.weight((c, c_out, *window), (1.6 / c) ** 0.5), b.weight((c_out,), 0.1)]
    return b.node(
        "ConvTranspose", inputs, shape, flops=work, dilations=[1, 1], group=1, kernel_shape=window, pads=pads * 2,
        strides=[1, 2], output_padding=[0, short],
    )  # fmt: skip
