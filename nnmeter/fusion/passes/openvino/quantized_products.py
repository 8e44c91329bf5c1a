"""Products of quantized data: which multiply integers, and which compute in single precision.

1. A product of constant weights multiplies integers where its data and its weights are dequantized, the weights from
   int8, and the data are unsigned or have a zero point of 0. The bias of a convolution is a number an output; that of
   another product is added with the scale, and is no input; nor is one of zeros.
2. Behind another product than a convolution, of data with a zero point, a correction for the zero point (`difference`)
   and the scale (`scale`) are operators of their own: with a bias where there is one scale, without one where there is
   a scale an output and the result is no matrix, and always before a sum with a constant.
3. A convolution whose weights are of 8 bits and that rule 1 does not let multiply integers computes in single
   precision, of data that are less their zero point (a subtraction for each reader) or, without one, retyped: an
   operator `retype` that changes the element type, once for all readers. Weights with a zero point are numbers. The
   scale is one more operator (`scale`) where there is a bias, which is part of the QuantizeLinear behind. A fully
   connected layer of unsigned weights reads numbers, and unpacks its weights.
4. A product of two computed tensors multiplies integers where both are dequantized, the first has a zero point of 0,
   and the second one of 0 in int8, or of 128 in uint8, which makes it int8. Otherwise it computes in single precision,
   and QuantizeLinear behind it is a kernel of its own.
5. QuantizeLinear behind a convolution of rule 3 writes numbers where such products read it, or a sum alone, for which
   one operand may be of numbers; for all else that reads it, its result is retyped. A sum with such an operand is in no
   loop with others.
6. Behind a product without a bias, of data with a zero point and more than three dimensions, QuantizeLinear has a bound
   an output for it, and is a kernel of its own.
"""

from __future__ import annotations

import numpy as np

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import (
    BYTES,
    DEQUANTIZE,
    FACTORS,
    MIDDLE,
    QUANTIZE,
    QuantizedTensors,
)
from nnmeter.graph.ir import TensorType

_BIAS = 2
_MATRIX = 2
_MOST_CHANNELS_LAST = 3  # dimensions of a product whose last one is what the plugin takes for channels


