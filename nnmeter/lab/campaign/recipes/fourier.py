"""Networks that mix by Fourier transforms: FNet over tokens, GFNet over maps, spectra of audio in front of a network.

A transform goes along any axis, of lengths that are powers of two and others, one-sided or whole, of real numbers and
of complex ones, whose parts are the last axis.
"""

from __future__ import annotations

from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import gelu_erf, relu, token_activation
from nnmeter.lab.campaign.recipes.builder import Exporter, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv_norm,
    elementwise,
    layer_norm,
    linear,
    matmul,
    mul,
    reduce,
    reshape,
    select,
    slice_axis,
    transpose,
    unary,
    unsqueeze,
)
from nnmeter.lab.campaign.recipes.tokens import change_width, feed_forward, hidden_width, residual
from nnmeter.operators.flops_signal import transform_flops

_OPSET = 20  # from which on the axis of DFT is an input
_LENGTHS = (16, 32, 49, 64, 64, 100, 128, 128, 128, 196, 197, 256, 256, 512)
_WIDTHS = (64, 96, 128, 128, 192, 256, 256, 256, 384, 512, 512, 768)


def fourier_mixing(b: NetworkBuilder) -> None:
    """A network of one of the three kinds."""
    b.exporter = Exporter(_OPSET, b.exporter.dynamo, b.exporter.folds_batch_norm)
    b.rng.choices((_tokens, _maps, _spectra), (50, 25, 25))[0](b)


def _transform(b: NetworkBuilder, x: Tensor, axis: int, *, inverse: bool = False, onesided: bool = False) -> Tensor:
    """DFT along an axis; the result is complex."""
    length = x.shape[axis]
    shape = [*x.shape[:-1], 2]
    if onesided:
        shape[axis] = length // 2 + 1
    lines = x.elements // x.shape[-1] // length
    inputs = [x, None, b.constant(axis)]
    return b.node(
        "DFT", inputs, shape, flops=3.0 * lines * transform_flops(length), inverse=int(inverse), onesided=int(onesided)
    )


def _complex(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Real numbers with an axis of parts: one part, or a second one of zeros, as exporters write it."""
    y = unsqueeze(b, x, [len(x.shape)])
    return y if b.rng.random() < 0.5 else concat(b, [y, mul(b, y, b.scalar(0.0))], -1)


def _tokens(b: NetworkBuilder) -> None:
    batch, length, dim = sizes.batch(b.rng), b.rng.choice(_LENGTHS), b.rng.choice(_WIDTHS)
    while batch > 1 and batch * length * dim > 400_000:
        batch //= 2
    x = b.input((batch, length, dim))
    act = gelu_erf if b.rng.random() < 0.7 else token_activation(b)
    pre = b.rng.random() < 0.3

    def mixing(b: NetworkBuilder, y: Tensor) -> Tensor:
        z = _complex(b, y)
        for axis in (2, 1) if b.rng.random() < 0.6 else (1, 2):
            z = _transform(b, z, axis)
        return select(b, z, 3, 0)

    for _ in range(3):
        x = residual(b, x, mixing, layer_norm, pre=pre)
        x = residual(b, x, partial(feed_forward, hidden=hidden_width(b, x.shape[-1]), act=act), layer_norm, pre=pre)
        if b.exhausted:
            return
        x = change_width(b, x, b.rng.choice(_WIDTHS))


def _maps(b: NetworkBuilder) -> None:
    side, dim = b.rng.choice((7, 8, 14, 14, 16, 28, 32)), b.rng.choice(_WIDTHS)
    x = b.input((b.rng.choices((1, 2, 4), (85, 10, 5))[0], side * side, dim))
    while not b.exhausted:
        x = residual(b, x, partial(_filtered, side=side), layer_norm, pre=True)
        hidden = hidden_width(b, x.shape[-1])
        x = residual(b, x, partial(feed_forward, hidden=hidden, act=gelu_erf), layer_norm, pre=True)
        if b.rng.random() < 0.5:
            break
        x = change_width(b, x, b.rng.choice(_WIDTHS))
    linear(b, reduce(b, "ReduceMean", x, [1], keepdims=0), 1000)


def _filtered(b: NetworkBuilder, x: Tensor, side: int) -> Tensor:
    """A product with learned complex weights between two transforms there and back."""
    n, s, c = x.shape
    z = _complex(b, reshape(b, x, (n, side, side, c)))
    z = _transform(b, _transform(b, z, 2), 1)
    real, imaginary = (slice_axis(b, z, 4, part, part + 1) for part in (0, 1))
    kept, turned = (b.weight((side, side, c, 1), 0.1) for _ in range(2))
    parts = [
        elementwise(b, "Sub", mul(b, real, kept), mul(b, imaginary, turned)),
        add(b, mul(b, real, turned), mul(b, imaginary, kept)),
    ]
    z = _transform(b, _transform(b, concat(b, parts, -1), 1, inverse=True), 2, inverse=True)
    return reshape(b, select(b, z, 4, 0), (n, s, c))


def _spectra(b: NetworkBuilder) -> None:
    """Frames of a signal to bands of its power spectrum, by DFT or by products with sines, then convolutions."""
    length = b.rng.choice((256, 400, 400, 512, 512, 1024, 320))
    frames = sizes.log_int(b.rng, 20, 300)
    x = mul(b, b.input((1, frames, length)), b.weight((length,), 0.2, mean=0.6))
    if b.rng.random() < 0.7:
        z = _transform(b, unsqueeze(b, x, [3]), 2, onesided=b.rng.random() < 0.7)
        power = reduce(b, "ReduceSum", mul(b, z, z), [3], keepdims=0)
    else:
        half = length // 2 + 1
        parts = [matmul(b, x, b.weight((length, half), length**-0.5)) for _ in range(2)]
        power = add(b, mul(b, parts[0], parts[0]), mul(b, parts[1], parts[1]))
    bands = b.rng.choice((40, 64, 80, 80, 128))
    mel = matmul(b, power, b.weight((power.shape[2], bands), 0.05, mean=0.1, positive=True))
    mel = unary(b, "Log", b.node("Max", [mel, b.scalar(1e-6)], mel.shape))
    y = transpose(b, mel, [0, 2, 1])
    if b.rng.random() < 0.5:
        y = unsqueeze(b, y, [1])
    for _ in range(3):
        if b.exhausted:
            break
        y = relu(b, conv_norm(b, y, sizes.channels(b.rng, 16, 256), 3, 2 if min(y.shape[2:]) > 8 else 1))
    linear(b, reduce(b, "ReduceMean", y, list(range(2, len(y.shape))), keepdims=0), b.rng.choice((10, 35, 527)))
