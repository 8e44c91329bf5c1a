"""QuantizeLinear whose result is only dequantized, and DequantizeLinear that is left.

1. QuantizeLinear of numbers that no product wrote, whose result is only dequantized, for products that compute in
   single precision, multiplications and sums before a QuantizeLinear, rounds numbers: one operator. A first factor with
   a zero point is still dequantized.
2. QuantizeLinear without a zero point whose result is only dequantized rounds numbers too; so does one whose zero point
   is the very constant that the integers it reads had, for operators that these rules do not know. It has the name of
   the DequantizeLinear where that writes a result of the graph.
3. What still dequantizes for several readers does so for each operator that these rules know, and once for all others.
"""

from __future__ import annotations

from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import DEQUANTIZE, FACTORS, OFFSETS, QuantizedTensors
from nnmeter.graph.ir import TensorType

_HANDLED = ("products", "moving", "joins", "averages", "normalizations", "sums", "activations")  # fields of operators


class QuantizedRounding:
    """Rules 1 to 3 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph
        self.products = frozenset(tensors.fields["products"])
        self.sums = frozenset(tensors.fields["sums"])
        self.multiplication = tensors.fields["scale"]
        self.handled = {
            *(kind for field in _HANDLED for kind in tensors.fields[field]),
            *FACTORS,
            *OFFSETS,
        }

    def round_numbers(self, node: WorkNode) -> None:
        """Rule 1."""
        graph, output = self.graph, self._end(node)
        writer = graph.producer.get(node.inputs[0])
        dequantized = self._dequantizing_readers(node)
        if (writer is not None and writer.kind in self.products) or not dequantized:
            return
        if any(reader.outputs[0] in graph.outputs for reader in dequantized):
            return
        behind = [reader for each in dequantized for reader in graph.readers.get(each.outputs[0], ())]
        if not all(reader in self.tensors.floats or self._is_quantized(reader) for reader in behind):
            return
        shifted = self.tensors.has_zero_point(node) and node not in self.tensors.repeated
        if shifted and self._is_first_factor(dequantized, behind):
            return
        self._round(node, dequantized, output)

    def _is_first_factor(self, dequantized: list[WorkNode], behind: list[WorkNode]) -> bool:
        read = {each.outputs[0] for each in dequantized}
        return any(reader.kind == "MatMul" and reader.inputs[0] in read for reader in behind)

    def round_without_zero_point(self, node: WorkNode) -> None:
        """Rule 2."""
        dequantized = self._dequantizing_readers(node)
        if len(dequantized) != 1 or (self.tensors.has_zero_point(node) and node not in self.tensors.repeated):
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
        return (self.tensors.moved[node][-1] if node in self.tensors.moved else node).outputs[0]

    def _round(self, node: WorkNode, dequantized: list[WorkNode], output: str) -> None:
        graph = self.graph
        apart = self.tensors.fields["apart"]
        node.attributes = {key: value for key, value in node.attributes.items() if key != apart}
        for written in (node, *self.tensors.moved.get(node, ())):
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
        """Rule 3."""
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
