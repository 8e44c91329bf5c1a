"""Sweeps of operators that move elements: transposes, slices, gathers, scatters, joins, borders, copies."""

from __future__ import annotations

import math
from typing import Any

from nnmeter.lab.campaign.recipes.builder import BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT32, INT64, UINT8, Tensor
from nnmeter.lab.campaign.recipes.sweeps.source import Source

_TYPES = ((FLOAT, 68), (INT64, 12), (INT32, 5), (UINT8, 5), (INT8, 2), (FLOAT16, 4), (BOOL, 2), (DOUBLE, 2))
_FEW_TYPES = ((FLOAT, 80), (INT64, 14), (UINT8, 6))
_END = (1 << 63) - 1


def _any_axis(s: Source, rank: int) -> int:
    axis = s.rng.randrange(rank)
    return axis - rank if s.rng.random() < 0.3 else axis


def transpose(s: Source) -> None:
    """Transpose of ranks 2 to 6 by any permutation: axes of size 1, blocks that stay together, the last axis moved."""
    dtype = s.choose(*_TYPES)
    rank = s.rng.choice((2, 3, 3, 4, 4, 4, 4, 5, 6))
    if rank == 6:
        n, a, c, d, e, f = 1, *(s.rng.choice((1, 2, 4, 7, 8)) for _ in range(4)), s.rng.choice((8, 16, 32, 64, 96))
        shape: tuple[int, ...] = (n, a, c, d, e, f)
    else:
        shape = s.shape(rank)
    perm = list(range(rank))
    kind = s.choose(("any", 45), ("swap", 25), ("one", 30))
    if kind == "any":
        s.rng.shuffle(perm)
    elif kind == "swap":
        i, j = s.rng.sample(range(rank), 2)
        perm[i], perm[j] = perm[j], perm[i]
    else:
        perm.insert(s.rng.randrange(rank), perm.pop(s.rng.randrange(rank)))
    x = s.tensor(shape, dtype)
    s.b.node("Transpose", [x], [shape[p] for p in perm], dtype=dtype, flops=2.0 * x.elements, perm=perm)


