"""Buffers and their lives: which tensors share memory, from which kernel to which.

Rules, those of ONNX Runtime's planner (`core/framework/allocation_planner.cc`):

1. Kernels run in order, one at a time. A tensor lives from the kernel that writes it to the last that reads it.
2. An output of a view, or of a kernel that works in place (`nnmeter.memory.reuse`), is in the buffer of its input.
3. Else it takes over the buffer that became free last, of those with its shape and width of elements.
4. Else it has a buffer of its own. A result of the model always has, and lives to the end.
5. Inputs of the model are the caller's, constants are the weights': neither is overwritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.memory.reuse import IN_PLACE, VIEWS


@dataclass(slots=True)
class Buffer:
    """Memory of one or several tensors, one after the other.

    Attributes:
        tensor: the first of them.
        bytes: its size.
        first: number of the kernel that writes it.
        last: number of the last kernel that needs it.
        result: whether it is a result of the model, which the caller gets.
    """

    tensor: str
    bytes: int
    first: int
    last: int
    result: bool = False


def plan_buffers(graph: WorkingGraph, order: Sequence[WorkNode], share: bool = True) -> list[Buffer]:
    """The buffers of a graph whose kernels run in `order`, by the rules.

    Args:
        graph: the graph as the runtime runs it.
        order: its kernels.
        share: whether a tensor takes over the whole buffer of another one (rule 3).
    """
    return _Planner(graph, order, share).plan()


class _Planner:
    def __init__(self, graph: WorkingGraph, order: Sequence[WorkNode], share: bool) -> None:
        self.types: Mapping[str, TensorType] = graph.types
        self.constants = graph.constants
        self.results = graph.outputs
        self.order = order
        self.share = share
        # As the runtime counts: a reader one, being a result one, being written one until the kernel has ended.
        self.uses: Counter[str] = Counter(self.results)
        for node in order:
            self.uses.update(name for name in node.inputs if name)
            self.uses.update(name for name in node.outputs if name)
        self.held_by: dict[str, str] = {}  # tensor -> the tensor whose buffer it is in
        self.buffers: dict[str, Buffer] = {}
        self.free: list[str] = []  # buffers that nobody needs, the last one became free last

    def plan(self) -> list[Buffer]:
        end = len(self.order) - 1
        for step, node in enumerate(self.order):
            for number, name in enumerate(node.outputs):
                if name and name in self.types:
                    self._place(node, number, name, step)
            for name in (*node.inputs, *node.outputs):
                if name:
                    self._let_go(name, step)
        for buffer in self.buffers.values():
            if buffer.result:
                buffer.last = end
        return list(self.buffers.values())

    def _place(self, node: WorkNode, number: int, name: str, step: int) -> None:
        kind = self.types[name]
        if name in self.results:
            self.buffers[name] = Buffer(name, kind.bytes, step, step, True)
            self.held_by[name] = name
            return
        held = self._input_to_overwrite(node, number, kind)
        if held is None and self.share:
            held = self._free_buffer(kind)
        if held is None:
            held = name
            self.buffers[name] = Buffer(name, kind.bytes, step, step)
        else:
            self.uses[held] += self.uses[name]
        self.held_by[name] = held

    def _input_to_overwrite(self, node: WorkNode, number: int, kind: TensorType) -> str | None:
        """Rule 2."""
        if number:
            return None
        if node.kind in VIEWS and node.inputs and node.inputs[0]:
            return self._holder(node.inputs[0])
        for position in IN_PLACE.get(node.kind, ()):
            name = node.inputs[position] if position < len(node.inputs) else ""
            if not name or name not in self.types:
                continue
            held = self._holder(name)
            if held in self.buffers and self.uses[held] == 1 and _same_size(self.types[name], kind):
                return held
        return None

    def _free_buffer(self, kind: TensorType) -> str | None:
        """Rule 3."""
        if not kind.shape:
            return None
        for position in range(len(self.free) - 1, -1, -1):
            held = self.free[position]
            if _same_size(self.types[held], kind):
                del self.free[position]
                return held
        return None

    def _let_go(self, name: str, step: int) -> None:
        held = self._holder(name)
        buffer = self.buffers.get(held)
        if buffer is None:
            return
        buffer.last = max(buffer.last, step)
        self.uses[held] -= 1
        if not self.uses[held]:
            self.free.append(held)

    def _holder(self, name: str) -> str:
        """The tensor whose buffer holds `name`: itself for inputs and constants."""
        return self.held_by.get(name, name)


def _same_size(first: TensorType, second: TensorType) -> bool:
    return (
        first.shape == second.shape
        and "string" not in (first.dtype, second.dtype)
        and DTYPE_BITS[first.dtype] == DTYPE_BITS[second.dtype]
    )
