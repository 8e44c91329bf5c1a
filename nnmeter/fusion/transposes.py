"""Moving transposes: runtimes push them through operators until they meet and cancel.

1. Operators are visited in order. A transpose that an operator reads is pushed behind it if the operator has a handler
   (rule 5), the input is one that the handler transposes, and it pays (rules 2-4).
2. Cost is counted in axes longer than 1. Transposing an input costs its axes; nothing for a constant or for the output
   of another transpose; minus its axes where a transpose with the same permutation goes away, which is so if all its
   readers have handlers and the graph does not return it.
3. If that is negative, the axes of the widest output are added, except where an output leads to another transpose
   through operators with handlers only. The transpose is pushed if the sum is negative.
4. Two transposes in a row always become one, or none.
5. `handlers` maps a way of handling to operators. Ways: `simple` (all inputs), `first` (only the first input),
   `broadcast` (all but scalars, ranks made equal), `concat`, `split`, `softmax` and `quantize` (attribute `axis`),
   `reduce` and `squeeze` (axes that go away), `arg`, `unsqueeze`, `slice`, `pad`, `tile`, `resize`, `gather` (by a
   scalar), `reshape` (where it splits axes or moves ones), `quantized_pair`, `quantized_concat` and `quantized_pool`
   (integer operators, scales between their inputs), `integer_pool`, which always pays and becomes the operator that
   `channels_last` names, and `never` (not pushed through, though rules 2 and 3 count on it).
6. A transpose is an operator of the kinds in `transposes`; new ones are of the first kind there.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnmeter.fusion.permutations import Perm, compose, inverse, is_identity, permuted, with_axes
from nnmeter.fusion.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.transpose_handlers import ALWAYS_PAYS, HANDLERS, KEEPS_OUTPUTS, movable_inputs
from nnmeter.graph.ir import TensorType


class TransposePusher:
    """A `push_transposes` pass, prepared."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.kinds = tuple(fields.get("transposes", ("Transpose",)))
        self.channels_last: dict[str, str] = dict(fields.get("channels_last", {}))
        self.way: dict[str, str] = {kind: way for way, kinds in fields["handlers"].items() for kind in kinds}
        self.way.update(dict.fromkeys(self.kinds, "transpose"))

    def apply(self, graph: WorkingGraph) -> bool:
        """Push transposes through the graph once; whether any moved."""
        if not any(graph.by_kind.get(kind) for kind in self.kinds):
            return False
        return Pushing(self, graph).run()


