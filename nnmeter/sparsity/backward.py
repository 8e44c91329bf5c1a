"""Which slices of tensors are dead, from what reads them: a rule for each operator, in the other direction.

Rules, for the slice i of an axis of an operand:

1. A slice is dead where every operator that reads it leaves it dead, and the tensor is no output of the model.
2. An operator of one element each, and a sum of operands: dead where the result is. Of a Mul, also where another
   operand is zero. An operand that is repeated along an axis is dead where all of the result is.
3. Conv, ConvTranspose, Gemm, MatMul: an input is dead where its links lead only to dead outputs. A bias is dead where
   the output is. Of a product of two computed tensors, also where the other one is zero.
4. BatchNormalization and InstanceNormalization: a channel whose scale is zero is dead. LayerNormalization and Softmax
   mix the axes that they normalize: nothing of them is dead unless all is.
5. Pools, reductions and Pad: along axes that they do not mix, dead where the result is.
6. Transpose, Reshape, Concat, Split, Slice, Gather of known indices: dead where all that became of an index is; what a
   Slice or Gather does not take is dead.
7. Where both of two operands are zero, the first is dead by the second, not each by the other: one of them has to stay
   what it is.
8. An operator that reads a shape alone (Shape, Size) depends on no element.
9. Of any other operator, an operand is dead where all results are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from nnmeter.graph.ir import Node
from nnmeter.sparsity.classes import ALONG, ELEMENTWISE, WINDOWS, mixed_axes
from nnmeter.sparsity.forward import broadcast_masks, grouped_links, product_links
from nnmeter.sparsity.slices import Axis, Mask, Slices
from nnmeter.transforms.channels.relations import Blocks, Part, Tie
from nnmeter.transforms.channels.rules import Shapes, speak
from nnmeter.transforms.draft import captured

Dead = dict[Axis, Mask]
Rule = Callable[[Node, Slices, Shapes], Dead]


def propagate_dead(nodes: Iterable[Node], outputs: Iterable[str], known: Slices, shapes: Shapes) -> None:
    """Find the dead slices of all tensors, from the last operator to the first (rule 1)."""
    returned = set(outputs)
    read: dict[str, list[Dead]] = {}
    order = list(nodes)
    written = {name for node in order for name in node.outputs if name}
    for node in reversed(order):
        for name in node.outputs:
            if name:
                _close(name, read.pop(name, []), known, name in returned)
        said = _dead_operands(node, known, shapes)
        for name in dict.fromkeys(node.inputs):
            if name:
                read.setdefault(name, []).append({key: mask for key, mask in said.items() if key[0] == name})
        for name in captured(node):
            read.setdefault(name, []).append({})
    for name, readers in read.items():
        if name not in written:
            _close(name, readers, known, name in returned)


def _close(name: str, readers: list[Dead], known: Slices, returned: bool) -> None:
    if returned or name not in known.shapes:
        return
    for axis in range(known.rank(name)):
        none = np.zeros(known.shapes[name][axis], bool)
        masks = [reader.get((name, axis), none) for reader in readers]
        mask = np.logical_and.reduce(masks) if masks else ~none
        if mask.any():
            known.dead[name, axis] = mask


def _dead_operands(node: Node, known: Slices, shapes: Shapes) -> Dead:
    results = [name for name in node.outputs if name]
    if all(known.rank(name) and known.all_dead(name) for name in results):
        return {
            (name, axis): np.ones(known.shapes[name][axis], bool)
            for name in node.inputs
            if name
            for axis in range(known.rank(name))
        }  # rule 9
    rule = RULES.get(node.op_type) if not node.domain else None
    found = {} if rule is None else rule(node, known, shapes)
    return {key: mask for key, mask in found.items() if mask.any()}


def _merge(dead: Dead, name: str, axis: int, mask: Mask) -> None:
    """What one use of an operand leaves dead; an operand that is used twice is dead where both leave it so."""
    known = dead.get((name, axis))
    dead[name, axis] = mask if known is None else known & mask


def _broadcast(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rules 2 and 7."""
    dead: Dead = {}
    result = node.outputs[0]
    operands = [name for name in node.inputs if name]
    for position, name in enumerate(operands):
        for own in range(known.rank(name)):
            axis = own + known.rank(result) - known.rank(name)
            size = known.shapes[result][axis]
            if known.shapes[name][own] != size:
                _merge(dead, name, own, np.zeros(known.shapes[name][own], bool))
                continue
            mask = known.unread(result, axis)
            if node.op_type == "Mul":
                own_zero = broadcast_masks(node, known, axis, name)[0]
                for other, beside in enumerate(operands):
                    if other != position and beside != name:
                        zero = broadcast_masks(node, known, axis, beside)[0]
                        mask = mask | (zero if position < other else zero & ~own_zero)
            _merge(dead, name, own, mask)
    return dead


