"""FLOPs of attention: two products of queries with keys and values, and a softmax for every head.

Rules:
1. Every query meets every key, past ones included; a mask does not make it less. A cache of fixed size holds as many
   as the total length says, where that is known. Where keys are selected (block-sparse,
   windowed, chosen by an index), it meets as many as can be selected.
2. A softmax counts 13 a score.
3. Sequences packed without padding count as if all were of one length, the mean.
4. Recurrent forms (linear attention, delta rule) count for each token and head what they do to the state of
   key width x value width: 2 for reading it, 2 for adding to it, 1 for decay, 2 for the retrieval of the delta rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import TensorType
from nnmeter.operators.flops import SOFTMAX_FLOPS, Attributes, Count, FlopRule, Types, in_elements, out_elements, shape


def _over_past(past: int) -> Count:
    """Attention whose past keys, if any, are this input [batch, heads, past, width]."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        return _attention(attributes, inputs, outputs, past)

    return count


def _attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType], past: int) -> float:
    """Queries, keys and values are separate, or packed into the first input."""
    q, k = shape(inputs, 0), shape(inputs, 1)
    if len(q) < 3:
        return float(out_elements(outputs))
    heads = attributes.get("num_heads") or attributes.get("q_num_heads") or (q[1] if len(q) == 4 else 1)
    if len(q) == 5:  # [batch, rows, heads, 3, width of a head], keys and values packed with the queries
        batch, rows, width = q[0], q[1], q[2] * q[4]
    elif len(q) == 4:  # [batch, heads, rows, width of a head]
        batch, rows, width = q[0], q[2], q[1] * q[3]
    else:
        batch, rows, width = q
        if not k and outputs:  # keys and values packed with the queries, fewer heads than these
            width = out_elements(outputs) // max(batch * rows, 1)
    value_width = out_elements(outputs) // max(batch * rows, 1)  # of latent attention another than that of the keys
    columns = k[-2] if len(k) > 2 else rows
    before = shape(inputs, past)
    if len(outputs) > 1 and len(outputs[1].shape) == 4:
        columns = max(columns, outputs[1].shape[2])
    elif len(before) == 4:
        columns += before[2]
    columns = int(attributes.get("total_sequence_length", columns))
    return batch * rows * columns * (2 * (width + value_width) + SOFTMAX_FLOPS * heads)


def _projected_attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Attention whose first step makes queries, keys and values with one matrix."""
    x, w = shape(inputs, 0), shape(inputs, 1)
    if len(x) < 3 or len(w) < 2:
        return float(out_elements(outputs))
    heads = attributes.get("num_heads", 1)
    columns = outputs[1].shape[3] if len(outputs) > 1 and len(outputs[1].shape) == 5 else x[1]
    width = out_elements(outputs) // max(x[0] * x[1], 1)
    return x[0] * x[1] * (2 * w[0] * w[1] + columns * (4 * width + SOFTMAX_FLOPS * heads))


def _any_attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """`Attention` of com.microsoft takes the matrix, that of ai.onnx queries, keys and values."""
    if len(shape(inputs, 1)) == 2:
        return _projected_attention(attributes, inputs, outputs)
    return _attention(attributes, inputs, outputs, 4)


def _ordered_attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    x = shape(inputs, 0)
    if len(x) < 3:
        return float(out_elements(outputs))
    weights = sum(in_elements(inputs, position) for position in (5, 6, 7))
    score = 4 * x[2] + SOFTMAX_FLOPS * int(attributes.get("num_heads", 1))
    return x[0] * x[1] * (2 * weights + x[1] * score)


def _decoder_attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Time comes first: queries [rows, batch, width]."""
    q, k = shape(inputs, 0), shape(inputs, 1)
    if len(q) < 3 or len(k) < 3:
        return float(out_elements(outputs))
    columns = outputs[1].shape[2] if len(outputs) > 1 and len(outputs[1].shape) == 4 else k[0]
    projections = 2 * (q[0] * q[1] * in_elements(inputs, 2) + k[0] * k[1] * in_elements(inputs, 3))
    return projections + q[0] * q[1] * columns * (4 * q[2] + SOFTMAX_FLOPS * int(attributes.get("num_heads", 1)))


def _windowed(weight: int) -> Count:
    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        x = shape(inputs, 0)
        if len(x) < 3:
            return float(out_elements(outputs))
        columns = min(2 * int(attributes.get("window", x[1])) + 1, x[1])
        score = 4 * x[2] + SOFTMAX_FLOPS * int(attributes.get("num_heads", 1))
        return x[0] * x[1] * (4 * in_elements(inputs, weight) + columns * score)

    return count


