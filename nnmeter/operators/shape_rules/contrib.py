"""Shapes of the operators that ONNX Runtime adds when it optimizes: com.microsoft and the blocked layout.

Rules of the blocked layout (com.microsoft.nchwc):
1. Channels are padded to a multiple of the block: those of a convolution's result are dimension 0 of its weights.
2. `ReorderInput` pads to the channels that the weights of the convolution behind it have. Before anything else it pads
   nothing, for only convolutions take channels that are no whole blocks. `ReorderOutput` cuts down to its attribute
   `channels`. So the size of a block, which is the machine's, need not be known.
Source: the schemas in onnxruntime/core/graph/contrib_ops (1.2x).
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    Rule,
    ShapeError,
    broadcast,
    optional,
    present,
    same,
    show,
    table,
)
from nnmeter.operators.shape_rules.contrib_fused import RULES as FUSED_RULES
from nnmeter.operators.shape_rules.elementwise import RULES as ELEMENTWISE_RULES
from nnmeter.operators.shape_rules.matrix import fused_matmul, gemm, product_of
from nnmeter.operators.shape_rules.movement import RULES as MOVEMENT_RULES
from nnmeter.operators.shape_rules.movement import scaled
from nnmeter.operators.shape_rules.quantization import MICROSOFT_RULES as QUANTIZATION_RULES
from nnmeter.operators.shape_rules.quantization import channels_last
from nnmeter.operators.shape_rules.recurrent import RULES as RECURRENT_RULES
from nnmeter.operators.shape_rules.reduction import RULES as REDUCTION_RULES
from nnmeter.operators.shape_rules.windows import convolution, global_pool, pool

BLOCKED_DOMAIN = "com.microsoft.nchwc"


def _skip_normalization(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Output, mean, inverse deviation, and the sum of input and skip."""
    x = present(inputs, 0)
    statistic = TensorType("float32", (*x.shape[:-1], 1))
    return x, statistic, statistic, x


