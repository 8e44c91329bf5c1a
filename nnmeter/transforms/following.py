"""Follows other sizes of inputs through a model that fixes them: what operators state, and what constants hold.

Rules:

1. Operators are inferred in order with the new types. What an operator states of a size that its data had (`Reshape`,
   `Expand`, `Resize`, `Slice`, `Split`) is stated anew, in the same proportion. A pooling window that was as large as
   the whole picture is so again.
2. Where tensors must agree (element-wise operators, products, `Concat`, states of recurrent layers) and one has the new
   size and another the old, the other is brought to the new one: back to what states it, or to a constant, as a table
   of positions, a mask or a class token.
3. A weight is no such constant: what a product sums over stays. A size that no rule reaches is refused by the binding
   of the new model, as is one that does not divide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod

import numpy as np

from nnmeter.binding.inference import Inference
from nnmeter.errors import NnmeterError
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import UnboundGraph
from nnmeter.transforms.channels.relations import Tie
from nnmeter.transforms.channels.rules import ELEMENTWISE, Shapes, speak
from nnmeter.transforms.draft import Array, Draft, captured
from nnmeter.transforms.faults import TransformError

_MOST_PASSES = 500  # each brings at least one constant or statement to its new size


class _Again(Exception):
    """Something that stands before was changed: infer once more."""


def follow_sizes(draft: Draft, what: str, batch: bool = False) -> None:
    """Bring what a draft states to the sizes of its new inputs.

    Args:
        draft: the model, whose types are those of before and whose inputs are declared with the new sizes.
        what: the new sizes, for errors.
        batch: whether it is the batch that has another size, which goes ahead of axes that it is joined with.

    Raises:
        TransformError: a size does not follow; the message says where.
    """
    follower = _Follower(draft, what, batch)
    for _ in range(_MOST_PASSES):
        try:
            follower.run()
            return
        except _Again:
            continue
    raise follower.refusal("its sizes depend on each other")


class _Follower:
    """One change of sizes."""

    def __init__(self, draft: Draft, what: str, batch: bool) -> None:
        self.draft = draft
        self.what = what
        self.batch = batch
        self.shapes = Shapes(draft)
        self.writers = draft.writers()
        self.inputs = {d.name for d in draft.inputs}
        self.types: dict[str, TensorType] = {}
        self.own: set[tuple[str, int]] = set()  # statements that were made anew: a node and the number of its input

    def refusal(self, why: str) -> TransformError:
        """The error that says why."""
        why = why.removeprefix(f"{self.draft.source}: ")
        return TransformError(
            f"{self.draft.source}: does not take {self.what}, for its file fixes the size elsewhere ({why}); export it "
            "at that size, or with free dimensions"
        )

    def run(self) -> None:
        """Infer all operators once (rule 1); raises `_Again` where something before them was changed (rule 2)."""
        draft = self.draft
        self.types = dict(draft.constants)
        for declared in draft.inputs:
            kind = declared.static or draft.types.get(declared.name)
            if kind is not None:
                self.types[declared.name] = kind
        inference = Inference(draft.source, draft.opsets, {})
        known: dict[str, Array] = {}
        for node in draft.nodes:
            if self._changed(node):
                self._agree(node)
                state = _STATED.get(node.op_type) if not node.domain else None
                if state is not None:
                    state(self, node)
            known.update((name, draft.values[name]) for name in node.inputs if name in draft.values)
            needed = [name for name in (*node.inputs, *captured(node)) if name]
            graph = UnboundGraph("", [node], (), ())
            types = {name: self.types[name] for name in needed if name in self.types}
            values = {name: known[name] for name in needed if name in known}
            try:
                bound = inference.run(graph, types, values=values)
            except NnmeterError as fault:
                raise self.refusal(str(fault)) from fault
            self.types.update((name, bound.types[name]) for name in node.outputs if name)
            known.update((name, bound.values[name]) for name in node.outputs if name in bound.values)

    def _changed(self, node: Node) -> bool:
        return any(name and self.types.get(name) != self.draft.types.get(name) for name in node.inputs)

    def sizes(self, name: str) -> Iterator[tuple[int, int, int]]:
        """Axes of a tensor that have another size: number, size before, size now."""
        before, now = self.shapes[name], self.types[name].shape
        if len(before) == len(now):
            yield from ((axis, a, b) for axis, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)

    # Rule 2.

    def _agree(self, node: Node) -> None:
        for places in _agreeing(node, self.shapes):
            now = {self.types[name].shape[axis] for name, axis in places if self._is_new(name, axis)}
            if len(now) != 1:
                continue
            (size,) = now
            behind = [(name, axis) for name, axis in places if self.types[name].shape[axis] != size]
            for name, axis in behind:
                self.bring(name, axis, size, node)
            if behind:
                raise _Again

    def _is_new(self, name: str, axis: int) -> bool:
        return self.types[name].shape[axis] != self.shapes[name][axis]

    def bring(self, name: str, axis: int, size: int, reader: Node) -> None:
        """Give an axis of a tensor another size, where it comes from."""
        draft = self.draft
        if name in draft.constants:
            shared = [node for node in draft.nodes if name in node.inputs and node is not reader]
            if shared and not self._goes_with(shared, name, axis):
                new = draft.fresh(f"{name}_resized")
                draft.constants[new] = draft.types[new] = draft.constants[name]
                if name in draft.values:
                    draft.values[new] = draft.known[new] = draft.values[name]
                reader.inputs = tuple([new if tensor == name else tensor for tensor in reader.inputs])
                name = new
            _resize_constant(draft, name, axis, size)
            return
        node = self.writers.get(name)
        if node is None:
            raise self.refusal(f"'{reader.name}' ({reader.op_type}) reads input '{name}', which keeps its size")
        bring = _BROUGHT.get(node.op_type) if not node.domain else None
        if bring is not None and bring(self, node, axis, size):
            return
        said = speak(node, self.shapes)
        found = False
        for relation in said.relations if said is not None else ():
            if isinstance(relation, Tie) and (name, axis) in relation.axes:
                other = relation.first if relation.second == (name, axis) else relation.second
                if other[0] in node.inputs and self.types[other[0]].shape[other[1]] != size:
                    self.bring(*other, size, node)
                    found = True
        if not found:
            raise self.refusal(f"'{node.name}' ({node.op_type}) fixes axis {axis} of '{name}'")

    def _goes_with(self, readers: Sequence[Node], name: str, axis: int) -> bool:
        """Whether all other readers of a constant tie its axis to a tensor with a new size, as this one does."""
        for node in readers:
            places = [group for group in _agreeing(node, self.shapes) if (name, axis) in group]
            if not any(other != name and other in self.types and self._is_new(other, a)
                       for group in places for other, a in group):  # fmt: skip
                return False
        return True

    def state(self, node: Node, position: int, values: Sequence[int]) -> None:
        """Let an input of an operator be a constant of its own with these values."""
        draft, name = self.draft, node.inputs[position]
        if draft.values[name].ravel().tolist() == list(values):
            return
        dtype = draft.constants[name].dtype
        shape = draft.constants[name].shape
        new = draft.constant(f"{node.name}_input_{position}", np.reshape(list(values), shape), dtype)
        self.types[new] = draft.constants[new]
        node.inputs = (*node.inputs[:position], new, *node.inputs[position + 1 :])
        self.own.add((node.name, position))

    def stated(self, node: Node, position: int) -> list[int] | None:
        """The whole numbers of an input that the file stores."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        found = self.draft.values.get(name) if name in self.draft.constants else None
        return None if found is None or found.dtype.kind not in "iu" else [int(v) for v in found.ravel()]


