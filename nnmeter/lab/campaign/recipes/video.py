"""Residual networks of video as deep as they are: maps shrink to a few voxels while channels grow to hundreds."""

from __future__ import annotations

from nnmeter.lab.campaign.recipes.activations import Activation, conv_activation, relu, squeeze_excite
from nnmeter.lab.campaign.recipes.activations import sigmoid as gate
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import add, conv_norm, linear, pool, reduce

_KINDS = (("full", 35), ("factored", 20), ("bottleneck", 20), ("depthwise", 15), ("flat", 10))


def video(b: NetworkBuilder) -> None:
    """R3D, R(2+1)D, MC3, SlowFast and X3D, from one of their stages on."""
    act = relu if b.rng.random() < 0.7 else conv_activation(b)
    kind = b.rng.choices([k for k, _ in _KINDS], [w for _, w in _KINDS])[0]
    stage = b.rng.choice((0, 1, 2, 3))
    width = b.rng.choice((16, 24, 32, 48, 64, 64)) << stage
    frames = max(1, b.rng.choice((4, 8, 8, 16)) >> b.rng.choice((0, stage)))
    side = max(2, b.rng.choice((28, 40, 56, 56, 80)) >> stage)
    if stage == 0 and b.rng.random() < 0.6:
        x = b.input((1, b.rng.choice((1, 3, 3)), frames, 2 * side, 2 * side))
        x = act(b, conv_norm(b, x, width, b.rng.choice((3, [1, 7, 7], [3, 7, 7])), [1, 2, 2]))
    else:
        x = b.input((1, width, frames, side, side))
    for number in range(b.rng.randint(2, 5)):
        if b.exhausted:
            break
        shrink = number and min(x.shape[3:]) > 1 and b.rng.random() < 0.6
        stride = [1, 1, 1] if not shrink else [2 if x.shape[2] > 1 and b.rng.random() < 0.7 else 1, 2, 2]
        x = _block(b, x, min(768, 2 * x.shape[1] if shrink else x.shape[1]), stride, kind, act)
    if b.rng.random() < 0.2 and min(x.shape[2:]) > 1:
        x = pool(b, b.rng.choice(("MaxPool", "AveragePool")), x, 2, 2)
    linear(b, reduce(b, "ReduceMean", x, [2, 3, 4], keepdims=0), b.rng.choice((51, 101, 174, 400)))


def _block(b: NetworkBuilder, x: Tensor, width: int, stride: list[int], kind: str, act: Activation) -> Tensor:
    """One residual block."""
    if kind == "bottleneck":
        y = act(b, conv_norm(b, x, max(8, width // 4), [b.rng.choice((1, 1, 3)), 1, 1]))
        y = act(b, conv_norm(b, y, y.shape[1], [b.rng.choice((1, 3)), 3, 3], stride))
        y = conv_norm(b, y, width, 1)
    elif kind == "depthwise":
        y = act(b, conv_norm(b, x, 2 * x.shape[1], 1))
        y = conv_norm(b, y, y.shape[1], 3, stride, groups=y.shape[1])
        y = squeeze_excite(b, y, max(4, y.shape[1] // 16), relu, gate) if b.rng.random() < 0.4 else y
        y = conv_norm(b, act(b, y), width, 1)
    elif kind == "factored":
        middle = max(8, width * b.rng.choice((3, 5, 9)) // 4)
        y = act(b, conv_norm(b, x, middle, [1, 3, 3], [1, *stride[1:]]))
        y = act(b, conv_norm(b, y, width, [3, 1, 1], [stride[0], 1, 1]))
    else:
        kernel = [1, 3, 3] if kind == "flat" else [3, 3, 3]
        y = act(b, conv_norm(b, x, width, kernel, stride))
        y = conv_norm(b, y, width, kernel) if b.rng.random() < 0.6 else y
    if y.shape != x.shape:
        x = conv_norm(b, x, width, 1, stride)
    return act(b, add(b, y, x)) if y.shape == x.shape else act(b, y)
