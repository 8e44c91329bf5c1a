"""Sweeps of fused operators that optimizers and exporters write: com.microsoft's, and attention of the standard.

Shapes and order of inputs are those of ONNX Runtime's schemas (core/graph/contrib_ops, 1.32).
"""

from __future__ import annotations

import math
from typing import Any

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.builder import FLOAT, INT8, INT32, INT64, MICROSOFT, UINT8, Tensor
from nnmeter.lab.campaign.recipes.recurrent import CELLS
from nnmeter.lab.campaign.recipes.sweeps.source import Source

_MOST_FLOPS = 2.5e8
_ROTATED = 2048  # positions in the tables of sines


def _heads(s: Source) -> tuple[int, int, int, int]:
    """Batch, length, heads and width of a head."""
    head = s.rng.choice((16, 32, 32, 64, 64, 64, 80, 96, 128))
    heads = sizes.log_int(s.rng, 1, 16)
    batch, length = s.choose((1, 75), (2, 10), (4, 10), (8, 5)), s.choose((1, 20), (sizes.sequence_length(s.rng), 80))
    length = min(length, 1024)
    while batch * length * heads * head * (8.0 * heads * head + 4.0 * length) > _MOST_FLOPS:
        if batch > 1:
            batch //= 2
        elif length > 64:
            length //= 2
        elif heads > 1:
            heads //= 2
        else:
            length //= 2
    return batch, max(1, length), heads, head


def attention(s: Source) -> None:
    """Attention of com.microsoft, with its projection: masks, causal, past keys."""
    batch, length, heads, head = _heads(s)
    dim = heads * head
    mask = s.choose((None, 50), ((batch, length), 35), ((batch,), 15))
    inputs: list[Tensor | None] = [
        s.floats((batch, length, dim)), s.b.weight((dim, 3 * dim), dim**-0.5), s.b.weight((3 * dim,), 0.1),
        None if mask is None else s.b.constant([length] * batch, INT32) if len(mask) == 1
        else s.b.constant([[1] * length] * batch, INT32),
    ]  # fmt: skip
    work = batch * length * dim * (6.0 * dim + 4.0 * length)
    attributes = {"num_heads": heads, "unidirectional": int(mask is None and s.rng.random() < 0.5)}
    s.b.node("Attention", inputs, (batch, length, dim), flops=work, domain=MICROSOFT, **attributes)


def multi_head_attention(s: Source) -> None:
    """MultiHeadAttention: own or other keys, bias, additive masks, past keys, causal."""
    batch, length, heads, head = _heads(s)
    dim = heads * head
    kind = s.choose(("own", 55), ("cross", 20), ("past", 25))
    keys = s.rng.choice((16, 64, 77, 256)) if kind == "cross" else length
    inputs: list[Tensor | None] = [s.floats((batch, length, dim))]
    inputs += [s.floats((batch, keys, dim)) for _ in range(2)]
    past = s.rng.choice((16, 64, 128, 512)) if kind == "past" else 0
    inputs.append(s.b.weight((3 * dim,), 0.1) if not past and s.rng.random() < 0.3 else None)
    inputs.append(None)
    masked = s.rng.random() < 0.3
    inputs.append(s.b.input((1, heads if s.rng.random() < 0.5 else 1, length, keys + past)) if masked else None)
    work = batch * length * dim * 4.0 * (keys + past)
    attributes: dict[str, Any] = {"num_heads": heads, "unidirectional": int(kind == "own" and s.rng.random() < 0.3)}
    if past:
        inputs += [s.b.input((batch, heads, past, head)) for _ in range(2)]
        shapes = [(batch, length, dim), *[(batch, heads, past + keys, head)] * 2]
        s.b.node_with_outputs("MultiHeadAttention", inputs, shapes, flops=work, domain=MICROSOFT, **attributes)
    else:
        s.b.node("MultiHeadAttention", inputs, (batch, length, dim), flops=work, domain=MICROSOFT, **attributes)