def _packed(offsets: int, weight: int = -1) -> Count:
    """Tokens of several sequences one behind the other; `offsets` has one element more than there are sequences."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        q = shape(inputs, 0)
        tokens = q[0] if q else 1
        sequences = max((shape(inputs, offsets) or (2,))[0] - 1, 1)
        columns = -(-tokens // sequences)
        width = out_elements(outputs) // max(tokens, 1)
        projection = 2 * in_elements(inputs, weight) if weight >= 0 else 0
        return tokens * (projection + columns * (4 * width + SOFTMAX_FLOPS * int(attributes.get("num_heads", 1))))

    return count


def _paged(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Keys lie in blocks of a cache: as many as the table of blocks can name."""
    q, cache, blocks = shape(inputs, 0), shape(inputs, 3), shape(inputs, 7)
    columns = (blocks[-1] if blocks else 1) * (cache[1] if len(cache) > 1 else 1)
    width = out_elements(outputs) // max(q[0] if q else 1, 1)
    return (q[0] if q else 1) * columns * (4 * width + SOFTMAX_FLOPS * int(attributes.get("num_heads", 1)))


def _selected(indices: int) -> Count:
    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        columns = (shape(inputs, indices) or (1,))[-1]
        rows = out_elements(outputs) // max((outputs[0].shape or (1,))[-1], 1) if outputs else 0
        score = (
            4 * (outputs[0].shape or (1,))[-1] + SOFTMAX_FLOPS * int(attributes.get("num_heads", 1)) if outputs else 0
        )
        return rows * columns * score

    return count


def _index(keys: int) -> Count:
    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        stored = shape(inputs, keys)
        entries = in_elements(inputs, keys) // max(stored[-1], 1) if stored else 1
        return 2 * in_elements(inputs) * entries

    return count


_OF_STATE: dict[str, int] = {"linear": 4, "gated": 5, "delta": 6, "gated_delta": 7}


def _recurrent_attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Inputs [batch, tokens, heads x width], or [tokens, heads, width]; the state's heads are those of the values."""
    q, k, v = shape(inputs, 0), shape(inputs, 1), shape(inputs, 2)
    if len(q) < 3 or len(v or q) < 3:
        return float(out_elements(outputs))
    each = _OF_STATE.get(str(attributes.get("update_rule", "gated_delta")), 7)
    if "kv_num_heads" in attributes:
        heads = max(int(attributes["kv_num_heads"]), int(attributes.get("q_num_heads", 1)), 1)
        key_width = (k or q)[-1] // max(int(attributes["kv_num_heads"]), 1)
        value_width = (v or q)[-1] // max(int(attributes["kv_num_heads"]), 1)
        return q[0] * q[1] * heads * key_width * value_width * each
    heads = max(q[1], (v or q)[1])
    return q[0] * heads * (k or q)[-1] * (v or q)[-1] * each


_ATTENTION_WORDS = "batch x queries x keys, past ones too, x (2 x (width of keys + width of values) + 13 a head)"
GROUPED_ATTENTION = FlopRule(_ATTENTION_WORDS, _over_past(3))
MASKED_ATTENTION = FlopRule(_ATTENTION_WORDS, _over_past(5))
ATTENTION = FlopRule(_ATTENTION_WORDS, _over_past(6))
ANY_ATTENTION = FlopRule(f"{_ATTENTION_WORDS}; with packed weights also 2 a row and weight", _any_attention)
PROJECTED_ATTENTION = FlopRule("rows x (2 x weights + keys x (4 x width + 13 a head))", _projected_attention)
ORDERED_ATTENTION = FlopRule("rows x (2 x weights + keys x (4 x width + 13 a head))", _ordered_attention)
DECODER_ATTENTION = FlopRule(
    "2 x rows x weights for queries, keys and values, queries x keys x (4 x width + 13 a head)", _decoder_attention
)
_WINDOW_WORDS = "rows x (4 x weights for the local and the global projection + window x (4 x width + 13 a head))"
WINDOWED_ATTENTION = FlopRule(_WINDOW_WORDS, _windowed(1))
ORDERED_WINDOWED_ATTENTION = FlopRule(_WINDOW_WORDS, _windowed(2))
PACKED_ATTENTION = FlopRule("tokens x mean length x (4 x width + 13 a head)", _packed(5))
PACKED_PROJECTED_ATTENTION = FlopRule("tokens x (2 x weights + mean length x (4 x width + 13 a head))", _packed(4, 1))
PAGED_ATTENTION = FlopRule("tokens x keys that the table of blocks can name x (4 x width + 13 a head)", _paged)
SELECTED_ATTENTION = FlopRule("queries x keys that can be selected x (4 x width + 13 a head)", _selected(7))
SELECTED_PAGED_ATTENTION = FlopRule("queries x keys that can be selected x (4 x width + 13 a head)", _selected(9))
KEY_INDEX = FlopRule("2 x elements of the queries x entries of the past keys", _index(7))
PACKED_KEY_INDEX = FlopRule("2 x elements of the queries x entries of the past keys", _index(12))
RECURRENT_ATTENTION = FlopRule(
    "tokens x heads x key width x value width x 4 (linear), 5 (gated), 6 (delta) or 7 (gated delta)",
    _recurrent_attention,
)