def _resize_constant(draft: Draft, name: str, axis: int, size: int) -> None:
    """A constant with another size; further elements of a known one repeat its last."""
    kind = draft.constants[name]
    shape = tuple(size if at == axis else n for at, n in enumerate(kind.shape))
    draft.constants[name] = TensorType(kind.dtype, shape)
    value = draft.values.pop(name, None)
    if value is not None and value.shape[axis]:
        draft.values[name] = np.take(value, np.minimum(np.arange(size), value.shape[axis] - 1), axis)


def _agreeing(node: Node, shapes: Shapes) -> Iterator[list[tuple[str, int]]]:
    """Axes of an operator's inputs that must have one size."""
    if node.domain:
        return
    names = [name for name in node.inputs if name and name in shapes.draft.types]
    if node.op_type in ELEMENTWISE or node.op_type == "MatMul":
        least = 3 if node.op_type == "MatMul" else 1
        for back in range(least, max([shapes.rank(name) for name in names], default=0) + 1):
            there = [(name, shapes.rank(name) - back) for name in names if shapes.rank(name) >= back]
            full = max(shapes[name][axis] for name, axis in there)
            if full > 1:  # of size 1, others are repeated
                yield [(name, axis) for name, axis in there if shapes[name][axis] == full]
    elif node.op_type == "Concat" and names:
        along = node.attributes.get("axis", 1) % max(shapes.rank(names[0]), 1)
        for axis in range(shapes.rank(names[0])):
            if axis != along:
                yield [(name, axis) for name in names]
    elif node.op_type in ("LSTM", "GRU", "RNN"):
        axes = {0: 1, 4: 0, 5: 1, 6: 1} if not node.attributes.get("layout") else {0: 0, 4: 0, 5: 0, 6: 0}
        yield [(node.inputs[at], axis) for at, axis in axes.items() if at < len(node.inputs) and node.inputs[at]]


