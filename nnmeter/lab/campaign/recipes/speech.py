"""Speech: long one-dimensional convolutions, recurrent layers of real sizes, frames one by one, heads of characters.

`speech` draws one of four kinds:
1. Recognition with recurrent layers (DeepSpeech, speaker encoders, voice filters): convolutions over frames or none,
   one to three LSTM or GRU layers of 128 to 1024 cells, and a CTC head or an embedding.
2. Detectors that run frame by frame (voice activity, wake words), one at a time or those of a recording as a batch:
   short windows, few channels, an LSTM or GRU with its state as input and output.
3. Separable or dilated stacks (QuartzNet, TDNN, WaveNet-like vocoders) of 256 to 1024 channels over hundreds of frames.
4. Waveforms: wide windows with large strides on thousands of samples (wav2vec, learned spectrograms), and transposed
   convolutions back.
"""

from __future__ import annotations

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import conv_activation, leaky_relu, relu, sigmoid, tanh
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    conv_norm,
    linear,
    mul,
    reduce,
    reshape,
    select,
    slice_axis,
    softmax,
    transpose,
    unary,
    unsqueeze,
)
from nnmeter.lab.campaign.recipes.recurrent import CELLS, fitting_length, recurrent_layer

_LETTERS = (29, 32, 37, 128, 1000, 5000)


def speech(b: NetworkBuilder) -> None:
    """A network of one of the four kinds."""
    b.rng.choices((_recurrent, _frame_by_frame, _stack, _waveform), (36, 28, 23, 13))[0](b)


def _recurrent(b: NetworkBuilder) -> None:
    kind = b.rng.choice(("LSTM", "LSTM", "GRU"))
    cells, directions = b.rng.choice(CELLS), b.rng.choice((1, 1, 2))
    batch = b.rng.choices((1, 2, 4, 8, 16), (70, 6, 8, 8, 8))[0]
    frames = b.rng.choice((1, 1, 2, 20, 40, 50, 80, 80, 100, 100, 160, 200, 300, 500))
    bands = b.rng.choice((40, 64, 80, 80, 128, 161, 257, 512))
    frames = fitting_length(b, frames, batch, cells, bands, directions)
    given = b.rng.random() < (0.6 if frames <= 2 else 0.1)
    x = b.input((batch, bands, frames))
    for _ in range(b.rng.choice((0, 0, 1, 2))):
        x = relu(b, conv_norm(b, x, sizes.channels(b.rng, 32, 512), b.rng.choice((3, 5, 11))))
    y = transpose(b, x, [2, 0, 1])
    for _ in range(b.rng.choice((1, 1, 2, 3))):
        y = recurrent_layer(b, y, kind, cells, directions, given=given)
        if b.exhausted:
            break
    if b.rng.random() < 0.5:
        softmax(b, linear(b, transpose(b, y, [1, 0, 2]), b.rng.choice(_LETTERS)))
    elif b.rng.random() < 0.5:
        z = linear(b, select(b, y, 0, y.shape[0] - 1), b.rng.choice((64, 128, 256)))
        norm = unary(b, "Sqrt", reduce(b, "ReduceSum", mul(b, z, z), [1]))
        b.node("Div", [z, add(b, norm, b.scalar(1e-6))], z.shape)
    else:
        z = relu(b, linear(b, transpose(b, y, [1, 0, 2]), b.rng.choice((256, 512, 600))))
        sigmoid(b, linear(b, z, bands))


def _frame_by_frame(b: NetworkBuilder) -> None:
    batch = b.rng.choices((1, 8, 16, 32, 64, 128, 256), (45, 7, 6, 14, 8, 8, 12))[0]  # frames of a recording at once
    window, hop = b.rng.choice(((256, 64), (256, 128), (256, 128), (400, 160), (512, 256)))
    samples = b.rng.choice((512, 576, 640, 832, 1280, 1536, 4096) if batch < 64 else (512, 576, 640, 832))
    x = unsqueeze(b, b.input((batch, samples)), [1])
    x = conv(b, x, window + 2, window, hop, bias=False, pad=0)
    half = x.shape[1] // 2
    real, imaginary = slice_axis(b, x, 1, 0, half), slice_axis(b, x, 1, half, 2 * half)
    x = unary(b, "Sqrt", add(b, mul(b, real, real), mul(b, imaginary, imaginary)))
    for _ in range(b.rng.choice((2, 3, 4))):
        stride = b.rng.choice((1, 1, 2)) if x.shape[2] > 1 else 1
        x = relu(b, conv_norm(b, x, b.rng.choice((16, 32, 64, 64, 128, 128)), 3, stride))
    cells = b.rng.choice((32, 64, 128, 128))
    kind = b.rng.choice(("LSTM", "LSTM", "LSTM", "GRU"))
    y = recurrent_layer(b, transpose(b, x, [2, 0, 1]), kind, cells, 1, given=True)
    z = relu(b, transpose(b, y, [1, 2, 0]))
    z = sigmoid(b, conv(b, z, 1, 1))
    reduce(b, "ReduceMean", z, [2], keepdims=0)


