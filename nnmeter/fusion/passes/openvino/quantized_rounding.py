"""QuantizeLinear and DequantizeLinear, one behind the other.

1. QuantizeLinear of what DequantizeLinear writes works on the integers. It does nothing if neither has a zero point and
   no integer changes; so do products, quotients, sums and differences with a constant of one number, or one a channel,
   between the two, which become part of it. With another constant a sum stays, and reads the integers.
2. Relu before QuantizeLinear to unsigned integers without a zero point is part of it.
3. QuantizeLinear of numbers that no product wrote, whose result is only dequantized, for products that compute in
   single precision, multiplications and sums before a QuantizeLinear, rounds numbers: one operator. A first factor with
   a zero point is still dequantized.
4. QuantizeLinear without a zero point whose result is only dequantized rounds numbers too; so does one whose zero point
   is the very constant that the integers it reads had, for operators that these rules do not know. It has the name of
   the DequantizeLinear where that writes a result of the graph.
5. What still dequantizes for several readers does so for each operator that these rules know, and once for all others.
6. QuantizeLinear behind a Transpose moves before it, and before a view before that.
"""

from __future__ import annotations

import numpy as np

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import DEQUANTIZE, QuantizedTensors
from nnmeter.graph.ir import TensorType

_FACTORS = frozenset({"Mul", "Div"})
_OFFSETS = frozenset({"Add", "Sub"})
_HANDLED = ("products", "moving", "joins", "averages", "normalizations", "sums", "activations")  # fields of operators
_MOST_BETWEEN = 8
_BOUNDS = 4  # of the numbers that QuantizeLinear reads and writes: an input each where they are by channel


