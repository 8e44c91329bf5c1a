"""Sweeps of operators that go along axes: softmax, reductions, norms, sums, searches, sorting."""

from __future__ import annotations

import math
from typing import Any

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.builder import DOUBLE, FLOAT, INT32, INT64, Tensor
from nnmeter.lab.campaign.recipes.sweeps.source import Source
from nnmeter.operators.flops_signal import transform_flops

_REDUCTIONS = (
    ("ReduceMean", 8), ("ReduceSum", 6), ("ReduceMax", 4), ("ReduceMin", 2), ("ReduceL2", 3), ("ReduceProd", 1.5),
    ("ReduceSumSquare", 1.5), ("ReduceL1", 1.5), ("ReduceLogSumExp", 1.5), ("ReduceLogSum", 0.7),
)  # fmt: skip
_OF_WHOLE_NUMBERS = ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean")


def _axis(s: Source, rank: int) -> int:
    """The last axis in two of five cases, else any; counted from either end."""
    axis = rank - 1 if s.rng.random() < 0.4 else s.rng.randrange(rank)
    return axis - rank if s.rng.random() < 0.5 else axis


def softmax(s: Source) -> None:
    """Softmax and its like along any axis."""
    kind = s.choose(("Softmax", 75), ("LogSoftmax", 20), ("Hardmax", 5))
    x = s.floats(s.shape())
    s.b.node(kind, [x], x.shape, flops=25.0 * x.elements, axis=_axis(s, len(x.shape)))


def inner_softmax(s: Source) -> None:
    """Softmax over positions with heads and channels behind them, as linear attention and capsules have it."""
    positions = s.rng.choice((16, 49, 64, 100, 196, 197, 256, 400, 784, 785, 1024, 1600, 3136, 3137))
    behind = s.rng.choice(((8,), (16,), (32,), (64,), (2, 16), (4, 8), (8, 8), (8, 16), (4, 32), (3, 64), (10, 16)))
    shape = (s.rng.choice((1, 1, 1, 2, 8)), positions, *behind)
    if math.prod(shape) > 1 << 19:
        return
    x = s.floats(shape)
    s.b.node("Softmax", [x], shape, flops=40.0 * x.elements, axis=1 if s.rng.random() < 0.8 else len(shape) - 2)


def reduction(s: Source) -> None:
    """All reductions over any axes, kept or dropped, of several types."""
    kind = s.choose(*_REDUCTIONS)
    dtype = s.choose((FLOAT, 80), (INT32, 8), (INT64, 8), (DOUBLE, 4)) if kind in _OF_WHOLE_NUMBERS else FLOAT
    if kind in ("ReduceProd", "ReduceMean") and dtype == INT64:
        dtype = INT32
    shape = s.shape()
    rank = len(shape)
    axes = sorted(s.rng.sample(range(rank), s.rng.randint(1, rank)))
    if rank > 1 and s.rng.random() < 0.5:  # neighbours, as most are
        first = s.rng.randrange(rank)
        axes = list(range(first, s.rng.randint(first, rank - 1) + 1))
    keep = s.rng.choice((0, 1))
    x = s.between_0_and_1(shape) if kind == "ReduceLogSum" else s.tensor(shape, dtype)
    out = [1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes]
    given = [axis - rank for axis in axes] if s.rng.random() < 0.3 else axes
    s.b.node(kind, [x, s.b.constant(given)], out, dtype=dtype, flops=2.0 * x.elements, keepdims=keep)


def search(s: Source) -> None:
    """ArgMax and ArgMin along any axis."""
    x = s.floats(s.shape())
    rank, keep = len(x.shape), s.rng.choice((0, 1))
    axis = _axis(s, rank)
    out = [1 if i == axis % rank else size for i, size in enumerate(x.shape) if keep or i != axis % rank]
    s.b.node(
        s.rng.choice(("ArgMax", "ArgMax", "ArgMin")), [x], out, dtype=INT64, flops=4.0 * x.elements, axis=axis,
        keepdims=keep, select_last_index=int(s.rng.random() < 0.2),
    )  # fmt: skip


def cumulative(s: Source) -> None:
    """CumSum along any axis, either way, with and without the element itself."""
    dtype = s.choose((FLOAT, 60), (INT64, 25), (INT32, 15))
    shape = s.shape(most=1 << 18)
    x = s.tensor(shape, dtype)
    inputs = [x, s.b.constant(_axis(s, len(shape)))]
    s.b.node(
        "CumSum", inputs, shape, dtype=dtype, flops=8.0 * x.elements, exclusive=int(s.rng.random() < 0.2),
        reverse=int(s.rng.random() < 0.2),
    )  # fmt: skip


