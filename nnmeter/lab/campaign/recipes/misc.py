"""Odd mixtures and small families: steps in random order, recurrent networks, volumes, signals, recommenders.

Each mixture alternates steps with real convolutions or products, since a kernel's time depends on what ran before it.
"""

from __future__ import annotations

from nnmeter.lab.campaign.recipes import sizes, steps
from nnmeter.lab.campaign.recipes.activations import conv_activation, mobile_activation, relu, sigmoid, token_activation
from nnmeter.lab.campaign.recipes.builder import INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    conv_norm,
    elementwise,
    embedding,
    flatten,
    global_average,
    layer_norm,
    linear,
    matmul,
    mul,
    pool,
    reduce,
    reshape,
    select,
    softmax,
    transpose,
)
from nnmeter.lab.campaign.recipes.recurrent import CELLS, fitting_length, recurrent_layer
from nnmeter.lab.campaign.recipes.stages import entry

_SHARED: tuple[tuple[steps.Step, float], ...] = (
    (steps.some_unary, 8), (steps.some_binary, 12), (steps.some_reduction, 7), (steps.some_power, 3),
    (steps.some_condition, 4), (steps.some_concat, 6), (steps.some_slice, 6), (steps.some_gather, 4),
    (steps.some_expand, 3), (steps.some_ranking, 3), (steps.some_permutation, 6), (steps.some_padding, 3),
    (steps.some_softmax, 4), (steps.some_reshape, 3),
)  # fmt: skip
_IMAGE: tuple[tuple[steps.Step, float], ...] = (
    *_SHARED, (steps.image_norm, 6), (steps.image_pool, 9), (steps.image_resize, 7), (steps.image_rearrange, 3),
    (steps.image_conv, 30), (steps.uneven_average, 4),
)  # fmt: skip
_MAX_ELEMENTS = 3_000_000
_WIDE_BYTES = 140_000_000


def _walk(b: NetworkBuilder, x: Tensor, table: tuple[tuple[steps.Step, float], ...]) -> Tensor:
    """Random steps until the budget is used up; one that makes the tensor too large or empty is taken back."""
    functions, weights = [f for f, _ in table], [w for _, w in table]
    for _ in range(b.rng.randint(8, 24)):
        if b.exhausted:
            break
        before = b.mark()
        y = b.rng.choices(functions, weights)[0](b, x)
        if not 0 < y.elements <= _MAX_ELEMENTS or b.cost_ms > 1.5 * b.budget.cost_ms:
            b.rollback(before)
        else:
            x = y
    return x


def image_mixture(b: NetworkBuilder) -> None:
    """Random steps over feature maps."""
    x, _ = entry(b, b.rng.choice((16, 32, 64)))
    x = conv_activation(b)(b, conv_norm(b, x, sizes.channels(b.rng, 8, 128), 3, 2)) if b.rng.random() < 0.5 else x
    x = _walk(b, x, _IMAGE)
    if b.rng.random() < 0.4:
        linear(b, flatten(b, global_average(b, x)), b.rng.choice((10, 100, 1000)))


def token_mixture(b: NetworkBuilder) -> None:
    """Random steps over (batch, tokens, width), with products and normalisations between."""

    def product(b: NetworkBuilder, x: Tensor) -> Tensor:
        return linear(b, x, sizes.channels(b.rng, 16, 1024), bias=b.rng.random() < 0.7)

    def activated(b: NetworkBuilder, x: Tensor) -> Tensor:
        return token_activation(b)(b, x)

    def gram(b: NetworkBuilder, x: Tensor) -> Tensor:
        if x.shape[1] > 1500:
            return x
        scores = softmax(b, mul(b, matmul(b, x, transpose(b, x, [0, 2, 1])), b.scalar(x.shape[-1] ** -0.5)))
        return matmul(b, scores, x)

    batch = sizes.batch(b.rng)
    x = b.input((batch, sizes.sequence_length(b.rng), sizes.channels(b.rng, 16, 1024)))
    _walk(b, x, (*_SHARED, (product, 22), (activated, 8), (layer_norm, 10), (gram, 4)))


