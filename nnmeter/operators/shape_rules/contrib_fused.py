"""Shapes of com.microsoft's fused operators for language models, experts, packed sequences and small utilities.

Those that only accelerators have, and that no tool but a serving engine writes, have no rule; their models must declare
the shapes. Source: the schemas in onnxruntime/core/graph/contrib_ops (1.32).
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    Rule,
    ShapeError,
    axis_of,
    broadcast,
    dtype_attribute,
    optional,
    present,
    same,
    table,
)
from nnmeter.operators.shape_rules.matrix import product_of
from nnmeter.operators.shape_rules.recurrent import RULES as RECURRENT_RULES
from nnmeter.operators.shape_rules.reduction import reduced
from nnmeter.operators.shape_rules.windows import RULES as WINDOW_RULES
from nnmeter.operators.shape_rules.windows import pool, transposed_shape


def like(position: int) -> Rule:
    """The type of an input."""
    return lambda node, inputs, context: (present(inputs, position),)


def _with_mask(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    packed = node.op_type.startswith("Bitmask")
    return x, TensorType("uint32", (-(-x.elements // 32),)) if packed else TensorType("bool", x.shape)


def _broadcast(dtype: str = "", second: int = 1) -> Rule:
    def rule(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
        a, b = present(inputs, 0), present(inputs, second)
        return (TensorType(dtype or a.dtype, broadcast(a.shape, b.shape)),)

    return rule


def _columns(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Products with packed weights: as many columns as the attribute N says, or the weights have rows."""
    a = present(inputs, 0)
    columns = node.attributes.get("N") or present(inputs, 1).shape[0]
    return TensorType(a.dtype, (*a.shape[:-1], columns)), a


