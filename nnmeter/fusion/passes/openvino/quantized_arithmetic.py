"""Element-wise operators of quantized data: where scales and zero points go.

1. A sum of dequantized tensors that a QuantizeLinear alone reads has the scale and zero point of its second operand: a
   QuantizeLinear that nothing else reads writes numbers that fit to it, the first such one, behind a product rather
   than not; the other operand is read as integers. Where there is none, what a QuantizeLinear wrote, or else the first
   operand, is less a zero point (`difference`), and times a scale (`scale`).
2. A multiplication of such tensors reads integers where there is no zero point, but for the first operand that a
   QuantizeLinear wrote for it alone, which writes numbers; so do all such with a zero point.
3. A product or a quotient of dequantized data with a constant is one product: the scale is part of the constant.
4. What an element-wise operator reads of integers with a zero point is less that: an operator `zero_point`.
5. A sum or a difference of numbers and dequantized integers is one of integers: the numbers are less the zero point
   (`difference`), and divided by the scale, and the result is times the scale for each reader (`scale`), past views:
   for a normalization and a QuantizeLinear it is not. Numbers that are such a result are scaled once.
6. A normalization of more dimensions is taken apart where it reads such a result: its mean and the result itself are
   each times the scale.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import DEQUANTIZE, MOST_NORMALIZED, QuantizedTensors
from nnmeter.graph.ir import TensorType

QUOTIENT = "Div"
MEAN, ROOT_MEAN_SQUARE = "ReduceMean", "RMSNormalization"


class QuantizedArithmetic:
    """Rules 1 to 6 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph
        self.sums = frozenset(tensors.fields["sums"])
        self.sum = tensors.fields["sums"][0]
        self.products = frozenset(tensors.fields["products"])
        self.joins = frozenset(tensors.fields["joins"])
        self.multiplication, self.difference = tensors.fields["scale"], tensors.fields["difference"]
        self.normalizations = frozenset(tensors.fields["normalizations"])
        self.views = frozenset(tensors.fields["views"])
        self.scaled: set[str] = set()  # results of rule 5, times their scale
        self.kinds = self.sums | {self.multiplication, "Sub"}

    def visit(self, node: WorkNode) -> None:
        """Rules 1, 2 and 5."""
        tensors = self.tensors
        if node.kind != self.multiplication and self._is_of_both(node):
            self._sum_of_both(node)
            return
        if node.kind == "Sub" and node.kind not in self.sums:
            return
        if not self._is_quantized(node.outputs[0]) or any(map(tensors.is_constant, node.inputs)):
            return
        writers = [tensors.dequantized(tensor) for tensor in node.inputs]
        if node.kind not in self.sums:
            self._multiply(node, writers)
        elif len(writers) == 2 and writers[0] is not None and writers[1] is not None:
            self._sum(node, [writers[0], writers[1]])

    def _is_of_both(self, node: WorkNode) -> bool:
        """Whether a node of two operands reads numbers and dequantized integers, and constants neither."""
        if len(node.inputs) != 2 or any(map(self.tensors.is_constant, node.inputs)):
            return False
        return sum(self.tensors.dequantized(tensor) is not None for tensor in node.inputs) == 1

    def _sum_of_both(self, node: WorkNode) -> None:
        """Rule 5."""
        tensors, graph = self.tensors, self.graph
        index = next(at for at, tensor in enumerate(node.inputs) if tensors.dequantized(tensor) is not None)
        before = tensors.dequantized(node.inputs[index])
        assert before is not None
        numbers = node.inputs[1 - index]
        factor = [] if numbers in self.scaled else [self.multiplication]
        for kind in [self.difference] * tensors.has_zero_point(before) + factor:
            numbers = self._with_number(kind, numbers, node.position - 1e-6)
        graph.set_input(node, 1 - index, numbers)
        tensors.read_integers(node, index, before)
        self._scale_behind(node)

    def _scale_behind(self, node: WorkNode) -> None:
        """Rules 5 and 6 for the readers of a sum, and of views of it."""
        pending = [node]
        while pending:
            written = pending.pop()
            if self.tensors.quantized(written.outputs[0]) is None:
                pending += self._scale_readers(written)

    def _scale_readers(self, node: WorkNode) -> list[WorkNode]:
        """Let the readers of what a node writes have it times the scale; the views, which have it as it is."""
        graph, output = self.graph, node.outputs[0]
        total = graph.fresh(output)
        graph.types[total] = graph.types[output]
        returned = output in graph.outputs
        readers = list(dict.fromkeys(graph.readers.get(output, ())))
        graph.set_output(node, 0, total)
        if returned:
            constant = graph.add_weight(output, TensorType("float32", ()))
            graph.add_node(self.multiplication, output, [total, constant], [output], {}, node.position + 1e-6)
        views = [reader for reader in readers if self._is_view_of(reader, output)]
        for reader in readers:
            if self._is_taken_apart(reader, output):
                self._normalize_scaled(reader, total)
                continue
            whole = reader in views or self._undoes_scales(reader, output)
            read = total if whole else self._scaled(total, node.position + 1e-6)
            for at, name in enumerate(reader.inputs):
                if name == output:
                    graph.set_input(reader, at, read)
        return views

    def _undoes_scales(self, node: WorkNode, tensor: str) -> bool:
        return node.kind in self.normalizations and len(self.graph.types[tensor].shape) <= MOST_NORMALIZED

    def _is_taken_apart(self, node: WorkNode, tensor: str) -> bool:
        """Whether rule 6 holds for a reader: it normalizes the last axis of a tensor of more dimensions."""
        if node.kind not in self.normalizations or node.inputs.index(tensor) or self._undoes_scales(node, tensor):
            return False
        return node.attributes.get("axis", -1) in (-1, len(self.graph.types[tensor].shape) - 1)

    def _is_view_of(self, node: WorkNode, tensor: str) -> bool:
        return node.kind in self.views and node.inputs[0] == tensor

    def _scaled(self, tensor: str, position: float) -> str:
        """A tensor times a scale."""
        made = self._with_number(self.multiplication, tensor, position)
        self.scaled.add(made)
        return made

    def _normalize_scaled(self, node: WorkNode, total: str) -> None:
        """Rule 6."""
        graph, position = self.graph, node.position
        kind, output = graph.types[total], node.outputs[0]
        mean = graph.fresh(total)
        graph.types[mean] = TensorType("float32", (*kind.shape[:-1], 1))
        graph.add_node(MEAN, mean, [total], [mean], {"axes": (-1,), "keepdims": 1}, position - 6e-7)
        made = self._with_number(self.multiplication, total, position - 5e-7)
        subtracted = self._with_number(self.multiplication, mean, position - 4e-7)
        weights = [[name] for name in node.inputs[1:] if name]
        steps = [(self.difference, [subtracted]), (ROOT_MEAN_SQUARE, [])]
        steps += zip((self.multiplication, self.sum), weights, strict=False)
        graph.remove_node(node)
        for place, (operator, others) in enumerate(steps, 1):
            last = place == len(steps)
            written = output if last else graph.fresh(output)
            graph.types[written] = kind
            sources = node.sources if last else ()
            graph.add_node(operator, written, [made, *others], [written], {}, position + (place - 4) * 1e-7, sources)
            made = written

    def _with_number(self, kind: str, tensor: str, position: float) -> str:
        """What an operator makes of a tensor and a constant of one number."""
        graph = self.graph
        constant = graph.add_weight("constant", TensorType("float32", ()))
        made = graph.fresh(tensor)
        graph.types[made] = TensorType("float32", graph.types[tensor].shape)
        graph.add_node(kind, made, [tensor, constant], [made], {}, position)
        return made

    def _is_quantized(self, tensor: str) -> bool:
        """Whether a QuantizeLinear alone reads a tensor, or a quotient with a constant."""
        reader = only_reader(self.graph, tensor)
        if reader is not None and reader.kind == QUOTIENT:
            return self.tensors.is_constant(reader.inputs[1])
        return self.tensors.quantized(tensor) is not None

    def _sum(self, node: WorkNode, writers: list[WorkNode]) -> None:
        """Rule 1."""
        tensors, graph = self.tensors, self.graph
        alone = [self._written_for(node, writer) for writer in writers]
        fit = [index for index, quantize in enumerate(alone) if quantize is not None]
        first = min(fit, key=lambda index: not self._is_of_product(alone[index]), default=None)
        shifted = any(map(tensors.has_zero_point, writers))
        scaled = tensors.scale(writers[0]) != tensors.scale(writers[1])
        before = [graph.producer.get(writer.inputs[0]) for writer in writers]
        for index, writer in enumerate(writers):
            tensors.read_integers(node, index, writer)
        if first is not None:
            self._write_numbers(alone[first])
            return
        index = next((at for at, writer in enumerate(before) if writer is not None and tensors.quantizes(writer)), 0)
        shape = graph.types[node.inputs[index]].shape
        by_channel = len(shape) > 1 and any(writer is not None and writer.kind in self.joins for writer in before)
        size = (shape[1], *(1 for _ in shape[2:])) if by_channel else ()
        for added, kind in ((shifted, self.difference), (scaled, self.multiplication)):
            if added:
                constant = graph.add_weight("constant", TensorType("float32", size if kind == self.difference else ()))
                read = node.inputs[index]
                made = graph.fresh(read)
                graph.types[made] = TensorType("float32", shape)
                graph.add_node(kind, made, [read, constant], [made], {}, node.position - 1e-6)
                graph.set_input(node, index, made)

    def _multiply(self, node: WorkNode, writers: list[WorkNode | None]) -> None:
        """Rule 2."""
        tensors = self.tensors
        alone = [None if writer is None else self._written_for(node, writer) for writer in writers]
        first = next((index for index, quantize in enumerate(alone) if quantize is not None), None)
        for index, writer in enumerate(writers):
            if writer is None:
                continue
            if alone[index] is not None and (index == first or tensors.has_zero_point(writer)):
                tensors.read_integers(node, index, writer)
                self._write_numbers(alone[index])
            elif not tensors.has_zero_point(writer):
                tensors.read_integers(node, index, writer)

    def _is_of_product(self, quantize: WorkNode | None) -> bool:
        writer = None if quantize is None else self.graph.producer.get(quantize.inputs[0])
        return writer is not None and writer.kind in self.products

    def _written_for(self, node: WorkNode, dequantize: WorkNode) -> WorkNode | None:
        """The QuantizeLinear whose integers are dequantized for a node alone."""
        graph, source = self.graph, dequantize.inputs[0]
        writer = graph.producer.get(source)
        if writer is None or not self.tensors.quantizes(writer) or source in graph.outputs:
            return None
        if only_reader(graph, source) is None or only_reader(graph, dequantize.outputs[0]) is not node:
            return None
        return writer

    def _write_numbers(self, quantize: WorkNode | None) -> None:
        assert quantize is not None
        output, apart = quantize.outputs[0], self.tensors.fields["apart"]
        if apart not in quantize.attributes and self.graph.producer.get(quantize.inputs[0]) in self.tensors.floats:
            return  # it writes numbers anyway: rule 5 of `quantized_products`
        self.graph.types[output] = TensorType("float32", self.graph.types[output].shape)
        quantize.attributes = {key: value for key, value in quantize.attributes.items() if key != apart}

    def scale_constants(self) -> None:
        """Rule 3."""
        for dequantize in list(self.tensors.scales):
            if not dequantize.alive or dequantize.kind != DEQUANTIZE:
                continue
            output = dequantize.outputs[0]
            for reader in list(dict.fromkeys(self.graph.readers.get(output, ()))):
                if reader.kind not in (self.multiplication, QUOTIENT) or len(reader.inputs) != 2:
                    continue
                index = reader.inputs.index(output)
                by_constant = self.tensors.is_constant(reader.inputs[1 - index])
                if by_constant and dequantize.alive and (index == 0 or reader.kind == self.multiplication):
                    self.tensors.read_numbers(reader, index, dequantize)
                    scale = self.graph.types[self.tensors.scales[dequantize][0]]
                    if scale.elements > 1:
                        self.graph.set_input(reader, 1 - index, self.graph.add_weight("scale", scale))