class QuantizedRounding:
    """Rules 1 to 5 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph
        self.products = frozenset(tensors.fields["products"])
        self.sums = frozenset(tensors.fields["sums"])
        self.activations = frozenset(tensors.fields["activations"])
        self.multiplication = tensors.fields["scale"]
        self.repeated: set[WorkNode] = set()  # QuantizeLinear of what has the same constant for a zero point
        self.handled = {
            *(kind for field in _HANDLED for kind in tensors.fields[field]),
            *_FACTORS,
            *_OFFSETS,
        }
        self.moved: dict[WorkNode, list[WorkNode]] = {}  # what a QuantizeLinear moved before

    def visit(self, node: WorkNode) -> None:
        """Rules 1 and 2."""
        tensors, graph = self.tensors, self.graph
        self._take_activation(node)
        if self._move_before_transpose(node):
            return
        factor, by_channel, between = 1.0, False, []
        tensor = node.inputs[0]
        for _ in range(_MOST_BETWEEN):
            writer = graph.producer.get(tensor)
            if writer is None or writer.kind not in _FACTORS | _OFFSETS or only_reader(graph, tensor) is None:
                break
            found = self._constant_operand(writer)
            if found is None:
                break
            constant, data = found
            size = graph.types[constant].elements
            if size > 1 and not self._is_by_channel(writer, constant):
                break
            by_channel |= size > 1
            factor *= self._factor(writer, constant)
            between.append(writer)
            tensor = data
        before = tensors.dequantized(tensor)
        if before is None:
            self._behind_a_sum(node)
            return
        source = before.inputs[0]
        if tensors.is_identity(tensors.scales[before], tensors.scales[node], factor) and not by_channel:
            output = node.outputs[0]
            if output in graph.outputs:
                return
            graph.remove_node(node)
            graph.redirect(output, source)
            graph.prune([*between, before])
            return
        self._note_repeated(before, node)
        tensors.read_numbers(node, 0, before)
        graph.prune([*between, before])
        if by_channel:
            shape = graph.types[node.outputs[0]].shape
            bound = TensorType("float32", (shape[1], *(1 for _ in shape[2:])))
            for _ in range(_BOUNDS):
                node.inputs.append("")
                graph.set_input(node, len(node.inputs) - 1, graph.add_weight("bound", bound))

    def _take_activation(self, node: WorkNode) -> None:
        """Rule 2."""
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
            self.repeated.add(node)

    def _move_before_transpose(self, node: WorkNode) -> bool:
        """Rule 6."""
        graph = self.graph
        movers: list[WorkNode] = []
        tensor = node.inputs[0]
        for kinds in ((self.tensors.fields["transpose"],), self.tensors.fields["views"]):
            writer = graph.producer.get(tensor)
            if writer is None or writer.kind not in kinds or only_reader(graph, tensor) is None:
                break
            movers.append(writer)
            tensor = writer.inputs[0]
        output = node.outputs[0]
        if not movers or output in graph.outputs:
            return False
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
        self.moved[node] = movers[::-1]
        return True

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
        if value is None or node.kind in _OFFSETS:
            return float("nan")
        return value if node.kind == "Mul" else 1 / value if value else float("nan")

    def _number(self, constant: str) -> float | None:
        values, writer = self.graph.values, self.tensors.dequantized(constant)
        if writer is None:
            value = values.get(constant)
            return None if value is None or np.size(value) != 1 else float(np.asarray(value).reshape(-1)[0])
        value, scale, point = values.get(writer.inputs[0]), self.tensors.scale(writer), self.tensors.zero_point(writer)
        if value is None or scale is None or point is None or np.size(value) != 1:
            return None
        return (float(np.asarray(value).reshape(-1)[0]) - float(np.asarray(point).reshape(-1)[0])) * scale

    def _behind_a_sum(self, node: WorkNode) -> None:
        """Rule 1 for a sum that stays."""
        total = self.graph.producer.get(node.inputs[0])
        if total is None or total.kind not in _OFFSETS or only_reader(self.graph, node.inputs[0]) is None:
            return
        found = self._constant_operand(total)
        before = None if found is None else self.tensors.dequantized(found[1])
        if found is not None and before is not None:
            constant = total.inputs.index(found[0])
            self._note_repeated(before, node)
            self.tensors.read_numbers(total, total.inputs.index(found[1]), before)
            self.graph.set_input(total, constant, self.graph.add_weight(found[0], self.graph.types[found[0]]))

    def round_numbers(self, node: WorkNode) -> None:
        """Rule 3."""
        graph, output = self.graph, self._end(node)
        writer = graph.producer.get(node.inputs[0])
        dequantized = self._dequantizing_readers(node)
        if (writer is not None and writer.kind in self.products) or not dequantized:
            return
        if any(reader.outputs[0] in graph.outputs for reader in dequantized):
            return
        behind = [reader for each in dequantized for reader in graph.readers.get(each.outputs[0], ())]
        floats = set(self.tensors.floats)
        if not all(reader in floats or self._is_quantized(reader) for reader in behind):
            return
        shifted = self.tensors.has_zero_point(node) and node not in self.repeated
        if shifted and self._is_first_factor(dequantized, behind):
            return
        self._round(node, dequantized, output)

    def _is_first_factor(self, dequantized: list[WorkNode], behind: list[WorkNode]) -> bool:
        read = {each.outputs[0] for each in dequantized}
        return any(reader.kind == "MatMul" and reader.inputs[0] in read for reader in behind)

    def round_without_zero_point(self, node: WorkNode) -> None:
        """Rule 4."""
        dequantized = self._dequantizing_readers(node)
        if len(dequantized) != 1 or (self.tensors.has_zero_point(node) and node not in self.repeated):
            return
        result = dequantized[0].outputs[0]
        readers = self.graph.readers.get(result, ())
        if self.tensors.has_zero_point(node) and any(reader.kind in self.handled for reader in readers):
            return
        if result not in self.graph.outputs:
            self._round(node, dequantized, self._end(node))
            return
        if self.graph.readers.get(result):
            return
        sources = (*node.sources, *dequantized[0].sources)
        self.graph.remove_node(dequantized[0])
        self.graph.remove_node(node)
        made = self.graph.add_node(
            DEQUANTIZE, node.name, [node.inputs[0]], [result], dict(node.attributes), node.position, sources
        )
        del self.tensors.scales[node]
        made.attributes = dict(node.attributes)

    def _dequantizing_readers(self, node: WorkNode) -> list[WorkNode]:
        """The nodes that read what a QuantizeLinear writes, if all of them dequantize it."""
        output = self._end(node)
        readers = list(dict.fromkeys(self.graph.readers.get(output, ())))
        fit = all(reader.kind == DEQUANTIZE and reader in self.tensors.scales for reader in readers)
        return readers if fit and output not in self.graph.outputs else []

    def _end(self, node: WorkNode) -> str:
        """What a QuantizeLinear writes, past what it moved before."""
        return (self.moved[node][-1] if node in self.moved else node).outputs[0]

    def _round(self, node: WorkNode, dequantized: list[WorkNode], output: str) -> None:
        graph = self.graph
        apart = self.tensors.fields["apart"]
        node.attributes = {key: value for key, value in node.attributes.items() if key != apart}
        for written in (node, *self.moved.get(node, ())):
            name = written.outputs[0]
            graph.types[name] = TensorType("float32", graph.types[name].shape)
        for reader in dequantized:
            graph.remove_node(reader)
            graph.redirect(reader.outputs[0], output)

    def _is_quantized(self, node: WorkNode) -> bool:
        """Whether a node is a product of numbers, or a sum, that a QuantizeLinear alone reads."""
        if node.kind != self.multiplication and node.kind not in self.sums:
            return False
        return self.tensors.quantized(node.outputs[0]) is not None

    def copy_for_readers(self, node: WorkNode) -> None:
        """Rule 5."""
        graph, output = self.graph, node.outputs[0]
        readers = list(dict.fromkeys(graph.readers.get(output, ())))
        known = [reader for reader in readers if reader.kind in self.handled]
        for reader in known if output in graph.outputs or len(known) < len(readers) else known[1:]:
            copied = graph.fresh(output)
            graph.types[copied] = graph.types[output]
            made = graph.add_node(
                DEQUANTIZE, copied, list(node.inputs), [copied], {}, node.position + 1e-7, node.sources
            )
            self.tensors.scales[made] = self.tensors.scales[node]
            for index, name in enumerate(reader.inputs):
                if name == output:
                    graph.set_input(reader, index, copied)