def grouped_attention(s: Source) -> None:
    """GroupQueryAttention: prompts and single tokens with a past, rotated or not, packed or not, windows."""
    batch, length, heads, head = _heads(s)
    shared = s.rng.choice([n for n in (1, 2, 4, 8) if heads % n == 0])
    few = heads // shared
    head = s.rng.choice((32, 64, 64, 96, 128))
    one = s.rng.random() < 0.6
    length, past = (1, s.rng.choice((16, 64, 128, 255, 511, 1023))) if one else (max(length, 2), 0)
    total = length + past
    dim, narrow = heads * head, few * head
    packed = s.rng.random() < 0.35
    if packed:
        inputs: list[Tensor | None] = [s.floats((batch, length, dim + 2 * narrow)), None, None]
    else:
        inputs = [s.floats((batch, length, dim)), s.floats((batch, length, narrow)), s.floats((batch, length, narrow))]
    inputs += [s.b.input((batch, few, past, head)) for _ in range(2)] if past else [None, None]
    inputs += [s.b.constant([total - 1] * batch, INT32), s.b.constant(total, INT32)]
    rotated = s.rng.random() < 0.6
    if rotated:
        inputs += [s.b.weight((_ROTATED, head // 2), 0.5) for _ in range(2)]
    attributes: dict[str, Any] = {"num_heads": heads, "kv_num_heads": few, "do_rotary": int(rotated)}
    if rotated:
        attributes["rotary_interleaved"] = int(s.rng.random() < 0.2)
    if s.rng.random() < 0.15:
        attributes["local_window_size"] = 128
    shapes = [(batch, length, dim), *[(batch, few, total, head)] * 2]
    work = batch * length * dim * 4.0 * total
    s.b.node_with_outputs(
        "GroupQueryAttention", inputs, shapes, dtype=FLOAT, flops=work, domain=MICROSOFT, **attributes
    )


def rotary(s: Source) -> None:
    """RotaryEmbedding of com.microsoft: three and four axes, pairs beside or apart, a part of the width."""
    batch, length, heads, head = _heads(s)
    head = max(head, 32)
    attributes: dict[str, Any] = {"interleaved": int(s.rng.random() < 0.3)}
    rotated = head
    if s.rng.random() < 0.2:
        rotated = head // 2
        attributes |= {"rotary_embedding_dim": rotated, "num_heads": heads}
    shape = (batch, heads, length, head) if s.rng.random() < 0.5 or rotated != head else (batch, length, heads * head)
    positions = s.b.constant([0], INT64) if s.rng.random() < 0.5 else s.b.constant([list(range(length))] * batch, INT64)
    tables = [s.b.weight((_ROTATED, rotated // 2), 0.5) for _ in range(2)]
    work = 6.0 * math.prod(shape)
    s.b.node(
        "RotaryEmbedding", [s.floats(shape), positions, *tables], shape, flops=work, domain=MICROSOFT, **attributes
    )


def skip_norm(s: Source) -> None:
    """SkipLayerNormalization and SkipSimplifiedLayerNormalization: with a bias, with the sum returned."""
    shape = s.shape(3)
    width = (shape[-1],)
    simple = s.rng.random() < 0.4
    kind = "SkipSimplifiedLayerNormalization" if simple else "SkipLayerNormalization"
    inputs = [s.floats(shape), s.tensor(shape), s.b.weight(width, 0.1, mean=1.0)]
    inputs += [] if simple else [s.b.weight(width, 0.1)]
    if s.rng.random() < 0.35:
        inputs.append(s.b.weight(width, 0.1))
    s.b.node(kind, inputs, shape, flops=10.0 * math.prod(shape), domain=MICROSOFT, epsilon=1e-5)


def embedding_norm(s: Source) -> None:
    """EmbedLayerNormalization, with and without segments."""
    batch, length = s.rng.choice((1, 1, 2, 4)), s.rng.choice((16, 64, 128, 256, 384))
    width = s.rng.choice((128, 256, 312, 384, 512, 768))
    segments = s.rng.random() < 0.7
    ids = s.b.input((batch, length), INT32)
    inputs: list[Tensor | None] = [
        ids, s.b.input((batch, length), INT32) if segments else None, s.b.weight((3000, width), 0.5),
        s.b.weight((512, width), 0.5), s.b.weight((2, width), 0.5) if segments else None,
        s.b.weight((width,), 0.1, mean=1.0), s.b.weight((width,), 0.1),
    ]  # fmt: skip
    shapes: list[tuple[int, ...]] = [(batch, length, width), (batch,)]
    work = 10.0 * batch * length * width
    s.b.node_with_outputs(
        "EmbedLayerNormalization", inputs, shapes, dtypes=[FLOAT, INT32], flops=work, domain=MICROSOFT, epsilon=1e-12
    )


def gelu(s: Source) -> None:
    """BiasGelu, FastGelu with and without bias, QuickGelu and Gelu."""
    kind = s.rng.choice(("BiasGelu", "FastGelu", "FastGelu", "QuickGelu", "Gelu"))
    shape = s.shape(s.rng.choice((2, 3, 3)))
    inputs = [s.floats(shape)]
    if kind == "BiasGelu" or (kind == "FastGelu" and s.rng.random() < 0.5):
        inputs.append(s.b.weight((shape[-1],), 0.1))
    attributes: dict[str, Any] = {"alpha": 1.702} if kind == "QuickGelu" else {}
    s.b.node(kind, inputs, shape, flops=14.0 * math.prod(shape), domain=MICROSOFT, **attributes)


def fused_product(s: Source) -> None:
    """FusedMatMul: scaled, either side transposed, in batches."""
    lead = s.choose((0, 25), (1, 25), (2, 50))
    batch = [s.rng.choice((1, 2, 8, 12)) for _ in range(lead)]
    m, k, n = (s.rng.choice((16, 32, 49, 64, 128, 197, 256)) for _ in range(3))
    while math.prod(batch) * 2.0 * m * k * n > _MOST_FLOPS:
        m, n = max(8, m // 2), max(8, n // 2)
    left, right = int(s.rng.random() < 0.3), int(s.rng.random() < 0.6)
    x = s.floats((*batch, k, m) if left else (*batch, m, k))
    second = (n, k) if right else (k, n)
    y = s.b.weight(second, k**-0.5) if s.rng.random() < 0.3 else s.tensor((*batch, *second))
    shape = (*batch, m, n)
    work = 2.0 * math.prod(shape) * k
    s.b.node("FusedMatMul", [x, y], shape, flops=work, domain=MICROSOFT, transA=left, transB=right, alpha=0.125)


def quantized_product(s: Source) -> None:
    """DynamicQuantizeMatMul and MatMulIntegerToFloat: scales by matrix and by column, with and without bias."""
    m, k, n = s.rng.choice((1, 1, 16, 64, 128)), sizes.channels(s.rng, 16, 1024), sizes.channels(s.rng, 16, 1024)
    dtype = s.rng.choice((INT8, UINT8))
    by_column = s.rng.random() < 0.5
    weight = s.b.weight((k, n), dtype=dtype)
    scale = s.b.weight((n,) if by_column else (1,), 0.001, mean=0.01, positive=True)
    zero = s.b.constant([0] * n if by_column else [0], dtype)
    bias = [s.b.weight((n,), 0.1)] if s.rng.random() < 0.6 else []
    work = 2.0 * m * k * n
    if s.rng.random() < 0.6:
        inputs = [s.floats((m, k)), weight, scale, zero, *bias]
        s.b.node("DynamicQuantizeMatMul", inputs, (m, n), dtype=FLOAT, flops=work, domain=MICROSOFT)
    else:
        inputs = [s.b.input((m, k), UINT8), weight, s.b.scalar(0.02), scale, s.b.constant(3, UINT8), zero, *bias]
        s.b.node("MatMulIntegerToFloat", inputs, (m, n), dtype=FLOAT, flops=work, domain=MICROSOFT)


def quantized_attention(s: Source) -> None:
    """QAttention: attention whose projection is quantized."""
    batch, length, heads, head = _heads(s)
    dim = heads * head
    inputs: list[Tensor | None] = [
        s.b.input((batch, length, dim), UINT8), s.b.weight((dim, 3 * dim), dtype=INT8), s.b.weight((3 * dim,), 0.1),
        s.b.scalar(0.02), s.b.scalar(0.01), None, s.b.constant(3, UINT8), s.b.constant(0, INT8),
    ]  # fmt: skip
    work = batch * length * dim * (6.0 * dim + 4.0 * length)
    attributes = {"num_heads": heads, "unidirectional": int(s.rng.random() < 0.3)}
    s.b.node("QAttention", inputs, (batch, length, dim), dtype=FLOAT, flops=work, domain=MICROSOFT, **attributes)


def quantized_elements(s: Source) -> None:
    """Element-wise operators, global means and joins of quantized tensors."""
    dtype = s.rng.choice((UINT8, INT8))
    shape = s.shape(4 if s.rng.random() < 0.6 else None)
    scale, zero = s.b.scalar(0.03), s.b.constant(2, dtype)
    x = s.b.input(shape, dtype)
    kind = s.rng.choice(
        ("QLinearAdd", "QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "pool", "concat")
    )
    if kind in ("QLinearAdd", "QLinearMul"):
        other = shape if s.rng.random() < 0.6 else (shape[-1],) if s.rng.random() < 0.5 else ()
        y = s.b.input(other, dtype) if other else s.b.constant(5, dtype)
        s.b.node(kind, [x, scale, zero, y, scale, zero, scale, zero], shape, dtype=dtype, domain=MICROSOFT)
    elif kind in ("QLinearSigmoid", "QLinearLeakyRelu"):
        s.b.node(kind, [x, scale, zero, scale, zero], shape, dtype=dtype, domain=MICROSOFT)
    elif kind == "pool" and len(shape) == 4:
        last = int(s.rng.random() < 0.3)
        pooled = (shape[0], 1, 1, shape[3]) if last else (*shape[:2], 1, 1)
        inputs = [x, scale, zero, scale, zero]
        s.b.node("QLinearGlobalAveragePool", inputs, pooled, dtype=dtype, domain=MICROSOFT, channels_last=last)
    elif kind == "concat":
        axis = s.rng.randrange(len(shape))
        out = tuple(2 * size if i == axis else size for i, size in enumerate(shape))
        inputs = [scale, zero, x, scale, zero, s.b.input(shape, dtype), scale, zero]
        s.b.node("QLinearConcat", inputs, out, dtype=dtype, domain=MICROSOFT, axis=axis)


def block_product(s: Source) -> None:
    """MatMulNBits: bits, sizes of blocks, accuracy, zero points, bias, rows from one to many."""
    m = s.choose((1, 50), (sizes.log_int(s.rng, 2, 32), 20), (sizes.log_int(s.rng, 32, 512), 30))
    block = s.choose((16, 10), (32, 45), (64, 15), (128, 25), (256, 5))
    k, n = block * max(1, sizes.channels(s.rng, 64, 2048) // block), sizes.channels(s.rng, 64, 4096)
    bits = s.choose((4, 75), (8, 25))
    while 2.0 * m * k * n > _MOST_FLOPS:
        m = max(1, m // 2)
        n = n if m > 1 else n // 2
    blocks = k // block
    inputs: list[Tensor | None] = [
        s.floats((m, k)), s.b.weight((n, blocks, block * bits // 8), dtype=UINT8),
        s.b.weight((n, blocks), 0.001, mean=0.01, positive=True),
    ]  # fmt: skip
    zeros = s.b.weight((n, math.ceil(blocks * bits / 8)), dtype=UINT8) if s.rng.random() < 0.4 else None
    bias = s.b.weight((n,), 0.1) if s.rng.random() < 0.3 else None
    inputs += [zeros, None, bias] if bias is not None else [zeros] if zeros is not None else []
    accuracy = s.choose((4, 55), (0, 25), (1, 10), (None, 10))
    extra = {} if accuracy is None else {"accuracy_level": accuracy}
    s.b.node(
        "MatMulNBits", inputs, (m, n), dtype=FLOAT, flops=2.0 * m * k * n, domain=MICROSOFT,
        K=k, N=n, bits=bits, block_size=block, **extra,
    )  # fmt: skip


def standard_attention(s: Source) -> None:
    """Attention of the standard: heads as an axis or in the width, shared keys, masks, causal."""
    batch, length, heads, head = _heads(s)
    few = heads // s.rng.choice([n for n in (1, 1, 2, 4) if heads % n == 0])
    keys = length if s.rng.random() < 0.8 else s.rng.choice((16, 77, 256))
    flat = s.rng.random() < 0.4

    def given(rows: int, count: int) -> Tensor:
        return s.floats((batch, rows, count * head) if flat else (batch, count, rows, head))

    inputs: list[Tensor | None] = [given(length, heads), given(keys, few), given(keys, few)]
    if s.rng.random() < 0.35:
        inputs.append(s.b.input((1, 1, length, keys)))
    attributes: dict[str, Any] = {"is_causal": int(len(inputs) == 3 and keys == length and s.rng.random() < 0.4)}
    if flat:
        attributes |= {"q_num_heads": heads, "kv_num_heads": few}
    shape = (batch, length, heads * head) if flat else (batch, heads, length, head)
    s.b.node("Attention", inputs, shape, flops=batch * length * heads * head * 4.0 * keys, **attributes)


def standard_rotary(s: Source) -> None:
    """RotaryEmbedding of the standard."""
    batch, length, heads, head = _heads(s)
    tables = [s.b.weight((batch, length, head // 2), 0.5) for _ in range(2)]
    flat = s.rng.random() < 0.4
    shape = (batch, length, heads * head) if flat else (batch, heads, length, head)
    attributes: dict[str, Any] = {"interleaved": int(s.rng.random() < 0.3)}
    if flat:
        attributes["num_heads"] = heads
    s.b.node("RotaryEmbedding", [s.floats(shape), *tables], shape, flops=6.0 * math.prod(shape), **attributes)


def standard_rms_norm(s: Source) -> None:
    """RMSNormalization of the standard, over the last axis or two."""
    shape = s.shape(s.rng.choice((2, 3, 3, 4)))
    axis = -1 if len(shape) < 3 or s.rng.random() < 0.8 else -2
    inputs = [s.floats(shape), s.b.weight(shape[axis:], 0.1, mean=1.0)]
    s.b.node("RMSNormalization", inputs, shape, flops=6.0 * math.prod(shape), axis=axis)


def quantized_recurrent(s: Source) -> None:
    """DynamicQuantizeLSTM: single steps and sequences, batches, directions, cells as published networks have them."""
    hidden = s.rng.choice(CELLS) if s.rng.random() < 0.6 else sizes.channels(s.rng, 16, 1024)
    width = hidden if s.rng.random() < 0.3 else sizes.channels(s.rng, 16, 1024)
    steps = s.choose((1, 25), (sizes.log_int(s.rng, 2, 20), 30), (sizes.log_int(s.rng, 20, 100), 45))
    batch = s.choose((1, 60), (2, 12), (4, 14), (8, 14))
    directions = s.choose((1, 65), (2, 35))
    work = 8.0 * hidden * (hidden + width) * directions
    while steps * batch * work > 8 * _MOST_FLOPS and steps > 1:
        steps //= 2
    kind = s.choose((INT8, 65), (UINT8, 35))
    state = (directions, batch, hidden)
    given = s.rng.random() < (0.6 if steps <= 2 else 0.15)
    zeros = s.b.constant([128 if kind == UINT8 else 0] * directions, kind)
    scales = (s.b.weight((directions,), 0.0002, mean=0.004, positive=True) for _ in range(2))
    inputs: list[Tensor | None] = [
        s.tensor((steps, batch, width)),
        s.b.weight((directions, width, 4 * hidden), dtype=kind),
        s.b.weight((directions, hidden, 4 * hidden), dtype=kind),
        s.b.weight((directions, 8 * hidden), 0.1),
        None,
        *(s.b.input(state) if given else None for _ in range(2)),
        None,
    ]
    for scale in scales:
        inputs += [scale, zeros]
    s.b.node_with_outputs(
        "DynamicQuantizeLSTM", inputs, [(steps, directions, batch, hidden), state, state], dtype=FLOAT,
        flops=steps * batch * work / 4, domain=MICROSOFT, hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
    )  # fmt: skip


CASES: dict[str, tuple[Any, float]] = {
    "Attention": (attention, 3.0),
    "MultiHeadAttention": (multi_head_attention, 5.0),
    "GroupQueryAttention": (grouped_attention, 6.0),
    "RotaryEmbedding": (rotary, 3.0),
    "SkipLayerNormalization": (skip_norm, 4.0),
    "EmbedLayerNormalization": (embedding_norm, 1.0),
    "Gelu": (gelu, 4.0),
    "FusedMatMul": (fused_product, 3.0),
    "DynamicQuantizeMatMul": (quantized_product, 2.5),
    "QAttention": (quantized_attention, 1.5),
    "QLinear": (quantized_elements, 4.0),
    "MatMulNBits": (block_product, 5.0),
    "DynamicQuantizeLSTM": (quantized_recurrent, 2.5),
}
"""Fused operators of com.microsoft -> their sweep and its weight."""

STANDARD_CASES: dict[str, tuple[Any, float]] = {
    "Attention": (standard_attention, 4.0),
    "RotaryEmbedding": (standard_rotary, 2.0),
    "RMSNormalization": (standard_rms_norm, 3.0),
}
"""Fused operators of the standard since opset 23 -> their sweep and its weight."""
