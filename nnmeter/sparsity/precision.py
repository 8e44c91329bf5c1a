"""What precision the elements of each tensor really have, whatever type they are stored in: found in both directions.

Rules:

1. What a DequantizeLinear writes has the precision of the integers that it reads; what a Cast widens has the type from
   before.
2. A tensor that only quantizers of one scale and zero point read (or only a Cast to a narrower type) needs no more than
   their precision.
3. Operators that move elements, take the largest, or cut off what is below zero keep it, forward and backward: a
   quantizer that stood behind them could stand before them. A Concat keeps one that all operands have, forward alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nnmeter.graph.ir import DTYPE_BITS, Node, TensorType

_MOVES = frozenset(
    "Identity Reshape Flatten Squeeze Unsqueeze Transpose Slice Split Gather MaxPool Relu Expand".split()
)
_FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})


@dataclass(frozen=True, slots=True)
class Precision:
    """How the elements of a tensor can be stored without loss.

    Attributes:
        dtype: element type.
        scale: the tensor of the scale, for integers that stand for other numbers.
        zero: the tensor of their zero point; "" for none.
    """

    dtype: str
    scale: str = ""
    zero: str = ""


def find_precisions(
    nodes: Sequence[Node], types: Mapping[str, TensorType], outputs: Iterable[str]
) -> dict[str, Precision]:
    """The precision of each tensor that is narrower than its type.

    Args:
        nodes: operators, in order.
        types: of all tensors.
        outputs: what the model returns, which keeps its type.
    """
    has: dict[str, Precision] = {}
    for node in nodes:
        found = _written(node, types, has)
        if found is not None:
            has.update((name, found) for name in node.outputs if name)
    needs: dict[str, Precision] = {}
    readers: dict[str, list[Precision | None]] = {name: [None] for name in outputs}
    for node in reversed(nodes):
        _note_needs([name for name in node.outputs if name], readers, needs)
        wanted_input = _read(node, types, needs)
        for position, name in enumerate(node.inputs):
            if name:
                readers.setdefault(name, []).append(wanted_input if position == 0 else None)
    _note_needs([name for name in readers if name not in needs], readers, needs)
    return {**needs, **has}


def _note_needs(
    names: Iterable[str], readers: Mapping[str, Sequence[Precision | None]], needs: dict[str, Precision]
) -> None:
    """Rule 2: what all readers of a tensor agree on."""
    for name in names:
        wanted = set(readers.get(name, ()))
        if len(wanted) == 1:
            (found,) = wanted
            if found is not None:
                needs[name] = found


def _written(node: Node, types: Mapping[str, TensorType], has: Mapping[str, Precision]) -> Precision | None:
    """Rules 1 and 3, forward."""
    if node.domain or not node.inputs or not node.inputs[0]:
        return None
    if node.op_type == "DequantizeLinear":
        zero = node.inputs[2] if len(node.inputs) > 2 else ""
        return Precision(types[node.inputs[0]].dtype, node.inputs[1], zero)
    if node.op_type == "Cast":
        before, after = types[node.inputs[0]].dtype, types[node.outputs[0]].dtype
        if {before, after} <= _FLOATS:
            known = has.get(node.inputs[0])
            return known or (Precision(before) if DTYPE_BITS[before] < DTYPE_BITS[after] else None)
        return None
    if node.op_type in _MOVES:
        return has.get(node.inputs[0])
    if node.op_type == "Concat":
        found = {has.get(name) for name in node.inputs}
        return next(iter(found)) if len(found) == 1 else None
    return None


def _read(node: Node, types: Mapping[str, TensorType], needs: Mapping[str, Precision]) -> Precision | None:
    """Rules 2 and 3, backward: what an operator needs of its first input."""
    if node.domain or not node.inputs or not node.outputs:
        return None
    if node.op_type == "QuantizeLinear":
        return Precision(types[node.outputs[0]].dtype, node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else "")
    if node.op_type == "Cast":
        before, after = types[node.inputs[0]].dtype, types[node.outputs[0]].dtype
        narrower = {before, after} <= _FLOATS and DTYPE_BITS[after] < DTYPE_BITS[before]
        return Precision(after) if narrower else None
    if node.op_type in _MOVES:
        wanted = {needs.get(name) for name in node.outputs if name}
        return next(iter(wanted)) if len(wanted) == 1 else None
    return None