def _embedding_normalization(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    ids, words = present(inputs, 0), present(inputs, 2)
    made = TensorType(words.dtype, (*ids.shape, words.shape[-1]))
    return made, TensorType("int32", ids.shape[:1]), made


def _bias_gelu(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (present(inputs, 0),)


def _projected_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Attention and QAttention with packed weights [width, 3 * hidden]; `present` is [2, batch, heads, rows, width]."""
    x, w = present(inputs, 0), present(inputs, 1)
    sizes = node.attributes.get("qkv_hidden_sizes")
    hidden = sizes[2] if sizes else w.shape[1] // 3
    heads = node.attributes["num_heads"]
    dtype = present(inputs, 3).dtype if node.op_type == "QAttention" else x.dtype
    batch, rows, _ = x.shape
    past = optional(inputs, 8 if node.op_type == "QAttention" else 4)
    total = rows + (past.shape[3] if past is not None else 0)
    return TensorType(dtype, (batch, rows, hidden)), TensorType(dtype, (2, batch, heads, total, hidden // heads))


def _multi_head_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Query alone may hold packed Q, K and V of rank 5; keys and values may be of rank 4, heads split already."""
    q, k, v = present(inputs, 0), optional(inputs, 1), optional(inputs, 2)
    heads = node.attributes["num_heads"]
    if len(q.shape) == 5:
        batch, rows, _, _, width = q.shape
        hidden, columns = heads * width, rows
    else:
        batch, rows, hidden = q.shape
        columns = rows if k is None else k.shape[2] if len(k.shape) == 4 else k.shape[1]
        if v is not None:
            hidden = heads * v.shape[3] if len(v.shape) == 4 else v.shape[2]
    past = optional(inputs, 6)
    total = columns + (past.shape[2] if past is not None else 0)
    state = TensorType(q.dtype, (batch, heads, total, hidden // heads))
    return TensorType(q.dtype, (batch, rows, hidden)), state, state, TensorType(q.dtype, (batch, heads, rows, total))


def _group_query_attention(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Keys and values are appended to the past; a cache that is longer than the known total length stays as it is."""
    q, k = present(inputs, 0), optional(inputs, 1)
    heads, groups = node.attributes["num_heads"], node.attributes["kv_num_heads"]
    batch, rows, width = q.shape
    hidden = width if k is not None else width * heads // (heads + 2 * groups)
    past = optional(inputs, 3)
    total = rows + (past.shape[2] if past is not None else 0)
    given = context.value(node, 6)
    if given is not None and given.size and past is not None:
        total = max(past.shape[2], int(given.ravel()[0]))
    state = TensorType(past.dtype if past is not None else q.dtype, (batch, groups, total, hidden // heads))
    return TensorType(q.dtype, (batch, rows, hidden)), state, state


def _blocked_weights(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """MatMulNBits and its kin: the attributes K and N give the weights' logical shape."""
    a, depth, columns = present(inputs, 0), node.attributes["K"], node.attributes["N"]
    if a.shape[-1] != depth:
        raise ShapeError(f"the input {show(a.shape)} does not fit weights of {depth} rows")
    return (TensorType(a.dtype, (*a.shape[:-1], columns)),)


def _gather_blocks(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    data, indices, scales = present(inputs, 0), present(inputs, 1), present(inputs, 2)
    axis = node.attributes.get("gather_axis", 0) % len(data.shape)
    shape = list(data.shape)
    if data.dtype == "uint8":
        shape[-1] *= 8 // node.attributes.get("bits", 4)
    return (TensorType(scales.dtype, (*shape[:axis], *indices.shape, *shape[axis + 1 :])),)


def _fused_activation(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return (TensorType(x.dtype, broadcast(x.shape, present(inputs, 1).shape)),)


def _bias_split_gelu(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return (TensorType(x.dtype, (*x.shape[:-1], x.shape[-1] // 2)),)


def _channels_last_convolution(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, w = present(inputs, 0), present(inputs, 1)
    first = TensorType(x.dtype, (x.shape[0], x.shape[-1], *x.shape[1:-1]))
    weights = TensorType(w.dtype, (w.shape[0], w.shape[-1], *w.shape[1:-1]))
    (made,) = convolution(0, 1)(node, [first, weights], context)
    return (TensorType(x.dtype, (made.shape[0], *made.shape[2:], made.shape[1])),)


def _reorder_input(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    if node.attributes.get("channels_last", 0):
        batch, *spatial, channels = x.shape
    else:
        batch, channels, *spatial = x.shape
    return (TensorType(x.dtype, (batch, context.padded_channels.get(node.outputs[0], channels), *spatial)),)


def _reorder_output(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, channels = present(inputs, 0), node.attributes["channels"]
    spatial = x.shape[2:]
    last = node.attributes.get("channels_last", 0)
    return (TensorType(x.dtype, (x.shape[0], *spatial, channels) if last else (x.shape[0], channels, *spatial)),)


def _blocked_upsample(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return (TensorType(x.dtype, scaled(x.shape, node.attributes["scales"])),)


def padded_channels(nodes: Sequence[Node], types: dict[str, TensorType]) -> dict[str, int]:
    """The channels of each tensor in blocked layout that a convolution reads, by the convolution's weights (rule 2)."""
    channels: dict[str, int] = {}
    for node in nodes:
        if node.domain == BLOCKED_DOMAIN and node.op_type == "Conv" and len(node.inputs) > 1:
            weights = types.get(node.inputs[1])
            if weights is None or len(weights.shape) < 2:
                continue
            outputs, inner = weights.shape[:2]
            groups = node.attributes.get("group", 1)
            if isinstance(groups, int):
                channels[node.inputs[0]] = outputs if groups > 1 and inner == 1 else inner * max(groups, 1)
            if len(node.inputs) > 3:  # what is added to the result
                channels[node.inputs[3]] = outputs
    return channels


MICROSOFT_RULES: dict[str, Rule] = {
    **{
        op: ELEMENTWISE_RULES[op]
        for op in ("Gelu", "LayerNormalization", "RMSNormalization", "Range", "Trilu", "GroupNormalization")
    },
    **{op: MOVEMENT_RULES[op] for op in ("Pad", "GatherND")},
    "Unique": REDUCTION_RULES["Unique"],
    **QUANTIZATION_RULES,
    **RECURRENT_RULES,
    **FUSED_RULES,
    **table(
        (
            "QuickGelu FastGelu Rsqrt BiasAdd Inverse SampleOp GroupNorm RotaryEmbedding Softmax SkipGroupNorm "
            "BiasSoftmax SimplifiedLayerNormalization",
            same,
        ),
        ("BiasGelu", _bias_gelu),
        ("BiasSplitGelu", _bias_split_gelu),
        ("AddGelu", _fused_activation),
        ("SkipLayerNormalization SkipSimplifiedLayerNormalization", _skip_normalization),
        ("EmbedLayerNormalization", _embedding_normalization),
        ("FusedConv", convolution(0, 1)),
        ("NhwcFusedConv NhwcConv", _channels_last_convolution),
        ("NhwcMaxPool", channels_last(pool)),
        ("FusedMatMul FusedMatMulActivation TransposeMatMul", fused_matmul),
        ("FusedGemm GemmFloat8", gemm(0, 1)),
        ("SparseToDenseMatMul", product_of(0, 1)),
        ("MatMulNBits MatMulBnb4 MatMulFpQ4", _blocked_weights),
        ("GatherBlockQuantized", _gather_blocks),
        ("Attention QAttention DecoderMaskedSelfAttention", _projected_attention),
        ("MultiHeadAttention DecoderMaskedMultiHeadAttention", _multi_head_attention),
        ("GroupQueryAttention", _group_query_attention),
    ),
}

BLOCKED_RULES: dict[str, Rule] = table(
    ("Conv", convolution(0, 1, channels=False)),
    ("MaxPool AveragePool", pool),
    ("GlobalMaxPool GlobalAveragePool", global_pool),
    ("ReorderInput", _reorder_input),
    ("ReorderOutput", _reorder_output),
    ("Upsample", _blocked_upsample),
)