def map_mixture(b: NetworkBuilder) -> None:
    """Random steps over tensors of rank 4 without convolutions: attention maps, windows, box grids."""
    shape = [sizes.batch(b.rng), *(sizes.log_int(b.rng, 2, 256) for _ in range(3))]
    while shape[0] * shape[1] * shape[2] * shape[3] > _MAX_ELEMENTS // 2:
        shape[1] = max(1, shape[1] // 2)
    _walk(b, b.input(shape), _SHARED)


def perceptron(b: NetworkBuilder) -> None:
    """Fully connected networks, among them the wide ends of old image networks and ranking models."""
    act = relu if b.rng.random() < 0.7 else conv_activation(b)
    batch = b.rng.choices((1, 2, 4, 8, 16, 32, 64, 128), (62, 6, 6, 6, 6, 6, 4, 4))[0]
    wide = b.budget.weight_bytes > _WIDE_BYTES
    if wide or b.rng.random() < 0.25:
        side = b.rng.choice((6, 7, 7)) if wide else b.rng.choice((4, 5, 6, 7))
        fmap = b.input((1 if wide else batch, b.rng.choice((256, 512) if wide else (128, 256, 512)), side, side))
        x = flatten(b, fmap)
    else:
        x = b.input((batch, sizes.channels(b.rng, 16, 4096)))
    for _ in range(b.rng.randint(3, 9)):
        if b.exhausted:
            break
        room = max(b.budget.weight_bytes - b.weight_bytes, 4_000_000) // (4 * x.shape[1])
        width = 4096 if wide else b.rng.choice((sizes.channels(b.rng, 16, 4096), 4096, 1024, 512, 256))
        x = act(b, linear(b, x, max(8, min(width, room))))
    sigmoid(b, linear(b, x, b.rng.choice((1, 2, 10, 100, 1000))))


def recommender(b: NetworkBuilder) -> None:
    """Embedding tables, pairwise products of features, and a perceptron."""
    batch = b.rng.choice((1, 4, 16, 64, 256))
    dim = b.rng.choice((8, 16, 32, 64, 128))
    fields = [
        embedding(b, b.input((batch,), INT64), sizes.log_int(b.rng, 100, 50000), dim)
        for _ in range(b.rng.randint(3, 8))
    ]
    dense = relu(b, linear(b, b.input((batch, b.rng.choice((4, 13, 32)))), dim))
    rows = concat(b, [reshape(b, t, (batch, 1, dim)) for t in (*fields, dense)], 1)
    pairs = matmul(b, rows, transpose(b, rows, [0, 2, 1]))
    x = concat(b, [reshape(b, pairs, (batch, pairs.shape[1] * pairs.shape[2])), dense], 1)
    for _ in range(3):
        x = relu(b, linear(b, x, b.rng.choice((32, 64, 128, 256, 512, 1024))))
    sigmoid(b, linear(b, x, 1))


def recurrent(b: NetworkBuilder) -> None:
    """LSTM, GRU and RNN layers in one or two directions, behind embeddings or convolutions (CRNN), or step by step."""
    batch = b.rng.choices((1, 2, 4, 8, 16), (72, 4, 8, 10, 6))[0]
    length = b.rng.choice((1, 1, 1, 2, 4, 8, 16, 20, 32, 50, 64, 80, 100))
    width = sizes.channels(b.rng, 16, 512)
    kind, directions = b.rng.choice(("LSTM", "LSTM", "GRU", "RNN")), b.rng.choice((1, 2))
    cells = [b.rng.choice(CELLS) if b.rng.random() < 0.6 else sizes.channels(b.rng, 16, 512) for _ in range(2)]
    length = fitting_length(b, length, batch, max(cells), max(width, cells[0]), directions)
    given = b.rng.random() < (0.6 if length <= 2 else 0.1)
    if length >= 4 and b.rng.random() < 0.4:
        fmap = b.input((batch, 1, 32, 4 * length))
        y = pool(b, "MaxPool", relu(b, conv_norm(b, fmap, 32, 3)), 2, 2)
        y = pool(b, "MaxPool", relu(b, conv_norm(b, y, 64, 3)), 2, 2)
        y = reduce(b, "ReduceMean", y, [2], keepdims=0)
        x = transpose(b, y, [2, 0, 1])
    elif b.rng.random() < 0.5:
        x = embedding(b, b.input((length, batch), INT64), sizes.log_int(b.rng, 1000, 30000), width)
    else:
        x = b.input((length, batch, width))
    for count in cells[: b.rng.choice((1, 2))]:
        x = recurrent_layer(b, x, kind, count, directions, given=given)
        if b.exhausted:
            break
    linear(b, x if b.rng.random() < 0.5 else select(b, x, 0, x.shape[0] - 1), b.rng.choice((2, 37, 97, 1000)))


def volume(b: NetworkBuilder) -> None:
    """Three-dimensional convolutions of video and medical networks: C3D, R(2+1)D, 3-D U-Net encoders."""
    act = relu if b.rng.random() < 0.7 else conv_activation(b)
    frames = b.rng.choice((4, 8, 8, 16))
    side = b.rng.choice((14, 16, 28, 32, 56))
    x = b.input((1, b.rng.choice((1, 3, 16, 32)), frames, side, side))
    for _ in range(4):
        if b.exhausted:
            break
        width = sizes.channels(b.rng, 8, 128)
        if b.rng.random() < 0.4:
            x = act(b, conv_norm(b, x, width, [1, 3, 3]))
            x = act(b, conv_norm(b, x, width, [3, 1, 1]))
        else:
            x = act(b, conv_norm(b, x, width, 3))
        if min(x.shape[2:]) >= 4 and b.rng.random() < 0.5:
            x = pool(b, "MaxPool", x, 2, 2)
    axes = [2, 3, 4]
    linear(b, reduce(b, "ReduceMean", x, axes, keepdims=0), 400)


def signal(b: NetworkBuilder) -> None:
    """One-dimensional convolutions of speech and sensor networks: residual, dilated (WaveNet, TCN), separable."""
    act = conv_activation(b)
    length = b.rng.choice((64, 128, 200, 256, 500, 1000, 2000, 4000))
    x = b.input((b.rng.choices((1, 4), (85, 15))[0], b.rng.choice((1, 12, 40, 64, 80)), length))
    x = act(b, conv_norm(b, x, sizes.channels(b.rng, 16, 256), b.rng.choice((3, 5, 7, 11))))
    for level in range(6):
        if b.exhausted:
            break
        width = x.shape[1]
        kind = b.rng.random()
        if kind < 0.3:
            y = act(b, conv_norm(b, x, width, 3, dilation=2 ** (level % 4)))
            x = add(b, x, conv_norm(b, y, width))
        elif kind < 0.5:
            gate = sigmoid(b, conv(b, x, width, 3))
            x = add(b, x, mul(b, b.node("Tanh", [conv(b, x, width, 3)], x.shape), gate))
        elif kind < 0.7:
            x = conv_norm(b, act(b, conv_norm(b, x, width, b.rng.choice((5, 9, 15, 31)), groups=width)), width)
        else:
            x = act(b, conv_norm(b, x, sizes.channels(b.rng, 16, 512), 3, b.rng.choice((1, 2))))
            x = (
                pool(b, b.rng.choice(("MaxPool", "AveragePool")), x, 2, 2)
                if b.rng.random() < 0.3 and x.shape[2] > 4
                else x
            )
    linear(b, reduce(b, "ReduceMean", x, [2], keepdims=0), b.rng.choice((10, 35, 527)))


def gated_features(b: NetworkBuilder) -> None:
    """Feature maps scaled by vectors, as in squeeze-excitation, FiLM and dynamic convolutions, at many sizes."""
    x, _ = entry(b, b.rng.choice((24, 48, 96)))
    for _ in range(3):
        if b.exhausted:
            break
        c = sizes.channels(b.rng, 8, 1024 if min(x.shape[2:]) < 30 else 256)
        x = mobile_activation(b)(b, conv_norm(b, x, c, b.rng.choice((1, 1, 3)), 2 if min(x.shape[2:]) > 80 else 1))
        vector = flatten(b, global_average(b, x))
        hidden = relu(b, linear(b, vector, max(4, c // b.rng.choice((4, 8, 16)))))
        gate = reshape(b, sigmoid(b, linear(b, hidden, c)), (x.shape[0], c, 1, 1))
        x = mul(b, x, gate)
        if b.rng.random() < 0.3:
            x = elementwise(b, "Add", x, reshape(b, linear(b, hidden, c), (x.shape[0], c, 1, 1)))
