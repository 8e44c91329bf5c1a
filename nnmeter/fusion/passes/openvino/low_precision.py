"""Low precision: products and what only moves data read the integers that DequantizeLinear was to make numbers of.

Fields of a `low_precision` pass: `products` (operators of constant weights that multiply integers), `moving` (operators
that compute in the integers they read and keep their scale), `joins` (those that join several tensors, which must have
one scale), `averages` (operators that read integers and write numbers), `views` (that may stand behind an average),
`sums` (operators whose operands may be integers), `activations` (operators that keep the scale where it has no zero
point), `retype`, `scale` and `difference` (operators that rule 5 adds), `apart` (the attribute of rule 6).

1. QuantizeLinear and DequantizeLinear have constant scales and zero points, which are part of the code: they have one
   input. Those whose scale is computed are left alone.
2. A product reads integers where its data and its weights are dequantized, the weights from int8, and the data are
   unsigned or have a zero point of 0. The bias of a convolution is a number an output;
   that of another product is added with the scale, and is no input. A Gemm with a bias
   corrects a zero point first (`difference` and `scale`).
3. An operator of `moving` reads integers, and what it writes is dequantized behind it. A join does so if one
   QuantizeLinear reads it: what has another scale than that is quantized anew before it.
4. An average reads integers. Its scale becomes part of the QuantizeLinear behind it, past views;
   that directly behind an AveragePool is part of it. One that leaves out padding reads numbers.
5. A convolution whose weights are of 8 bits and that rule 2 does not let read integers computes in single precision, of
   data that are less their zero point (a subtraction for each reader) or, without one, retyped: an operator `retype`
   that changes the element type, once for all readers. Weights with a zero point are numbers. The scale is one more
   operator (`scale`) where there is a bias, which is part of the QuantizeLinear behind. A fully connected layer of
   unsigned weights reads numbers, and unpacks its weights.
6. QuantizeLinear behind a product of rule 5 writes numbers where such products read it, or a sum alone, for which one
   operand may be of numbers; for all else that reads it, its result is retyped. A sum with such an operand is in no
   loop with others.
7. QuantizeLinear of what DequantizeLinear writes does nothing if both have one scale and zero point, and else works on
   the integers. A sum reads integers where all its operands are dequantized and a QuantizeLinear alone reads it.
8. QuantizeLinear of numbers that no product wrote, whose result is only dequantized, for products of rule 5,
   multiplications and sums before a QuantizeLinear, rounds numbers: one operator.
9. The scales of what a multiplication reads become part of the QuantizeLinear that alone reads it, if they have no zero
   point.
10. What still dequantizes for several readers does so for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text, texts
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
        self.names = {name: fields[name] for name in ("retype", "scale", "difference", "apart")}
        self.floats: list[WorkNode] = []  # products of rule 5
        self.retyped: dict[str, str] = {}
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
        for node in self.floats:
            self._numbers_behind(node)
        for node in list(self.scales):
            if node.alive and node.kind == QUANTIZE:
                self._round_numbers(node)
        for node in list(self.scales):
            if node.alive and node.kind == DEQUANTIZE and node.inputs[0] not in self.graph.constants:
                self._copy_for_readers(node)
        for node in self.scales:
            if node.alive and node.inputs[0] in self.graph.constants:
                self.graph.make_constant(node)
            elif node.alive:
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
        elif node.kind == self.names["scale"]:
            self._multiplied(node)
        elif node.kind == QUANTIZE and node in self.scales:
            self._quantized_anew(node)

    def _dequantized(self, tensor: str) -> WorkNode | None:
        writer = self.graph.producer.get(tensor)
        return writer if writer is not None and writer.kind == DEQUANTIZE and writer in self.scales else None

    def _is_constant(self, tensor: str) -> bool:
        """Whether a tensor is a constant, or one that is dequantized."""
        writer = self._dequantized(tensor)
        return tensor in self.graph.constants or (writer is not None and writer.inputs[0] in self.graph.constants)

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
        signed = self.graph.types[data.inputs[0]].dtype == "int8" and self._has_zero_point(data)
        if kind.dtype != "int8" or (signed and node.kind == "Conv"):
            self._float_product(node, data, weights)
            return
        shifted = self._has_zero_point(data)
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
            if node.kind == "Gemm" and shifted:
                fused = f"{self.names['difference']}+{self.names['scale']}"
                node.attributes = {**node.attributes, "fused": fused}
            if bias is not None:
                self.graph.prune([bias])

    def _float_product(self, node: WorkNode, data: WorkNode, weights: WorkNode) -> None:
        """Rule 5."""
        graph = self.graph
        kind = graph.types[weights.inputs[0]]
        if kind.dtype not in _BYTES:
            return
        biased = len(node.inputs) > _BIAS and bool(node.inputs[_BIAS])
        self.floats.append(node)
        if node.kind != "Conv":
            graph.set_input(node, 1, graph.add_weight(node.inputs[1], kind))
            graph.prune([weights])
            return
        source = data.inputs[0]
        numbers = TensorType("float32", graph.types[source].shape)
        if self._has_zero_point(data):
            point = graph.add_weight(
                source, TensorType(graph.types[source].dtype, (1, numbers.shape[1], *(1 for _ in numbers.shape[2:])))
            )
            read = graph.fresh(source)
            graph.types[read] = numbers
            position = node.position - 1e-6
            graph.add_node(self.names["difference"], read, [source, point], [read], {}, position, data.sources[-1:])
        elif source in self.retyped:
            read = self.retyped[source]
        else:
            read = self.retyped[source] = self._retype(source, "float32", node.position - 1e-6)
        graph.set_input(node, 0, read)
        dtype = "float32" if kind.dtype == "uint8" or self._has_zero_point(weights) else "int8"
        graph.set_input(node, 1, graph.add_weight(node.inputs[1], TensorType(dtype, kind.shape)))
        gone = [data, weights]
        reader = only_reader(graph, node.outputs[0])
        if biased and reader is not None and reader.kind == QUANTIZE:
            bias = graph.producer.get(node.inputs[_BIAS])
            graph.set_input(node, _BIAS, "")
            node.inputs.pop()
            node.attributes = {**node.attributes, "fused": self.names["scale"]}
            gone += [bias] if bias is not None else []
        graph.prune(gone)

    def _retype(self, source: str, dtype: str, position: float) -> str:
        made = self.graph.fresh(source)
        self.graph.types[made] = TensorType(dtype, self.graph.types[source].shape)
        self.graph.add_node(self.names["retype"], made, [source], [made], {}, position)
        return made

    def _numbers_behind(self, node: WorkNode) -> None:
        """Rule 6."""
        graph = self.graph
        quantize = only_reader(graph, node.outputs[0])
        if quantize is None or quantize.kind != QUANTIZE or quantize not in self.scales:
            return
        tensor = quantize.outputs[0]
        kind = graph.types[tensor]
        reader = only_reader(graph, tensor)
        if kind.dtype not in _BYTES or (reader is not None and reader.kind == self.names["difference"]):
            return
        others, alone = [], reader is not None
        for reader in list(graph.readers.get(tensor, ())):
            behind = list(graph.readers.get(reader.outputs[0], ()))
            to_products = reader.kind == DEQUANTIZE and all(product in self.floats for product in behind)
            if (reader.kind == self.names["retype"] or to_products) and reader.outputs[0] not in graph.outputs:
                graph.remove_node(reader)
                graph.redirect(reader.outputs[0], tensor)
            elif reader.kind in self.sums and alone and self._is_first_number(reader):
                self._keep_apart(reader)
            else:
                others.append(reader)
        if tensor in graph.outputs:
            return
        graph.types[tensor] = TensorType("float32", kind.shape)
        if others:
            anew = self._retype(tensor, kind.dtype, quantize.position + 1e-7)
            for reader in others:
                for index, name in enumerate(reader.inputs):
                    if name == tensor:
                        graph.set_input(reader, index, anew)

    def _is_first_number(self, node: WorkNode) -> bool:
        return all(self.graph.types[tensor].dtype in _BYTES for tensor in node.inputs)

    def _keep_apart(self, node: WorkNode) -> None:
        graph, mark = self.graph, {self.names["apart"]: 1}
        node.attributes = {**node.attributes, **mark}
        quantize = only_reader(graph, node.outputs[0])
        if quantize is None or quantize.kind != QUANTIZE:
            return
        quantize.attributes = {**quantize.attributes, **mark}
        reader = only_reader(graph, quantize.outputs[0])
        if reader is not None and reader.kind == self.names["difference"]:
            reader.attributes = {**reader.attributes, **mark}

    def _round_numbers(self, node: WorkNode) -> None:
        """Rule 8."""
        graph, output = self.graph, node.outputs[0]
        writer = graph.producer.get(node.inputs[0])
        readers = list(graph.readers.get(output, ()))
        if writer is None or writer.kind in self.products or output in graph.outputs or not readers:
            return
        if graph.types[node.inputs[0]].dtype != "float32":
            return
        if any(r.kind != DEQUANTIZE or r not in self.scales or r.outputs[0] in graph.outputs for r in readers):
            return
        behind = [reader for dequantize in readers for reader in graph.readers.get(dequantize.outputs[0], ())]
        if not all(reader in self.floats or self._is_quantized(reader) for reader in behind):
            return
        graph.types[output] = TensorType("float32", graph.types[output].shape)
        for reader in readers:
            graph.remove_node(reader)
            graph.redirect(reader.outputs[0], output)

    def _is_quantized(self, node: WorkNode) -> bool:
        """Whether a node is a product of numbers, or a sum, that a QuantizeLinear alone reads."""
        if node.kind != self.names["scale"] and node.kind not in self.sums:
            return False
        reader = only_reader(self.graph, node.outputs[0])
        return reader is not None and reader in self.scales

    def _multiplied(self, node: WorkNode) -> None:
        """Rule 9."""
        reader = only_reader(self.graph, node.outputs[0])
        if reader is None or reader.kind != QUANTIZE or reader not in self.scales:
            return
        if any(self._is_constant(tensor) for tensor in node.inputs):
            return
        for index, tensor in enumerate(node.inputs):
            writer = self._dequantized(tensor)
            if writer is not None and not self._has_zero_point(writer):
                self._read(node, index, writer)

    def _copy_for_readers(self, node: WorkNode) -> None:
        """Rule 10."""
        graph, output = self.graph, node.outputs[0]
        readers = list(dict.fromkeys(graph.readers.get(output, ())))
        for reader in readers if output in graph.outputs else readers[1:]:
            copied = graph.fresh(output)
            graph.types[copied] = graph.types[output]
            made = graph.add_node(
                DEQUANTIZE, copied, list(node.inputs), [copied], {}, node.position + 1e-7, node.sources
            )
            self.scales[made] = self.scales[node]
            for index, name in enumerate(reader.inputs):
                if name == output:
                    graph.set_input(reader, index, copied)

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
        if node.kind == "AveragePool" and not node.attributes.get("count_include_pad", 0):
            return
        before = self._dequantized(node.inputs[0])
        end = node
        for _ in range(4):
            reader = only_reader(self.graph, end.outputs[0])
            if reader is None or before is None:
                return
            if reader.kind == QUANTIZE:
                self._read(node, 0, before)
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

    def _sum(self, node: WorkNode) -> None:
        """Rule 7."""
        writers = [self._dequantized(tensor) for tensor in node.inputs]
        reader = only_reader(self.graph, node.outputs[0])
        if any(writer is None for writer in writers) or reader is None or reader.kind != QUANTIZE:
            return
        for index, writer in enumerate(writers):
            if writer is not None and not self._is_constant(node.inputs[index]):
                self._read(node, index, writer)

    def _quantized_anew(self, node: WorkNode) -> None:
        """Rule 7."""
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
            "retype": Field(text),
            "scale": Field(text),
            "difference": Field(text),
            "apart": Field(text),
        },
    ),
)
