"""Quantized data that only move, are joined or averaged: scales move behind what keeps them.

1. An operator of `moving` reads integers, and what it writes is dequantized behind it; so does one of `activations`
   where there is no zero point.
2. A join does so if one QuantizeLinear reads it, or all it joins has one scale: what has another is quantized anew.
3. An average reads integers. Its scale becomes part of the QuantizeLinear behind it, past views; that directly behind an
   AveragePool is part of it. One that leaves out padding reads numbers.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import QUANTIZE, QuantizedTensors

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
        self.kinds = self.moving | self.activations | self.joins | self.averages

    def visit(self, node: WorkNode) -> None:
        """Rules 1 to 3."""
        if node.kind in self.joins:
            self._join(node)
        elif node.kind in self.averages:
            self._average(node)
        else:
            self._move(node)

    def _move(self, node: WorkNode) -> None:
        before = self.tensors.dequantized(node.inputs[0])
        if before is None or (node.kind in self.activations and self.tensors.has_zero_point(before)):
            return
        scales = self.tensors.scales[before]
        dtype = self.graph.types[before.inputs[0]].dtype
        self.tensors.read_integers(node, 0, before)
        self.tensors.dequantize_behind(node, dtype, scales)

    def _join(self, node: WorkNode) -> None:
        graph, tensors = self.graph, self.tensors
        writers = [writer for tensor in node.inputs if (writer := tensors.dequantized(tensor)) is not None]
        if len(writers) < len(node.inputs):
            return
        reader = tensors.quantized(node.outputs[0])
        first = writers[0]
        if reader is not None:
            dtype, scales = graph.types[reader.outputs[0]].dtype, tensors.scales[reader]
        elif all(tensors.are_equal(tensors.scales[writer], tensors.scales[first]) for writer in writers):
            dtype, scales = graph.types[first.inputs[0]].dtype, tensors.scales[first]
        else:
            return
        for index, writer in enumerate(writers):
            if tensors.are_equal(tensors.scales[writer], scales):
                tensors.read_integers(node, index, writer)
            else:
                tensors.quantize_before(node, index, writer.inputs[0], dtype, scales)
                graph.prune([writer])
        tensors.dequantize_behind(node, dtype, scales)

    def _average(self, node: WorkNode) -> None:
        """Rule 3."""
        if node.kind == "AveragePool" and not node.attributes.get("count_include_pad", 0):
            return
        before = self.tensors.dequantized(node.inputs[0])
        end = node
        for _ in range(_MOST_VIEWS):
            reader = only_reader(self.graph, end.outputs[0])
            if reader is None or before is None:
                return
            if reader.kind == QUANTIZE:
                self.tensors.read_integers(node, 0, before)
                if end is node and node.kind == "AveragePool":
                    node.attributes = {**node.attributes, "fused": QUANTIZE}
                    output = reader.outputs[0]
                    node.sources += reader.sources
                    self.graph.remove_node(reader)
                    self.graph.set_output(node, 0, output)
                return
            if reader.kind not in self.views:
                return
            end = reader