def _stack(b: NetworkBuilder) -> None:
    act = conv_activation(b)
    width = b.rng.choice((128, 192, 256, 256, 384, 512, 512, 768, 1024))
    frames = b.rng.choice((50, 100, 200, 300, 500, 800, 1500))
    batch = b.rng.choices((1, 2, 4, 8), (80, 7, 7, 6))[0]
    x = b.input((batch, b.rng.choice((40, 64, 80, 80, 128)), frames))
    x = act(b, conv_norm(b, x, width, b.rng.choice((3, 5, 7, 11)), b.rng.choice((1, 1, 2))))
    kind = b.rng.choice(("separable", "dilated", "gated"))
    for level in range(8):
        if b.exhausted:
            break
        if kind == "separable":
            y = conv_norm(b, x, width, b.rng.choice((7, 13, 15, 33, 39, 51, 63, 75)), groups=width)
            y = conv_norm(b, y, width)
        elif kind == "dilated":
            y = conv_norm(b, act(b, x), width, b.rng.choice((3, 3, 5)), dilation=b.rng.choice((1, 2, 3, 5, 9)))
        else:
            both = conv(b, x, 2 * width, 3, dilation=2 ** (level % 5))
            left, right = slice_axis(b, both, 1, 0, width), slice_axis(b, both, 1, width, 2 * width)
            y = conv(b, mul(b, tanh(b, left), sigmoid(b, right)), width)
        x = act(b, add(b, x, y)) if kind != "gated" else add(b, x, y)
    if b.rng.random() < 0.4:
        softmax(b, conv(b, x, b.rng.choice(_LETTERS[:4]), 1), 1)
    elif b.rng.random() < 0.5:
        mean = reduce(b, "ReduceMean", x, [2])
        spread = b.node("Sub", [x, mean], x.shape)
        deviation = unary(b, "Sqrt", reduce(b, "ReduceMean", mul(b, spread, spread), [2]))
        pooled = concat(b, [mean, deviation])
        linear(b, reshape(b, pooled, (batch, 2 * width)), b.rng.choice((128, 192, 512)))
    else:
        conv(b, x, b.rng.choice((80, 513)), 1)


def _waveform(b: NetworkBuilder) -> None:
    if b.rng.random() < 0.5:
        _vocoder(b)
        return
    act = conv_activation(b)
    samples = b.rng.choice((8000, 16000, 24000, 43844, 48000))
    x = b.input((1, 1, samples))
    x = act(
        b,
        conv(b, x, b.rng.choice((32, 64, 128, 512)), b.rng.choice((10, 16, 64, 256)), b.rng.choice((5, 8, 16)), pad=0),
    )
    while x.shape[2] > 64 and not b.exhausted:
        before = b.mark()
        y = act(b, conv_norm(b, x, min(512, x.shape[1] * b.rng.choice((1, 2))), b.rng.choice((3, 4, 5)), 2))
        if b.cost_ms > 1.5 * b.budget.cost_ms:
            b.rollback(before)
            break
        x = y
    linear(b, reduce(b, "ReduceMean", x, [2], keepdims=0), b.rng.choice((10, 35, 527)))


def _vocoder(b: NetworkBuilder) -> None:
    """HiFi-GAN: transposed convolutions up to samples, residual stacks of dilated convolutions between."""
    width, frames = b.rng.choice((64, 128, 256, 512)), b.rng.choice((16, 32, 64, 100))
    x = conv(b, b.input((1, 80, frames)), width, 7)
    for factor in b.rng.choice(((8, 8, 2, 2), (8, 8, 4), (5, 4, 4, 2), (8, 4))):
        if b.exhausted or x.shape[1] < 16:
            break
        x = _up(b, leaky_relu(b, x), x.shape[1] // 2, factor)
        kernel = b.rng.choice((3, 5, 7, 11))
        for dilation in (1, 3):
            y = conv(b, leaky_relu(b, x), x.shape[1], kernel, dilation=dilation)
            x = add(b, x, conv(b, leaky_relu(b, y), x.shape[1], kernel))
    tanh(b, conv(b, leaky_relu(b, x), 1, 7))


def _up(b: NetworkBuilder, x: Tensor, width: int, factor: int) -> Tensor:
    """A transposed convolution along one axis that makes it `factor` times as long."""
    n, c, length = x.shape
    kernel, pad = 2 * factor, factor // 2
    extra = factor % 2
    shape = (n, width, (length - 1) * factor + kernel - 2 * pad - extra)
    inputs = [x, b.weight((c, width, kernel), (1.6 / c) ** 0.5), b.weight((width,), 0.1)]
    return b.node(
        "ConvTranspose", inputs, shape, flops=2.0 * x.elements * width * kernel,
        dilations=[1], group=1, kernel_shape=[kernel], pads=[pad, pad + extra], strides=[factor],
    )  # fmt: skip
