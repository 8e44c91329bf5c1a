"""Quantized data that only move, are joined or averaged: scales move behind what keeps them.

1. An operator of `moving` reads integers, and what it writes is dequantized behind it; so does one of `activations`
   where there is no zero point. A transpose that a QuantizeLinear moves before (`requantization`) has its type.
2. A QuantizeLinear that alone reads a join moves before it: what is joined is quantized anew, unless that changes
   nothing. Without one, a join reads integers of one scale, or without zero points: its result has a scale a place.
3. An average reads integers, without a zero point, and is dequantized behind: by a product (`scale`) where views
   follow, or the scale moved there already. The scale becomes part of the QuantizeLinear behind it, past views, before
   which a zero point is subtracted (`difference`); that directly behind an AveragePool is part of it. One that leaves
   out padding reads numbers.
4. A normalization reads integers without a zero point.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import DEQUANTIZE, MOST_NORMALIZED, QUANTIZE, QuantizedTensors
from nnmeter.graph.ir import TensorType

_MOST_VIEWS = 4


class QuantizedMoves:
    """Rules 1 to 3 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph
        self.moving = frozenset(tensors.fields["moving"])
        self.activations = frozenset(tensors.fields["activations"])
        self.joins = frozenset(tensors.fields["joins"])
        self.averages = frozenset(tensors.fields["averages"])
        self.views = frozenset(tensors.fields["views"])
        self.normalizations = frozenset(tensors.fields["normalizations"])
        self.transpose = tensors.fields["transpose"]
        self.difference, self.multiplication = tensors.fields["difference"], tensors.fields["scale"]
        self.kinds = self.moving | self.activations | self.joins | self.averages | self.normalizations

    def visit(self, node: WorkNode) -> None:
        """Rules 1 to 3."""
        if node.kind in self.joins:
            self._join(node)
        elif node.kind in self.averages:
            self._average(node)
        elif node.kind in self.normalizations:
            self._normalize(node)
        else:
            self._move(node)

    def _move(self, node: WorkNode) -> None:
        before = self.tensors.dequantized(node.inputs[0])
        if before is None or (node.kind in self.activations and self.tensors.has_zero_point(before)):
            return
        if node.kind == self.transpose and self._is_moved_before(node, before):
            return
        scales = self.tensors.scales[before]
        dtype = self.graph.types[before.inputs[0]].dtype
        self.tensors.read_integers(node, 0, before)
        self.tensors.dequantize_behind(node, dtype, scales)

    def _is_moved_before(self, node: WorkNode, before: WorkNode) -> bool:
        """Whether a QuantizeLinear behind a transpose is to move before it: rule 5 of `requantization`."""
        return not self.tensors.has_zero_point(before) and self.tensors.quantized(node.outputs[0]) is not None

    def _join(self, node: WorkNode) -> None:
        """Rule 2."""
        graph, tensors = self.graph, self.tensors
        writers = [writer for tensor in node.inputs if (writer := tensors.dequantized(tensor)) is not None]
        if len(writers) < len(node.inputs):
            return
        reader = tensors.quantized(node.outputs[0])
        if reader is not None and reader.outputs[0] not in graph.outputs:
            scales, output = tensors.scales[reader], reader.outputs[0]
            for index, writer in enumerate(writers):
                if tensors.is_identity(tensors.scales[writer], scales):
                    tensors.read_integers(node, index, writer)
                else:
                    tensors.quantize_before(node, index, writer, graph.types[output].dtype, scales)
            node.sources += reader.sources
            graph.remove_node(reader)
            graph.set_output(node, 0, output)
            return
        dtypes = {graph.types[writer.inputs[0]].dtype for writer in writers}
        scales = tensors.scales[writers[0]]
        if not all(tensors.are_equal(tensors.scales[writer], scales) for writer in writers):
            if any(map(tensors.has_zero_point, writers)):
                return
            scales = (self._scale_of_each(node),)
        if len(dtypes) == 1:
            for index, writer in enumerate(writers):
                tensors.read_integers(node, index, writer)
            tensors.dequantize_behind(node, dtypes.pop(), scales)

    def _scale_of_each(self, node: WorkNode) -> str:
        """A scale for each place of what a join writes."""
        shape = self.graph.types[node.outputs[0]].shape
        axis = node.attributes.get("axis", 0) % max(len(shape), 1)
        return self.graph.add_weight("scale", TensorType("float32", (shape[axis], *(1 for _ in shape[axis + 1 :]))))

    def _average(self, node: WorkNode) -> None:
        """Rule 3."""
        graph, tensors = self.graph, self.tensors
        if node.kind == "AveragePool" and not node.attributes.get("count_include_pad", 0):
            return
        if node.kind == "Resize" and node.attributes.get("mode", "nearest") not in ("nearest", b"nearest"):
            return
        before = tensors.dequantized(node.inputs[0])
        if before is None:
            return
        end, reader = node, only_reader(graph, node.outputs[0])
        for _ in range(_MOST_VIEWS):
            if reader is None or reader.kind not in self.views:
                break
            end, reader = reader, only_reader(graph, reader.outputs[0])
        if reader is None or reader.kind != QUANTIZE:
            if node.kind not in ("AveragePool", "Resize") and not tensors.has_zero_point(before):
                tensors.read_integers(node, 0, before)
                self._put_behind(
                    node, self.multiplication if before in tensors.added or end is not node else DEQUANTIZE
                )
            return
        shifted = tensors.has_zero_point(before)
        tensors.read_integers(node, 0, before)
        if end is node and node.kind == "AveragePool":
            node.attributes = {**node.attributes, "fused": QUANTIZE}
            output = reader.outputs[0]
            node.sources += reader.sources
            graph.remove_node(reader)
            graph.set_output(node, 0, output)
        elif end is not node and shifted:
            self._put_behind(node, self.difference)

    def _put_behind(self, node: WorkNode, kind: str) -> None:
        """An operator with a constant of one number, on what a node writes."""
        graph, output = self.graph, node.outputs[0]
        written = graph.fresh(output)
        graph.types[written] = graph.types[output]
        graph.set_output(node, 0, written)
        constant = graph.add_weight(output, TensorType("float32", ()))
        graph.add_node(kind, output, [written, constant], [output], {}, node.position + 1e-6)

    def _normalize(self, node: WorkNode) -> None:
        """Rule 4."""
        before = self.tensors.dequantized(node.inputs[0])
        if len(self.graph.types[node.inputs[0]].shape) > MOST_NORMALIZED:
            return
        if before is not None and not self.tensors.has_zero_point(before):
            self.tensors.read_integers(node, 0, before)
