"""Networks that join many branches: DenseNet, SqueezeNet, Inception, deep layer aggregation, CSP, VoVNet, HRNet."""

from __future__ import annotations

from collections.abc import Callable

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import Activation, conv_activation, relu, silu
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    batch_norm,
    classifier,
    concat,
    conv,
    conv_norm,
    pool,
    resize,
    split,
)
from nnmeter.lab.campaign.recipes.stages import entry, image_backbone, run_stages, stem


def dense(b: NetworkBuilder) -> None:
    """DenseNet: BN-ReLU-1x1-BN-ReLU-3x3 appended to all earlier features, transitions with average pooling."""
    act = relu if b.rng.random() < 0.9 else conv_activation(b)
    growth = b.rng.choice((12, 16, 24, 32, 32, 32, 40, 48))
    bottleneck = b.rng.choice((4, 4, 4, 2, 1))
    nested = b.rng.random() < 0.35
    x, stride = entry(b, 64, 1024)
    if stride == 1:
        x = stem(b, x, 2 * growth, act)
    while not b.exhausted:
        features = [x]
        before, entered = b.mark(), x
        for _ in range(b.rng.randint(1, 5)):
            y = concat(b, features) if len(features) > 1 and not nested else features[-1]
            z = act(b, batch_norm(b, y))
            z = act(b, batch_norm(b, conv(b, z, growth * bottleneck, 1, bias=False)))
            z = conv(b, z, growth, 3, bias=False)
            features = [concat(b, [y, z])] if nested else [*features, z]
        x = concat(b, features) if len(features) > 1 else features[0]
        if b.cost_ms > 2 * b.budget.cost_ms and before.nodes > 8:
            b.rollback(before)
            x = entered
            break
        if b.rng.random() < 0.7 or min(x.shape[2:]) < 4:
            goal = x.shape[1] // 2 if b.rng.random() < 0.7 else sizes.channels(b.rng, 32, 1024)
            x = conv(b, act(b, batch_norm(b, x)), goal, 1, bias=False)
            if min(x.shape[2:]) >= 4:
                x = pool(b, "AveragePool", x, 2, 2)
    if b.rng.random() < 0.5:
        classifier(b, act(b, batch_norm(b, x)), 1000)


def fire(b: NetworkBuilder) -> None:
    """SqueezeNet: 1x1 squeeze, then 1x1 and 3x3 expansions side by side; residual in some; convolutional classes."""
    act = relu if b.rng.random() < 0.9 else conv_activation(b)
    residual = b.rng.random() < 0.3

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1:
            x = pool(b, "MaxPool", x, 3, 2, ceil_mode=b.rng.choice((0, 1)))
        squeezed = act(b, conv_norm(b, x, sizes.round_to(width / b.rng.choice((8, 8, 4)), 4), 1))
        half = width // 2
        y = concat(b, [act(b, conv_norm(b, squeezed, half, 1)), act(b, conv_norm(b, squeezed, half, 3))])
        return add(b, y, x) if residual and y.shape == x.shape else y

    image_backbone(b, block, act, base=b.rng.choice((64, 96, 128, 128, 128)), largest=768)


def inception(b: NetworkBuilder) -> None:
    """GoogLeNet and Inception v3/v4: branches of 1x1, 3x3, 5x5, 1x7 and 7x1 convolutions and pooling, concatenated."""
    act = relu if b.rng.random() < 0.9 else conv_activation(b)

    def layer(b: NetworkBuilder, x: Tensor, width: float, kernel: int | tuple[int, int] = 1, stride: int = 1) -> Tensor:
        return act(b, conv_norm(b, x, sizes.round_to(width, b.rng.choice((16, 16, 8, 32))), kernel, stride))

    def pooled(b: NetworkBuilder, x: Tensor, width: float) -> Tensor:
        kind = "MaxPool" if b.rng.random() < 0.4 else "AveragePool"
        return layer(b, pool(b, kind, x, 3, 1, 1), width)

    def small(b: NetworkBuilder, x: Tensor, width: int) -> list[Tensor]:
        w = width / 8
        second = layer(b, layer(b, x, w * b.rng.uniform(1, 2)), w * b.rng.uniform(2, 4), 3)
        third = layer(b, layer(b, x, w * b.rng.uniform(0.3, 1)), w * b.rng.uniform(0.5, 1.5), b.rng.choice((3, 5)))
        if b.rng.random() < 0.4:
            third = layer(b, third, third.shape[1], 3)
        return [layer(b, x, w * b.rng.uniform(1, 3)), second, third, pooled(b, x, w)]

    def factorised(b: NetworkBuilder, x: Tensor, width: int) -> list[Tensor]:
        k = b.rng.choice((7, 7, 7, 5, 3))
        w = width / 4
        inner = w * b.rng.uniform(0.6, 1.0)
        y = layer(b, layer(b, layer(b, x, inner), inner, (1, k)), w, (k, 1))
        z = layer(b, layer(b, layer(b, x, inner), inner, (k, 1)), w, (1, k))
        return [layer(b, x, w), y, z, pooled(b, x, w)]

    def forked(b: NetworkBuilder, x: Tensor, width: int) -> list[Tensor]:
        w = width / 6
        y = layer(b, x, w)
        return [layer(b, x, w), layer(b, y, w, (1, 3)), layer(b, y, w, (3, 1)), pooled(b, x, w)]

    def reduction(b: NetworkBuilder, x: Tensor, width: int) -> list[Tensor]:
        y = layer(b, layer(b, x, width / 4), width / 3, 3, 2)
        return [y, layer(b, x, width / 3, 3, 2), pool(b, "MaxPool", x, 3, 2, 1)]

    kinds: list[Callable[[NetworkBuilder, Tensor, int], list[Tensor]]] = [small, small, factorised, factorised, forked]

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        return concat(b, (reduction if stride > 1 else b.rng.choice(kinds))(b, x, width))

    image_backbone(b, block, act, base=b.rng.choice((128, 192, 256, 256, 288)), largest=2048)


