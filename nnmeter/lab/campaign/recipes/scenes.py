"""Real-time segmentation: light layers on large maps, two resolutions, context of the whole, enlarged classes."""

from __future__ import annotations

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import Activation, conv_activation, mobile_activation, relu, sigmoid
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    concat,
    conv,
    conv_norm,
    conv_transpose,
    global_average,
    mul,
    pool,
    resize,
    softmax,
)
from nnmeter.lab.campaign.recipes.pyramid import classifier_width


def scenes(b: NetworkBuilder) -> None:
    """Fast-SCNN, BiSeNet, LR-ASPP, ENet, ERFNet and DeepLab on a mobile backbone."""
    act = b.rng.choices((relu, mobile_activation(b), conv_activation(b)), (50, 30, 20))[0]
    side = b.rng.choice((128, 160, 192, 224, 256, 256, 320, 384))
    kind = b.rng.choice(("mobile", "mobile", "light", "asymmetric"))
    x = b.input((1, 3, side, b.rng.choice((side, side, 2 * side)) if side <= 256 else side))
    x = act(b, conv_norm(b, x, b.rng.choice((8, 16, 24, 32, 32)), 3, 2))
    maps = [x]
    strides = b.rng.choice((2, 3, 3, 4))
    for number in range(strides):
        if b.cost_ms > b.budget.cost_ms and len(maps) > 1:
            break
        width = min(512, sizes.round_to(x.shape[1] * b.rng.choice((1.5, 2, 2)), 8))
        x = _layer(b, x, width, 2, kind, act)
        for _ in range(b.rng.choice((0, 1, 1))):
            x = _layer(b, x, width, 1, kind, act, 2 ** b.rng.choice((0, 0, number)))
        maps.append(x)
    x = _context(b, x, b.rng.choice((64, 96, 128, 128, 256)), act)
    classes = b.rng.choice((2, 11, 19, 21, 21, 150))
    if b.rng.random() < 0.7 and len(maps) > 2:
        low = maps[b.rng.randint(1, len(maps) - 2)]
        while x.shape[2] < low.shape[2]:
            x = resize(b, x, 2, "linear", aligned=b.rng.random() < 0.3)
        if x.shape[2:] == low.shape[2:]:
            side_path = conv_norm(b, low, x.shape[1], 1)
            x = act(b, add(b, x, side_path)) if b.rng.random() < 0.6 else concat(b, [x, side_path])
        x = _layer(b, x, min(128, x.shape[1]), 1, kind, act) if b.rng.random() < 0.5 else x
    x = conv(b, x, classes, 1)
    factor = b.rng.choice((2, 4, 4, 8, 8))
    if classes * x.shape[2] * x.shape[3] * factor * factor > 4_000_000:
        factor = 2
    if b.rng.random() < 0.15:
        x = conv_transpose(b, x, classes, 2, 2)
    else:
        x = resize(b, x, factor, "linear", aligned=b.rng.random() < 0.3)
    end = b.rng.random()
    if end < 0.2:
        b.node("ArgMax", [x], (x.shape[0], *x.shape[2:]), dtype=7, axis=1, keepdims=0)
    elif end < 0.35:
        softmax(b, x, 1)


def _layer(
    b: NetworkBuilder, x: Tensor, width: int, stride: int, kind: str, act: Activation, dilation: int = 1
) -> Tensor:
    """One layer of the backbone."""
    if kind == "mobile":
        wide = x.shape[1] * b.rng.choice((1, 3, 4, 6))
        y = act(b, conv_norm(b, x, wide, 1)) if wide != x.shape[1] else x
        kernel = b.rng.choice((3, 3, 3, 5))
        y = act(b, conv_norm(b, y, wide, kernel, stride, groups=wide, dilation=dilation if stride == 1 else 1))
        y = conv_norm(b, y, width, 1)
    elif kind == "light":
        y = act(b, conv_norm(b, x, width, 3, stride, dilation=dilation if stride == 1 else 1))
    elif stride > 1:
        parts = [conv_norm(b, x, max(8, width - x.shape[1]), 3, 2), pool(b, "MaxPool", x, 2, 2)]
        even = x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0
        return act(b, concat(b, parts)) if even else act(b, parts[0])
    else:
        y = act(b, conv_norm(b, x, x.shape[1], [3, 1], dilation=1))
        y = act(b, conv_norm(b, y, width, [1, 3]))
    return add(b, x, y) if y.shape == x.shape else y


def _context(b: NetworkBuilder, x: Tensor, width: int, act: Activation) -> Tensor:
    """What the whole image says: a gate, pooled bins, or dilated layers side by side."""
    kind = b.rng.random()
    if kind < 0.4:
        y = act(b, conv_norm(b, x, width, 1))
        return mul(b, y, sigmoid(b, conv(b, global_average(b, x), width)))
    if kind < 0.6:
        gate = sigmoid(b, conv_norm(b, global_average(b, x), x.shape[1], 1))
        return act(b, conv_norm(b, mul(b, x, gate), width, 3))
    x = classifier_width(b, x, act)
    parts = [act(b, conv_norm(b, x, width, 1))]
    for rate in b.rng.choice(((2, 4), (6, 12, 18), (3, 6, 9), (12, 24, 36))):
        if b.rng.random() < 0.5:
            y = conv_norm(b, x, x.shape[1], 3, groups=x.shape[1], dilation=rate)
            parts.append(act(b, conv_norm(b, y, width, 1)))
        else:
            parts.append(act(b, conv_norm(b, x, width, 3, dilation=rate)))
    return act(b, conv_norm(b, concat(b, parts), width, 1))
