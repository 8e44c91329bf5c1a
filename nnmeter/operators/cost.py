"""FLOPs and bytes of every operator.

Rules:

1. One multiply-add is two FLOPs. Padding is computed like data, as runtimes do in their inner loops.
2. Element-wise operators count per output element: 1 for arithmetic and comparison, 10 for what runtimes evaluate as a
   polynomial or by several primitives (exp, erf, tanh), and sums of these for what is composed of them. Reductions and
   normalizations count per input element. The table of operators (`nnmeter.operators.table`) has the rule of each.
3. Bytes read are those of all inputs once, weights included; bytes written are those of all outputs. An operator that
   selects (Gather, Slice, Split, ...) reads only what it returns, and its indices; an Einsum over a diagonal only that;
   a mixture of experts the weights of those that its rows choose; a cache of fixed size counts as far as it is filled.
4. Reshape and its kin compute nothing and move nothing. A Dropout that rules leave copies; in training mode it draws
   a mask.
5. Batch, width, groups, rank and element type enter through the types; dilation changes which elements a convolution
   touches, not how many. Channels that a blocked layout adds are computed like others.
6. An operator without a rule counts one FLOP an output element and all its bytes (`has_cost_rule` tells). One of a
   domain that is not in the table is somebody's own, whatever its name: it costs what was declared for it
   (`nnmeter.operators.custom`), else that.
7. If, Loop, Scan and SequenceMap cost what their nested graphs cost, times the trip count, as shape inference noted it.

Example: a 3x3 convolution from 64 to 128 channels with 2 groups on a 28x28 output is
`2 * 128 * 28 * 28 * (64 / 2) * 9 = 57,802,752` FLOPs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.operators.flops import RANDOM_NUMBER, Attributes, Types, einsum_terms
from nnmeter.operators.table import KNOWN_DOMAINS, OPERATORS

if TYPE_CHECKING:
    from nnmeter.graph.ir import Graph


class Cost(NamedTuple):
    """What an operator computes and moves."""

    flops: int
    bytes_read: int
    bytes_written: int


# Attributes in which shape inference leaves the cost of the graphs nested in If, Loop and Scan (rule 7).
NESTED_COST = ("nested_flops", "nested_bytes_read", "nested_bytes_written")
# The attribute in which it leaves these graphs themselves: pairs of a graph and how often it runs.
NESTED_GRAPHS = "nested_graphs"


def operator_cost(
    op_type: str,
    domain: str,
    attributes: Attributes,
    inputs: Types,
    outputs: Sequence[TensorType],
) -> Cost:
    """Cost of one operator.

    Args:
        op_type: operator, also those of com.microsoft and com.microsoft.nchwc.
        domain: its domain; operators of one name cost alike in all domains of the table.
        attributes: its attributes.
        inputs: types of the inputs, None for an absent optional one.
        outputs: types of the outputs.
    """
    if domain not in KNOWN_DOMAINS:
        return _own_cost(op_type, domain, attributes, inputs, outputs)
    operator = OPERATORS.get(op_type)
    if operator is not None and operator.reads == "nothing":
        return _dropout_cost(attributes, inputs, outputs) if op_type in _DROPOUTS else Cost(0, 0, 0)
    if NESTED_COST[0] in attributes:
        return Cost(*[attributes[name] for name in NESTED_COST])
    if operator is None:
        return _generic_cost(inputs, outputs)
    flops = operator.flops.evaluate(attributes, inputs, outputs)
    written = sum(t.bytes for t in outputs)
    if operator.reads == "taken":
        read = _taken_bytes(inputs, outputs) + sum(t.bytes for t in inputs[1:] if t is not None)
    elif operator.reads == "chosen":
        read = _chosen_bytes(attributes, inputs)
    elif operator.reads == "diagonals":
        read = _diagonal_bytes(attributes, inputs)
    elif operator.reads == "shape":
        read = 0
    else:
        read = sum(t.bytes for t in inputs if t is not None)
    if "total_sequence_length" in attributes:
        read, written = read - _unused_cache(attributes, inputs), written - _unused_cache(attributes, outputs)
    return Cost(int(flops), read, written)


_DROPOUTS = frozenset({"Dropout", "BitmaskDropout"})


def _dropout_cost(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> Cost:
    """A copy; in training a random number, a comparison and a product for each element."""
    first = inputs[0].bytes if inputs and inputs[0] is not None else 0
    work = (RANDOM_NUMBER + 2) * outputs[0].elements if outputs and "training" in attributes else 0
    return Cost(work, first, sum(t.bytes for t in outputs))


def _chosen_bytes(attributes: Attributes, inputs: Types) -> int:
    """Bytes of a mixture of experts (rule 3): rows choose k of n experts each, in the mean n (1 - (1 - k / n)^rows)."""
    scores = inputs[1] if len(inputs) > 1 else None
    experts = scores.shape[-1] if scores is not None and scores.shape else 1
    rows = scores.elements // max(experts, 1) if scores is not None else 1
    chosen = min(int(attributes.get("k", 1)), experts)
    share = 1.0 - (1.0 - chosen / max(experts, 1)) ** rows
    read = 0.0
    for position, tensor in enumerate(inputs):
        if tensor is not None:
            of_experts = position > 1 and len(tensor.shape) > 1 and tensor.shape[0] == experts
            read += tensor.bytes * (share if of_experts else 1.0)
    return round(read)


def _diagonal_bytes(attributes: Attributes, inputs: Types) -> int:
    """Bytes of the operands of an Einsum, of which one whose labels repeat is read along the diagonal alone."""
    read = 0
    for labels, tensor in zip_longest(einsum_terms(attributes, inputs), inputs, fillvalue=()):
        if isinstance(tensor, TensorType):
            sizes = dict(zip(labels, tensor.shape, strict=False))
            repeated = len(set(labels)) < len(labels) == len(tensor.shape)
            read += TensorType(tensor.dtype, tuple(sizes.values())).bytes if repeated else tensor.bytes
    return read


def _unused_cache(attributes: Attributes, tensors: Types) -> int:
    """Bytes of a cache of fixed size that hold no keys and values yet."""
    total = int(attributes["total_sequence_length"])
    return sum(
        t.bytes * max(t.shape[2] - total, 0) // t.shape[2]
        for t in tensors
        if t is not None and len(t.shape) == 4 and t.shape[2]
    )


def _generic_cost(inputs: Types, outputs: Sequence[TensorType]) -> Cost:
    """Rule 6."""
    return Cost(
        sum(t.elements for t in outputs), sum(t.bytes for t in inputs if t is not None), sum(t.bytes for t in outputs)
    )


def _own_cost(op_type: str, domain: str, attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> Cost:
    """Cost of somebody's own operator: as declared, else generic (rule 6)."""
    from nnmeter.operators.custom import declared_operator

    declared = declared_operator(op_type, domain)
    if declared is None:
        return _generic_cost(inputs, outputs)
    return Cost(*declared.cost(attributes, inputs, outputs))


