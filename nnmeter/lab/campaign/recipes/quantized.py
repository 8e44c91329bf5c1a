"""Turns a float network under construction into an 8-bit one in the QDQ form, as ONNX Runtime's quantizer writes it.

1. An activation that a quantizable operator reads or writes goes through QuantizeLinear and DequantizeLinear once. Most
   networks quantize all that the quantizer knows, others only products and convolutions.
   Operators that only move data, ReLU, Clip and Where are quantized only where what they read is already; those that
   move data hand on its scale and zero point.
2. A convolution or Gemm whose only reader is a ReLU or Clip is not split from it, unless zero points are 0; the
   activation's output is quantized.
3. Weights are integer initializers behind DequantizeLinear, by channel or by tensor; biases are int32. Other constants
   that a quantized operator reads are quantized as activations are.
4. Types of activations and weights (`_TYPES`): unsigned by signed, both signed, both unsigned, both signed with zero
   points of 0. What a runtime runs, and how fast, depends on them.

The QOperator form needs no recipe of its own: ONNX Runtime executes the same kernels for both.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import onnx

from nnmeter.lab.campaign.recipes.builder import FLOAT, INT8, INT32, UINT8, NetworkBuilder, Tensor

_PRODUCTS = frozenset({"Conv", "MatMul", "Gemm"})
_CORE = _PRODUCTS | {"Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat"}
_FULL = _CORE | frozenset(
    "Mul Reshape Transpose Resize Relu Clip Split Squeeze Unsqueeze Softmax Sigmoid LeakyRelu Flatten Slice Pad Gather "
    "Where LayerNormalization ConvTranspose".split()
)
_SETS = ((_FULL, 70), (_CORE, 12), (_PRODUCTS, 18))
_ABSORBED = frozenset({"Relu", "Clip"})
_MOVING = frozenset(
    "Reshape Transpose Squeeze Unsqueeze Flatten Resize MaxPool AveragePool Slice Pad Split Gather".split()
)
_IF_QUANTIZED = _MOVING | _ABSORBED | {"Where"}
_ABSORBING = frozenset({"Conv", "Gemm", "Add"})
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul", "LayerNormalization"})
# Inputs that are parameters of an operator, never data: shapes and sizes as floats, limits.
_FIRST_ONLY = frozenset({"Resize", "Clip", "Pad", "Reshape", "Slice", "Gather", "ConvTranspose"})


class _Types(NamedTuple):
    """Element types of a quantized network (rule 4)."""

    activations: int
    weights: int
    symmetric: bool = False


_TYPES = (
    (_Types(UINT8, INT8), 45),
    (_Types(INT8, INT8), 17),
    (_Types(UINT8, UINT8), 23),
    (_Types(INT8, INT8, True), 15),
)

IMAGE_SOURCES = {
    "plain": 4.0, "residual_basic": 6.0, "residual_bottleneck": 7.0, "residual_grouped": 5.0,
    "residual_preactivated": 1.0, "reparameterised": 2.0, "attention_in_convolutions": 1.0, "separable": 5.0,
    "inverted_residual": 12.0, "fused_inverted_residual": 2.5, "ghost": 3.0, "shuffle_split": 3.5,
    "shuffle_grouped": 2.5, "partial": 1.0, "gated_mobile": 1.5, "dense": 3.0, "fire": 2.0, "inception": 3.5,
    "aggregation": 3.0, "multi_resolution": 3.0, "chain": 1.5, "feature_pyramid": 2.0, "atrous": 2.5,
    "encoder_decoder": 1.0, "patch_merging": 0.5, "gated_features": 1.5, "image_mixture": 1.5, "map_extremes": 1.5,
    "convnext": 3.0, "text_lines": 2.0, "detector": 2.0, "signal": 0.7, "characters": 1.0,
    "time_frequency": 1.0,
}  # fmt: skip
"""Families of convolutional networks that are quantized statically, with their weights."""

TOKEN_SOURCES = {
    "encoder": 5.0, "decoder": 2.0, "plain_vit": 6.0, "windowed": 4.0, "token_mixer": 3.5, "token_layers": 2.0,
    "audio": 2.0, "perceptron": 2.0, "metaformer": 1.0, "convolution_and_attention": 1.0, "sequence_to_sequence": 1.0,
}  # fmt: skip
"""Families of transformers that are quantized statically, with their weights."""


def quantize_static(b: NetworkBuilder) -> None:
    """Rewrites the builder's nodes into the QDQ form."""
    chosen = b.rng.choices([names for names, _ in _SETS], [weight for _, weight in _SETS])[0]
    nodes, b.nodes = b.nodes, []
    readers = Counter(name for node in nodes for name in node.input)
    followers = {name: node.op_type for node in nodes for name in node.input}
    quantizer = _StaticQuantizer(b, nodes)
    for node in nodes:
        taken = node.op_type in chosen and b.tensors[node.output[0]].dtype == FLOAT
        if taken and node.op_type in _IF_QUANTIZED and not quantizer.takes(node):
            taken = False
        data = 1 if node.op_type in _FIRST_ONLY | _WEIGHTED else len(node.input)
        for i, name in enumerate(node.input):
            if name in quantizer.constants:
                if taken and i < data:
                    node.input[i] = quantizer.constant(name)
            elif name:
                node.input[i] = quantizer.activation(name, make=taken)
        if taken and node.op_type in _WEIGHTED:
            quantizer.weights(node)
        b.nodes.append(node)
        for name in node.output:
            absorbed = readers[name] == 1 and node.op_type in _ABSORBING and followers[name] in _ABSORBED & chosen
            if taken and absorbed and not quantizer.types.symmetric:
                quantizer.absorbed.add(name)
            elif taken:
                quantizer.activation(name, make=True, like=node.input[0] if node.op_type in _MOVING else "")