def slices(s: Source) -> None:
    """Slice of one or several axes: ends, steps, backwards."""
    dtype = s.choose(*_FEW_TYPES)
    shape = list(s.shape())
    axes = s.rng.sample(range(len(shape)), s.rng.choice([n for n in (1, 1, 1, 2, 3) if n <= len(shape)]))
    starts, ends, steps, out = [], [], [], list(shape)
    for axis in axes:
        size = shape[axis]
        step = s.choose((1, 65), (2, 22), (3, 3), (-1, 10))
        if step < 0:
            start, end = size - 1, -size - 1
            count = size
        else:
            start = s.rng.choice((0, size // 4, size // 2))
            end = s.rng.choice((_END, max(start + 1, size - size // 4)))
            count = len(range(start, min(end, size), step))
        starts.append(start)
        ends.append(end)
        steps.append(step)
        out[axis] = count
    inputs = [s.tensor(shape, dtype), *map(s.b.constant, (starts, ends, axes))]
    if any(step != 1 for step in steps):
        inputs.append(s.b.constant(steps))
    s.b.node("Slice", inputs, out, dtype=dtype, flops=0)


def gather(s: Source) -> None:
    """Gather along any axis by indices of any rank, known or not."""
    dtype = s.choose((FLOAT, 85), (INT64, 10), (FLOAT16, 5))
    shape = s.shape(most=1 << 19)
    axis = _any_axis(s, len(shape))
    rank = s.rng.choice((0, 1, 1, 1, 2))
    length = max(1, min(shape[axis], s.rng.choice((1, 2, 16, 49, 128, shape[axis]))))
    index_shape = [(), (length,), (max(1, length // 4), min(4, length))][rank]
    at = axis % len(shape)
    out = (*shape[:at], *index_shape, *shape[at + 1 :])
    if not 0 < math.prod(out) <= 1 << 20:
        return
    kind = s.choose((INT64, 80), (INT32, 20))
    # A table that the network holds, or what it has computed.
    x = s.b.weight(shape, 0.5) if dtype == FLOAT and s.rng.random() < 0.25 else s.tensor(shape, dtype)
    indices = s.indices(index_shape, shape[axis], kind)
    if x.name.startswith("weight") and indices.name.startswith("const"):
        x = s.tensor(shape, dtype)  # else the optimizer computes it
    s.b.node("Gather", [x, indices], out, dtype=dtype, flops=0, axis=axis)


def gather_windows(s: Source) -> None:
    """Windows cut by a matrix of indices, items of one element or few behind them; and one index of the last axis."""
    channels, length = s.rng.choice((1, 8, 64, 128, 192, 384)), s.rng.choice((16, 48, 64, 136, 200, 512, 1000))
    behind = s.rng.choice(((), (1,), (1,), (4,), (16,), (64,)))
    shape = (1, channels, length, *behind)
    if s.rng.random() < 0.25:  # a slice that an exporter writes as a gather
        index_shape: tuple[int, ...] = s.rng.choice(((), (1,), (1, 1)))
        axis = len(shape) - 1
    else:
        index_shape = (s.rng.choice((2, 3, 5, 9, 16)), s.rng.choice((16, 64, 128, 256)))
        axis = 2
    out = (*shape[:axis], *index_shape, *shape[axis + 1 :])
    if math.prod(shape) > 1 << 19 or math.prod(out) > 1 << 20:
        return
    inputs = [s.floats(shape), s.indices(index_shape, shape[axis], constant=0.9)]
    s.b.node("Gather", inputs, out, flops=10.0 * math.prod(out), axis=axis)


def gather_elements(s: Source) -> None:
    """GatherElements along any axis."""
    shape = s.shape(s.rng.choice((2, 3, 4)), most=1 << 17)
    axis = _any_axis(s, len(shape))
    out = list(shape)
    out[axis] = max(1, min(shape[axis], s.rng.choice((1, 16, shape[axis]))))
    s.b.node(
        "GatherElements", [s.floats(shape), s.indices(out, shape[axis])], out, flops=3.0 * math.prod(out), axis=axis
    )


def gather_points(s: Source) -> None:
    """GatherND: leading indices of one to all axes, batched or not."""
    shape = s.shape(s.rng.choice((2, 3, 4)), most=1 << 18)
    batched = s.rng.choice((0, 0, 1)) if len(shape) > 2 else 0
    depth = s.rng.randint(1, len(shape) - batched)
    count = s.rng.choice((1, 16, 100, 400))
    index = (*shape[:batched], count, depth)
    out = (*shape[:batched], count, *shape[batched + depth :])
    if math.prod(out) > 1 << 20:
        return
    size = min(shape[batched : batched + depth])
    inputs = [s.floats(shape), s.indices(index, size)]
    s.b.node("GatherND", inputs, out, flops=3.0 * math.prod(out), batch_dims=batched)


def scatter(s: Source) -> None:
    """ScatterElements and ScatterND, plain and with reductions."""
    shape = s.shape(s.rng.choice((2, 3, 4)), most=1 << 17)
    reduction = s.choose(("none", 70), ("add", 20), ("mul", 5), ("max", 5))
    x = s.floats(shape)
    if s.rng.random() < 0.5:
        axis = _any_axis(s, len(shape))
        part = list(shape)
        part[axis] = max(1, min(shape[axis], s.rng.choice((1, 8, shape[axis] // 2))))
        inputs = [x, s.indices(part, shape[axis]), s.tensor(part)]
        s.b.node("ScatterElements", inputs, shape, flops=4.0 * x.elements, axis=axis, reduction=reduction)
        return
    if s.rng.random() < 0.2:  # every element by an index of its own, as masked assignments come out
        index = (*shape, len(shape))
        values = s.tensor(shape)
        inputs = [x, s.indices(index, min(shape), constant=0.8), values]
        s.b.node("ScatterND", inputs, shape, flops=40.0 * x.elements, reduction="none")
        return
    depth = s.rng.randint(1, len(shape))
    count = s.rng.choice((1, 8, 64, 64, 1000, math.prod(shape[:depth])))
    updates = (count, *shape[depth:])
    if math.prod(updates) > 1 << 19 or count * depth > 1 << 19:
        return
    inputs = [x, s.indices((count, depth), min(shape[:depth]), constant=0.8), s.tensor(updates)]
    s.b.node("ScatterND", inputs, shape, flops=2.0 * x.elements, reduction=reduction)


def join(s: Source) -> None:
    """Concat of two to eight tensors along any axis, of several types."""
    dtype = s.choose(*_TYPES)
    shape = list(s.shape(most=1 << 19))
    axis = _any_axis(s, len(shape))
    parts = []
    for _ in range(s.rng.choice((2, 2, 2, 3, 4, 8))):
        part = list(shape)
        part[axis] = shape[axis] if s.rng.random() < 0.6 else max(1, shape[axis] // s.rng.choice((2, 3, 4)))
        parts.append(s.tensor(part, dtype))
    out = list(shape)
    out[axis] = sum(part.shape[axis] for part in parts)
    s.b.node("Concat", parts, out, dtype=dtype, flops=0, axis=axis)


def split(s: Source) -> None:
    """Split along any axis, even and uneven."""
    dtype = s.choose(*_FEW_TYPES)
    shape = list(s.shape())
    axis = _any_axis(s, len(shape))
    size = shape[axis]
    count = s.rng.choice((2, 2, 3, 4))
    if size < count:
        return
    even = size % count == 0 and s.rng.random() < 0.6
    lengths = [size // count] * count if even else [1] * (count - 1) + [size - count + 1]
    outputs = []
    for length in lengths:
        part = list(shape)
        part[axis] = length
        outputs.append(part)
    inputs = [s.tensor(shape, dtype), s.b.constant(lengths)]
    s.b.node_with_outputs("Split", inputs, outputs, dtype=dtype, flops=0, axis=axis)


def border(s: Source) -> None:
    """Pad in every mode, of one to all axes; constant borders may be negative."""
    dtype = s.choose((FLOAT, 85), (INT64, 10), (UINT8, 5))
    shape = s.shape(most=1 << 19)
    mode = s.choose(("constant", 45), ("reflect", 25), ("edge", 20), ("wrap", 10))
    rank = len(shape)
    padded = (
        s.rng.sample(range(rank), s.rng.randint(1, rank)) if s.rng.random() < 0.3 else range(max(0, rank - 2), rank)
    )
    before, after = [0] * rank, [0] * rank
    for axis in padded:
        most = shape[axis] - 1 if mode in ("reflect", "wrap") else 8
        before[axis], after[axis] = (min(most, s.rng.choice((0, 1, 1, 2, 3))) for _ in range(2))
        if mode == "constant" and shape[axis] > 4 and s.rng.random() < 0.1:
            after[axis] = -1
    out = [size + p + q for size, p, q in zip(shape, before, after, strict=True)]
    inputs = [s.tensor(shape, dtype), s.b.constant([*before, *after])]
    s.b.node("Pad", inputs, out, dtype=dtype, flops=float(math.prod(out)), mode=mode)


def copies(s: Source) -> None:
    """Tile and Expand of any axes."""
    dtype = s.choose((FLOAT, 75), (INT64, 17), (BOOL, 8))
    shape = s.shape(most=1 << 17)
    rank = len(shape)
    if s.rng.random() < 0.5:
        repeats = [s.rng.choice((1, 1, 2, 3)) for _ in range(rank)]
        out = [size * n for size, n in zip(shape, repeats, strict=True)]
        kind = s.choose((FLOAT, 80), (INT64, 20))
        s.b.node("Tile", [s.tensor(shape, kind), s.b.constant(repeats)], out, dtype=kind, flops=0)
        return
    narrow = [size if s.rng.random() < 0.5 else 1 for size in shape]
    if rank > 1 and s.rng.random() < 0.3:  # the last axis alone
        narrow = [*shape[:-1], 1]
    lead = [s.rng.choice((1, 4))] if s.rng.random() < 0.3 else []
    s.b.node("Expand", [s.tensor(narrow, dtype), s.b.constant([*lead, *shape])], [*lead, *shape], dtype=dtype, flops=0)


def triangle(s: Source) -> None:
    """Trilu, upper and lower."""
    shape = s.shape(s.rng.choice((2, 3, 4)), most=1 << 18)
    s.b.node("Trilu", [s.floats(shape), s.b.constant(s.rng.choice((0, 1)))], shape, flops=0, upper=s.rng.choice((0, 1)))


def one_hot(s: Source) -> None:
    """OneHot along the last axis and others."""
    shape = s.rng.choice(((1, 128), (4, 64), (256,), (1, 28, 28), (1, 64, 64)))
    depth = s.rng.choice((2, 10, 100, 1000)) if math.prod(shape) < 1000 else s.rng.choice((2, 21))
    axis = s.rng.choice((-1, -1, 0, 1))
    at = axis % (len(shape) + 1)
    out = (*shape[:at], depth, *shape[at:])
    inputs = [s.b.input(shape, INT64), s.b.constant(depth), s.b.constant([0.0, 1.0], FLOAT)]
    s.b.node("OneHot", inputs, out, dtype=FLOAT, flops=float(math.prod(out)), axis=axis)


def reverse_sequence(s: Source) -> None:
    """ReverseSequence in both layouts."""
    batch, length, width = s.rng.choice((1, 4, 16)), s.rng.choice((16, 64, 128)), s.rng.choice((16, 64, 256))
    last = s.rng.random() < 0.5
    shape = (batch, length, width) if last else (length, batch, width)
    inputs = [s.floats(shape), s.b.constant([s.rng.randint(1, length) for _ in range(batch)])]
    s.b.node("ReverseSequence", inputs, shape, flops=0, batch_axis=int(not last), time_axis=int(last))


def selection(s: Source) -> None:
    """NonZero of constants is folded, of the run has no shape; Compress and Range by constants have one."""
    shape = s.shape(s.rng.choice((1, 2, 3)), most=1 << 17)
    axis = _any_axis(s, len(shape))
    size = shape[axis]
    if size > 65536:
        return
    kept = [bool(i % 2) for i in range(size)]
    kept[0] = True
    out = list(shape)
    out[axis] = sum(kept)
    x: Tensor = s.floats(shape)
    s.b.node("Compress", [x, s.b.constant(kept, BOOL)], out, flops=0, axis=axis)


CASES: dict[str, tuple[Any, float]] = {
    "Transpose": (transpose, 12.0),
    "Slice": (slices, 7.0),
    "Gather": (gather, 7.0),
    "GatherWindows": (gather_windows, 2.5),
    "GatherElements": (gather_elements, 1.5),
    "GatherND": (gather_points, 1.5),
    "Scatter": (scatter, 3.0),
    "Concat": (join, 6.0),
    "Split": (split, 4.0),
    "Pad": (border, 5.0),
    "Expand": (copies, 5.0),
    "Trilu": (triangle, 1.0),
    "OneHot": (one_hot, 1.0),
    "ReverseSequence": (reverse_sequence, 0.5),
    "Compress": (selection, 0.5),
}
"""Operator (or several that are swept as one) -> its sweep and its weight."""