def graph_cost(graph: Graph) -> Cost:
    """Cost of all operators of a graph together."""
    flops = read = written = 0
    for node in graph.nodes:
        cost = operator_cost(
            node.op_type,
            node.domain,
            node.attributes,
            [graph.types[name] if name else None for name in node.inputs],
            [graph.types[name] for name in node.outputs if name],
        )
        flops += cost.flops
        read += cost.bytes_read
        written += cost.bytes_written
    return Cost(flops, read, written)


def has_cost_rule(op_type: str, domain: str = "") -> bool:
    """Whether an operator's FLOPs follow a rule of its own (rule 6)."""
    if domain in KNOWN_DOMAINS:
        return op_type in OPERATORS
    from nnmeter.operators.custom import declared_operator

    return declared_operator(op_type, domain) is not None


def parameters(graph: Graph) -> int:
    """Number of elements in the graph's initializers that some operator reads."""
    used = {name for node in graph.nodes for name in node.inputs}
    return sum(graph.types[name].elements for name in graph.initializers if name in used)


def _taken_bytes(inputs: Types, outputs: Sequence[TensorType]) -> int:
    """What a selecting operator reads of its first input: as many elements as it returns, at their stored width."""
    source = inputs[0] if inputs else None
    bits = DTYPE_BITS[source.dtype] if source is not None else 0
    return sum(t.elements for t in outputs) * bits // 8