class _StaticQuantizer:
    """Makes the QuantizeLinear and DequantizeLinear nodes of one network and remembers which tensors have them."""

    def __init__(self, b: NetworkBuilder, nodes: list[onnx.NodeProto]) -> None:
        self.b = b
        self.constants = b.constant_names
        self.replaced: dict[str, str] = {}
        self.absorbed: set[str] = set()
        self.types = b.rng.choices([types for types, _ in _TYPES], [weight for _, weight in _TYPES])[0]
        self._by_channel = b.rng.random() < 0.6
        self._rectified = {name for node in nodes if node.op_type in _ABSORBED for name in node.output}
        self._parameters: dict[
            str, tuple[float, Tensor, Tensor]
        ] = {}  # of dequantized tensors: scale twice, zero point

    def takes(self, node: onnx.NodeProto) -> bool:
        """Whether what an operator of `_IF_QUANTIZED` reads is quantized, or will be behind it (rules 1 and 2)."""
        data = node.input[1:3] if node.op_type == "Where" else node.input[:1]
        if node.op_type == "Gather" and data[0] in self.constants:
            return True
        return all(name in self.replaced or (name in self.absorbed and node.op_type in _ABSORBED) for name in data)

    def activation(self, name: str, *, make: bool, like: str = "") -> str:
        """The dequantized stand-in of a tensor, made if wanted; behind ReLU or Clip zero is the least value.

        Scale and zero point are those of the dequantized tensor `like`, where it is given.
        """
        b, x = self.b, self.b.tensors[name]
        if name in self.replaced or name in self.absorbed or not make or x.dtype != FLOAT:
            return self.replaced.get(name, name)
        bounded = name in self._rectified
        kind = self.types.activations
        value = 6.0 / 255.0 if bounded else b.rng.choice((0.015, 0.02, 0.03, 0.05))
        least = 0 if kind == UINT8 else -128
        scale = b.scalar(value)
        offset = 128 if self.types.symmetric else 0 if bounded else b.rng.choice((114, 121, 128))
        zero = b.constant(least + offset, kind)
        value, scale, zero = self._parameters.get(like, (value, scale, zero))
        q = b.node("QuantizeLinear", [x, scale, zero], x.shape, dtype=kind)
        whole = b.node("DequantizeLinear", [q, scale, zero], x.shape, dtype=FLOAT)
        self.replaced[name] = whole.name
        self._parameters[whole.name] = value, scale, zero
        return whole.name

    def constant(self, name: str) -> str:
        """A constant operand, quantized as a whole (rule 3)."""
        tensor = self.b.tensors[name]
        if tensor.dtype != FLOAT:
            return name
        if name not in self.replaced:
            whole = self.replaced[name] = self._integers(tensor, np.float32(0.01), self.types.activations, 0)
            scale, zero = (self.b.tensors[n] for n in self.b.nodes[-1].input[1:3])
            self._parameters[whole] = 0.01, scale, zero
        return self.replaced[name]

    def weights(self, node: onnx.NodeProto) -> None:
        """Replaces a node's weight and bias by dequantized integers; a bias has the product of the other two scales."""
        tensor = self.b.tensors[node.input[1]]
        if tensor.name not in self.constants:
            node.input[1] = self.activation(node.input[1], make=True)
            return
        axis = 0 if node.op_type != "MatMul" and not _not_transposed(node) else len(tensor.shape) - 1
        rows = tensor.shape[axis]
        steps = np.full(rows if self._by_channel else (), 0.002, np.float32)
        if self._by_channel:
            steps *= 1.0 + 0.2 * np.sin(np.arange(rows, dtype=np.float32))
        node.input[1] = self._integers(tensor, steps, self.types.weights, axis)
        if len(node.input) > 2:
            product = np.float32(self._parameters[node.input[0]][0]) * steps
            node.input[2] = self._integers(self.b.tensors[node.input[2]], product, INT32, 0)

    def _integers(self, tensor: Tensor, steps: np.ndarray | np.float32, dtype: int, axis: int) -> str:
        b = self.b
        values = b.weight(tensor.shape, dtype=dtype, scale=100.0)
        zero = b.constant(np.full(np.shape(steps), 128 if dtype == UINT8 else 0), dtype)
        extra = {"axis": axis} if np.shape(steps) else {}
        inputs = [values, b.constant(steps, FLOAT), zero]
        return b.node("DequantizeLinear", inputs, tensor.shape, dtype=FLOAT, flops=0, **extra).name


def _not_transposed(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