def _elementwise(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 2, of the data; bounds, scales and zero points are read by all."""
    data, result = node.inputs[0], node.outputs[0]
    dead = {(data, axis): known.unread(result, axis) for axis in range(known.rank(data))}
    return {} if data in node.inputs[1:] else dead


def _convolution(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 3."""
    data, result = node.inputs[0], node.outputs[0]
    links, unread = grouped_links(node, known), known.unread(result, 1)
    dead: Dead = {(data, 1): np.asarray(~(links & ~unread[:, None]).any(0)), (data, 0): known.unread(result, 0)}
    if len(node.inputs) > 2 and node.inputs[2]:
        dead[node.inputs[2], 0] = unread
    return dead if len(set(node.inputs)) == len(node.inputs) else {}


def _gemm(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 3."""
    first, second, result = node.inputs[0], node.inputs[1], node.outputs[0]
    a, b = int(bool(node.attributes.get("transA"))), int(bool(node.attributes.get("transB")))
    unread = known.unread(result, 1)
    links = product_links(known, second, known.shapes[second][b], known.shapes[result][1])
    needed = (links & ~unread[:, None]).any(0) & ~known.zeros(second, b)
    dead: Dead = {(first, 1 - a): ~needed, (first, a): known.unread(result, 0)}
    dead[second, 1 - b] = unread
    dead[second, b] = known.zeros(first, 1 - a) & ~known.zeros(second, b)
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    if bias and known.rank(bias) and known.shapes[bias][-1] == unread.size:
        dead[bias, known.rank(bias) - 1] = unread
    return dead if len(set(node.inputs)) == len(node.inputs) else {}


def _matmul(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 3."""
    first, second, result = node.inputs[0], node.inputs[1], node.outputs[0]
    ranks, rank = (known.rank(first), known.rank(second)), known.rank(result)
    if min(ranks) < 2 or first == second:
        return {}
    unread = known.unread(result, rank - 1)
    links = product_links(known, second, known.shapes[second][-2], known.shapes[result][-1])
    dead: Dead = {
        (first, ranks[0] - 1): ~(links & ~unread[:, None]).any(0) | known.zeros(second, ranks[1] - 2),
        (first, ranks[0] - 2): known.unread(result, rank - 2),
        (second, ranks[1] - 2): known.zeros(first, ranks[0] - 1) & ~known.zeros(second, ranks[1] - 2),
        (second, ranks[1] - 1): unread,
    }
    for name, own in zip((first, second), ranks, strict=True):
        for axis in range(own - 2):
            place = rank - own + axis
            if known.shapes[name][axis] == known.shapes[result][place]:
                dead[name, axis] = known.unread(result, place)
    return dead


def _normalization(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 4."""
    data, scale, result = node.inputs[0], node.inputs[1], node.outputs[0]
    mixed = mixed_axes(node, shapes)
    dead = {(data, axis): known.unread(result, axis) for axis in range(known.rank(data)) if axis not in mixed}
    if (data, 1) in dead and node.op_type != "LayerNormalization":
        unread = dead[data, 1]
        dead[data, 1] = unread | known.zeros(scale, 0)
        for name in node.inputs[1:]:
            if name:
                dead[name, 0] = unread
    return dead if len(set(node.inputs)) == len(node.inputs) else {}


def _kept_axes(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 5."""
    data = node.inputs[0]
    mixed = mixed_axes(node, shapes)
    said = speak(node, shapes)
    dead: Dead = {}
    for relation in said.relations if said else ():
        if isinstance(relation, Tie) and relation.first[0] == data and relation.first[1] not in mixed:
            dead[relation.first] = known.unread(*relation.second)
    return dead


def _structure(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 6."""
    said = speak(node, shapes)
    dead: Dead = {}
    for relation in said.relations if said else ():
        if isinstance(relation, Tie):
            _merge(dead, *relation.first, known.unread(*relation.second))
        elif isinstance(relation, Part):
            here = slice(relation.offset, relation.offset + relation.length)
            if relation.whole[0] in node.outputs:
                _merge(dead, *relation.part, known.unread(*relation.whole)[here])
            else:
                mask = dead.setdefault(
                    relation.whole, np.ones(known.shapes[relation.whole[0]][relation.whole[1]], bool)
                )
                mask[here] &= known.unread(*relation.part)
        elif isinstance(relation, Blocks):
            _blocks(relation, known, node, dead)
    return dead


def _blocks(relation: Blocks, known: Slices, node: Node, dead: Dead) -> None:
    if relation.whole[0] in node.inputs:
        mask = np.zeros(relation.sizes, bool)
        for number, axis in enumerate(relation.factors):
            shape = [1] * len(relation.sizes)
            shape[number] = relation.sizes[number]
            mask |= known.unread(*axis).reshape(shape)
        _merge(dead, *relation.whole, mask.ravel())
        return
    whole = known.unread(*relation.whole).reshape(relation.sizes)
    for number, axis in enumerate(relation.factors):
        others = tuple(other for other in range(whole.ndim) if other != number)
        _merge(dead, *axis, np.asarray(whole.all(axis=others)))


def _gather(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 6."""
    data, indices, result = node.inputs[0], node.inputs[1], node.outputs[0]
    along = node.attributes.get("axis", 0) % known.rank(data)
    more = known.rank(indices) - 1
    dead = {
        (data, axis): known.unread(result, axis if axis < along else axis + more)
        for axis in range(known.rank(data))
        if axis != along
    }
    chosen = known.values.get(indices)
    if chosen is not None and chosen.ndim == 1:
        taken = np.zeros(known.shapes[data][along], bool)
        taken[chosen[~known.unread(result, along)]] = True
        dead[data, along] = ~taken
    return dead


def _shape_of(node: Node, known: Slices, shapes: Shapes) -> Dead:
    """Rule 8."""
    data = node.inputs[0]
    return {(data, axis): np.ones(known.shapes[data][axis], bool) for axis in range(known.rank(data))}


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys("Add Sub Mul Div Sum Mean Max Min PRelu".split(), _broadcast),
    **dict.fromkeys((WINDOWS | ALONG | {"Pad"}) - {"LayerNormalization"}, _kept_axes),
    **dict.fromkeys("Transpose Reshape Flatten Squeeze Unsqueeze Concat Split Slice".split(), _structure),
    **dict.fromkeys("BatchNormalization InstanceNormalization LayerNormalization".split(), _normalization),
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Gather": _gather,
    "Shape": _shape_of,
    "Size": _shape_of,
}
