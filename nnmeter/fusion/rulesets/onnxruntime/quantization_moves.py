"""QuantizeLinear and DequantizeLinear move past operators that only move data, so that these work on integers."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.fusion.rulesets.builder import ANY, Around, Create, Op, Rewrite, Rule, maybe, tensors, weight
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import MOVING

SOURCE = optimizer("qdq_transformer/qdq_propagation.cc")
TRANSPOSE_SOURCE = optimizer("transpose_optimization/onnx_transpose_optimization.cc")


def _quantize_moves_back() -> Rule:
    x, s, z, p1, p2, p3, p4 = tensors("x s z p1 p2 p3 p4")
    settings = (maybe(p1), maybe(p2), maybe(p3), maybe(p4))
    mover = Op(MOVING, x, *settings, name="mover")
    quantize = Op("QuantizeLinear", mover, s, maybe(z), shared=True, name="quantize")
    quantized = Create("QuantizeLinear", x, s, maybe(z), dtype=quantize.dtype, shape=x.shape)
    dequantized = Create("DequantizeLinear", quantized, s, maybe(z), like=x)
    return Rule(
        "quantize moves back",
        [quantize, mover],
        where=[
            mover.uses == 1,
            s.elements == 1,
            s.is_constant,
            ~x.is_constant,
            x.uses == 1,
            mover.results <= 1,
        ],
        unless=[Around([Op("DequantizeLinear", ..., outputs=[x])])],
        replace=[
            quantized,
            dequantized,
            Create(mover.kind, dequantized, *settings, attributes=mover.attributes(), into=mover, main=True),
        ],
        why="What is quantized behind an operator that only moves data is quantized before it, too, so that the "
        "operator moves integers.",
        source=SOURCE,
    )


def _dequantize_moves_on(kinds: Sequence[str], once_read: bool, source: str) -> Rule:
    """`once_read`: only where nobody else reads what is dequantized."""
    q, s, z, p1, p2, p3, p4 = tensors("q s z p1 p2 p3 p4")
    settings = (maybe(p1), maybe(p2), maybe(p3), maybe(p4))
    dequantize = Op("DequantizeLinear", q, s, maybe(z), shared=True, name="dequantize")
    mover = Op(kinds, dequantize, *settings, name="mover")
    moved = Create(mover.kind, dequantize, *settings, attributes=mover.attributes(), like=mover, main=True)
    quantized = Create("QuantizeLinear", moved, s, maybe(z), dtype=q.dtype, shape=mover.shape)
    return Rule(
        "dequantize moves on",
        [mover, dequantize],
        where=[
            *([dequantize.uses == 1] if once_read else []),
            s.elements == 1,
            s.is_constant,
            mover.results <= 1,
        ],
        unless=[Around([Op("QuantizeLinear", mover, ..., outputs=[...])])],
        replace=[moved, quantized, Create("DequantizeLinear", quantized, s, maybe(z), into=mover)],
        why="What is dequantized before an operator that only moves data is quantized and dequantized behind it, too, "
        "so that the operator moves integers.",
        source=source,
    )


def _choice(constant_first: bool) -> Rule:
    c, k, q, s, z = tensors("c k q s z")
    dequantize = Op("DequantizeLinear", q, s, maybe(z), shared=True, name="dequantize")
    choice = Op("Where", c, *((k, dequantize) if constant_first else (dequantize, k)), name="choice")
    after = Op("QuantizeLinear", choice, ..., shared=True, outputs=[ANY], name="after")
    quantized = weight(dtype=q.dtype, shape=[], name="quantized_k")
    scale, zero = weight(dtype=k.dtype, shape=[], name="scale_k"), weight(dtype=q.dtype, shape=[], name="zero_k")
    dequantized = Create("DequantizeLinear", quantized, scale, zero, like=k)
    ways = (dequantized, dequantize) if constant_first else (dequantize, dequantized)
    return Rule(
        "Where with a constant",
        [choice, after, dequantize],
        where=[
            k.is_constant,
            choice.uses == 1,
            k.rank == 0,
            q.dtype.one_of("uint8", "int8"),
            s.is_constant,
            s.elements == 1,
        ],
        replace=[dequantized, Create("Where", c, *ways, into=choice, main=True)],
        why="A constant that Where may choose gets a DequantizeLinear of its own, so that Where can run on integers.",
        source=optimizer("qdq_transformer/where_dummy_dq.cc"),
    )


def _constant_behind_dequantize() -> Rule:
    q, s, z = tensors("q s z")
    dequantize = Op("DequantizeLinear", q, s, maybe(z), shared=True, name="dequantize")
    transpose = Op("Transpose", dequantize)
    turned = weight(dtype=q.dtype, shape=q.shape.permuted(transpose.attr("perm")), name="turned")
    return Rule(
        "constant behind dequantize is transposed before the run",
        [transpose, dequantize],
        where=[q.is_constant, s.elements == 1],
        replace=Create("DequantizeLinear", turned, s, maybe(z), attributes=dequantize.attributes(), into=transpose),
        why="Quantized weights are transposed before the run.",
        source=TRANSPOSE_SOURCE,
    )


def _dequantize_and_quantize_again() -> Rule:
    x, s0, z0, s, z = tensors("x s0 z0 s z")
    dequantize = Op("DequantizeLinear", x, s0, z0, name="dequantize")
    quantize = Op("QuantizeLinear", dequantize, s, z, name="quantize")
    return Rule(
        "dequantize and quantize again",
        [quantize, dequantize],
        where=[
            x.dtype == quantize.dtype,
            quantize.uses == 1,
            s.is_known,
            z.is_known,
            s.value == s0.value,
            z.value == z0.value,
            s.elements == 1,
        ],
        forward={quantize: x},
        why="What is dequantized and quantized again with the same scale stays as it was.",
        source=TRANSPOSE_SOURCE,
    )


QUANTIZE_MOVES_BACK = Rewrite(
    "quantization moves back past operators that only move data", [_quantize_moves_back()], repeat=100
)
DEQUANTIZE_MOVES_ON = Rewrite(
    "dequantization moves on past operators that only move data", [_dequantize_moves_on(MOVING, False, SOURCE)]
)
CHOICES = Rewrite("choices of a constant", [_choice(constant_first=True), _choice(constant_first=False)])
AROUND_TRANSPOSES = Rewrite(
    "transposes between dequantize and other nodes",
    [
        _constant_behind_dequantize(),
        _dequantize_moves_on(("Transpose",), True, TRANSPOSE_SOURCE),
        _dequantize_and_quantize_again(),
    ],
    only_with=["DequantizeLinear"],
)