def ranking(s: Source) -> None:
    """TopK along any axis: few and many, largest and smallest, sorted or not."""
    shape = s.shape(most=1 << 17)
    axis = _axis(s, len(shape))
    size = shape[axis]
    count = max(1, min(size, s.rng.choice((1, 5, 10, 100, 300, max(1, size // 2), size))))
    x = s.floats(shape)
    out = [count if i == axis % len(shape) else n for i, n in enumerate(shape)]
    s.b.node_with_outputs(
        "TopK", [x, s.b.constant([count])], [out] * 2, dtypes=[FLOAT, INT64], flops=30.0 * x.elements, axis=axis,
        largest=int(s.rng.random() < 0.8), sorted=int(s.rng.random() < 0.8),
    )  # fmt: skip


def layer_norm(s: Source) -> None:
    """LayerNormalization over the last axis or several."""
    shape = s.shape(s.rng.choice((2, 3, 3, 4)))
    rank = len(shape)
    axis = rank - 1 if s.rng.random() < 0.6 else s.rng.randrange(1, rank)
    inner = shape[axis:]
    x = s.floats(shape)
    inputs = [x, s.b.weight(inner, 0.1, mean=1.0), *([s.b.weight(inner, 0.1)] if s.rng.random() < 0.8 else [])]
    s.b.node(
        "LayerNormalization", inputs, shape, flops=8.0 * x.elements, axis=axis - rank if s.rng.random() < 0.5 else axis
    )


def map_norm(s: Source) -> None:
    """InstanceNormalization, GroupNormalization and BatchNormalization over one to three axes."""
    kind = s.choose(("InstanceNormalization", 45), ("BatchNormalization", 35), ("GroupNormalization", 20))
    shape = s.shape(s.rng.choice((3, 4, 4, 4, 5)))
    if kind == "BatchNormalization" and s.rng.random() < 0.2:
        shape = s.shape(2)
    c = (shape[1],)
    x = s.floats(shape)
    scale, offset = s.b.weight(c, 0.1, mean=1.0), s.b.weight(c, 0.1)
    if kind == "InstanceNormalization":
        s.b.node(kind, [x, scale, offset], shape, flops=8.0 * x.elements)
    elif kind == "BatchNormalization":
        rest = [s.b.weight(c, 0.1), s.b.weight(c, 0.2, mean=1.0, positive=True)]
        s.b.node(kind, [x, scale, offset, *rest], shape, flops=2.0 * x.elements)
    else:
        groups = s.rng.choice([g for g in (1, 2, 4, 8, 16, 32) if shape[1] % g == 0])
        inputs = [x, s.b.weight((groups,), 0.1, mean=1.0), s.b.weight((groups,), 0.1)]
        s.b.node(kind, inputs, shape, flops=8.0 * x.elements, num_groups=groups)


def vector_norm(s: Source) -> None:
    """LpNormalization along any axis, and MeanVarianceNormalization."""
    shape = s.shape(most=1 << 18)
    x = s.floats(shape)
    if len(shape) == 4 and s.rng.random() < 0.4:
        axes = s.rng.choice(([0, 2, 3], [2, 3], [1, 2, 3]))
        s.b.node("MeanVarianceNormalization", [x], shape, flops=10.0 * x.elements, axes=axes)
    else:
        p = s.rng.choice((1, 2, 2))
        s.b.node("LpNormalization", [x], shape, flops=6.0 * x.elements, axis=_axis(s, len(shape)), p=p)


def fourier(s: Source) -> None:
    """DFT of lengths that are powers of two and that are not, one- and two-sided; STFT."""
    length = s.rng.choice((64, 96, 100, 128, 192, 200, 256, 320, 384, 400, 512, 768))
    rows = sizes.log_int(s.rng, 1, 32)
    if s.rng.random() < 0.4:  # of complex numbers, along one of two axes
        shape = (1, s.rng.choice((14, 32, 64, 128)), length, 2)
        axis = s.rng.choice((1, 2))
        lines = math.prod(shape[:3]) // shape[axis]
        inputs: list[Tensor | None] = [s.b.input(shape), None, s.b.constant(axis)]
        s.b.node(
            "DFT", inputs, shape, flops=3.0 * lines * transform_flops(shape[axis]), inverse=s.rng.choice((0, 0, 1))
        )
        return
    if s.rng.random() < 0.5:
        out = length // 2 + 1 if s.rng.random() < 0.5 else length
        x = s.b.input((rows, length, 1))
        s.b.node(
            "DFT", [x, None, s.b.constant(1)], (rows, out, 2), flops=30.0 * x.elements * math.log2(length),
            onesided=int(out != length),
        )  # fmt: skip
        return
    step, frames = length // 2, sizes.log_int(s.rng, 4, 60)
    signal = s.b.input((1, (frames - 1) * step + length, 1))
    inputs = [signal, s.b.constant(step), s.b.weight((length,), 0.2, mean=1.0)]
    s.b.node(
        "STFT", inputs, (1, frames, length // 2 + 1, 2), flops=30.0 * frames * length * math.log2(length), onesided=1
    )


CASES: dict[str, tuple[Any, float]] = {
    "Softmax": (softmax, 12.0),
    "InnerSoftmax": (inner_softmax, 4.0),
    "Reduce": (reduction, 13.0),
    "ArgMax": (search, 3.0),
    "CumSum": (cumulative, 2.0),
    "TopK": (ranking, 3.0),
    "LayerNormalization": (layer_norm, 4.0),
    "InstanceNormalization": (map_norm, 4.0),
    "LpNormalization": (vector_norm, 1.5),
    "DFT": (fourier, 2.5),
}
"""Operator (or several that are swept as one) -> its sweep and its weight."""
