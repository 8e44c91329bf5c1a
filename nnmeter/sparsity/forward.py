"""Which slices of results are zero or constant, from those of the data and the weights: a rule for each operator.

Rules, for the slice i of an axis of the result; a slice of an axis that an operand is repeated along stands for all of
that operand:

1. An operator of one element each: constant where its data is; zero where its data is and f(0) = 0.
2. Add, Sub, Sum, Mean, Max, Min: zero (constant) where all operands are. Mul: zero where one operand is, constant where
   all are. Div: zero where the numerator is and the denominators are known not to be; constant where both are. PRelu is
   as rule 1.
3. Conv, ConvTranspose, Gemm, MatMul, along their outputs: an output whose links lead only to zero inputs is its bias,
   zero without one; constant, too, where they lead to constant inputs, but not from a padded window, whose border reads
   zeros. Along rows and batch: zero where the data is, if there is no bias.
4. BatchNormalization: constant where its data is, or its scale is zero; zero where what it gives then is known to be.
   Instance- and LayerNormalization: an index whose scale is zero is its bias.
5. Pools: batch and channels as rule 1, constant only without padding. Sums along other axes: the same.
6. Transpose, Reshape, Concat, Split, Slice: what becomes of the indices. Of an axis made of several, an index is zero
   where one of its parts is; of several made of one, where all that it is made of are. Constants are kept where an axis
   stays one.
7. Gather along an axis that it does not choose from, Expand, Pad with zeros, Resize of batch and channels: as rule 1.
8. Of any other operator nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nnmeter.graph.ir import Node
from nnmeter.sparsity.classes import BROADCAST, ELEMENTWISE, KEEPS_ZERO, SUMS, WINDOWS, is_padded, mixed_axes
from nnmeter.sparsity.slices import Mask, Slices, add
from nnmeter.transforms.channels.relations import Blocks, Part, Tie
from nnmeter.transforms.channels.rules import Shapes, speak

Rule = Callable[[Node, Slices, Shapes], None]


def propagate_zeros(node: Node, known: Slices, shapes: Shapes) -> None:
    """Add what is known of the results of an operator."""
    rule = RULES.get(node.op_type) if not node.domain else None
    if rule is not None:
        rule(node, known, shapes)


def _same_axis(node: Node, known: Slices, source: str, axis: int, place: int, zero: bool, constant: bool) -> None:
    result = node.outputs[0]
    if zero:
        add(known.zero, result, place, known.zeros(source, axis))
    if constant:
        add(known.constant, result, place, known.constants(source, axis))


def _elementwise(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 1; of a Clip, zero stays where it is within the bounds. Scales may differ along one axis."""
    source = node.inputs[0]
    zero = node.op_type in KEEPS_ZERO or (node.op_type == "Clip" and _clips_zero_to_itself(node, known))
    scaled = None
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and known.rank(node.inputs[1]):
        scaled = node.attributes.get("axis", 1) % max(known.rank(source), 1)
    for axis in range(known.rank(source)):
        _same_axis(node, known, source, axis, axis, zero, scaled is None or scaled == axis)


def _clips_zero_to_itself(node: Node, known: Slices) -> bool:
    bounds = []
    for position, attribute, otherwise in ((1, "min", -np.inf), (2, "max", np.inf)):
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name and name not in known.values:
            return False
        bounds.append(
            float(known.values[name].ravel()[0]) if name else float(node.attributes.get(attribute, otherwise))
        )
    return bounds[0] <= 0 <= bounds[1]


def broadcast_masks(node: Node, known: Slices, axis: int, operand: str) -> tuple[Mask, Mask]:
    """Which indices of an axis of the result read zero, and which a constant, of one operand (rule 2)."""
    result = node.outputs[0]
    size = known.shapes[result][axis]
    own = axis - (known.rank(result) - known.rank(operand))
    if own >= 0 and known.shapes[operand][own] == size and size > 1:
        return known.zeros(operand, own), known.constants(operand, own)
    zero = known.all_zero(operand)
    elements = int(np.prod(known.shapes[operand], dtype=np.int64))
    constant = zero or (elements == 1 and all(known.constants(operand, a).all() for a in range(known.rank(operand)))
                        and (known.rank(operand) > 0 or operand in known.values))  # fmt: skip
    return np.full(size, zero), np.full(size, constant)