# Rule 1: what operators state.


def _reshape(follower: _Follower, node: Node) -> None:
    stated = follower.stated(node, 1)
    if stated is None or (node.name, 1) in follower.own:
        return
    data, result = node.inputs[0], node.outputs[0]
    before, after = follower.shapes[data], follower.shapes[result]
    grown: dict[int, Fraction] = {}
    for axis, old, new in follower.sizes(data):
        place = _place(axis, before, after, follower.batch)
        if place is None or not old:
            raise follower.refusal(f"'{node.name}' (Reshape) mixes axis {axis} of '{data}' with other sizes")
        grown[place] = grown.get(place, Fraction(after[place])) * Fraction(new, old)
    wanted = list(stated)
    for place, size in grown.items():
        if size.denominator != 1:
            raise follower.refusal(
                f"'{node.name}' (Reshape) cuts {'x'.join(map(str, follower.types[data].shape))} into parts that do "
                "not divide it"
            )
        if stated[place] > 0:
            wanted[place] = int(size)
    follower.state(node, 1, wanted)


def _place(axis: int, before: Sequence[int], after: Sequence[int], batch: bool) -> int | None:
    """The axis of a Reshape's result in which an axis of its data is, or the first of its parts.

    A batch of 1 leaves no trace in a size, so that a batch goes to the first axis that it can be in.
    """
    ahead = prod(before[:axis])
    starts = [place for place in range(len(after)) if prod(after[:place]) == ahead]
    if before[axis] > 1 and not batch:
        starts = [place for place in starts if after[place] > 1]
    elif axis in starts and not batch:
        return axis
    within = (p for p in range(len(after)) if prod(after[:p]) <= ahead < prod(after[: p + 1]))
    return starts[0] if starts else next(within, None)


def _in_proportion(position: int) -> Callable[[_Follower, Node], None]:
    def state(follower: _Follower, node: Node) -> None:
        stated = follower.stated(node, position)
        if stated is None or (node.name, position) in follower.own:
            return
        shift = len(stated) - follower.shapes.rank(node.inputs[0])
        for axis, old, new in follower.sizes(node.inputs[0]):
            place = axis + shift
            if old and place >= 0 and (stated[place] > 1 or node.op_type == "Resize"):
                stated[place] = round(stated[place] * new / old)
        follower.state(node, position, stated)

    return state


