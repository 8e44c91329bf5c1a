"""Sweeps of products of matrices (operands known or not, broadcast, transposed; Einsum) and of recurrent layers."""

from __future__ import annotations

import math
from typing import Any

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.builder import DOUBLE, FLOAT, FLOAT16, INT8, INT32, UINT8, Tensor
from nnmeter.lab.campaign.recipes.sweeps.source import Source

_MOST_FLOPS = 2.5e8
_EQUATIONS = (
    ("bhqd,bhkd->bhqk", 6), ("bhqk,bhkd->bhqd", 6), ("bqhd,bkhd->bhqk", 5), ("bhqk,bkhd->bqhd", 5), ("bid,bjd->bij", 4),
    ("bij,bjd->bid", 4), ("bqd,de->bqe", 4), ("ij,jk->ik", 2), ("bqhd,rhd->bhqr", 3), ("bchw,bkc->bkhw", 3),
    ("nctv,vw->nctw", 3), ("bn,bm->bnm", 1), ("i,j->ij", 2), ("bqhd,hde->bqe", 2), ("ibhd,jbhd->bhij", 3),
    ("bhij,jbhd->ibhd", 2), ("ibe,ehd->ibhd", 3), ("ibhd,ehd->ibe", 3), ("bijhd,ikd->bijhk", 2),
    ("bijhd,jkd->bijhk", 2), ("bhid,bhde->bhie", 2), ("bhid,bhie->bhde", 2), ("bijc,cd->bijd", 1.5),
    ("bcij,cd->bdij", 1.5),
)  # fmt: skip


def _matrices(s: Source) -> tuple[int, int, int]:
    """Rows, depth and columns; one row as often as not few."""
    while True:
        m = s.rng.choice(
            (1, 1, sizes.log_int(s.rng, 2, 64), sizes.sequence_length(s.rng), sizes.log_int(s.rng, 64, 4096))
        )
        k, n = (sizes.channels(s.rng, 8, 2048) for _ in range(2))
        if 2.0 * m * k * n <= _MOST_FLOPS:
            return m, k, n


def matmul(s: Source) -> None:
    """MatMul: constant or computed second matrices, vectors, batches that broadcast, several types."""
    m, k, n = _matrices(s)
    kind = s.choose(("constant", 30), ("computed", 20), ("batches", 20), ("shared", 12), ("left", 8), ("vector", 10))
    dtype = s.choose((FLOAT, 88), (FLOAT16, 5), (DOUBLE, 4), (INT32, 3)) if kind in ("computed", "batches") else FLOAT
    batch = [s.rng.choice((1, 2, 4, 8, 12))]
    if s.rng.random() < 0.5:
        batch = [1, *batch]
    while math.prod(batch) * 2.0 * m * k * n > _MOST_FLOPS and m > 1:
        m //= 2
    lead: list[int] = []
    if kind == "constant":
        lead = [1] * s.rng.choice((0, 1, 2)) if s.rng.random() < 0.7 else batch
        x, y = s.floats((*lead, m, k)), s.b.weight((k, n), k**-0.5)
    elif kind == "computed":
        x, y = s.tensor((m, k), dtype), s.tensor((k, n), dtype)
    elif kind == "batches":
        lead = batch
        x, y = s.tensor((*batch, m, k), dtype), s.tensor((*batch, k, n), dtype)
    elif kind == "shared":  # one matrix of the first for all of the second, or a constant for each
        lead = batch
        first = [1] * len(batch) if s.rng.random() < 0.5 else batch
        x, y = s.floats((*first, m, k)), s.operand((*batch, k, n), constant=0.5)
    elif kind == "left":  # a constant on the left
        lead = batch
        x, y = s.b.weight((m, k), k**-0.5), s.floats((*batch, k, n))
    elif s.rng.random() < 0.5:
        x, y = s.floats((m, k)), s.operand((k,))
        s.b.node("MatMul", [x, y], (m,), flops=2.0 * m * k)
        return
    else:
        x, y = s.b.input((k,)), s.operand((k, n))
        s.b.node("MatMul", [x, y], (n,), flops=2.0 * n * k)
        return
    shape = (*lead, m, n)
    y = s.b.node("MatMul", [x, y], shape, dtype=dtype, flops=2.0 * math.prod(shape) * k)
    if dtype == FLOAT and s.rng.random() < 0.2:
        s.b.node(s.rng.choice(("Relu", "Tanh")), [y], shape)


