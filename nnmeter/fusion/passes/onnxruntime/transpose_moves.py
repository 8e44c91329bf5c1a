"""The changes that pushing transposes makes to a graph; `transposes` says when, `transpose_handlers` which."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.passes.onnxruntime.permutations import Perm, compose, inverse, is_identity, permuted, with_axes
from nnmeter.graph.ir import TensorType


def movable_inputs(graph: WorkingGraph, node: WorkNode, way: str) -> list[int]:
    """The inputs of a node that are transposed when a transpose moves through it."""
    select = _MOVABLE.get(way)
    return [0] if select is None else select(graph, node)


_MOVABLE: dict[str, Callable[[WorkingGraph, WorkNode], list[int]]] = {
    "simple": lambda graph, node: [i for i, tensor in enumerate(node.inputs) if tensor],
    "concat": lambda graph, node: [i for i, tensor in enumerate(node.inputs) if tensor],
    "broadcast": lambda graph, node: [i for i, t in enumerate(node.inputs) if t and graph.types[t].shape],
    "quantized_pair": lambda graph, node: [0, 3],
    "quantized_concat": lambda graph, node: list(range(2, len(node.inputs), 3)),
}


class TransposeMoves:
    """One application to one graph: what waits to be visited, and the changes that handlers make."""

    def __init__(
        self, graph: WorkingGraph, kinds: tuple[str, ...], way: Mapping[str, str], channels_last: Mapping[str, str]
    ) -> None:
        self.graph = graph
        self.kinds = frozenset(kinds)
        self.transpose = kinds[0]
        self.way = way
        self.channels_last = channels_last
        self.orphans: tuple[str, ...] = ()
        self.waiting: list[tuple[float, int, WorkNode]] = []
        self.seen: set[WorkNode] = set()
        self.turned_back: dict[str, str] = {}  # what is read of a permuted constant -> the constant as it was
        self.order: dict[WorkNode, int] = {}  # places in the order of visits, where it is not that of the graph
        self.position = -2.0

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
            if reader in self.seen:
                continue
            position = self.order.get(reader, reader.position)
            if position > self.position:
                self.seen.add(reader)
                heapq.heappush(self.waiting, (position, len(self.seen), reader))

    def perm(self, transpose: WorkNode) -> Perm:
        """The permutation of a transpose, the default one where it names none."""
        perm = transpose.attributes.get("perm")
        if perm:
            return tuple(perm)
        rank = len(self.graph.types[transpose.inputs[0]].shape)
        return tuple(range(rank - 1, -1, -1))

    def move_input(self, node: WorkNode, index: int, perm: Perm) -> None:
        """Let an input be read transposed by `perm`, which cancels a transpose before it where there is one."""
        graph, tensor = self.graph, node.inputs[index]
        kind = graph.types[tensor]
        if tensor in graph.constants:
            if kind.elements > 1:
                permuted_one = self._permuted_constant(tensor, kind, perm)
                graph.set_input(node, index, permuted_one)
                self._turn_back_for_others(tensor, permuted_one, perm)
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
            self.free_axes(inner, tensor, undo)
            graph.set_output(node, index, inner)
            heirs, self.orphans = self.orphans, ()
            self.add_transpose(graph.fresh("transpose"), inner, tensor, perm, node.position + 1e-6, heirs)

    def free_axes(self, new: str, old: str, perm: Perm) -> None:
        """Note which axes of a permuted tensor have sizes that the runtime does not know."""
        free = self.graph.free.get(old)
        if free:
            self.graph.free[new] = frozenset(axis for axis, source in enumerate(perm) if source in free)

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

    def _turn_back_for_others(self, tensor: str, permuted_one: str, perm: Perm) -> None:
        """Let the other readers of a constant that was permuted in place read it through a transpose (rule 7)."""
        graph, kind = self.graph, self.graph.types[tensor]
        if graph.types[permuted_one].shape != permuted(kind.shape, perm) or tensor in graph.outputs:
            return
        readers = list(graph.readers.get(tensor, ()))
        if not readers or any(tensor not in reader.inputs for reader in readers):  # a nested graph reads it
            return
        turned = graph.fresh(tensor)
        graph.types[turned] = kind
        for reader in dict.fromkeys(readers):
            for index, name in enumerate(reader.inputs):
                if name == tensor:
                    graph.set_input(reader, index, turned)
        self.turned_back[turned] = tensor
        self.add_transpose(graph.fresh("transpose"), permuted_one, turned, inverse(perm), -1.0, ())

    def fold_turned_back(self) -> None:
        """Fold the transposes of constants that nothing cancelled."""
        graph = self.graph
        for turned, tensor in self.turned_back.items():
            writer = graph.producer.get(turned)
            if writer is not None:
                graph.remove_node(writer)
                graph.redirect(turned, tensor)

    def _transposed(self, tensor: str, perm: Perm) -> str:
        graph = self.graph
        for reader in graph.readers.get(tensor, ()):
            if reader.kind in self.kinds and self.perm(reader) == perm:
                return reader.outputs[0]
        kind = graph.types[tensor]
        result = graph.fresh(tensor)
        graph.types[result] = TensorType(kind.dtype, permuted(kind.shape, perm))
        self.free_axes(result, tensor, perm)
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