def _slice(follower: _Follower, node: Node) -> None:
    starts, ends = follower.stated(node, 1), follower.stated(node, 2)
    if starts is None or ends is None or (node.name, 2) in follower.own:
        return
    axes = follower.stated(node, 3) or list(range(len(starts)))
    rank = follower.shapes.rank(node.inputs[0])
    for axis, old, new in follower.sizes(node.inputs[0]):
        for place, sliced in enumerate(axes):
            if sliced % rank == axis and ends[place] == old:
                ends[place] = new
    follower.state(node, 2, ends)


def _split(follower: _Follower, node: Node) -> None:
    stated = follower.stated(node, 1)
    along = node.attributes.get("axis", 0) % follower.shapes.rank(node.inputs[0])
    for axis, old, new in follower.sizes(node.inputs[0]):
        if stated is not None and axis == along and sum(stated) == old and (node.name, 1) not in follower.own:
            follower.state(node, 1, [size * new // old for size in stated])


def _pooling(follower: _Follower, node: Node) -> None:
    before, now = follower.shapes[node.inputs[0]], follower.types[node.inputs[0]].shape
    window = tuple(node.attributes.get("kernel_shape", ()))
    whole = follower.shapes[node.outputs[0]][2:] == (1,) * len(window)
    if whole and window == before[2:] and not any(node.attributes.get("pads", ())):
        node.attributes = {**node.attributes, "kernel_shape": now[2:]}


_STATED: Mapping[str, Callable[[_Follower, Node], None]] = {
    "AveragePool": _pooling,
    "Expand": _in_proportion(1),
    "MaxPool": _pooling,
    "Reshape": _reshape,
    "Resize": _in_proportion(3),
    "Slice": _slice,
    "Split": _split,
}


# Rule 2: operators that state the size of their result, whatever they read. True where they do.


def _bring_stated(position: int) -> Callable[[_Follower, Node, int, int], bool]:
    def bring(follower: _Follower, node: Node, axis: int, size: int) -> bool:
        stated = follower.stated(node, position)
        if stated is None:
            return False
        place = axis + len(stated) - follower.shapes.rank(node.outputs[0])
        if place < 0:
            return False
        stated[place] = size
        follower.state(node, position, stated)
        return True

    return bring


def _bring_slice(follower: _Follower, node: Node, axis: int, size: int) -> bool:
    starts, ends = follower.stated(node, 1), follower.stated(node, 2)
    if starts is None or ends is None or axis in (follower.stated(node, 4) or ()):
        return False
    rank = follower.shapes.rank(node.inputs[0])
    axes = [a % rank for a in follower.stated(node, 3) or range(len(starts))]
    if axis not in axes or starts[axes.index(axis)] < 0:
        return False
    place = axes.index(axis)
    ends[place] = starts[place] + size
    if follower.types[node.inputs[0]].shape[axis] < ends[place]:
        follower.bring(node.inputs[0], axis, ends[place], node)
    follower.state(node, 2, ends)
    return True


def _bring_range(follower: _Follower, node: Node, axis: int, size: int) -> bool:
    start, limit, step = (follower.stated(node, position) for position in range(3))
    if start is None or limit is None or step is None:
        return False
    follower.state(node, 1, [start[0] + size * step[0]])
    return True


def _bring_indices(last: int) -> Callable[[_Follower, Node, int, int], bool]:
    """Of a gather whose result has the shape of its indices, but for `last` axes."""

    def bring(follower: _Follower, node: Node, axis: int, size: int) -> bool:
        if axis >= follower.shapes.rank(node.inputs[1]) - last:
            return False
        follower.bring(node.inputs[1], axis, size, node)
        return True

    return bring


_BROUGHT: Mapping[str, Callable[[_Follower, Node, int, int], bool]] = {
    "ConstantOfShape": _bring_stated(0),
    "Expand": _bring_stated(1),
    "GatherElements": _bring_indices(0),
    "GatherND": _bring_indices(1),
    "Range": _bring_range,
    "Resize": _bring_stated(3),
    "Slice": _bring_slice,
}