def gemm(s: Source) -> None:
    """Gemm: either matrix transposed, constant or not, the third one of every shape, absent, or scaled."""
    m, k, n = _matrices(s)
    left, right = int(s.rng.random() < 0.25), int(s.rng.random() < 0.6)
    x = s.tensor((k, m) if left else (m, k))
    y = s.operand((n, k) if right else (k, n), constant=0.75)
    third = s.choose(((n,), 55), ((1, n), 10), ((m, n), 10), ((m, 1), 5), ((), 5), (None, 15))
    inputs = [x, y, *([s.b.weight(third, 0.1)] if third is not None else [])]
    attributes: dict[str, Any] = {"transA": left, "transB": right}
    if s.rng.random() < 0.15:
        attributes |= {"alpha": 0.5, "beta": 1.0 if third is None else 0.25}
    z = s.b.node("Gemm", inputs, (m, n), flops=2.0 * m * k * n, **attributes)
    if s.rng.random() < 0.25:
        s.b.node(s.rng.choice(("Relu", "Sigmoid", "LeakyRelu")), [z], (m, n))


def einsum(s: Source) -> None:
    """Einsum of the equations that attention, mixing and graph networks are written in."""
    equation = s.choose(*_EQUATIONS)
    left, right, result = equation.replace("->", ",").split(",")
    lengths = {"b": sizes.batch(s.rng), "h": s.rng.choice((4, 8, 12)), "d": s.rng.choice((32, 64)), "r": 64, "n": 2}
    for letter in "qkijtvwmeca":
        lengths[letter] = s.rng.choice((16, 25, 32, 49, 64, 128, 197, 256))
    while math.prod(lengths[c] for c in set(left + right)) * 2.0 > _MOST_FLOPS:
        widest = max(set(left + right), key=lambda c: lengths[c])
        lengths[widest] //= 2
    shapes = [tuple(lengths[c] for c in word) for word in (left, right, result)]
    work = 2.0 * math.prod(lengths[c] for c in set(left + right))
    second = s.operand(shapes[1], constant=0.3)
    s.b.node("Einsum", [s.floats(shapes[0]), second], shapes[2], flops=work, equation=equation)


def quantized_product(s: Source) -> None:
    """MatMulInteger and QLinearMatMul, of signed and unsigned matrices."""
    m, k, n = _matrices(s)
    signed = s.rng.choice((INT8, UINT8))
    weight = s.b.weight((k, n), dtype=signed)
    zero = s.b.constant(0, signed)
    x = s.b.input((m, k), UINT8)
    if s.rng.random() < 0.5:
        inputs = [x, weight, s.b.constant(3, UINT8), zero]
        s.b.node("MatMulInteger", inputs, (m, n), dtype=INT32, flops=2.0 * m * k * n)
        return
    scale = s.b.scalar(0.05)
    inputs = [x, scale, s.b.constant(3, UINT8), weight, scale, zero, scale, s.b.constant(3, UINT8)]
    s.b.node("QLinearMatMul", inputs, (m, n), dtype=UINT8, flops=2.0 * m * k * n)


def recurrent(s: Source) -> None:
    """LSTM, GRU and RNN: one frame and many, batches, directions, states given or not, reset before or after."""
    kind = s.choose(("LSTM", 50), ("GRU", 35), ("RNN", 15))
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    steps = s.choose((1, 30), (sizes.log_int(s.rng, 2, 16), 20), (sizes.log_int(s.rng, 16, 160), 50))
    batch = s.choose((1, 55), (2, 8), (4, 12), (8, 10), (16, 10), (32, 5))
    hidden, width = (sizes.channels(s.rng, 8, 640) for _ in range(2))
    direction = s.choose(("forward", 55), ("bidirectional", 35), ("reverse", 10))
    directions = 2 if direction == "bidirectional" else 1
    work = 2.0 * steps * batch * gates * hidden * (hidden + width) * directions
    while work > _MOST_FLOPS and (steps > 1 or batch > 1):
        steps, batch = max(1, steps // 2), max(1, batch // 2)
        work = 2.0 * steps * batch * gates * hidden * (hidden + width) * directions
    x = s.tensor((steps, batch, width))
    inputs: list[Tensor | None] = [
        x,
        s.b.weight((directions, gates * hidden, width), width**-0.5),
        s.b.weight((directions, gates * hidden, hidden), hidden**-0.5),
        s.b.weight((directions, 2 * gates * hidden), 0.1),
    ]
    state = (directions, batch, hidden)
    if s.rng.random() < 0.45:
        inputs += [None, s.b.input(state), *([s.b.input(state)] if kind == "LSTM" else [])]
    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    if kind == "GRU":
        attributes["linear_before_reset"] = s.rng.choice((0, 1, 1))
    whole = (steps, directions, batch, hidden)
    states = [state] * (2 if kind == "LSTM" else 1)
    s.b.node_with_outputs(kind, inputs, [whole, *states], dtype=FLOAT, flops=3.0 * work, **attributes)


CASES: dict[str, tuple[Any, float]] = {
    "MatMul": (matmul, 8.0),
    "Gemm": (gemm, 6.0),
    "Einsum": (einsum, 4.0),
    "MatMulInteger": (quantized_product, 2.0),
    "LSTM": (recurrent, 6.0),
}
"""Operator (or several that are swept as one) -> its sweep and its weight."""