class QuantizedProducts:
    """Rules 1 to 6 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph
        self.kinds = frozenset(tensors.fields["products"])
        self.sums = frozenset(tensors.fields["sums"])
        self.names = {name: tensors.fields[name] for name in ("retype", "scale", "difference", "apart")}
        self.retyped: dict[str, str] = {}

    def visit(self, node: WorkNode) -> None:
        """Rules 1 to 4, and 6."""
        tensors, graph = self.tensors, self.graph
        data, weights = tensors.dequantized(node.inputs[0]), tensors.dequantized(node.inputs[1])
        if data is None or weights is None:
            return
        if weights.inputs[0] not in graph.constants:
            if node.kind == "MatMul":
                self._computed_product(node, data, weights)
            return
        kind = graph.types[weights.inputs[0]]
        signed = graph.types[data.inputs[0]].dtype == "int8" and tensors.has_zero_point(data)
        if kind.dtype != "int8" or (signed and node.kind == "Conv"):
            if kind.dtype in BYTES:
                self._float_product(node, data, weights)
            return
        shifted = tensors.has_zero_point(data)
        scale_an_output = graph.types[tensors.scales[weights][0]].elements > 1
        tensors.read_integers(node, 0, data)
        graph.set_input(node, 1, graph.add_weight(node.inputs[1], kind))
        graph.prune([weights])
        biased = len(node.inputs) > _BIAS and bool(node.inputs[_BIAS])
        by_channel = (
            len(graph.types[node.outputs[0]].shape) == _MATRIX
        )  # an output is what QuantizeLinear has bounds for
        apart = not scale_an_output if biased else scale_an_output and not by_channel
        if biased:
            self._bias_into_scale(node)
        if node.kind != "Conv" and shifted and (apart or self._is_biased_behind(node)):
            fused = f"{self.names['difference']}+{self.names['scale']}"
            node.attributes = {**node.attributes, "fused": fused}
        elif (
            node.kind != "Conv"
            and shifted
            and not biased
            and len(graph.types[node.outputs[0]].shape) > _MOST_CHANNELS_LAST
        ):
            self._keep_quantization_apart(node)

    def _keep_quantization_apart(self, node: WorkNode) -> None:
        """Rule 6."""
        graph = self.graph
        reader = self.tensors.quantized(node.outputs[0])
        if reader is not None:
            reader.attributes = {**reader.attributes, self.names["apart"]: 1}
            reader.inputs.append("")
            bound = TensorType("float32", graph.types[node.outputs[0]].shape[-1:])
            graph.set_input(reader, len(reader.inputs) - 1, graph.add_weight("bound", bound))

    def _bias_into_scale(self, node: WorkNode) -> None:
        graph = self.graph
        bias = graph.producer.get(node.inputs[_BIAS])
        values = None if bias is None else graph.values.get(bias.inputs[0])
        if node.kind == "Conv" and (values is None or np.any(values)):
            size = graph.types[node.inputs[_BIAS]].shape
            graph.set_input(node, _BIAS, graph.add_weight(node.outputs[0], TensorType("float32", size)))
        else:
            graph.set_input(node, _BIAS, "")
            node.inputs.pop()
        if bias is not None:
            graph.prune([bias])

    def _is_biased_behind(self, node: WorkNode) -> bool:
        reader = only_reader(self.graph, node.outputs[0])
        return reader is not None and reader.kind in self.sums and any(map(self.tensors.is_constant, reader.inputs))

    def _computed_product(self, node: WorkNode, first: WorkNode, second: WorkNode) -> None:
        """Rule 4."""
        tensors, graph = self.tensors, self.graph
        source = second.inputs[0]
        writer = graph.producer.get(source)
        point = tensors.zero_point(second)
        signed = graph.types[source].dtype == "int8"
        shifted = point is not None and np.size(point) == 1 and int(np.asarray(point).reshape(-1)[0])
        if not tensors.has_zero_point(first) and (shifted == 0 if signed else shifted == MIDDLE):
            if not signed and (writer is None or not tensors.quantizes(writer)):
                return
            graph.types[source] = TensorType("int8", graph.types[source].shape)
            tensors.read_integers(node, 0, first)
            tensors.read_integers(node, 1, second)
            return
        tensors.floats[node] = None
        reader = tensors.quantized(node.outputs[0])
        if reader is not None:
            reader.attributes = {**reader.attributes, self.names["apart"]: 1}

    def _float_product(self, node: WorkNode, data: WorkNode, weights: WorkNode) -> None:
        """Rule 3."""
        graph, tensors = self.graph, self.tensors
        kind = graph.types[weights.inputs[0]]
        biased = len(node.inputs) > _BIAS and bool(node.inputs[_BIAS])
        tensors.floats[node] = None
        if node.kind != "Conv":
            graph.set_input(node, 1, graph.add_weight(node.inputs[1], kind))
            graph.prune([weights])
            return
        graph.set_input(node, 0, self._numbers(node, data))
        dtype = "float32" if kind.dtype == "uint8" or tensors.has_zero_point(weights) else "int8"
        graph.set_input(node, 1, graph.add_weight(node.inputs[1], TensorType(dtype, kind.shape)))
        gone = [data, weights]
        if biased and tensors.quantized(node.outputs[0]) is not None:
            bias = graph.producer.get(node.inputs[_BIAS])
            graph.set_input(node, _BIAS, "")
            node.inputs.pop()
            node.attributes = {**node.attributes, "fused": self.names["scale"]}
            gone += [bias] if bias is not None else []
        graph.prune(gone)

    def _numbers(self, node: WorkNode, data: WorkNode) -> str:
        """What a convolution of rule 3 reads in place of dequantized data."""
        graph, source = self.graph, data.inputs[0]
        position = node.position - 1e-6
        if not self.tensors.has_zero_point(data):
            if source not in self.retyped:
                self.retyped[source] = self._retype(source, "float32", position)
            return self.retyped[source]
        shape = graph.types[source].shape
        point = graph.add_weight(source, TensorType(graph.types[source].dtype, (1, shape[1], *(1 for _ in shape[2:]))))
        read = graph.fresh(source)
        graph.types[read] = TensorType("float32", shape)
        graph.add_node(self.names["difference"], read, [source, point], [read], {}, position, data.sources[-1:])
        return read

    def _retype(self, source: str, dtype: str, position: float) -> str:
        made = self.graph.fresh(source)
        self.graph.types[made] = TensorType(dtype, self.graph.types[source].shape)
        self.graph.add_node(self.names["retype"], made, [source], [made], {}, position)
        return made

    def numbers_behind(self, node: WorkNode) -> None:
        """Rule 5."""
        graph = self.graph
        quantize = self.tensors.quantized(node.outputs[0])
        if quantize is None or self.names["apart"] in quantize.attributes:
            return
        tensor = quantize.outputs[0]
        kind = graph.types[tensor]
        reader = only_reader(graph, tensor)
        if kind.dtype not in BYTES or (reader is not None and reader.kind == self.names["difference"]):
            return
        others, alone = [], reader is not None
        for reader in list(graph.readers.get(tensor, ())):
            behind = list(graph.readers.get(reader.outputs[0], ()))
            to_products = reader.kind == DEQUANTIZE and all(product in self.tensors.floats for product in behind)
            if (reader.kind == self.names["retype"] or to_products) and reader.outputs[0] not in graph.outputs:
                graph.remove_node(reader)
                graph.redirect(reader.outputs[0], tensor)
            elif reader.kind in self.sums and alone and self._reads_bytes(reader):
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

    def _reads_bytes(self, node: WorkNode) -> bool:
        return all(self.graph.types[tensor].dtype in BYTES for tensor in node.inputs)

    def _keep_apart(self, node: WorkNode) -> None:
        graph, mark = self.graph, {self.names["apart"]: 1}
        node.attributes = {**node.attributes, **mark}
        quantize = only_reader(graph, node.outputs[0])
        if quantize is None or quantize.kind not in (QUANTIZE, *FACTORS):
            return
        quantize.attributes = {**quantize.attributes, **mark}
        reader = only_reader(graph, quantize.outputs[0])
        if reader is not None and reader.kind == self.names["difference"]:
            reader.attributes = {**reader.attributes, **mark}
