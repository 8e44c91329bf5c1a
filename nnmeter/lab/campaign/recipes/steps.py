"""Single steps of odd mixtures: operators that appear here and there in real models, each at random sizes.

A step takes a tensor and returns one of the same rank, so that any step may follow any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import mobile_activation, relu
from nnmeter.lab.campaign.recipes.builder import BOOL, FLOAT, INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.hybrid import group_norm
from nnmeter.lab.campaign.recipes.operators import (
    add,
    batch_norm,
    concat,
    conv_norm,
    conv_transpose,
    elementwise,
    mul,
    pad,
    pool,
    reduce,
    reshape,
    resize,
    select,
    slice_axis,
    softmax,
    split,
    squeeze,
    transpose,
    unary,
    unsqueeze,
    where,
)

Step = Callable[[NetworkBuilder, Tensor], Tensor]

_UNARY = (
    "Sqrt",
    "Exp",
    "Neg",
    "Abs",
    "Reciprocal",
    "Log",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Erf",
    "Relu",
    "Floor",
    "Sin",
    "Cos",
)
_BINARY = ("Add", "Mul", "Sub", "Div", "Max", "Min")
_REDUCTIONS = ("ReduceMean", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2")


def positive(b: NetworkBuilder, x: Tensor) -> Tensor:
    """|x| + 0.5, so that logarithms, roots and reciprocals stay finite."""
    return add(b, unary(b, "Abs", x), b.scalar(0.5))


def some_unary(b: NetworkBuilder, x: Tensor) -> Tensor:
    """One or two element-wise operators."""
    for op in b.rng.sample(_UNARY, b.rng.choice((1, 2))):
        if op in ("Sqrt", "Reciprocal", "Log"):
            x = positive(b, x)
        if op == "Exp":
            x = b.node("Clip", [x, b.scalar(-10.0), b.scalar(10.0)], x.shape)
        x = b.node(op, [x], x.shape, flops=8.0 * x.elements)
    return x


def some_binary(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A binary operator against a tensor of equal shape, a channel vector, a map of one channel, or a scalar."""
    op = b.rng.choice(_BINARY)
    rank = len(x.shape)
    kind = b.rng.random()
    if kind < 0.3:
        other = b.input(x.shape)
    elif kind < 0.55:
        shape = (x.shape[1], *[1] * (rank - 2)) if rank > 3 else (x.shape[-1],)
        other = b.weight(shape, 0.1, mean=1.0)
    elif kind < 0.7:
        other = b.input((x.shape[0], *[1] * (rank - 2), x.shape[-1]))
    elif kind < 0.8:
        other = b.weight((1, *x.shape[1:]), 0.1, mean=1.0)
    else:
        other = b.scalar(1.7)
    if op == "Div" and other.name.startswith("input"):
        other = positive(b, other)
    return elementwise(b, op, x, other) if b.rng.random() < 0.8 or op == "Div" else elementwise(b, op, other, x)