def aggregation(b: NetworkBuilder) -> None:
    """DLA, CSP/ELAN (YOLO) and VoVNet: outputs of consecutive convolutions are concatenated and mixed by a 1x1."""
    kind = b.rng.choice(("dla", "dla", "csp", "csp", "elan", "vov"))
    act = relu if kind in ("dla", "vov") else silu if b.rng.random() < 0.7 else conv_activation(b)
    depth = b.rng.choice((2, 2, 3, 4))
    groups = b.rng.choice((1, 1, 1, 32))

    def dla(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        short = pool(b, "MaxPool", x, stride, stride) if stride > 1 else x
        short = conv_norm(b, short, width, 1) if short.shape[1] != width else short
        outs = []
        y = x
        for i in range(2):
            hidden = width if groups == 1 else sizes.round_to(width / 2, groups)
            z = act(b, conv_norm(b, y, hidden, 3 if groups == 1 else 1, stride if i == 0 and groups == 1 else 1))
            if groups > 1:
                z = act(b, conv_norm(b, z, hidden, 3, stride if i == 0 else 1, groups=groups))
            z = conv_norm(b, z, width, 3 if groups == 1 else 1)
            y = act(b, add(b, z, short if i == 0 else y)) if z.shape == (short if i == 0 else y).shape else act(b, z)
            outs.append(y)
        return act(b, conv_norm(b, concat(b, outs), width, 1))

    def csp(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1 or x.shape[1] != width:
            x = act(b, conv_norm(b, x, width, 3, stride))
        half = max(8, width // 2)
        whole = act(b, conv_norm(b, x, 2 * half, 1))
        parts = split(b, whole, [half, half])
        y = parts[1]
        for _ in range(b.rng.choice((1, 1, 2))):
            z = act(b, conv_norm(b, act(b, conv_norm(b, y, half, b.rng.choice((1, 3)))), half, 3))
            y = add(b, y, z) if b.rng.random() < 0.7 else z
            parts.append(y)
        return act(b, conv_norm(b, concat(b, parts), width, 1))

    def serial(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1:
            x = act(b, conv_norm(b, x, width, 3, 2)) if kind == "elan" else pool(b, "MaxPool", x, 3, 2, 1)
        each = max(8, width // (2 if kind == "vov" else 4))
        outs, y = [x], x
        if kind == "elan":
            outs = [act(b, conv_norm(b, x, each, 1)), act(b, conv_norm(b, x, each, 1))]
            y = outs[-1]
        for _ in range(depth):
            y = act(b, conv_norm(b, y, each, 3))
            outs.append(y)
        return act(b, conv_norm(b, concat(b, outs), width, 1))

    block = {"dla": dla, "csp": csp, "elan": serial, "vov": serial}[kind]
    image_backbone(b, block, act, base=b.rng.choice((32, 48, 64, 64, 96, 128)), largest=1024, repeats=(1, 1, 2))


def multi_resolution(b: NetworkBuilder) -> None:
    """HRNet: residual branches at several resolutions, fused by strided convolutions and resizing."""
    act: Activation = relu if b.rng.random() < 0.85 else conv_activation(b)
    width = b.rng.choice((16, 18, 18, 30, 32, 32, 40, 44, 48))
    count = b.rng.choice((2, 3, 3, 4))
    mode = b.rng.choice(("nearest", "nearest", "linear"))
    side = 2 ** (count - 1)
    begin = b.rng.choice((1, 1, 4, 8, 16))
    h, w = (side * max(1, round(s / side)) for s in sizes.feature_size(b.rng, max(4, begin)))
    if begin == 1:
        x = b.input((sizes.batch(b.rng), 3, 4 * h, 4 * w))
        x = act(b, conv_norm(b, act(b, conv_norm(b, x, 64, 3, 2)), 64, 3, 2))
    else:
        x = b.input((sizes.batch(b.rng), sizes.channels(b.rng, 16, 256), h, w))
    branches = [act(b, conv_norm(b, x, width, 3))]
    for _ in range(count - 1):
        last = branches[-1]
        branches.append(act(b, conv_norm(b, last, last.shape[1] * 2, 3, 2)))
    while not b.exhausted:
        for i, y in enumerate(branches):
            z = conv_norm(b, act(b, conv_norm(b, y, y.shape[1], 3)), y.shape[1], 3)
            branches[i] = act(b, add(b, z, y))
        branches = [act(b, _fuse(b, branches, i, act, mode)) for i in range(count)]
    _join_resolutions(b, branches, act)


def _join_resolutions(b: NetworkBuilder, branches: list[Tensor], act: Activation) -> None:
    """The end of HRNet: all branches upsampled and concatenated, or widened and added downwards for classification."""
    kind = b.rng.random()
    if kind < 0.3:
        joined = [branches[0]] + [resize(b, y, 2**i, "linear") for i, y in enumerate(branches) if i]
        y = act(b, conv_norm(b, concat(b, joined), sum(p.shape[1] for p in branches), 1))
        conv(b, y, b.rng.choice((17, 19, 21, branches[0].shape[1])), 1)
    elif kind < 0.75:
        base = b.rng.choice((64, 96, 128, 128))
        y = branches[0]
        for i, branch in enumerate(branches):
            hidden = base * 2**i // 4
            z = act(b, conv_norm(b, act(b, conv_norm(b, branch, hidden)), hidden, 3))
            z = act(b, add(b, conv_norm(b, z, base * 2**i), conv_norm(b, branch, base * 2**i)))
            y = add(b, z, act(b, conv_norm(b, y, base * 2**i, 3, 2))) if i else z
        classifier(b, act(b, conv_norm(b, y, b.rng.choice((1024, 2048)))), 1000)


def _fuse(b: NetworkBuilder, branches: list[Tensor], goal: int, act: Activation, mode: str) -> Tensor:
    """Sum of all branches at the resolution of branch `goal`."""
    width = branches[goal].shape[1]
    parts = []
    for i, y in enumerate(branches):
        if i > goal:
            y = resize(b, conv_norm(b, y, width, 1), 2 ** (i - goal), mode)
        for step in range(goal - i):
            last = step == goal - i - 1
            y = conv_norm(b, y, width if last else y.shape[1], 3, 2)
            y = y if last else act(b, y)
        parts.append(y)
    total = parts[0]
    for y in parts[1:]:
        total = add(b, total, y)
    return total


def chain(b: NetworkBuilder) -> None:
    """A chain of single convolutions of independently drawn shapes: the log-uniform tail of the convolution's sizes."""
    act = conv_activation(b)
    x, _ = entry(b, b.rng.choice((16, 32, 64, 128)))

    def block(b: NetworkBuilder, x: Tensor, width: int, stride: int) -> Tensor:
        width = sizes.channels(b.rng, 8, 2048 if min(x.shape[2:]) < 20 else 512)
        kernel = b.rng.choices((1, 3, 5, 7, (1, 3), (3, 1), (1, 7), (7, 1), 2), (45, 35, 5, 2, 3, 3, 3, 3, 1))[0]
        kind = b.rng.random()
        groups = 1
        if kind < 0.15:
            width = groups = x.shape[1]
        elif kind < 0.3:
            groups = b.rng.choice([g for g in (2, 3, 4, 6, 8, 16, 32, 1) if x.shape[1] % g == 0])
            width = sizes.round_to(width, groups)
        if min(x.shape[2:]) < 2:
            kernel = 1
        dilation = b.rng.choices((1, 2, 3), (92, 6, 2))[0]
        y = conv_norm(b, x, width, kernel, stride, groups=groups, dilation=dilation)
        return act(b, y) if b.rng.random() < 0.8 else y

    run_stages(b, x, [0] * 6, block, first_stride=1, repeats=(1, 2, 3))