def _broadcast(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 2."""
    result = node.outputs[0]
    operands = [name for name in node.inputs if name]
    for axis in range(known.rank(result)):
        masks = [broadcast_masks(node, known, axis, name) for name in operands]
        zeros, constants = [zero for zero, _ in masks], [constant for _, constant in masks]
        if node.op_type == "Mul":
            zero = np.logical_or.reduce(zeros)
        elif node.op_type in ("Div", "PRelu"):
            zero = zeros[0] if node.op_type == "PRelu" or _never_zero(known, operands[1]) else np.zeros_like(zeros[0])
        else:
            zero = np.logical_and.reduce(zeros)
        add(known.zero, result, axis, zero)
        add(known.constant, result, axis, np.logical_and.reduce(constants))


def _never_zero(known: Slices, name: str) -> bool:
    return name in known.values and bool((known.values[name] != 0).all())


def _bias(node: Node, known: Slices, position: int, count: int) -> tuple[Mask, Mask]:
    """Where the bias of an operator is zero, and where it is one number for each output."""
    name = node.inputs[position] if position < len(node.inputs) else ""
    if not name:
        return np.ones(count, bool), np.ones(count, bool)
    rank = known.rank(name)
    if not rank or known.shapes[name][-1] != count or np.prod(known.shapes[name][:-1], dtype=np.int64) != 1:
        whole = known.all_zero(name)
        return np.full(count, whole), np.full(count, whole)
    return known.zeros(name, rank - 1), known.constants(name, rank - 1)


def _convolution(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 3."""
    data, weight, result = node.inputs[0], node.inputs[1], node.outputs[0]
    outputs = known.shapes[result][1]
    links = grouped_links(node, known)
    no_bias, even_bias = _bias(node, known, 2, outputs)
    zero, constant = known.zeros(data, 1), known.constants(data, 1)
    no_weight = known.zeros(weight, 0 if node.op_type == "Conv" else 1)
    if node.op_type == "ConvTranspose":
        no_weight = np.tile(no_weight, node.attributes.get("group", 1))
    silent = ~(links & ~zero).any(1) | no_weight
    add(known.zero, result, 1, silent & no_bias)
    even = ~(links & ~constant).any(1) if node.op_type == "Conv" and not is_padded(node) else silent
    add(known.constant, result, 1, (silent | even) & even_bias)
    if no_bias.all():
        add(known.zero, result, 0, known.zeros(data, 0))


def grouped_links(node: Node, known: Slices) -> Mask:
    """The links of a convolution, outputs by all of its inputs."""
    data, weight, result = node.inputs[0], node.inputs[1], node.outputs[0]
    groups = node.attributes.get("group", 1)
    inputs, outputs = known.shapes[data][1], known.shapes[result][1]
    links = known.links.get(weight)
    if links is None or links.shape != (outputs, inputs // groups):
        links = np.ones((outputs, inputs // groups), bool)
    if groups == 1:
        return links
    whole = np.zeros((outputs, inputs), bool)
    inner, outer = inputs // groups, outputs // groups
    for group in range(groups):
        rows = slice(group * outer, (group + 1) * outer)
        whole[rows, group * inner : (group + 1) * inner] = links[rows]
    return whole


def _gemm(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 3."""
    first, second, result = node.inputs[0], node.inputs[1], node.outputs[0]
    a, b = int(bool(node.attributes.get("transA"))), int(bool(node.attributes.get("transB")))
    outputs = known.shapes[result][1]
    no_bias, even_bias = _bias(node, known, 2, outputs)
    links = product_links(known, second, known.shapes[second][b], outputs)
    zero, constant = known.zeros(first, 1 - a), known.constants(first, 1 - a)
    _product_outputs(known, result, links, zero, constant, no_bias, even_bias, second, 1 - b)
    if no_bias.all():
        add(known.zero, result, 0, known.zeros(first, a))


def _matmul(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 3."""
    first, second, result = node.inputs[0], node.inputs[1], node.outputs[0]
    ranks, rank = (known.rank(first), known.rank(second)), known.rank(result)
    if min(ranks) < 2:
        return
    outputs, summed = known.shapes[result][-1], known.shapes[second][-2]
    none = np.ones(outputs, bool)
    links = product_links(known, second, summed, outputs)
    zero, constant = known.zeros(first, ranks[0] - 1), known.constants(first, ranks[0] - 1)
    zero = zero | known.zeros(second, ranks[1] - 2)
    even = constant if second in known.links else zero  # a computed factor is no number
    _product_outputs(known, result, links, zero, even | zero, none, none, second, ranks[1] - 1)
    rows = known.zeros(first, ranks[0] - 2)
    add(known.zero, result, rank - 2, rows | np.full(rows.size, bool(zero.all())))
    for place in range(rank - 2):
        masks = []
        for name, own in zip((first, second), ranks, strict=True):
            axis = place - (rank - own)
            if axis >= 0 and known.shapes[name][axis] == known.shapes[result][place]:
                masks.append(known.zeros(name, axis))
        if masks:
            add(known.zero, result, place, np.logical_or.reduce(masks))


def product_links(known: Slices, weight: str, inputs: int, outputs: int) -> Mask:
    """The links of a product with a matrix, outputs by inputs."""
    links = known.links.get(weight)
    if links is None or links.shape != (outputs, inputs):
        return np.ones((outputs, inputs), bool)
    return links


def _product_outputs(
    known: Slices, result: str, links: Mask, zero: Mask, constant: Mask, no_bias: Mask, even_bias: Mask,
    weight: str, outputs_axis: int,
) -> None:  # fmt: skip
    last = known.rank(result) - 1
    silent = ~(links & ~zero).any(1) | known.zeros(weight, outputs_axis)
    add(known.zero, result, last, silent & no_bias)
    add(known.constant, result, last, (silent | ~(links & ~constant).any(1)) & even_bias)


def _batch_normalization(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 4."""
    data, scale, offset, mean, variance = node.inputs[:5]
    if node.attributes.get("training_mode"):
        return
    no_scale = known.zeros(scale, 0)
    add(known.constant, node.outputs[0], 1, known.constants(data, 1) | no_scale)
    add(known.zero, node.outputs[0], 1, no_scale & known.zeros(offset, 0))
    if all(name in known.values for name in (scale, offset, mean, variance)):
        values = [known.values[name].astype(np.float64) for name in (scale, offset, mean, variance)]
        spread = np.sqrt(values[3] + node.attributes.get("epsilon", 1e-5))
        add(known.zero, node.outputs[0], 1, known.zeros(data, 1) & (values[1] - values[2] * values[0] / spread == 0))


def _scaled(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 4: an index of a Layer- or InstanceNormalization whose scale is zero."""
    scale, result = node.inputs[1], node.outputs[0]
    if known.rank(scale) != 1:
        return
    axis = 1 if node.op_type == "InstanceNormalization" else known.rank(result) - 1
    if known.shapes[scale][0] != known.shapes[result][axis]:
        return
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    no_scale = known.zeros(scale, 0)
    no_bias = known.zeros(bias, 0) if bias else np.ones(no_scale.size, bool)
    add(known.zero, result, axis, no_scale & no_bias)
    add(known.constant, result, axis, no_scale)


def _kept_axes(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 5: axes along which nothing is mixed."""
    data = node.inputs[0]
    mixed = mixed_axes(node, shapes)
    constant = node.op_type in SUMS or not is_padded(node)
    if node.op_type == "Pad":
        mode = node.attributes.get("mode", "constant")
        value = node.inputs[2] if len(node.inputs) > 2 else ""
        if mode == "constant" and value and not (value in known.values and not known.values[value].any()):
            return
        constant = not mixed or mode != "constant"
    said = speak(node, shapes)
    for relation in said.relations if said else ():
        if isinstance(relation, Tie) and relation.first[0] == data and relation.first[1] not in mixed:
            _same_axis(node, known, data, relation.first[1], relation.second[1], True, constant)


def _structure(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 6."""
    said = speak(node, shapes)
    along = dict.fromkeys(relation.whole for relation in said.relations if isinstance(relation, Part)) if said else {}
    tied: dict[tuple[str, int], list[tuple[Mask, Mask]]] = {}
    pieces: dict[tuple[str, int], tuple[Mask, Mask]] = {}
    results = set(node.outputs)
    for relation in said.relations if said else ():
        if isinstance(relation, Tie):
            tied.setdefault(relation.second, []).append(
                (known.zeros(*relation.first), known.constants(*relation.first))
            )
        elif isinstance(relation, Part):
            here = slice(relation.offset, relation.offset + relation.length)
            if relation.whole[0] in results:
                size = known.shapes[relation.whole[0]][relation.whole[1]]
                whole = pieces.setdefault(relation.whole, (np.zeros(size, bool), np.zeros(size, bool)))
                whole[0][here] = known.zeros(*relation.part)
                whole[1][here] = known.constants(*relation.part)
            else:
                pieces[relation.part] = (known.zeros(*relation.whole)[here], known.constants(*relation.whole)[here])
        elif isinstance(relation, Blocks):
            _blocks(relation, known, results)
    for axis, masks in tied.items():
        add(known.zero, *axis, np.logical_and.reduce([zero for zero, _ in masks]))
        if node.op_type != "Concat" or len(masks) == 1 or axis in along:
            add(known.constant, *axis, np.logical_and.reduce([constant for _, constant in masks]))
    for axis, (zero, constant) in pieces.items():
        add(known.zero, *axis, zero)
        add(known.constant, *axis, constant)


def _blocks(relation: Blocks, known: Slices, results: set[str]) -> None:
    if relation.whole[0] in results:
        for number, axis in enumerate(relation.factors):
            shape = [1] * len(relation.sizes)
            shape[number] = relation.sizes[number]
            for masks, mask in ((known.zero, known.zeros(*axis)), (known.constant, known.constants(*axis))):
                add(masks, *relation.whole, np.broadcast_to(mask.reshape(shape), relation.sizes).ravel())
        return
    whole = known.zeros(*relation.whole).reshape(relation.sizes)
    for number, axis in enumerate(relation.factors):
        others = tuple(other for other in range(whole.ndim) if other != number)
        add(known.zero, *axis, np.asarray(whole.all(axis=others)))


def _gather(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 7."""
    data, indices, result = node.inputs[0], node.inputs[1], node.outputs[0]
    along = node.attributes.get("axis", 0) % known.rank(data)
    more = known.rank(indices) - 1
    for axis in range(known.rank(data)):
        if axis != along:
            _same_axis(node, known, data, axis, axis if axis < along else axis + more, True, True)
    chosen = known.values.get(indices)
    if chosen is not None and chosen.ndim == 1 and chosen.size:
        add(known.zero, result, along, known.zeros(data, along)[chosen])
        add(known.constant, result, along, known.constants(data, along)[chosen])


def _expand(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 7."""
    for axis in range(known.rank(node.outputs[0])):
        zero, constant = broadcast_masks(node, known, axis, node.inputs[0])
        add(known.zero, node.outputs[0], axis, zero)
        add(known.constant, node.outputs[0], axis, constant)


def _resize(node: Node, known: Slices, shapes: Shapes) -> None:
    """Rule 7."""
    data, result = node.inputs[0], node.outputs[0]
    if node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return
    for axis in range(min(2, known.rank(data))):
        if known.shapes[data][axis] == known.shapes[result][axis]:
            _same_axis(node, known, data, axis, axis, True, True)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(BROADCAST, _broadcast),
    **dict.fromkeys(WINDOWS | SUMS | {"Pad"}, _kept_axes),
    **dict.fromkeys("Transpose Reshape Flatten Squeeze Unsqueeze Concat Split Slice".split(), _structure),
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _scaled,
    "LayerNormalization": _scaled,
    "Gather": _gather,
    "Expand": _expand,
    "Resize": _resize,
}
