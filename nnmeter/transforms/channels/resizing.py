"""Another number of channels in one layer of a model, and in all that hangs together with it.

1. Every operator's rule (`rules.py`) says how the axes of its tensors hang together. From the channels that a layer
   loses or gets, what others do follows by these relations (`relations.py`): the layers that read them, those whose
   results are added to them, normalization, grouped convolutions, heads.
2. The last channels go, or get another beside them. Where they have to go as blocks (whole heads, groups, or as many of
   each), the blocks are found from the relation that did not fit.
3. It is refused where an operator has no rule, where an input or output of the model would change, where nothing
   would be left of an axis, and where the count fits no block. The error says which.
4. Weights change with them, and what states a size of the old shape (`applying.py`, `rewriting.py`). The new model is
   bound, and every tensor must come out as the relations say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.channels.applying import apply_resizing
from nnmeter.transforms.channels.relations import Axis, Blocks, Counts, Grouped, Relation, Resizing, Unfit
from nnmeter.transforms.channels.rules import Shapes, Spoken, speak
from nnmeter.transforms.draft import Draft, captured
from nnmeter.transforms.faults import TransformError, find_node

_MOST_CUTS = 4  # that are tried to find blocks; each costs a pass over what depends on the layer


class BlockError(TransformError):
    """Channels that go as blocks only; `steps` are the sizes of blocks that were found."""

    steps: tuple[int, ...] = ()


@dataclass(frozen=True)
class LayerGroup:
    """Layers whose channels go together.

    Attributes:
        layers: their names, in the order of the file.
        block: how many channels go at least.
    """

    layers: tuple[str, ...]
    block: int


class DependencyGraph:
    """How the axes of all tensors of a model hang together; made once, asked for any layer.

    Args:
        model: the model.
        sizes: what it leaves open.

    Raises:
        ModelError: dimensions remain free.
    """

    def __init__(self, model: UnboundModel, sizes: InputSizes = AS_DECLARED) -> None:
        self.model = model
        self.sizes = sizes
        draft = Draft(model, sizes)
        self.source = draft.source
        self.types = draft.types
        self.nodes = {node.name: node for node in draft.nodes}
        self._shapes = Shapes(draft)
        self._spoken: dict[str, set[Axis] | None] = {}
        self._relations: dict[Axis, list[Relation]] = defaultdict(list)
        self._touching: dict[str, list[Node]] = defaultdict(list)
        self._ends = {d.name: "input" for d in draft.inputs} | {d.name: "output" for d in draft.outputs}
        for node in draft.nodes:
            said = _said(node, self._shapes)
            self._spoken[node.name] = None if said is None else said.axes()
            for relation in said.relations if said else ():
                for axis in relation.axes:
                    self._relations[axis].append(relation)
            for name in dict.fromkeys((*node.inputs, *node.outputs, *captured(node))):
                self._touching[name].append(node)

    @property
    def relations(self) -> Mapping[Axis, list[Relation]]:
        """Of each axis the relations that it is in."""
        return self._relations

    def is_fixed(self, axis: Axis) -> bool:
        """Whether no index of an axis may go: it is of an input or output, or an operator decides by its indices."""
        if axis[0] in self._ends:
            return True
        spoken = [self._spoken[node.name] for node in self._touching[axis[0]]]
        return any(axes is None or axis not in axes for axes in spoken)

    def resizing(self, counts: Mapping[Axis, Counts]) -> Resizing:
        """A change with these counts of indices, which fit all relations."""
        change = self._resizing(False)
        change.known.update(counts)
        return change

    def channels_of(self, layer: str) -> Axis:
        """The axis of channels that a layer writes.

        Raises:
            TransformError: there is no such layer, or it has no channels of its own.
        """
        node = find_node(self.nodes.values(), layer, self.source)
        if node.op_type in ("Conv", "ConvTranspose", "Gemm") and not node.domain:
            return node.outputs[0], 1
        if node.op_type == "MatMul" and node.inputs[1] in self.model.constants:
            return node.outputs[0], len(self.types[node.outputs[0]].shape) - 1
        raise TransformError(
            f"{self.source}: '{layer}' ({node.op_type}) has no channels of its own; name a convolution, or a product "
            "with a weight"
        )

    def width(self, layer: str) -> int:
        """How many channels a layer writes."""
        name, axis = self.channels_of(layer)
        return self.types[name].shape[axis]

    def resize(self, layer: str, width: int) -> Resizing:
        """What becomes of all axes where a layer has `width` channels (rules 1 to 3).

        Raises:
            TransformError: it cannot be done; the message says why.
        """
        axis = self.channels_of(layer)
        have = self.width(layer)
        if not 0 < width < 2 * have or width == have:
            raise TransformError(
                f"{self.source}: '{layer}' has {have} channels; give another number from 1 to {2 * have - 1}, "
                f"not {width}"
            )
        grows, count = width > have, abs(width - have)
        change = self._resizing(grows)
        fault: TransformError | None = None
        try:
            return self._tried(layer, axis, _last(have, count, grows), change)
        except Unfit as unfit:
            cuts = [unfit.relation]
        except TransformError as found:  # the last ones may be a whole block by chance: all of the values, no head
            fault = found
            cuts = change.cuts()
        steps: set[int] = set()
        for relation in cuts[:_MOST_CUTS]:
            in_blocks, reason = self._in_blocks(layer, axis, width, relation, steps)
            if in_blocks is not None:
                return in_blocks
            fault = fault or reason
        raise fault or self._not_in_blocks(layer, width, cuts[0], steps)

    def _in_blocks(
        self, layer: str, axis: Axis, width: int, relation: Blocks | Grouped, steps: set[int]
    ) -> tuple[Resizing | None, TransformError | None]:
        """What becomes of axes where channels go as blocks (rule 2), or why they cannot; block sizes go to `steps`."""
        reason: TransformError | None = None
        have = self.width(layer)
        for start, counts, step in _candidates(relation, abs(width - have), have, width > have):
            steps.add(step)
            if counts is None:
                continue
            try:
                change = self._tried(layer, start, counts, self._resizing(width > have))
            except Unfit:
                continue
            except TransformError as fault:
                reason = fault
                continue
            if change.size(axis) == width:
                return change, None
        return None, reason

    def _not_in_blocks(self, layer: str, width: int, relation: Blocks | Grouped, steps: set[int]) -> BlockError:
        have = self.width(layer)
        where = relation.data[0] if isinstance(relation, Grouped) else relation.whole[0]
        known = tuple(step for step in sorted(steps) if 1 < step < have)
        words = " or ".join(map(str, known))
        fault = BlockError(
            f"{self.source}: '{layer}' cannot have {width} in place of its {have} channels: they go in blocks, by "
            f"'{where}'; " + (f"change it by a multiple of {words}" if words else "change another layer")
        )
        fault.steps = known
        return fault

    def remove(self, layer: str, counts: Counts) -> Resizing:
        """What becomes of all axes where a layer loses the channels whose count is 0.

        Args:
            layer: the layer.
            counts: a whole number a channel: 1 for those that stay, 0 for those that go.

        Raises:
            TransformError: it cannot be done; the message says why.
        """
        try:
            return self._tried(layer, self.channels_of(layer), counts, self._resizing(False))
        except Unfit as unfit:
            raise self._not_in_blocks(layer, int(counts.sum()), unfit.relation, set()) from None

    def join(self, changes: Iterable[Resizing]) -> Resizing:
        """What becomes of all axes where several layers lose channels at once.

        Args:
            changes: what becomes of them for each; none of them grows.

        Raises:
            TransformError: they do not go together; the message says why.
        """
        together = self._resizing(False)
        for change in changes:
            if change.grows:
                raise TransformError(f"{self.source}: layers are made wider one at a time; apply them one by one")
            for axis, counts in change.known.items():
                together.demand(axis, counts)
        try:
            return self._settled("several layers", together)
        except Unfit as unfit:
            where = unfit.relation.data[0] if isinstance(unfit.relation, Grouped) else unfit.relation.whole[0]
            raise TransformError(
                f"{self.source}: what several layers lose does not go together at '{where}'; change fewer of them"
            ) from None

    def resized(self, change: Resizing, layer: str) -> UnboundModel:
        """The model in which axes are what a change says (rule 4).

        Args:
            change: of `resize`, `remove` or `join`.
            layer: what errors call the layer that is changed.

        Raises:
            TransformError: a shape in the model is fixed.
        """
        return apply_resizing(self.model, self.sizes, change, lambda reason: self._refusal(layer, reason))

    def _resizing(self, grows: bool) -> Resizing:
        return Resizing(self._relations, {name: kind.shape for name, kind in self.types.items()}, grows)

    def _tried(self, layer: str, axis: Axis, counts: Counts, change: Resizing) -> Resizing:
        change.demand(axis, counts)
        return self._settled(layer, change)

    def _settled(self, layer: str, change: Resizing) -> Resizing:
        """All that follows from what was demanded, where the model takes it (rule 3)."""
        change.spread()
        for name, number in change.changed():
            if name in self._ends:
                raise self._refusal(layer, f"{self._ends[name]} '{name}' of the model would change its shape")
            if not change.size((name, number)):
                raise self._refusal(layer, f"nothing would be left of '{name}'")
            for node in self._touching[name]:
                spoken = self._spoken[node.name]
                if spoken is None or (name, number) not in spoken:
                    raise self._refusal(
                        layer, f"'{node.name}' ({node.op_type}) decides by the indices of '{name}', axis {number}"
                    )
        return change

    def _refusal(self, layer: str, reason: str) -> TransformError:
        return TransformError(
            f"{self.source}: '{layer}' cannot have other channels: {reason}; change the channels of another layer"
        )

    def layers(self) -> tuple[str, ...]:
        """The layers that have channels of their own, in the order of the file."""
        constants = self.model.constants
        return tuple(
            [
                node.name
                for node in self.nodes.values()
                if not node.domain
                and node.op_type in _LAYERS
                and (node.op_type != "MatMul" or node.inputs[1] in constants)
            ]
        )

    def group(self, layer: str) -> LayerGroup:
        """The layers whose channels go together with those of a layer, and how many go at least.

        Raises:
            TransformError: no channel of the layer can be removed.
        """
        have = self.width(layer)
        change = self._smallest(layer, have)
        changed = {name for name, _ in change.changed()}
        layers = [name for name in self.layers() if self.nodes[name].outputs[0] in changed]
        return LayerGroup(tuple(layers), have - change.size(self.channels_of(layer)))

    def _smallest(self, layer: str, have: int) -> Resizing:
        """What becomes of axes where as few channels as possible go: one, or one block."""
        try:
            return self.resize(layer, have - 1)
        except BlockError as fault:
            for step in fault.steps:
                try:
                    return self.resize(layer, have - step)
                except TransformError:
                    continue
            raise


_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def _said(node: Node, shapes: Shapes) -> Spoken | None:
    if any(True for _ in captured(node)):
        return None
    return speak(node, shapes)


def _last(size: int, count: int, grows: bool) -> Counts:
    """Counts of an axis whose last indices go, or get another beside them."""
    return np.where(np.arange(size) < size - count, 1, 2 if grows else 0)


def _candidates(
    relation: Blocks | Grouped, count: int, have: int, grows: bool
) -> list[tuple[Axis, Counts | None, int]]:
    """Blocks that might go: an axis, what would become of it, and how many channels one block is.

    Channels in an axis longer than the layer's, as where several layers are joined, go in the same share.
    """
    found: list[tuple[Axis, Counts | None, int]] = []
    if isinstance(relation, Blocks):
        total = int(np.prod(relation.sizes))
        for axis, size in zip(relation.factors, relation.sizes, strict=True):
            step = total // size if total == have else max(have // size, 1)
            blocks = count // step if count % step == 0 and count // step < size else 0
            found.append((axis, _last(size, blocks, grows) if blocks else None, step))
        return found
    for axis, inner in ((relation.data, relation.inner), (relation.result, relation.outer)):
        groups = relation.groups
        if groups * inner != have:
            continue
        if count % inner == 0 and not grows:
            found.append((axis, _last(have, count, grows), inner))
        elif count % groups == 0 and count // groups < inner:
            found.append((axis, np.tile(_last(inner, count // groups, grows), groups), groups))
        else:
            found += [(axis, None, inner), (axis, None, groups)]
    return found


def set_channels(
    model: UnboundModel, layer: str, width: int, sizes: InputSizes = AS_DECLARED, known: DependencyGraph | None = None
) -> UnboundModel:
    """The model in which a layer has another number of channels, and with it all that depends on them.

    Args:
        model: the model; it is not changed.
        layer: name of a convolution, or of a product with a weight.
        width: how many channels it has then.
        sizes: what the model leaves open.
        known: its dependency graph, where it was made already.

    Raises:
        TransformError: it cannot be done; the message says why.
    """
    graph = known or DependencyGraph(model, sizes)
    return graph.resized(graph.resize(layer, width), layer)
