"""Element-wise operators of quantized data: where scales and zero points go.

1. A sum reads integers where all its operands are dequantized and a QuantizeLinear alone reads it.
2. The scales of what a multiplication of computed tensors reads become part of the QuantizeLinear that alone reads it,
   if they have no zero point.
3. A product or a quotient of dequantized data with a constant is one product: the scale is part of the constant.
4. What an element-wise operator reads of integers with a zero point is less that: an operator `zero_point`.
"""

from __future__ import annotations

from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import DEQUANTIZE, QuantizedTensors

QUOTIENT = "Div"


class QuantizedArithmetic:
    """Rules 1 to 4 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph
        self.sums = frozenset(tensors.fields["sums"])
        self.multiplication = tensors.fields["scale"]
        self.kinds = self.sums | {self.multiplication}

    def visit(self, node: WorkNode) -> None:
        """Rules 1 and 2."""
        if self.tensors.quantized(node.outputs[0]) is None or any(map(self.tensors.is_constant, node.inputs)):
            return
        writers = [self.tensors.dequantized(tensor) for tensor in node.inputs]
        if node.kind in self.sums:
            self._sum(node, writers)
            return
        for index, writer in enumerate(writers):
            if writer is not None and not self.tensors.has_zero_point(writer):
                self.tensors.read_integers(node, index, writer)

    def _sum(self, node: WorkNode, writers: list[WorkNode | None]) -> None:
        """Rule 1."""
        if all(writer is not None for writer in writers):
            for index, writer in enumerate(writers):
                assert writer is not None
                self.tensors.read_integers(node, index, writer)

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