class Pushing:
    """One application to one graph."""

    def __init__(self, pusher: TransposePusher, graph: WorkingGraph) -> None:
        self.graph = graph
        self.kinds = frozenset(pusher.kinds)
        self.transpose = pusher.kinds[0]
        self.way = pusher.way
        self.channels_last = pusher.channels_last
        self.orphans: tuple[str, ...] = ()
        self.waiting: list[tuple[float, int, WorkNode]] = []
        self.seen: set[WorkNode] = set()
        self.position = -2.0

    def run(self) -> bool:
        """Visit all readers of transposes once, in order, also those that pushing makes; whether a transpose moved."""
        graph, kinds, producer, way = self.graph, self.kinds, self.graph.producer, self.way
        self.leading = self._leading_to_transposes()
        for kind in kinds:
            for transpose in graph.by_kind.get(kind, ()):
                self.await_readers(transpose.outputs[0])
        changed = False
        while self.waiting:
            self.position, _, node = heapq.heappop(self.waiting)
            if not node.alive or node.kind not in way:
                continue
            for index, tensor in enumerate(node.inputs):
                writer = producer.get(tensor)
                if writer is not None and writer.kind in kinds and self._push(writer, node, index):
                    changed = True
                    break
        return changed

    def add_transpose(
        self, name: str, source: str, result: str, perm: Perm, position: float, sources: tuple[str, ...]
    ) -> None:
        """Add a transpose, whose readers are visited when their turn comes."""
        node = self.graph.add_node(self.transpose, name, [source], [result], {"perm": perm}, position, sources)
        self.seen.add(node)
        self.await_readers(result)

    def await_readers(self, tensor: str) -> None:
        """Visit the readers of a tensor that come later, unless they have been visited or are new."""
        for reader in self.graph.readers.get(tensor, ()):
            if reader not in self.seen and reader.position > self.position:
                self.seen.add(reader)
                heapq.heappush(self.waiting, (reader.position, len(self.seen), reader))

    def _leading_to_transposes(self) -> set[str]:
        """Tensors from which a transpose is reached through operators with handlers only."""
        producer = self.graph.producer
        pending = [node.inputs[0] for kind in self.kinds for node in self.graph.by_kind.get(kind, ())]
        leading: set[str] = set()
        while pending:
            tensor = pending.pop()
            if tensor in leading:
                continue
            leading.add(tensor)
            writer = producer.get(tensor)
            way = self.way.get(writer.kind) if writer is not None and writer.kind not in self.kinds else None
            if writer is not None and way is not None and way not in KEEPS_OUTPUTS:
                pending += [writer.inputs[index] for index in movable_inputs(self.graph, writer, way)]
        return leading

    def _push(self, transpose: WorkNode, node: WorkNode, index: int) -> bool:
        perm = self.perm(transpose)
        way = self.way[node.kind]
        movable = movable_inputs(self.graph, node, way)
        if index not in movable or (way not in ALWAYS_PAYS and not self._pays(node, way, perm, movable)):
            return False
        self.orphans = ()
        return HANDLERS[way](self, transpose, node, perm)

    def perm(self, transpose: WorkNode) -> Perm:
        """The permutation of a transpose, the default one where it names none."""
        perm = transpose.attributes.get("perm")
        if perm:
            return tuple(perm)
        rank = len(self.graph.types[transpose.inputs[0]].shape)
        return tuple(range(rank - 1, -1, -1))

    # Rules 2 and 3: what pushing costs.

    def _pays(self, node: WorkNode, way: str, perm: Perm, movable: list[int]) -> bool:
        cost = sum(self._input_cost(node.inputs[index], perm) for index in movable)
        if cost < 0 and way not in KEEPS_OUTPUTS and not any(tensor in self.leading for tensor in node.outputs):
            cost += max((self._axes(tensor) for tensor in node.outputs if tensor), default=0)
        return cost < 0

    def _input_cost(self, tensor: str, perm: Perm) -> int:
        graph = self.graph
        if tensor in graph.constants:
            return 0
        writer = graph.producer.get(tensor)
        if writer is not None and writer.kind in self.kinds:
            if self.perm(writer) == perm and self._goes_away(tensor):
                return -self._axes(tensor)
            return 0
        return self._axes(tensor)

    def _goes_away(self, tensor: str) -> bool:
        if tensor in self.graph.outputs:
            return False
        readers = self.graph.readers.get(tensor, ())
        self.graph.spend(len(readers))
        for reader in readers:  # noqa: SIM110 - a loop takes half the time of a generator here
            if reader.kind not in self.way:
                return False
        return True

    def _axes(self, tensor: str) -> int:
        shape = self.graph.types[tensor].shape
        return len(shape) - shape.count(1)

    # Changes to the graph.

    def move_input(self, node: WorkNode, index: int, perm: Perm) -> None:
        """Let an input be read transposed by `perm`, which cancels a transpose before it where there is one."""
        graph, tensor = self.graph, node.inputs[index]
        kind = graph.types[tensor]
        if tensor in graph.constants:
            if kind.elements > 1:
                graph.set_input(node, index, self._permuted_constant(tensor, kind, perm))
            return
        writer = graph.producer.get(tensor)
        source = tensor
        if writer is not None and writer.kind in self.kinds:
            source, perm = writer.inputs[0], compose(self.perm(writer), perm)
        graph.set_input(node, index, source if is_identity(perm) else self._transposed(source, perm))
        if writer is not None and writer.kind in self.kinds:
            self.drop(writer)

    def move_outputs(self, node: WorkNode, perm: Perm) -> None:
        """Let the outputs be written before a transpose by `perm` that now comes after the node."""
        if is_identity(perm):
            return
        graph, undo = self.graph, inverse(perm)
        for index, tensor in enumerate(node.outputs):
            if not tensor:
                continue
            kind = graph.types[tensor]
            inner = graph.fresh(tensor)
            graph.types[inner] = TensorType(kind.dtype, permuted(kind.shape, undo))
            graph.set_output(node, index, inner)
            heirs, self.orphans = self.orphans, ()
            self.add_transpose(graph.fresh("transpose"), inner, tensor, perm, node.position + 1e-6, heirs)

    def set_attribute(self, node: WorkNode, name: str, value: Any) -> None:
        """Set an attribute; the original graph keeps its own."""
        node.attributes = {**node.attributes, name: value}

    def set_axes(self, node: WorkNode, axes: tuple[int, ...], position: int = 1) -> None:
        """Set the axes of a node, where it has them: in its attribute or as an input."""
        if len(node.inputs) > position and node.inputs[position]:
            dtype = self.graph.types[node.inputs[position]].dtype
            self.graph.set_input(node, position, self.graph.add_constant("axes", np.array(axes, np.int64), dtype))
        else:
            self.set_attribute(node, "axes", axes)

    def axes(self, node: WorkNode, rank: int, position: int = 1) -> tuple[int, ...] | None:
        """The axes of a node, counted from the front; None if they are not known or not given."""
        if len(node.inputs) > position and node.inputs[position]:
            value = self.graph.values.get(node.inputs[position])
            if value is None or node.inputs[position] not in self.graph.constants:
                return None
            return tuple(int(axis) % rank for axis in value.ravel())
        given = node.attributes.get("axes")
        return None if given is None else tuple(axis % rank for axis in given)

    def _permuted_constant(self, tensor: str, kind: TensorType, perm: Perm) -> str:
        graph = self.graph
        if len(kind.shape) == 1 and kind.shape[0] == len(perm):
            return graph.add_weight(tensor, kind)
        value = graph.values.get(tensor)
        if value is not None and value.ndim == len(perm):
            return graph.add_constant(tensor, value.transpose(perm), kind.dtype)
        return graph.add_weight(tensor, TensorType(kind.dtype, permuted(kind.shape, perm)))

    def _transposed(self, tensor: str, perm: Perm) -> str:
        graph = self.graph
        for reader in graph.readers.get(tensor, ()):
            if reader.kind in self.kinds and self.perm(reader) == perm:
                return reader.outputs[0]
        kind = graph.types[tensor]
        result = graph.fresh(tensor)
        graph.types[result] = TensorType(kind.dtype, permuted(kind.shape, perm))
        writer = graph.producer.get(tensor)
        position = -1.0 if writer is None else writer.position + 1e-6
        heirs, self.orphans = self.orphans, ()
        self.add_transpose(graph.fresh("transpose"), tensor, result, perm, position, heirs)
        return result

    def drop(self, transpose: WorkNode) -> None:
        """Remove a transpose that nobody reads any more; its operators pass to the transpose that replaces it."""
        if transpose.alive and not self.graph.uses(transpose.outputs[0]):
            self.orphans += transpose.sources
            self.graph.remove_node(transpose)

    def equal_ranks(self, node: WorkNode, rank: int) -> bool:
        """Give all inputs that are no scalars the same rank, by axes of size 1 in front."""
        graph = self.graph
        movable = movable_inputs(graph, node, "broadcast")
        if any(len(graph.types[node.inputs[index]].shape) > rank for index in movable):
            return False
        for index in movable:
            tensor = node.inputs[index]
            kind = graph.types[tensor]
            missing = rank - len(kind.shape)
            if not missing:
                continue
            widened = TensorType(kind.dtype, (1,) * missing + kind.shape)
            if tensor in graph.constants:
                value = graph.values.get(tensor)
                if value is not None:
                    graph.set_input(node, index, graph.add_constant(tensor, value.reshape(widened.shape), kind.dtype))
                else:
                    graph.set_input(node, index, graph.add_weight(tensor, widened))
            else:
                self._unsqueeze(node, index, widened, missing)
        return True

    def _unsqueeze(self, node: WorkNode, index: int, widened: TensorType, missing: int) -> None:
        graph, tensor = self.graph, node.inputs[index]
        axes = graph.add_constant("axes", np.arange(missing, dtype=np.int64), "int64")
        result = graph.fresh(tensor)
        graph.types[result] = widened
        added = graph.add_node("Unsqueeze", result, [tensor, axes], [result], {}, node.position - 1e-6)
        graph.set_input(node, index, result)
        writer = graph.producer.get(tensor)
        if writer is not None and writer.kind in self.kinds:
            perm = with_axes(self.perm(writer), tuple(range(missing)))
            self.move_input(added, 0, inverse(self.perm(writer)))
            self.move_outputs(added, perm)
