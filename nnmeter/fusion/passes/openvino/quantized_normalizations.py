"""Normalizations with fixed statistics, of quantized data.

1. A BatchNormalization of dequantized data is a product and a sum with a constant a channel, so that scales and what
   quantizes behind become part of them; a product alone where nothing is added.
"""

from __future__ import annotations

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import QuantizedTensors
from nnmeter.graph.ir import TensorType

KIND = "BatchNormalization"
_INPUTS = 5
_OFFSET, _MEAN = 2, 3
_CHANNELS = 1


class QuantizedNormalizations:
    """Rule 1 for one graph."""

    def __init__(self, tensors: QuantizedTensors) -> None:
        self.tensors = tensors
        self.graph = tensors.graph

    def express(self) -> None:
        """Rule 1."""
        for node in list(self.graph.of_kinds((KIND,))):
            mapped = len(node.inputs) == _INPUTS and len(self.graph.types[node.inputs[0]].shape) > _CHANNELS
            if mapped and self.tensors.dequantized(node.inputs[0]) is not None:
                self._express(node)

    def _express(self, node: WorkNode) -> None:
        graph, fields = self.graph, self.tensors.fields
        data, output = node.inputs[0], node.outputs[0]
        steps = [(fields["scale"], self._factor(node))]
        if not all(self._is_zero(node.inputs[place]) for place in (_OFFSET, _MEAN)):
            steps.append((fields["sums"][0], graph.add_weight("shift", self._of_channels(data))))
        graph.remove_node(node)
        for place, (kind, constant) in enumerate(steps):
            made = output if place == len(steps) - 1 else graph.fresh(output)
            graph.types[made] = graph.types[output]
            sources = node.sources if made == output else ()
            graph.add_node(kind, made, [data, constant], [made], {}, node.position + place * 1e-7, sources)
            data = made

    def _factor(self, node: WorkNode) -> str:
        """The factors a channel; they have the signs of the scales, and the values where these are known."""
        graph, scale = self.graph, node.inputs[1]
        kind = self._of_channels(node.inputs[0])
        values = self.tensors.numbers(scale)
        if values is not None and np.size(values) == kind.elements:
            return graph.add_constant(scale, values.astype(np.float32).reshape(kind.shape), "float32")
        made = graph.add_weight(scale, kind)
        if self.tensors.is_constant(scale) and scale not in graph.constants:
            self.tensors.signed.add(made)
        return made

    def _of_channels(self, data: str) -> TensorType:
        shape = self.graph.types[data].shape
        return TensorType("float32", (shape[_CHANNELS], *(1 for _ in shape[_CHANNELS + 1 :])))

    def _is_zero(self, constant: str) -> bool:
        values = self.tensors.numbers(constant)
        return values is not None and not np.any(values)
