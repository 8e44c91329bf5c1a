"""What each operator says of the axes of its tensors: one small function an operator, in one table.

A rule gives the relations of an operator and the axes that it uses up without tying them to others (`free`), as a
reduction does. An axis that a rule does not speak of cannot lose indices; an operator without a rule cannot have any of
its tensors pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nnmeter.graph.ir import Node
from nnmeter.transforms.channels.relations import Axis, Grouped, Part, Relation, Tie
from nnmeter.transforms.channels.reshaping import reshape_relations
from nnmeter.transforms.draft import Draft


@dataclass
class Spoken:
    """What a rule says: relations, and axes that may lose indices without any."""

    relations: list[Relation] = field(default_factory=list)
    free: set[Axis] = field(default_factory=set)

    def tie(self, first: Axis, second: Axis) -> None:
        """Say that two axes have the same indices."""
        self.relations.append(Tie(first, second))

    def axes(self) -> set[Axis]:
        """All axes that it speaks of."""
        return self.free | {axis for relation in self.relations for axis in relation.axes}


class Shapes:
    """Shapes and values of the tensors that a rule asks for."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def __getitem__(self, name: str) -> tuple[int, ...]:
        return self.draft.types[name].shape

    def rank(self, name: str) -> int:
        """How many axes a tensor has."""
        return len(self[name])

    def value(self, node: Node, position: int) -> list[int] | None:
        """The known whole numbers of an input; None where it is absent or not known."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        found = self.draft.known.get(name)
        return None if found is None or found.dtype.kind not in "iu" else [int(v) for v in found.ravel()]


Rule = Callable[[Node, Shapes], Spoken]


def speak(node: Node, shapes: Shapes) -> Spoken | None:
    """What an operator says of its axes; None where it has no rule."""
    rule = RULES.get(node.op_type) if not node.domain else None
    return None if rule is None else rule(node, shapes)


def _same(node: Node, shapes: Shapes) -> Spoken:
    """Every axis of the first input is that of the outputs of its rank."""
    said = Spoken()
    name = node.inputs[0]
    for output in node.outputs:
        if output and shapes.rank(output) == shapes.rank(name):
            for axis, (before, after) in enumerate(zip(shapes[name], shapes[output], strict=True)):
                if before == after:
                    said.tie((name, axis), (output, axis))
    return said


def _broadcast(node: Node, shapes: Shapes) -> Spoken:
    """Axes are tied from the last on; one of size 1 is repeated and has nothing to lose."""
    said = Spoken()
    for name in node.inputs:
        if name:
            _tie_last(said, name, node.outputs[0], shapes)
    return said


def _expand(node: Node, shapes: Shapes) -> Spoken:
    said = Spoken()
    _tie_last(said, node.inputs[0], node.outputs[0], shapes)
    return said


def _tie_last(said: Spoken, source: str, result: str, shapes: Shapes) -> None:
    """Axes of equal size, counted from the last one."""
    shift = shapes.rank(result) - shapes.rank(source)
    for axis, size in enumerate(shapes[source]):
        if size == shapes[result][axis + shift]:
            said.tie((source, axis), (result, axis + shift))


def _convolution(node: Node, shapes: Shapes) -> Spoken:
    said = Spoken()
    data, weight, result = node.inputs[0], node.inputs[1], node.outputs[0]
    groups = node.attributes.get("group", 1)
    said.tie((data, 0), (result, 0))
    turned = node.op_type == "ConvTranspose"
    if groups == 1:
        said.tie((weight, 1 if turned else 0), (result, 1))
        said.tie((data, 1), (weight, 0 if turned else 1))
    elif turned:
        return said
    else:
        said.tie((weight, 0), (result, 1))
        channels, written = shapes[data][1], shapes[result][1]
        grouped = Grouped((data, 1), (weight, 1), (result, 1), groups, channels // groups, written // groups)
        said.relations.append(grouped)
    if len(node.inputs) > 2 and node.inputs[2]:
        said.tie((node.inputs[2], 0), (result, 1))
    return said


def _gemm(node: Node, shapes: Shapes) -> Spoken:
    said = Spoken()
    first, second, result = node.inputs[0], node.inputs[1], node.outputs[0]
    a, b = int(bool(node.attributes.get("transA"))), int(bool(node.attributes.get("transB")))
    said.tie((first, a), (result, 0))
    said.tie((first, 1 - a), (second, b))
    said.tie((second, 1 - b), (result, 1))
    if len(node.inputs) > 2 and node.inputs[2]:
        _tie_last(said, node.inputs[2], result, shapes)
    return said


def _product(node: Node, shapes: Shapes) -> Spoken:
    said = Spoken()
    first, second, result = node.inputs[0], node.inputs[1], node.outputs[0]
    ranks, rank = (shapes.rank(first), shapes.rank(second)), shapes.rank(result)
    said.tie((first, ranks[0] - 1), (second, max(ranks[1] - 2, 0)))
    if ranks[0] > 1:
        said.tie((first, ranks[0] - 2), (result, rank - (2 if ranks[1] > 1 else 1)))
    if ranks[1] > 1:
        said.tie((second, ranks[1] - 1), (result, rank - 1))
    for name, own in zip((first, second), ranks, strict=True):
        for axis in range(own - 2):
            place = rank - own + axis
            if shapes[name][axis] == shapes[result][place]:
                said.tie((name, axis), (result, place))
    return said


def _normalization(node: Node, shapes: Shapes) -> Spoken:
    """Parameters of one axis: a value a channel."""
    said = _same(node, shapes)
    for name in node.inputs[1:]:
        if name and shapes.rank(name) == 1:
            said.tie((name, 0), (node.inputs[0], 1))
    return said


def _layer_normalization(node: Node, shapes: Shapes) -> Spoken:
    said = _same(node, shapes)
    rank = shapes.rank(node.inputs[0])
    for name in node.inputs[1:]:
        if name:
            shift = rank - shapes.rank(name)
            for axis, size in enumerate(shapes[name]):
                if size == shapes[node.inputs[0]][axis + shift]:
                    said.tie((name, axis), (node.inputs[0], axis + shift))
    return said


def _transpose(node: Node, shapes: Shapes) -> Spoken:
    said = Spoken()
    rank = shapes.rank(node.inputs[0])
    for axis, source in enumerate(node.attributes.get("perm") or range(rank - 1, -1, -1)):
        said.tie((node.inputs[0], source), (node.outputs[0], axis))
    return said


def _reshape(node: Node, shapes: Shapes) -> Spoken:
    data, result = node.inputs[0], node.outputs[0]
    return Spoken(reshape_relations(data, shapes[data], result, shapes[result]))


def _concat(node: Node, shapes: Shapes) -> Spoken:
    result = node.outputs[0]
    rank = shapes.rank(result)
    along = node.attributes.get("axis", 1) % rank
    said = Spoken()
    offset = 0
    for name in node.inputs:
        length = shapes[name][along]
        said.relations.append(Part((result, along), (name, along), offset, length))
        offset += length
        for axis in range(rank):
            if axis != along:
                said.tie((name, axis), (result, axis))
    return said


def _split(node: Node, shapes: Shapes) -> Spoken:
    data = node.inputs[0]
    rank = shapes.rank(data)
    along = node.attributes.get("axis", 0) % rank
    said = Spoken()
    offset = 0
    for name in node.outputs:
        length = shapes[name][along] if name else 0
        if name:
            said.relations.append(Part((data, along), (name, along), offset, length))
            for axis in range(rank):
                if axis != along:
                    said.tie((data, axis), (name, axis))
        offset += length
    return said


def sliced(node: Node, shapes: Shapes) -> dict[int, tuple[int, int, int]] | None:
    """Start, end and step of each axis that a Slice cuts; None where they are not known."""
    data = node.inputs[0]
    attributes = node.attributes
    starts = attributes.get("starts") or shapes.value(node, 1)
    ends = attributes.get("ends") or shapes.value(node, 2)
    if starts is None or ends is None:
        return None
    axes = attributes.get("axes") or shapes.value(node, 3) or list(range(len(starts)))
    steps = shapes.value(node, 4) or [1] * len(starts)
    found = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= shapes.rank(data)
        found[axis] = slice(start, end, step).indices(shapes[data][axis])
    return found


def _slice(node: Node, shapes: Shapes) -> Spoken:
    data, result = node.inputs[0], node.outputs[0]
    cuts = sliced(node, shapes)
    said = Spoken()
    if cuts is None:
        return said
    for axis, size in enumerate(shapes[data]):
        start, _, step = cuts.get(axis, (0, size, 1))
        if step == 1 and shapes[result][axis] == size:
            said.tie((data, axis), (result, axis))
        elif step == 1:
            said.relations.append(Part((data, axis), (result, axis), start, shapes[result][axis]))
    return said


def _gather(node: Node, shapes: Shapes) -> Spoken:
    data, indices, result = node.inputs[0], node.inputs[1], node.outputs[0]
    along = node.attributes.get("axis", 0) % shapes.rank(data)
    more = shapes.rank(indices) - 1
    said = Spoken()
    for axis in range(shapes.rank(data)):
        if axis != along:
            said.tie((data, axis), (result, axis if axis < along else axis + more))
    for axis in range(shapes.rank(indices)):
        said.tie((indices, axis), (result, along + axis))
    return said


def _reduction(node: Node, shapes: Shapes) -> Spoken:
    """Axes that are reduced are used up; the others are kept."""
    data, result = node.inputs[0], node.outputs[0]
    rank = shapes.rank(data)
    if node.op_type in ("ArgMax", "ArgMin"):
        axes: list[int] | None = [node.attributes.get("axis", 0)]
    else:
        axes = node.attributes.get("axes") or shapes.value(node, 1)
    reduced = set(range(rank)) if axes is None else {axis % rank for axis in axes}
    said = Spoken(free={(data, axis) for axis in reduced})
    keeps = node.attributes.get("keepdims", 1)
    place = 0
    for axis in range(rank):
        if axis not in reduced:
            said.tie((data, axis), (result, axis if keeps else place))
            place += 1
    return said


def _shape_of(node: Node, shapes: Shapes) -> Spoken:
    return Spoken(free={(node.inputs[0], axis) for axis in range(shapes.rank(node.inputs[0]))})


def _einsum(node: Node, shapes: Shapes) -> Spoken:
    said = Spoken()
    equation = str(node.attributes.get("equation", "")).replace(" ", "")
    if "." in equation or "->" not in equation:
        return said
    left, _, right = equation.partition("->")
    terms = [*left.split(","), right]
    first: dict[str, Axis] = {}
    for letters, name in zip(terms, (*node.inputs, node.outputs[0]), strict=True):
        for axis, letter in enumerate(letters):
            if letter in first:
                said.tie(first[letter], (name, axis))
            else:
                first[letter] = (name, axis)
                said.free.add((name, axis))
    return said


def _quantization(node: Node, shapes: Shapes) -> Spoken:
    said = _same(node, shapes)
    along = node.attributes.get("axis", 1)
    for name in node.inputs[1:]:
        if name and shapes.rank(name) == 1 and shapes[name][0] > 1:
            said.tie((name, 0), (node.inputs[0], along % shapes.rank(node.inputs[0])))
    return said


ELEMENTWISE = (
    "Add Sub Mul Div Pow Min Max Mean Sum Where Mod PRelu Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor "
    "Not IsNaN IsInf Abs Neg Exp Log Sqrt Reciprocal Floor Ceil Round Sign Erf Sin Cos Tanh Sigmoid Relu"
).split()
_SAME = (
    "LeakyRelu Elu Selu Celu HardSigmoid HardSwish Mish Gelu Softplus Softsign ThresholdedRelu Swish Clip Cast "
    "Identity Dropout Softmax LogSoftmax Hardmax MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool "
    "GlobalLpPool LRN Pad Resize Upsample CumSum LpNormalization"
)
_REDUCTIONS = (
    "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSumExp ReduceLogSum "
    "ReduceSumSquare ArgMax ArgMin"
)

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, _broadcast),
    **dict.fromkeys(_SAME.split(), _same),
    **dict.fromkeys(_REDUCTIONS.split(), _reduction),
    "BatchNormalization": _normalization,
    "Concat": _concat,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "DequantizeLinear": _quantization,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "Gemm": _gemm,
    "InstanceNormalization": _normalization,
    "LayerNormalization": _layer_normalization,
    "MatMul": _product,
    "QuantizeLinear": _quantization,
    "RMSNormalization": _layer_normalization,
    "Reshape": _reshape,
    "Shape": _shape_of,
    "SimplifiedLayerNormalization": _layer_normalization,
    "Size": _shape_of,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
