"""The plan shared by image networks: where the network begins, its stem, its stages and its head.

Rules:

1. A network begins at the image or in the middle (at 1/4 .. 1/32 of a random image), so that late stages are sampled as
   often as early ones.
2. A stage's first block changes width and resolution; one identical repeat at most follows for residual structure,
   since further repeats would bring no new kernels.
3. A block that overshoots the budget is taken back, unless it is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import Activation
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import classifier, conv, conv_norm, flatten, global_average, linear, pool

Block = Callable[[NetworkBuilder, Tensor, int, int], Tensor]
"""A block of a stage: (builder, input, output channels, stride) -> output."""

_ENTRIES = (1, 2, 4, 8, 16, 32)
_ENTRY_WEIGHTS = (34, 5, 16, 16, 17, 12)
_OVERSHOOT = 1.7


def entry(b: NetworkBuilder, base: int, largest: int = 2048) -> tuple[Tensor, int]:
    """The network's input and its reduction against the image; `base` is the width of the family's stage at 1/4."""
    stride = b.rng.choices(_ENTRIES, _ENTRY_WEIGHTS)[0]
    batch = sizes.batch(b.rng)
    if stride == 1:
        depth = b.rng.choices((3, 1, 4), (94, 4, 2))[0]
        return b.input((batch, depth, *sizes.feature_size(b.rng, 1))), 1
    width = min(largest, max(8, round(base * stride / 4 * sizes.log_uniform(b.rng, 0.6, 1.4))))
    if b.rng.random() < 0.85:
        width = sizes.nearest_common(width, 8, 2048)
    return b.input((batch, width, *sizes.feature_size(b.rng, stride))), stride


def stem(b: NetworkBuilder, x: Tensor, width: int, act: Activation) -> Tensor:
    """The first layers on an image, in the manner of one of the published stems, to 1/2 or 1/4 of its size."""
    kind = b.rng.random()
    if kind < 0.3:
        kernel = b.rng.choice((7, 7, 7, 3, 5))
        y = act(b, conv_norm(b, x, width, kernel, 2))
        return pool(b, "MaxPool", y, 3, 2, 1) if b.rng.random() < 0.8 else y
    if kind < 0.45:
        narrow = b.rng.choice((width // 2, sizes.round_to(width / 2, 8), 24, 32))
        y = act(b, conv_norm(b, x, max(8, narrow), 3, 2))
        y = act(b, conv_norm(b, y, max(8, narrow), 3))
        y = act(b, conv_norm(b, y, width, 3))
        return pool(b, "MaxPool", y, 3, 2, 1) if b.rng.random() < 0.7 else y
    if kind < 0.88:
        return act(b, conv_norm(b, x, width, 3, 2))
    if kind < 0.94:
        y = act(b, conv_norm(b, x, width // 2 or width, 3, 2))
        return act(b, conv_norm(b, y, width, 3, 2))
    return act(b, conv_norm(b, x, width, 3, 1))


def run_stages(
    b: NetworkBuilder,
    x: Tensor,
    widths: Sequence[int],
    block: Block,
    *,
    first_stride: int = 1,
    repeats: Sequence[int] = (1, 2),
) -> Tensor:
    """Stages of `block`, one for each width, until the budget is used up."""
    for index, width in enumerate(widths):
        stride = first_stride if index == 0 else 2
        if min(x.shape[2:]) < 4:
            stride = 1
        for repeat in range(b.rng.choice(repeats)):
            if b.exhausted:
                return x
            before = b.mark()
            y = block(b, x, width, stride if repeat == 0 else 1)
            if b.cost_ms > _OVERSHOOT * b.budget.cost_ms and before.nodes >= 8:
                b.rollback(before)
                return x
            x = y
    return x


def image_backbone(
    b: NetworkBuilder,
    block: Block,
    act: Activation,
    *,
    base: int,
    expansion: int = 1,
    largest: int = 2048,
    repeats: Sequence[int] = (1, 2),
    keep_head: float = 0.5,
) -> None:
    """A whole network: entry, stem, stages of `block`, and a classifier in `keep_head` of the cases."""
    x, stride = entry(b, base * expansion, largest)
    stage = max(0, round(math.log2(max(stride, 4) / 4)))
    if stride <= 2:
        if stride == 1:
            x = stem(b, x, sizes.round_to(base * b.rng.choice((0.5, 1.0, 1.0)), 4 if base < 32 else 8), act)
        first = 1 if b.rng.random() < 0.5 else 2
    else:
        first = b.rng.choice((1, 1, 2))
        stage += first - 1
    count = max(1, b.rng.randint(2, 5) - stage)
    widths = sizes.stage_widths(b.rng, min(largest, round(base * expansion * 2**stage)), count, largest)
    x = run_stages(b, x, widths, block, first_stride=first, repeats=repeats)
    if b.rng.random() < keep_head:
        head(b, x, act)


def head(b: NetworkBuilder, x: Tensor, act: Activation) -> None:
    """One of the usual ends: classifier, with a wide 1x1 before or a hidden layer, or convolutional classes."""
    kind = b.rng.random()
    classes = b.rng.choices((1000, 10, 100, 2, 21841, 21, 365), (70, 8, 8, 3, 3, 4, 4))[0]
    if kind < 0.6:
        classifier(b, x, classes)
    elif kind < 0.74:
        wide = b.rng.choice((512, 576, 960, 1024, 1280, 1280, 1536))
        classifier(b, act(b, conv_norm(b, x, wide, 1)), classes)
    elif kind < 0.88:
        hidden = act(b, classifier_hidden(b, x))
        linear(b, hidden, classes)
    elif kind < 0.95:
        y = conv(b, x, classes, 1)
        flatten(b, pool(b, "AveragePool", y, min(y.shape[2:]), 1) if y.shape[2] == y.shape[3] else y)
    else:
        side = min(x.shape[2:])
        y = pool(b, "AveragePool", x, side, 1) if x.shape[2] == x.shape[3] else x
        if y.elements // y.shape[0] < 30000:
            linear(b, flatten(b, y), min(classes, 1000))


def classifier_hidden(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Pooled features through a hidden layer of 256 to 4096 units."""
    return linear(b, flatten(b, global_average(b, x)), b.rng.choice((256, 512, 1024, 1280, 2048, 4096)))
