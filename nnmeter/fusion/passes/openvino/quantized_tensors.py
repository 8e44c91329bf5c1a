"""What the rules for low precision know of a graph: which operators quantize, and by which scale and zero point.

QuantizeLinear and DequantizeLinear have scales and zero points that are constants, of 8 bits: those whose scale is
computed, or that have other types, are left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Fields
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
FACTORS, OFFSETS = frozenset({"Mul", "Div"}), frozenset({"Add", "Sub"})
BYTES = frozenset({"uint8", "int8"})
MOST_NORMALIZED = 3  # dimensions of what is normalized in one operator
MIDDLE = 128  # the zero point of unsigned integers that are signed ones, shifted
_STEPS = 255  # of 8 bits
Scales = tuple[str, ...]  # the names of a scale and, where there is one, a zero point


class QuantizedTensors:
    """A graph, the fields of the pass, and the scale and zero point of each operator that has any.

    Attributes:
        scales: of QuantizeLinear and DequantizeLinear, those that rules add included.
        floats: products of quantized data that compute in single precision.
        added: DequantizeLinear that moved behind another operator.
        repeated: QuantizeLinear whose zero point is the very constant that the integers it reads had.
        moved: what a QuantizeLinear moved before, in order.
        signed: constants whose numbers are not known, and have both signs.
    """

    def __init__(self, graph: WorkingGraph, fields: Fields) -> None:
        self.graph = graph
        self.fields = fields
        self.scales: dict[WorkNode, Scales] = {}
        self.floats: dict[WorkNode, None] = {}
        self.added: set[WorkNode] = set()
        self.repeated: set[WorkNode] = set()
        self.moved: dict[WorkNode, list[WorkNode]] = {}
        self.signed: set[str] = set()
        for node in graph.of_kinds((QUANTIZE, DEQUANTIZE)):
            constant = all(not name or name in graph.constants for name in node.inputs[1:])
            data = node.outputs[0] if node.kind == QUANTIZE else node.inputs[0]
            if constant and len(node.inputs) > 1 and node.inputs[1] and graph.types[data].dtype in BYTES:
                self.scales[node] = tuple(node.inputs[1:])

    def dequantized(self, tensor: str) -> WorkNode | None:
        """The DequantizeLinear that makes a tensor of integers, if any does."""
        writer = self.graph.producer.get(tensor)
        if writer is None or writer.kind != DEQUANTIZE or writer not in self.scales:
            return None
        return writer if self.graph.types[writer.inputs[0]].dtype in BYTES else None

    def quantized(self, tensor: str) -> WorkNode | None:
        """The QuantizeLinear that alone reads a tensor, if any does."""
        reader = only_reader(self.graph, tensor)
        return reader if reader is not None and reader.kind == QUANTIZE and reader in self.scales else None

    def quantizes(self, node: WorkNode) -> bool:
        """Whether a node is a QuantizeLinear that rules apply to."""
        return node.alive and node.kind == QUANTIZE and node in self.scales

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor is a constant, or one that is dequantized."""
        writer = self.graph.producer.get(tensor)
        dequantized = writer is not None and writer.kind == DEQUANTIZE and writer.inputs[0] in self.graph.constants
        return tensor in self.graph.constants or dequantized

    def numbers(self, constant: str) -> np.ndarray | None:
        """The numbers of a constant, dequantized where it is; None where they are not known."""
        values, writer = self.graph.values, self.dequantized(constant)
        if writer is None:
            return values.get(constant)
        integers, scale, point = values.get(writer.inputs[0]), self.scale(writer), self.zero_point(writer)
        if integers is None or scale is None or point is None or np.size(point) != 1:
            return None
        return (np.asarray(integers, np.float64) - float(np.ravel(point)[0])) * scale

    def may_be_negative(self, constant: str) -> bool:
        """Whether a constant has a number that is not positive; integers that are not known are taken to have some."""
        numbers = self.numbers(constant)
        if numbers is not None:
            return bool(np.any(numbers <= 0))
        writer = self.dequantized(constant)
        return constant in self.signed or (writer is not None and self.graph.types[writer.inputs[0]].elements > 1)

    def has_zero_point(self, node: WorkNode) -> bool:
        """Whether the zero point is another number than 0."""
        value = self.zero_point(node)
        return value is None or bool(np.any(value))

    def zero_point(self, node: WorkNode) -> np.ndarray | None:
        """The zero point; None where it is not known."""
        scales = self.scales[node]
        if len(scales) < 2 or not scales[1]:
            return np.zeros(1)
        return self.graph.values.get(scales[1])

    def scale(self, node: WorkNode) -> float | None:
        """The one scale of a node; None where there are several, or it is not known."""
        value = self.graph.values.get(self.scales[node][0])
        return float(np.asarray(value).reshape(-1)[0]) if value is not None and np.size(value) == 1 else None

    def are_equal(self, one: Scales, other: Scales) -> bool:
        """Whether two scales and zero points are the same."""
        return one == other or [self._value(name) for name in one] == [self._value(name) for name in other]

    def shifted(self, tensor: str, position: float) -> str:
        """What an element-wise operator reads in place of integers with a zero point: they, less that, as numbers."""
        graph = self.graph
        made = graph.fresh(tensor)
        graph.types[made] = TensorType("float32", graph.types[tensor].shape)
        graph.add_node(self.fields["zero_point"], made, [tensor], [made], {}, position)
        return made

    def read_numbers(self, node: WorkNode, index: int, before: WorkNode) -> None:
        """As `read_integers` for an element-wise operator, which a zero point is subtracted for."""
        source = before.inputs[0]
        shifts = self.has_zero_point(before)
        self.graph.set_input(node, index, self.shifted(source, node.position - 1e-7) if shifts else source)
        self.graph.prune([before])

    def read_integers(self, node: WorkNode, index: int, before: WorkNode) -> None:
        """Let an input of a node be what a DequantizeLinear reads in place of what it writes."""
        self.graph.set_input(node, index, before.inputs[0])
        self.graph.prune([before])

    def dequantize_behind(self, node: WorkNode, dtype: str, scales: Scales) -> None:
        """Let all results of a node be integers, each with a DequantizeLinear behind."""
        graph = self.graph
        for index, output in enumerate(node.outputs):
            if not output:
                continue
            integers = graph.fresh(output)
            graph.types[integers] = TensorType(dtype, graph.types[output].shape)
            graph.set_output(node, index, integers)
            position = node.position + 1e-6
            made = graph.add_node(DEQUANTIZE, integers, [integers], [output], {}, position, node.sources[-1:])
            self.scales[made] = scales
            self.added.add(made)

    def quantize_before(self, node: WorkNode, index: int, before: WorkNode, dtype: str, scales: Scales) -> None:
        """Let an input of a node be quantized anew, by other scales than those of the DequantizeLinear before it."""
        graph, source = self.graph, before.inputs[0]
        anew = graph.fresh(source)
        graph.types[anew] = TensorType(dtype, graph.types[source].shape)
        made = graph.add_node(QUANTIZE, anew, [source], [anew], {}, node.position - 1e-6, node.sources[-1:])
        self.scales[made] = scales
        graph.set_input(node, index, anew)
        self.read_numbers(made, 0, before)

    def drop_settings(self) -> None:
        """Scales are part of the code of what is left, and no inputs; a zero point is subtracted before."""
        for node in self.scales:
            if node.alive and node.inputs[0] in self.graph.constants:
                self.graph.make_constant(node)
            elif node.alive:
                kept = [tensor for tensor in node.inputs[1:] if tensor not in self.scales[node]]
                for index in range(1, len(node.inputs)):
                    self.graph.set_input(node, index, "")
                del node.inputs[1:]
                for tensor in kept:
                    node.inputs.append("")
                    self.graph.set_input(node, len(node.inputs) - 1, tensor)
                if node.kind == DEQUANTIZE and self.has_zero_point(node):
                    self.graph.set_input(node, 0, self.shifted(node.inputs[0], node.position - 1e-7))

    def is_identity(self, one: Scales, other: Scales, factor: float = 1.0) -> bool:
        """Whether quantizing anew, by another scale, moves no integer by one step, and neither has a zero point."""
        points = [
            self.graph.values.get(name) if name else np.zeros(1) for name in (one[1:2] or ("",)) + (other[1:2] or ("",))
        ]
        scales = [self.graph.values.get(scales[0]) for scales in (one, other)]
        if any(point is None or np.any(point) for point in points):
            return False
        if any(scale is None or np.size(scale) != 1 for scale in scales):
            return one[0] == other[0] and factor == 1.0
        first, second = (float(np.asarray(scale).reshape(-1)[0]) for scale in scales)
        return second != 0 and _STEPS * abs(1 - factor * first / second) < 1

    def _value(self, name: str) -> Any:
        value = self.graph.values.get(name)
        return name if value is None else np.asarray(value).tolist()