def _three_products(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    a = present(inputs, 0)
    q, kv = (TensorType(a.dtype, (*a.shape[:-1], node.attributes[name])) for name in ("Nq", "Nkv"))
    return q, kv, kv, a


def _router(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, size = present(inputs, 0), node.attributes["router_size"]
    inner = (present(inputs, 1).shape[-1] - size) // 2
    return TensorType(x.dtype, (*x.shape[:-1], size)), TensorType(x.dtype, (*x.shape[:-1], inner))


def _gated(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """SwiGLU: gate and up-projection in one tensor, or each in its own."""
    x = present(inputs, 0)
    whole = optional(inputs, 1) is not None
    return (TensorType(x.dtype, x.shape if whole else (*x.shape[:-1], x.shape[-1] // 2)),)


def _decoder_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    q, k = present(inputs, 0), present(inputs, 1)
    heads = node.attributes["num_heads"]
    cache = TensorType(q.dtype, (q.shape[1], heads, k.shape[0], q.shape[2] // heads))
    return q, cache, cache


def _packed_projected_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, sizes = present(inputs, 0), node.attributes.get("qkv_hidden_sizes")
    hidden = sizes[2] if sizes else present(inputs, 1).shape[1] // 3
    return (TensorType(x.dtype, (x.shape[0], hidden)),)


def _packed_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    q, v = present(inputs, 0), optional(inputs, 2)
    hidden = v.shape[1] if v is not None else q.shape[1] * q.shape[3] if len(q.shape) == 4 else q.shape[1]
    return (TensorType(q.dtype, (q.shape[0], hidden)),)


def _cached_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Attention over a cache (inputs 3 and 4) that keeps its shape; queries may hold keys and values, too."""
    q = present(inputs, 0)
    heads, groups = node.attributes["num_heads"], node.attributes["kv_num_heads"]
    packed = optional(inputs, 1) is None
    width = q.shape[-1] * heads // (heads + 2 * groups) if packed else q.shape[-1]
    return TensorType(q.dtype, (*q.shape[:-1], width)), present(inputs, 3), present(inputs, 4)


def _linear_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    q, k, v = present(inputs, 0), present(inputs, 1), present(inputs, 2)
    heads, groups = node.attributes["q_num_heads"], node.attributes["kv_num_heads"]
    width, key = v.shape[-1] // groups, q.shape[-1] // heads
    past = optional(inputs, 3)
    state = TensorType(past.dtype if past is not None else k.dtype, (q.shape[0], groups, key, width))
    return TensorType(q.dtype, (*q.shape[:-1], max(heads, groups) * width)), state


def _causal_convolution(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, w = present(inputs, 0), present(inputs, 1)
    past = optional(inputs, 3)
    state = TensorType(x.dtype, (*x.shape[:-1], w.shape[-1] - 1))
    return x, past if past is not None else state


def _position_bias(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    bias = present(inputs, 0)
    (rows,), (columns,) = context.integers(node, 1) or (1,), context.integers(node, 2) or (1,)
    return (TensorType(bias.dtype, (1, bias.shape[1], rows, columns)),)


def _gated_position_bias(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, offsets = present(inputs, 0), optional(inputs, 6)
    batch, rows = (offsets.shape if offsets is not None else x.shape)[:2]
    return (TensorType(x.dtype, (batch, node.attributes["num_heads"], rows, rows)),)


def _remove_padding(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    batch, rows, hidden = x.shape
    context.bound(node, f"the data decide how many tokens are no padding; counted as all {batch * rows}")
    lengths = TensorType("int32", (batch + 1,))
    return TensorType(x.dtype, (batch * rows, hidden)), TensorType("int32", (batch, rows)), lengths, lengths


def _restore_padding(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, offsets = present(inputs, 0), present(inputs, 1)
    return (TensorType(x.dtype, (*offsets.shape, x.shape[-1])),)


def _expand_dims(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = axis_of((context.integers(node, 1) or (0,))[0], len(x.shape) + 1)
    return (TensorType(x.dtype, (*x.shape[:axis], 1, *x.shape[axis:])),)


def _rfft(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    one_sided = node.attributes.get("onesided", 1)
    return (TensorType(x.dtype, (*x.shape[:-1], x.shape[-1] // 2 + 1 if one_sided else x.shape[-1], 2)),)


def _irfft(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    if len(x.shape) < 2:
        raise ShapeError("its input has no complex numbers")
    size = x.shape[-2]
    return (TensorType(x.dtype, (*x.shape[:-2], 2 * (size - 1) if node.attributes.get("onesided", 1) else size)),)


def _distances(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    a, b = present(inputs, 0), present(inputs, 1)
    return (TensorType(a.dtype, (a.shape[0], b.shape[0])),)


def _crop_and_resize(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, rois = present(inputs, 0), present(inputs, 1)
    height, width = context.integers(node, 3) or (1, 1)
    return (TensorType(x.dtype, (rois.shape[0], x.shape[1], height, width)),)


def _embedding(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    weights, indices = present(inputs, 0), present(inputs, 1)
    width = node.attributes.get("K") or weights.shape[-1]
    dtype = dtype_attribute(node, "output_dtype", "float32") if node.op_type == "GatherPacked" else weights.dtype
    return (TensorType(dtype, (*indices.shape, width)),)


def _quantized_embedding(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    ids, words, scale = present(inputs, 0), present(inputs, 2), present(inputs, 8)
    return TensorType(scale.dtype, (*ids.shape, words.shape[-1])), TensorType("int32", ids.shape[:1])


def _integer_sum(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axes = [axis_of(axis, len(x.shape)) for axis in node.attributes.get("axes") or range(len(x.shape))]
    return (TensorType("int32", reduced(x.shape, axes, node.attributes.get("keepdims", 1))),)


def _hash(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("uint32" if node.attributes.get("positive", 1) else "int32", present(inputs, 0).shape),)


def _all_finite(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("bool", ()),)


def _unfold(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, size, step = present(inputs, 0), node.attributes["size"], node.attributes.get("step", 1)
    axis = axis_of(node.attributes.get("dim", -1), len(x.shape))
    count = (x.shape[axis] - size) // step + 1
    return (TensorType(x.dtype, (*x.shape[:axis], count, *x.shape[axis + 1 :], size)),)


def _dynamic_pads(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    pads = context.integers(node, 2)
    return (transposed_shape(node, present(inputs, 0), present(inputs, 1).shape, pads),)


def _word_convolution(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    words, weights = present(inputs, 0), present(inputs, 1)
    return (TensorType(weights.dtype, (words.shape[0], weights.shape[0])),)


def _warping(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    rows, columns = present(inputs, 0).shape[-2:]
    context.bound(node, f"the data decide how long the path is; counted as {rows + columns - 1}")
    return (TensorType("int32", (2, rows + columns - 1)),)


def _two_rotations(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return present(inputs, 1), present(inputs, 3)


def _ordered(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    dtype = "int8" if node.op_type == "QuantizeWithOrder" else dtype_attribute(node, "to", "float16")
    return (TensorType(dtype, present(inputs, 0).shape),)


def _gate_values(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return present(inputs, 0), optional(inputs, 3) or present(inputs, 0)


def _premixed(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, branches = present(inputs, 0), node.attributes.get("num_branches")
    shape = (*x.shape[:-1], x.shape[-1] // branches) if branches else (*x.shape[:-2], x.shape[-1])
    return (TensorType(x.dtype, shape),)


RULES: dict[str, Rule] = {
    "AttnLSTM": RECURRENT_RULES["LSTM"],
    "GridSample": WINDOW_RULES["GridSample"],
    **table(
        (
            "BranchwiseRMSNorm GatedAdd GatedRMSNorm LongformerAttention QOrderedLongformerAttention QOrderedAttention "
            "MoE QMoE MoEPacked MRotaryEmbedding QOrderedGelu QOrderedLayerNormalization ScaledSiLU "
            "HyperConnectionPostMix",
            same,
        ),
        ("BiasDropout BitmaskDropout BitmaskBiasDropout", _with_mask),
        ("ComplexMul ComplexMulConj", _broadcast()),
        ("MulInteger", lambda n, i, c: _broadcast("int32", 1 if len(i) < 3 else 2)(n, i, c)),
        ("NGramRepeatBlock EngramGate", like(1)),
        ("MatMulPacked MatMulBlockQuantizedFp4Weight MatMulBlockQuantizedFp8Weight MatMulNBitsMlp MatMulNBitsQLoRA",
         _columns),
        ("MatMulNBitsQkv", _three_products),
        ("RouterGateUpProj", _router),
        ("GemmFastGelu", product_of(0, 1)),
        ("QOrderedMatMul", product_of(0, 2)),
        ("SwiGLU", _gated),
        ("DecoderAttention", _decoder_attention),
        ("PackedAttention", _packed_projected_attention),
        ("PackedMultiHeadAttention", _packed_attention),
        ("PagedAttention SparsePagedAttention", _cached_attention),
        ("SparseAttention DynamicSparseAttention", _cached_attention),
        ("LinearAttention", _linear_attention),
        ("LinearAttentionGate", _gate_values),
        ("CausalConvWithState", _causal_convolution),
        ("RelativePositionBias", _position_bias),
        ("GatedRelativePositionBias", _gated_position_bias),
        ("RemovePadding", _remove_padding),
        ("RestorePadding", _restore_padding),
        ("ExpandDims", _expand_dims),
        ("Rfft", _rfft),
        ("Irfft", _irfft),
        ("CDist", _distances),
        ("CropAndResize", _crop_and_resize),
        ("TorchEmbedding GatherPacked", _embedding),
        ("QEmbedLayerNormalization", _quantized_embedding),
        ("ReduceSumInteger", _integer_sum),
        ("MurmurHash3", _hash),
        ("IsAllFinite", _all_finite),
        ("UnfoldTensor", _unfold),
        ("MaxpoolWithMask", pool),
        ("ConvTransposeWithDynamicPads", _dynamic_pads),
        ("WordConvEmbedding", _word_convolution),
        ("DynamicTimeWarping", _warping),
        ("GemmaRotaryEmbedding", _two_rotations),
        ("QuantizeWithOrder DequantizeWithOrder", _ordered),
        ("HyperConnectionPreMix", _premixed),
    ),
}  # fmt: skip
