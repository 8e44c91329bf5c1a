"""Low precision: products and what only moves data read the integers that DequantizeLinear was to make numbers of.

Fields of a `low_precision` pass: `products` (operators of constant weights that multiply integers), `moving` (operators
that compute in the integers they read and keep their scale), `joins` (those that join several tensors, which must have
one scale), `averages` (operators that read integers and write numbers), `views` (that may stand behind an average),
`sums` (operators whose operands may be integers), `activations` (operators that keep the scale where it has no zero
point).

1. QuantizeLinear and DequantizeLinear have constant scales and zero points, which are part of the code: they have one
   input. Those whose scale is computed are left alone.
2. A product reads integers where its data and its weights are dequantized, the weights from int8, and the data are
   unsigned or have a zero point of 0. The bias of a convolution is a number an output; that of another
   product is added with the scale, and is no input.
3. An operator of `moving` reads integers, and what it writes is dequantized behind it. A join does so if one
   QuantizeLinear reads it: what has another scale than that is quantized anew before it.
4. An average reads integers. Its scale becomes part of the QuantizeLinear behind it, past views.
5. QuantizeLinear of what DequantizeLinear writes does nothing if both have one scale and zero point, and else works on
   the integers. A sum reads integers where all its operands are dequantized and a QuantizeLinear alone reads it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_BIAS = 2
_BYTES = frozenset({"uint8", "int8"})


class _LowPrecision:
    """One application to one graph."""

    def __init__(self, graph: WorkingGraph, fields: Fields) -> None:
        self.graph = graph
        self.products = frozenset(fields["products"])
        self.joins = frozenset(fields["joins"])
        self.moving = frozenset(fields["moving"])
        self.averages = frozenset(fields["averages"])
        self.sums = frozenset(fields["sums"])
        self.activations = frozenset(fields["activations"])
        self.views = frozenset(fields["views"])
        self.scales: dict[WorkNode, tuple[str, ...]] = {}  # scale and zero point of those of rule 1

    def run(self) -> bool:
        before = self.graph.version
        for node in self.graph.of_kinds((QUANTIZE, DEQUANTIZE)):
            constant = all(not name or name in self.graph.constants for name in node.inputs[1:])
            data = node.outputs[0] if node.kind == QUANTIZE else node.inputs[0]
            if constant and self.graph.types[data].dtype in _BYTES:
                self.scales[node] = tuple(node.inputs[1:])
        for node in list(self.graph.ordered()):
            if node.alive:
                self._visit(node)
        for node in self.scales:
            if node.alive and node.inputs[0] not in self.graph.constants:
                while len(node.inputs) > 1:
                    self.graph.set_input(node, len(node.inputs) - 1, "")
                    node.inputs.pop()
        return self.graph.version != before

    def _visit(self, node: WorkNode) -> None:
        if node.kind in self.products:
            self._product(node)
        elif node.kind in self.joins:
            self._join(node)
        elif node.kind in self.moving or (node.kind in self.activations and self._keeps_scale(node)):
            self._move(node)
        elif node.kind in self.averages:
            self._average(node)
        elif node.kind in self.sums:
            self._sum(node)
        elif node.kind == QUANTIZE and node in self.scales:
            self._quantized_anew(node)

    def _dequantized(self, tensor: str) -> WorkNode | None:
        writer = self.graph.producer.get(tensor)
        return writer if writer is not None and writer.kind == DEQUANTIZE and writer in self.scales else None

    def _has_zero_point(self, node: WorkNode) -> bool:
        scales = self.scales[node]
        if len(scales) < 2 or not scales[1]:
            return False
        value = self.graph.values.get(scales[1])
        return value is None or bool(np.any(value))

    def _keeps_scale(self, node: WorkNode) -> bool:
        before = self._dequantized(node.inputs[0])
        return before is not None and not self._has_zero_point(before)

    def _read(self, node: WorkNode, index: int, before: WorkNode) -> None:
        self.graph.set_input(node, index, before.inputs[0])
        self.graph.prune([before])

    def _product(self, node: WorkNode) -> None:
        """Rule 2."""
        data, weights = self._dequantized(node.inputs[0]), self._dequantized(node.inputs[1])
        if data is None or weights is None or weights.inputs[0] not in self.graph.constants:
            return
        kind = self.graph.types[weights.inputs[0]]
        if kind.dtype != "int8":
            return
        if self.graph.types[data.inputs[0]].dtype == "int8" and self._has_zero_point(data):
            return
        self._read(node, 0, data)
        self.graph.set_input(node, 1, self.graph.add_weight(node.inputs[1], kind))
        self.graph.prune([weights])
        if len(node.inputs) > _BIAS:
            bias = self.graph.producer.get(node.inputs[_BIAS])
            if node.kind == "Conv":
                size = self.graph.types[node.inputs[_BIAS]].shape
                self.graph.set_input(node, _BIAS, self.graph.add_weight(node.outputs[0], TensorType("float32", size)))
            else:
                self.graph.set_input(node, _BIAS, "")
                node.inputs.pop()
            if bias is not None:
                self.graph.prune([bias])

    def _move(self, node: WorkNode) -> None:
        """Rule 3."""
        before = self._dequantized(node.inputs[0])
        if before is None:
            return
        scales = self.scales[before]
        dtype = self.graph.types[before.inputs[0]].dtype
        self._read(node, 0, before)
        self._dequantize_behind(node, dtype, scales)

    def _dequantize_behind(self, node: WorkNode, dtype: str, scales: tuple[str, ...]) -> None:
        graph = self.graph
        for index, output in enumerate(node.outputs):
            if not output:
                continue
            kind = graph.types[output]
            integers = graph.fresh(output)
            graph.types[integers] = TensorType(dtype, kind.shape)
            graph.set_output(node, index, integers)
            behind = graph.add_node(
                DEQUANTIZE, integers, [integers, *scales], [output], {}, node.position + 1e-6, node.sources[-1:]
            )
            self.scales[behind] = scales
            for reader in list(graph.readers.get(output, ())):
                if reader.kind == QUANTIZE:
                    self._quantized_anew(reader)

    def _join(self, node: WorkNode) -> None:
        """Rule 3 of several tensors."""
        graph = self.graph
        writers = [self._dequantized(tensor) for tensor in node.inputs]
        if any(writer is None for writer in writers):
            return
        reader = only_reader(graph, node.outputs[0])
        first = writers[0]
        assert first is not None
        if reader is not None and reader in self.scales and reader.kind == QUANTIZE:
            dtype, scales = graph.types[reader.outputs[0]].dtype, self.scales[reader]
        elif all(writer is not None and self._equal(self.scales[writer], self.scales[first]) for writer in writers):
            dtype, scales = graph.types[first.inputs[0]].dtype, self.scales[first]
        else:
            return
        for index, writer in enumerate(writers):
            assert writer is not None
            source = writer.inputs[0]
            if self._equal(self.scales[writer], scales):
                self._read(node, index, writer)
                continue
            anew = graph.fresh(source)
            graph.types[anew] = TensorType(dtype, graph.types[source].shape)
            made = graph.add_node(
                QUANTIZE, anew, [source, *scales], [anew], {}, node.position - 1e-6, node.sources[-1:]
            )
            self.scales[made] = scales
            graph.set_input(node, index, anew)
            graph.prune([writer])
        self._dequantize_behind(node, dtype, scales)

    def _average(self, node: WorkNode) -> None:
        """Rule 4."""
        before = self._dequantized(node.inputs[0])
        end = node
        for _ in range(4):
            reader = only_reader(self.graph, end.outputs[0])
            if reader is None or before is None:
                return
            if reader.kind == QUANTIZE:
                self._read(node, 0, before)
                return
            if reader.kind not in self.views:
                return
            end = reader

    def _sum(self, node: WorkNode) -> None:
        """Rule 5."""
        writers = [self._dequantized(tensor) for tensor in node.inputs]
        reader = only_reader(self.graph, node.outputs[0])
        if any(writer is None for writer in writers) or reader is None or reader.kind != QUANTIZE:
            return
        for index, writer in enumerate(writers):
            if writer is not None:
                self._read(node, index, writer)

    def _quantized_anew(self, node: WorkNode) -> None:
        """Rule 5."""
        before = self._dequantized(node.inputs[0])
        if before is None or node not in self.scales or not node.alive:
            return
        source = before.inputs[0]
        if self._equal(self.scales[before], self.scales[node]) and node.outputs[0] not in self.graph.outputs:
            output = node.outputs[0]
            self.graph.remove_node(node)
            self.graph.redirect(output, source)
            self.graph.prune([before])
        else:
            self._read(node, 0, before)

    def _equal(self, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
        return one == other or [self._value(name) for name in one] == [self._value(name) for name in other]

    def _value(self, name: str) -> Any:
        value = self.graph.values.get(name)
        return name if value is None else np.asarray(value).tolist()


def low_precision(graph: WorkingGraph, fields: Fields) -> bool:
    """Let operators read integers; whether there were any."""
    return _LowPrecision(graph, fields).run()


PASSES = (
    PassKind(
        "low_precision",
        procedure(low_precision),
        {
            "products": Field(texts),
            "moving": Field(texts),
            "joins": Field(texts),
            "averages": Field(texts),
            "sums": Field(texts),
            "activations": Field(texts),
            "views": Field(texts),
        },
    ),
)
