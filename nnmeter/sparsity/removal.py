"""Which indices of axes can be removed from a model without a change of what it computes, and the smaller model.

Rules:

1. An index may go where its slice is zero, constant or dead (`nnmeter.sparsity.slices`). One that is only constant may
   go where what it adds to a sum can be put into a bias: its readers are convolutions without padding, or Gemm.
2. What hangs together goes together: an index stays where any axis that is tied to it needs it
   (`nnmeter.transforms.channels`). Of blocks, groups and heads only whole ones go.
3. Nothing goes of inputs and outputs of the model, of axes that an operator decides by, and of those along which one
   sums, normalizes or slides a window.
4. One index at least stays of every axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.sparsity.classes import ALONG, BROADCAST, ELEMENTWISE, STRUCTURE, WINDOWS, is_padded, mixed_axes
from nnmeter.sparsity.slices import Axis, Mask, Slices
from nnmeter.transforms.channels.relations import Blocks, Grouped, Part, Relation, Tie
from nnmeter.transforms.channels.resizing import DependencyGraph
from nnmeter.transforms.channels.rules import Shapes
from nnmeter.transforms.draft import Draft

_KEEPS_CONSTANTS = ELEMENTWISE | BROADCAST | STRUCTURE | WINDOWS | {"BatchNormalization", "Conv", "Gemm"}


@dataclass(frozen=True, slots=True)
class Removed:
    """What goes of a layer.

    Attributes:
        layer: its name.
        channels: how many of its channels go.
        of: how many it has.
    """

    layer: str
    channels: int
    of: int


def remove_slices(
    model: UnboundModel, known: Slices, sizes: InputSizes = AS_DECLARED
) -> tuple[UnboundModel | None, tuple[Removed, ...]]:
    """The model without what can go, and what goes of each layer; None where nothing can.

    Args:
        model: the model; it is not changed.
        known: its zero, constant and dead slices.
        sizes: what it leaves open.

    Raises:
        ModelError: dimensions remain free.
        TransformError: a shape in the model is fixed.
    """
    graph = DependencyGraph(model, sizes)
    needed = _Needed(graph, known, Shapes(Draft(model, sizes)))
    needed.spread()
    counts = {axis: mask.astype(np.int64) for axis, mask in needed.masks.items() if not mask.all()}
    removed = []
    for layer in graph.layers():
        axis = graph.channels_of(layer)
        if axis in counts:
            gone = int((counts[axis] == 0).sum())
            removed.append(Removed(layer, gone, counts[axis].size))
    if not removed:
        return None, ()
    return graph.resized(graph.resizing(counts), removed[0].layer), tuple(removed)


class _Needed:
    """Which indices of each axis have to stay."""

    def __init__(self, graph: DependencyGraph, known: Slices, shapes: Shapes) -> None:
        self._graph = graph
        self._known = known
        self.masks: dict[Axis, Mask] = {}
        kept = _kept_constants(graph, known)
        mixed = {
            (node.inputs[0], axis)
            for node in graph.nodes.values()
            if not node.domain and node.op_type in ALONG | WINDOWS | {"InstanceNormalization", "Pad"}
            for axis in mixed_axes(node, shapes)
        }
        constants = graph.model.constants
        for axis in graph.relations:
            name = axis[0]
            if axis in mixed or graph.is_fixed(axis):
                self.masks[axis] = np.ones(known.shapes[name][axis[1]], bool)
            elif name in constants:
                self.masks[axis] = np.zeros(known.shapes[name][axis[1]], bool)
            else:
                self.masks[axis] = ~known.removable(*axis) | kept.get(axis, False)

    def spread(self) -> None:
        """Apply all relations until nothing more follows (rules 2 and 4)."""
        pending = list(self.masks)
        while pending:
            while pending:
                axis = pending.pop()
                for relation in self._graph.relations.get(axis, ()):
                    pending += self._apply(relation)
            for axis, mask in self.masks.items():
                if mask.size and not mask.any():
                    mask[0] = True
                    pending.append(axis)

    def _need(self, axis: Axis, mask: Mask) -> list[Axis]:
        before = self.masks[axis]
        if (mask & ~before).any():
            self.masks[axis] = before | mask
            return [axis]
        return []

    def _apply(self, relation: Relation) -> list[Axis]:
        masks = self.masks
        if isinstance(relation, Tie):
            return [
                *self._need(relation.second, masks[relation.first]),
                *self._need(relation.first, masks[relation.second]),
            ]
        if isinstance(relation, Part):
            here = slice(relation.offset, relation.offset + relation.length)
            whole = np.zeros(masks[relation.whole].size, bool)
            whole[here] = masks[relation.part]
            return [*self._need(relation.part, masks[relation.whole][here]), *self._need(relation.whole, whole)]
        return self._blocks(relation) if isinstance(relation, Blocks) else self._grouped(relation)

    def _blocks(self, relation: Blocks) -> list[Axis]:
        changed = []
        whole = self.masks[relation.whole].reshape(relation.sizes)
        for number, axis in enumerate(relation.factors):
            others = tuple(other for other in range(whole.ndim) if other != number)
            changed += self._need(axis, np.asarray(whole.any(axis=others)))
        product: Mask = np.ones((), bool)
        for axis in relation.factors:
            product = product[..., None] & self.masks[axis]
        return [*changed, *self._need(relation.whole, product.ravel())]

    def _grouped(self, relation: Grouped) -> list[Axis]:
        data = self.masks[relation.data].reshape(relation.groups, relation.inner)
        result = self.masks[relation.result].reshape(relation.groups, relation.outer)
        groups = data.any(1) | result.any(1)
        return [
            *self._need(relation.data, np.repeat(groups, relation.inner)),
            *self._need(relation.result, np.repeat(groups, relation.outer)),
            *self._need(relation.weight, np.ones(self.masks[relation.weight].size, bool)),
        ]


def _kept_constants(graph: DependencyGraph, known: Slices) -> dict[Axis, Mask]:
    """Indices that are constant, neither zero nor dead, and that a reader cannot take into its bias (rule 1)."""
    kept: dict[Axis, Mask] = {}
    for node in graph.nodes.values():
        for position, name in enumerate(node.inputs):
            if not name or name in graph.model.constants or _takes_constants(node, position):
                continue
            for axis in range(known.rank(name)):
                only = known.constants(name, axis) & ~known.zeros(name, axis) & ~known.unread(name, axis)
                if only.any():
                    kept[name, axis] = kept.get((name, axis), np.zeros_like(only)) | only
    return kept


def _takes_constants(node: Node, position: int) -> bool:
    if node.domain or node.op_type not in _KEEPS_CONSTANTS:
        return False
    if node.op_type in ("Conv", "Gemm"):
        return position == 0 and not is_padded(node)
    return True