def some_reduction(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A reduction over random axes, whose result is broadcast back or left as an output."""
    rank = len(x.shape)
    axes = sorted(b.rng.sample(range(1, rank), b.rng.randint(1, rank - 1)))
    if b.rng.random() < 0.3:
        axes = [a - rank for a in axes]
    keep = int(b.rng.random() < 0.7)
    y = reduce(b, b.rng.choice(_REDUCTIONS), x, axes, keep)
    return elementwise(b, "Sub", x, y) if keep and b.rng.random() < 0.6 else x


def some_power(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Pow by 2, 3 or 0.5, as written in norms and losses."""
    exponent = b.rng.choice((2.0, 2.0, 3.0, 0.5))
    base = positive(b, x) if exponent < 1 else b.node("Tanh", [x], x.shape)
    return elementwise(b, "Pow", base, b.scalar(exponent))


def some_condition(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Where over a comparison of the tensor with a threshold, or NaN replacement."""
    if b.rng.random() < 0.4:
        missing = b.node("IsNaN", [x], x.shape, dtype=BOOL)
        return where(b, missing, b.scalar(0.0), x)
    test = b.node(b.rng.choice(("Greater", "Less")), [x, b.scalar(0.1)], x.shape, dtype=BOOL)
    if b.rng.random() < 0.4:
        other = b.node("Less", [x, b.scalar(0.9)], x.shape, dtype=BOOL)
        test = b.node(b.rng.choice(("And", "Or")), [test, other], x.shape, dtype=BOOL)
    if b.rng.random() < 0.2:
        test = b.node("Not", [test], x.shape, dtype=BOOL)
    if b.rng.random() < 0.4:
        return mul(b, x, b.node("Cast", [test], x.shape, dtype=FLOAT, to=FLOAT))
    return where(b, test, x, b.scalar(0.0))


def some_concat(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Splits along a random axis and concatenates the parts in another order."""
    axis = b.rng.randint(1, len(x.shape) - 1)
    size = x.shape[axis]
    if size < 2:
        return concat(b, [x, x], axis)
    cut = size // 2 if b.rng.random() < 0.5 else b.rng.randint(1, size - 1)
    first, second = split(b, x, [cut, size - cut], axis)
    return concat(b, [second, unary(b, "Neg", first)], axis)


def some_slice(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A slice along a random axis, plain or strided."""
    axis = b.rng.randint(1, len(x.shape) - 1)
    size = x.shape[axis]
    if size < 4:
        return x
    if b.rng.random() < 0.3:
        return slice_axis(b, x, axis, b.rng.choice((0, 1)), size, 2)
    start = b.rng.randint(0, size // 3)
    return slice_axis(b, x, axis, start, b.rng.randint(start + max(1, size // 3), size))


def some_gather(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Rows picked by constant indices, or one row squeezed out and put back."""
    axis = b.rng.randint(1, len(x.shape) - 1)
    size = x.shape[axis]
    if b.rng.random() < 0.3:
        one = select(b, x, axis, size // 2)
        return add(b, x, unsqueeze(b, one, [axis]))
    picks = [b.rng.randrange(size) for _ in range(max(1, size // b.rng.choice((1, 2))))]
    shape = (*x.shape[:axis], len(picks), *x.shape[axis + 1 :])
    return b.node("Gather", [x, b.constant(picks)], shape, flops=0, axis=axis)


def some_expand(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Expand or Tile of a reduced tensor to its former shape."""
    axis = b.rng.randint(1, len(x.shape) - 1)
    small = reduce(b, "ReduceMean", x, [axis])
    if b.rng.random() < 0.6:
        y = b.node("Expand", [small, b.constant(list(x.shape))], x.shape, flops=0)
    else:
        repeats = [x.shape[i] if i == axis else 1 for i in range(len(x.shape))]
        y = b.node("Tile", [small, b.constant(repeats)], x.shape, flops=0)
    return concat(b, [x, y], axis) if x.elements < 200_000 else mul(b, x, y)


def some_ranking(b: NetworkBuilder, x: Tensor) -> Tensor:
    """TopK, ArgMax or CumSum beside the main path."""
    axis = len(x.shape) - 1
    size = x.shape[axis]
    pick = b.rng.random()
    if pick < 0.45:
        k = max(1, min(size, b.rng.choice((1, 5, 10, 100))))
        shape = (*x.shape[:axis], k)
        b.node_with_outputs(
            "TopK", [x, b.constant([k])], [shape] * 2, dtypes=[FLOAT, INT64], flops=x.elements * 8.0, axis=axis
        )
    elif pick < 0.8:
        axis = b.rng.randint(1, axis)
        shape = tuple(s for i, s in enumerate(x.shape) if i != axis)
        b.node("ArgMax", [x], shape, dtype=INT64, flops=4.0 * x.elements, axis=axis, keepdims=0)
    else:
        b.node("CumSum", [x, b.constant(axis)], x.shape)
    return x


def some_permutation(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A transpose of the axes behind the batch, some work there, and the inverse."""
    rank = len(x.shape)
    rest = list(range(1, rank))
    b.rng.shuffle(rest)
    perm = [0, *rest]
    y = some_binary(b, transpose(b, x, perm)) if b.rng.random() < 0.5 else relu(b, transpose(b, x, perm))
    return transpose(b, y, [perm.index(i) for i in range(rank)]) if b.rng.random() < 0.6 else y


def some_padding(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Zero, reflected or repeated borders of the last axes."""
    rank = len(x.shape)
    mode = b.rng.choice(("constant", "constant", "reflect", "edge"))
    border = [0] * (rank - 2) + [b.rng.choice((0, 1, 2, 3)) for _ in range(2)]
    border = [min(p, s - 1) if mode == "reflect" else p for p, s in zip(border, x.shape, strict=True)]
    return pad(b, x, border, border if b.rng.random() < 0.6 else [0] * rank, mode)


def some_softmax(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Softmax or LogSoftmax along the last or the channel axis, scaled back by the size."""
    axis = b.rng.choice((-1, -1, 1))
    y = (
        softmax(b, x, axis)
        if b.rng.random() < 0.8
        else b.node("LogSoftmax", [x], x.shape, flops=20.0 * x.elements, axis=axis)
    )
    return add(b, x, y)


def some_reshape(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Views that change nothing but the shape: squeeze and unsqueeze, merge and split of axes."""
    if b.rng.random() < 0.4:
        return squeeze(b, relu(b, unsqueeze(b, x, [2])), [2])
    merged = reshape(b, x, (x.shape[0], math.prod(x.shape[1:])))
    return reshape(b, unary(b, "Neg", merged), x.shape)


def image_norm(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A normalisation that is no neighbour of a convolution's: batch, instance, group, local response."""
    pick = b.rng.random()
    if pick < 0.35:
        return batch_norm(b, x)
    if pick < 0.6:
        scale = (x.shape[1],)
        inputs = [x, b.weight(scale, 0.1, mean=1.0), b.weight(scale, 0.1)]
        return b.node("InstanceNormalization", inputs, x.shape, flops=6.0 * x.elements, epsilon=1e-5)
    if pick < 0.8:
        return group_norm(b, x, b.rng.choice([g for g in (1, 2, 4, 8, 16, 32) if x.shape[1] % g == 0]))
    if pick < 0.9:
        return b.node("LRN", [x], x.shape, flops=60.0 * x.elements, size=5, alpha=1e-4, beta=0.75, bias=1.0)
    return b.node("LpNormalization", [x], x.shape, flops=4.0 * x.elements, axis=1, p=2)


def image_pool(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A pooling of any kind that fits."""
    side = min(x.shape[2:])
    kernel = b.rng.choice([k for k in (1, 2, 2, 3, 3, 3, 5, 7) if k <= side])
    stride = b.rng.choice((1, 2)) if kernel > 1 else 1
    kind = b.rng.choice(("MaxPool", "AveragePool"))
    padding = b.rng.choice((0, kernel // 2)) if kernel % 2 else 0
    return pool(
        b, kind, x, kernel, stride, padding, ceil_mode=b.rng.choice((0, 0, 1)), include_pad=b.rng.choice((0, 1))
    )


def image_resize(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Resize by a random factor and mode; large maps are made smaller."""
    area = x.shape[2] * x.shape[3]
    factors = (2, 2, 4, 1.5) if area < 1000 else (0.5, 0.75, 2) if area < 20_000 else (0.5,)
    factor = b.rng.choice(factors)
    modes = (55, 40, 5) if x.elements * factor * factor < 200_000 else (70, 30, 0)
    mode = b.rng.choices(("nearest", "linear", "cubic"), modes)[0]
    return resize(b, x, factor, mode, aligned=b.rng.random() < 0.15)


def image_rearrange(b: NetworkBuilder, x: Tensor) -> Tensor:
    """DepthToSpace, SpaceToDepth or a transposed convolution."""
    n, c, h, w = x.shape
    pick = b.rng.random()
    if c % 4 == 0 and pick < 0.4:
        mode = b.rng.choice(("DCR", "CRD"))
        return b.node("DepthToSpace", [x], (n, c // 4, 2 * h, 2 * w), flops=0, blocksize=2, mode=mode)
    if h % 2 == 0 and w % 2 == 0 and pick < 0.7:
        return b.node("SpaceToDepth", [x], (n, 4 * c, h // 2, w // 2), flops=0, blocksize=2)
    return conv_transpose(b, x, max(4, c // 2)) if c < 400 and h < 80 else x


def image_conv(b: NetworkBuilder, x: Tensor) -> Tensor:
    """A convolution of random shape with an activation, which also keeps sizes in bounds."""
    width = sizes.channels(b.rng, 8, 1024 if min(x.shape[2:]) < 30 else 256)
    if b.rng.random() < 0.3:
        y = conv_norm(b, x, x.shape[1], b.rng.choice((3, 5, 7, 9)), b.rng.choice((1, 2)), groups=x.shape[1])
    else:
        y = conv_norm(b, x, width, b.rng.choice((1, 1, 3)), 2 if min(x.shape[2:]) > 56 else 1)
    return mobile_activation(b)(b, y)


def uneven_average(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Adaptive average pooling to a size that does not divide the map, as the dynamo exporter decomposes it."""
    n, c, h, w = x.shape
    out = b.rng.choice((7, 7, 6, 5, 3))
    if max(h, w) > 20:
        return x
    spans = [[(i * s // out, -(-(i + 1) * s // out)) for i in range(out)] for s in (h, w)]
    depth = [max(hi - lo for lo, hi in line) for line in spans]
    index = [
        [
            [[[min(y0 + p, h - 1), min(x0 + q, w - 1)] for q in range(depth[1])] for x0, _ in spans[1]]
            for p in range(depth[0])
        ]
        for y0, _ in spans[0]
    ]
    shape = (out, depth[0], out, depth[1], n, c)
    y = b.node("GatherND", [transpose(b, x, [2, 3, 0, 1]), b.constant(index)], shape, flops=0, batch_dims=0)
    y = transpose(b, y, [4, 5, 0, 1, 2, 3])
    outside = [[[[lo + p >= hi]] for p in range(depth[0])] for lo, hi in spans[0]]
    y = where(b, b.constant(outside, BOOL), b.scalar(0.0), y)
    columns = [[lo + q >= hi for q in range(depth[1])] for lo, hi in spans[1]]
    y = where(b, b.constant(columns, BOOL), b.scalar(0.0), y)
    total: list[Tensor] = []
    for p in range(depth[0]):
        row = select(b, y, 3, p)
        for q in range(depth[1]):
            part = select(b, row, 4, q)
            total = [add(b, total[0], part)] if total else [part]
    counts = [[float((h1 - h0) * (w1 - w0)) for w0, w1 in spans[1]] for h0, h1 in spans[0]]
    return elementwise(b, "Div", total[0], b.constant(counts, FLOAT))
