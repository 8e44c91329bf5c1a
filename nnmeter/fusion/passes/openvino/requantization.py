"""What stands before QuantizeLinear and becomes part of it, or is moved behind it.

1. QuantizeLinear of what DequantizeLinear writes works on the integers. It does nothing if neither has a zero point,
   and neither the type nor any integer changes.
2. Products, quotients, sums and differences with a constant of one number, or one a channel, before QuantizeLinear
   become part of it, unless a product computes what they read. Factors do where all are positive, or where they read
   what a QuantizeLinear without a zero point wrote for them alone. Constants a channel are inputs: four bounds.
3. A sum with another constant stays, and reads the integers.
4. Relu before QuantizeLinear to unsigned integers without a zero point is part of it.
5. QuantizeLinear behind a Transpose moves before it, and before a view before that: where the Transpose reads numbers,
   or integers without a zero point, which QuantizeLinear then works on by rule 1. So it does before more such pairs.
6. Transposes that it moved before are one where the view between them changes no shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import FACTORS, OFFSETS, QuantizedTensors
from nnmeter.graph.ir import TensorType

_MOST_BETWEEN = 8
_MOST_MOVED = 4  # transposes
_BOUNDS = 4  # of the numbers that QuantizeLinear reads and writes: an input each where they are by channel


@dataclass
class _Constants:
    """What stands between a tensor and the QuantizeLinear behind: operators with constants, the last one first."""

    tensor: str
    factor: float = 1.0
    by_channel: bool = False
    nodes: list[WorkNode] = field(default_factory=list)


class Requantization:
    """Rules 1 to 6 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph
        self.products = frozenset(tensors.fields["products"])
        self.activations = frozenset(tensors.fields["activations"])

    def visit(self, node: WorkNode) -> None:
        """Rules 1 to 6."""
        tensors, graph = self.tensors, self.graph
        self._take_activation(node)
        constants = self._constants_before(node)
        before = tensors.dequantized(constants.tensor)
        if before is not None:
            self._of_integers(node, before, constants)
            return
        writer = graph.producer.get(constants.tensor)
        if constants.nodes and (writer is None or writer.kind not in self.products):
            graph.set_input(node, 0, constants.tensor)
            graph.prune(constants.nodes)
            self._add_bounds(node, constants)
        if constants.by_channel:
            return
        if not self._move_before_transpose(node):
            self._behind_a_sum(node)
            return
        before = tensors.dequantized(node.inputs[0])
        if before is not None:
            self._of_integers(node, before, _Constants(node.inputs[0]))

    def _of_integers(self, node: WorkNode, before: WorkNode, constants: _Constants) -> None:
        """Rule 1."""
        tensors, graph = self.tensors, self.graph
        output = node.outputs[0]
        scales = tensors.scales
        same_type = graph.types[output].dtype == graph.types[before.inputs[0]].dtype
        unchanged = same_type and tensors.is_identity(scales[before], scales[node], constants.factor)
        if unchanged and not constants.by_channel:
            if output not in graph.outputs:
                graph.remove_node(node)
                graph.redirect(output, before.inputs[0])
                graph.prune([*constants.nodes, before])
            return
        self._note_repeated(before, node)
        tensors.read_numbers(node, 0, before)
        graph.prune([*constants.nodes, before])
        self._add_bounds(node, constants)

    def _constants_before(self, node: WorkNode) -> _Constants:
        """Rule 2."""
        graph = self.graph
        found = _Constants(node.inputs[0])
        for _ in range(_MOST_BETWEEN):
            writer = graph.producer.get(found.tensor)
            if writer is None or writer.kind not in FACTORS | OFFSETS or only_reader(graph, found.tensor) is None:
                break
            operands = self._constant_operand(writer)
            if operands is None:
                break
            constant, data = operands
            size = graph.types[constant].elements
            if size > 1 and not self._is_by_channel(writer, constant):
                break
            if writer.kind in FACTORS and self.tensors.may_be_negative(constant) and not self._ends_one(data):
                break
            found.by_channel |= size > 1
            found.factor *= self._factor(writer, constant)
            found.nodes.append(writer)
            found.tensor = data
        return found

    def _ends_one(self, tensor: str) -> bool:
        """Whether a tensor is what a QuantizeLinear without a zero point wrote for one reader."""
        before = self.tensors.dequantized(tensor)
        if before is None or self.tensors.has_zero_point(before) or only_reader(self.graph, tensor) is None:
            return False
        writer = self.graph.producer.get(before.inputs[0])
        return writer is not None and self.tensors.quantizes(writer) and self.graph.uses(before.inputs[0]) == 1

    def _add_bounds(self, node: WorkNode, constants: _Constants) -> None:
        if not constants.by_channel:
            return
        shape = self.graph.types[node.outputs[0]].shape
        bound = TensorType("float32", (shape[1], *(1 for _ in shape[2:])))
        for _ in range(_BOUNDS):
            node.inputs.append("")
            self.graph.set_input(node, len(node.inputs) - 1, self.graph.add_weight("bound", bound))

    def _take_activation(self, node: WorkNode) -> None:
        """Rule 4."""
        graph = self.graph
        writer = graph.producer.get(node.inputs[0])
        unsigned = graph.types[node.outputs[0]].dtype == "uint8" and not self.tensors.has_zero_point(node)
        if writer is None or writer.kind not in self.activations or not unsigned:
            return
        if only_reader(graph, node.inputs[0]) is node:
            node.sources = (*writer.sources, *node.sources)
            graph.set_input(node, 0, writer.inputs[0])
            graph.prune([writer])

    def _note_repeated(self, before: WorkNode, node: WorkNode) -> None:
        scales = self.tensors.scales
        if scales[before][1:] == scales[node][1:]:
            self.tensors.repeated.add(node)

    def _move_before_transpose(self, node: WorkNode) -> bool:
        """Rule 5."""
        graph = self.graph
        movers: list[WorkNode] = []
        tensor = node.inputs[0]
        for kinds in ((self.tensors.fields["transpose"],), self.tensors.fields["views"]) * _MOST_MOVED:
            writer = graph.producer.get(tensor)
            if writer is None or writer.kind not in kinds or only_reader(graph, tensor) is None:
                break
            movers.append(writer)
            tensor = writer.inputs[0]
        output = node.outputs[0]
        if not movers or output in graph.outputs:
            return False
        self._join_transposes(movers)
        dtype = graph.types[output].dtype
        last = movers[0]
        integers = graph.fresh(tensor)
        graph.types[integers] = TensorType(dtype, graph.types[tensor].shape)
        graph.set_input(node, 0, tensor)
        graph.set_output(node, 0, integers)
        node.position = movers[-1].position - 1e-6
        for mover in reversed(movers):
            graph.set_input(mover, 0, integers)
            integers = mover.outputs[0]
            graph.types[integers] = TensorType(dtype, graph.types[integers].shape)
        graph.set_output(last, 0, output)
        self.tensors.moved[node] = movers[::-1]
        return True

    def _join_transposes(self, movers: list[WorkNode]) -> None:
        """Rule 6, for what QuantizeLinear moves before, the last first."""
        graph = self.graph
        while len(movers) > 2 and movers[2].kind == self.tensors.fields["transpose"]:
            last, view, first = movers[:3]
            if graph.types[view.inputs[0]].shape != graph.types[view.outputs[0]].shape:
                return
            backwards = tuple(reversed(range(len(graph.types[first.inputs[0]].shape))))
            order, then = (node.attributes.get("perm", backwards) for node in (first, last))
            last.attributes = {**last.attributes, "perm": tuple(order[place] for place in then)}
            last.sources = (*first.sources, *view.sources, *last.sources)
            graph.set_input(last, 0, first.inputs[0])
            graph.prune([view, first])
            del movers[1:3]

    def _constant_operand(self, node: WorkNode) -> tuple[str, str] | None:
        """The constant and the other operand of a node of two inputs; None where there is no constant."""
        if len(node.inputs) != 2:
            return None
        known = [self.tensors.is_constant(tensor) for tensor in node.inputs]
        if known[1] and not known[0]:
            return node.inputs[1], node.inputs[0]
        if known[0] and not known[1] and node.kind in ("Mul", "Add"):
            return node.inputs[0], node.inputs[1]
        return None

    def _is_by_channel(self, node: WorkNode, constant: str) -> bool:
        shape, data = self.graph.types[constant].shape, self.graph.types[node.outputs[0]].shape
        padded = (1,) * (len(data) - len(shape)) + shape
        return len(data) > 3 and all(size == 1 or (at == 1 and size == data[1]) for at, size in enumerate(padded))

    def _factor(self, node: WorkNode, constant: str) -> float:
        """By how much a product or quotient changes a scale; no number where that is not known, or for a sum."""
        value = self._number(constant)
        if value is None or node.kind in OFFSETS:
            return float("nan")
        return value if node.kind == "Mul" else 1 / value if value else float("nan")

    def _number(self, constant: str) -> float | None:
        value = self.tensors.numbers(constant)
        return None if value is None or np.size(value) != 1 else float(np.ravel(value)[0])

    def _behind_a_sum(self, node: WorkNode) -> None:
        """Rule 3."""
        total = self.graph.producer.get(node.inputs[0])
        if total is None or total.kind not in OFFSETS or only_reader(self.graph, node.inputs[0]) is None:
            return
        found = self._constant_operand(total)
        before = None if found is None else self.tensors.dequantized(found[1])
        if found is not None and before is not None:
            constant = total.inputs.index(found[0])
            self._note_repeated(before, node)
            self.tensors.read_numbers(total, total.inputs.index(found[1]), before)
            self.graph.set_input(total, constant, self.graph.add_weight(found[0], self.graph.types[found[0]]))
