"""The kernels that OpenVINO's CPU plugin executes, read from the runtime graph of a compiled model.

1. Every node of the runtime graph that takes execution is one kernel (`nnmeter.lab.runtimes.openvino_graph`). What the
   runtime graph does not tell, windows and axes for instance, is read from the ONNX graph by the names of the operators
   that a node was made of (`nnmeter.lab.runtimes.openvino_names`).
2. Operators are named in the vocabulary of ONNX, with what is fused behind them: `Conv+Add+Relu`. `FullyConnected` is a
   `Gemm` of any rank whose weights lie transposed. A reorder to channels last is a `ReorderInput`, one to channels
   first a `ReorderOutput`; one that keeps the layout is a copy, and a `ReorderInput` too.
3. Inputs are data, weights and a bias; what fused operators read that is computed follows from the fourth on. Their
   constants, and inputs that are settings, do not count.
4. An element-wise kernel is named by all its operators, the costliest first: `Sigmoid+Add+Mul`; two products with a
   softmax between them are an `Attention`, with the other operators behind it in order of their names. Constants of one
   element are part of its code and no inputs; other constants count without leading dimensions of 1.
5. `MVN`, a normalization without scale and offset, is a `LayerNormalization` of the dimensions from its `axis` on.
6. A kernel whose result does not lie in the order of its dimensions has the attribute `layout` (`acdb`: channels last),
   except reorders, whose type says it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.graph.ir import Graph, TensorType
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.kernels.naming import (
    elementwise_name,
    kernel_signature,
    operand_order,
    perceptron_attributes,
    without_leading_ones,
)
from nnmeter.lab.runtimes.openvino_graph import RuntimeNode, is_executed, is_plain, read_runtime_nodes
from nnmeter.lab.runtimes.openvino_names import BIAS_SUFFIX, OperatorNames

if TYPE_CHECKING:
    import openvino

# Layers of the runtime graph whose operator is always the same.
_OPERATORS: dict[str, str] = {
    "Concatenation": "Concat", "Split": "Split", "StridedSlice": "Slice", "Interpolate": "Resize",
    "Broadcast": "Expand", "Convert": "Cast", "NormalizeL2": "LpNormalization",
    "RoPE": "RotaryEmbedding", "ScaledDotProductAttention": "Attention", "LSTMSequence": "LSTM", "GRUSequence": "GRU",
    "RNNSequence": "RNN", "ScatterNDUpdate": "ScatterND", "ScatterElementsUpdate": "ScatterElements",
    "ScatterUpdate": "Scatter", "LogSoftmax": "LogSoftmax", "Deconvolution": "ConvTranspose", "LRN": "LRN",
    "FakeQuantize": "QuantizeLinear",
}  # fmt: skip


# Operators that the plugin runs as reductions.
_REDUCTIONS: dict[str, str] = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}


def kernels_of_runtime_model(runtime_model: openvino.Model, graph: Graph) -> list[tuple[Kernel, str]]:
    """The kernels of a compiled model, each with the name of its node in the runtime graph.

    Args:
        runtime_model: `compiled_model.get_runtime_model()`.
        graph: the same ONNX model with static shapes, as `nnmeter.binding.bind.bind_shapes` gives it.

    Returns:
        Pairs in the order of execution. The name is what the profiler reports (`ProfilingInfo.node_name`); the nodes of
        a kernel are those operators of `graph` that the runtime graph says it does the work of.

    Raises:
        MeasurementError: the runtime graph has shapes that are not static.
    """
    return kernels_of_runtime_nodes(read_runtime_nodes(runtime_model), graph)


def kernels_of_runtime_nodes(nodes: Sequence[RuntimeNode], graph: Graph) -> list[tuple[Kernel, str]]:
    """As `kernels_of_runtime_model`, from the nodes of a runtime graph."""
    describer = _Describer(OperatorNames(graph, {name for node in nodes for name in node.originals}))
    return [(describer.kernel(node), node.name) for node in nodes if is_executed(node)]


class _Describer:
    """Makes kernels of the nodes of one runtime graph."""

    def __init__(self, names: OperatorNames) -> None:
        self.names = names

    def kernel(self, node: RuntimeNode) -> Kernel:
        signature = _DESCRIBE.get(node.layer, _Describer._other)(self, node)
        return Kernel(node.name, signature, tuple(operator.name for operator in self.names.named(node.originals)))

    def _attributes(self, node: RuntimeNode, *kinds: str) -> dict[str, Any]:
        """The attributes of the ONNX operator of some kinds that a node was made of; none where there is none."""
        operator = self.names.find(node.originals, kinds)
        return {} if operator is None else dict(operator.attributes)

    def _fused(self, node: RuntimeNode, named_bias: bool = False) -> str:
        """Names of the operators fused behind an anchor, joined; the addition of a bias, which comes first, is none."""
        names = node.originals[2 if named_bias else 1 :]
        if named_bias and names and names[0] + BIAS_SUFFIX == node.originals[0]:
            names = names[1:]  # of integers: a scale stands between the product and its bias
        return "+".join(self.names.kinds(names))

    def _convolution(self, node: RuntimeNode) -> KernelSignature:
        kind = "ConvTranspose" if node.layer == "Deconvolution" else "Conv"
        x, weight, bias = node.inputs[0], node.inputs[1], _bias(node)
        shape, group = weight.shape, 1
        if len(shape) > len(x.shape):  # groups have a dimension of their own
            group, shape = shape[0], (shape[0] * shape[1], *shape[2:])
        attributes = self._attributes(node, kind, "DeformConv", "ConvInteger")
        attributes.update(kernel_shape=shape[2:], group=group, fused=self._fused(node, bias is not None))
        return _product(node, kind, attributes, TensorType(weight.dtype, shape), bias)

    def _fully_connected(self, node: RuntimeNode) -> KernelSignature:
        weight = TensorType(node.inputs[1].dtype, node.inputs[1].shape[-2:])
        return _product(node, "Gemm", {"transB": 1, "fused": self._fused(node)}, weight, _bias(node))

    def _matmul(self, node: RuntimeNode) -> KernelSignature:
        a, b = node.inputs[:2]
        attributes = {"fused": self._fused(node), **_transposed(a.shape, b.shape, node.outputs[0].shape)}
        return _product(node, "MatMul", attributes, b, None)

    def _pooling(self, node: RuntimeNode) -> KernelSignature:
        kinds = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "LpPool")
        operator = self.names.find(node.originals, kinds)
        kind = "AveragePool" if operator is None else operator.op_type
        return _on_data(node, kind, {**self._attributes(node, kind), "fused": self._fused(node)})

    def _reduction(self, node: RuntimeNode) -> KernelSignature:
        kinds = [_REDUCTIONS.get(kind, kind) for kind in self.names.kinds(node.originals[:1])]
        kind = next((kind for kind in kinds if kind.startswith("Reduce")), "ReduceMean")
        axes = _reduced_axes(node.inputs[0].shape, node.outputs[0].shape)
        return _on_data(node, kind, {"axes": axes, "fused": self._fused(node)})

    def _subgraph(self, node: RuntimeNode) -> KernelSignature:
        """What the plugin compiled into one kernel: element-wise operators, or two products around a softmax."""
        kinds = self.names.kinds(node.originals)
        if "Gemm" in kinds:
            return self._perceptron(node, kinds)
        if "MatMul" not in kinds or "Softmax" not in kinds:
            return self._elementwise(node)
        # A first product that a scale was moved into has the name of the scale.
        first = "MatMul" if kinds.count("MatMul") > 1 else next((k for k in kinds if k in ("Mul", "Div")), "MatMul")
        for kind in ("MatMul", "Softmax", first):
            kinds.remove(kind)
        read = _operands(node)
        # The values come last, behind what is added to the scores.
        ordered = [*read[:2], read[-1], *sorted(read[2:-1], key=lambda pair: operand_order(*pair))]
        return _signature(node, "Attention", {"fused": "+".join(sorted(kinds))}, ordered)

    def _perceptron(self, node: RuntimeNode, kinds: list[str]) -> KernelSignature:
        """Products with weights, one behind the other; the sums among them, one a bias, do not count."""
        read = [(node.inputs[0], False)]
        weights: list[TensorType] = []
        width, unbiased = node.inputs[0].shape[-1], 0  # of the last results; the second until their bias was met
        for tensor in node.inputs[1:]:
            if tensor.elements == unbiased:
                read.append((TensorType(tensor.dtype, (unbiased,)), True))
                unbiased = 0
            elif tensor.elements > 1:
                rows, columns = tensor.shape if tensor.shape[-1] == width else reversed(tensor.shape)
                weights.append(TensorType(tensor.dtype, (rows, columns)))
                read.append((weights[-1], True))
                width = unbiased = rows
        biases = kinds.count("Gemm")
        others = [kind for kind in kinds if kind != "Add"] + ["Add"] * (kinds.count("Add") - biases)
        attributes = perceptron_attributes(others, weights, [tensor for tensor, _ in read], node.outputs[0])
        return _signature(node, "Gemm", attributes, read)

    def _elementwise(self, node: RuntimeNode) -> KernelSignature:
        anchor, _, fused = elementwise_name(self.names.kinds(node.originals) or [node.layer]).partition("+")
        read = sorted(_operands(node), key=lambda pair: operand_order(*pair))
        return _signature(node, anchor, {"fused": fused}, read)

    def _normalization(self, node: RuntimeNode) -> KernelSignature:
        """MVN; its second input lists the axes, which are the last ones."""
        axis = len(node.inputs[0].shape) - (node.inputs[1].elements if len(node.inputs) > 1 else 1)
        return _on_data(node, "LayerNormalization", {"axis": axis, "fused": self._fused(node)})

    def _transpose(self, node: RuntimeNode) -> KernelSignature:
        """A transpose of the model, or one that was taken out of a product and swaps the last two dimensions."""
        attributes = self._attributes(node, "Transpose")
        if not attributes:
            order = range(len(node.inputs[0].shape))
            attributes["perm"] = (*order[:-2], order[-1], order[-2])
        return _on_data(node, "Transpose", attributes)

    def _softmax(self, node: RuntimeNode) -> KernelSignature:
        axis = self._attributes(node, "Softmax", "LogSoftmax").get("axis", -1)
        return _on_data(node, "Softmax", {"axis": axis % len(node.inputs[0].shape)})

    def _reorder(self, node: RuntimeNode) -> KernelSignature:
        to_first = is_plain(node.layouts[0]) and not is_plain(node.read_layouts[0])
        return _on_data(node, "ReorderOutput" if to_first else "ReorderInput", {})

    def _concat(self, node: RuntimeNode) -> KernelSignature:
        pairs = list(zip(node.inputs, node.constants, strict=True))
        return _signature(node, "Concat", {"axis": _changed_axis(node)}, pairs)

    def _split(self, node: RuntimeNode) -> KernelSignature:
        return _on_data(node, "Split", {"axis": _changed_axis(node)})

    def _gather(self, node: RuntimeNode) -> KernelSignature:
        table, index = node.inputs[:2]
        if index.elements == 1 and node.constants[1]:  # a scalar of the model, of rank 1 in the plugin
            index = TensorType(index.dtype, ())
        axis = self._attributes(node, "Gather").get("axis", 0) % max(len(table.shape), 1)
        return _signature(node, "Gather", {"axis": axis}, [(table, node.constants[0]), (index, node.constants[1])])

    def _single(self, node: RuntimeNode) -> KernelSignature:
        """What has one input of data; all others are settings."""
        kind = _OPERATORS.get(node.layer, node.layer)
        return _on_data(node, kind, {**self._attributes(node, kind), "fused": self._fused(node)})

    def _root_mean_square(self, node: RuntimeNode) -> KernelSignature:
        return _signature(node, "RMSNormalization", {"fused": self._fused(node)}, _operands(node))

    def _other(self, node: RuntimeNode) -> KernelSignature:
        named = self.names.named(node.originals)
        kind = _OPERATORS.get(node.layer) or (named[0].op_type if named else node.layer)
        pairs = list(zip(node.inputs, node.constants, strict=True))
        return _signature(node, kind, self._attributes(node, kind), pairs)


_DESCRIBE: dict[str, Callable[[_Describer, RuntimeNode], KernelSignature]] = {
    "Subgraph": _Describer._subgraph,
    "Eltwise": _Describer._elementwise,
    "Math": _Describer._elementwise,
    "Convolution": _Describer._convolution,
    "Deconvolution": _Describer._convolution,
    "FullyConnected": _Describer._fully_connected,
    "MatMul": _Describer._matmul,
    "Pooling": _Describer._pooling,
    "Reduce": _Describer._reduction,
    "MVN": _Describer._normalization,
    "RMS": _Describer._root_mean_square,
    "Transpose": _Describer._transpose,
    "Softmax": _Describer._softmax,
    "Reorder": _Describer._reorder,
    "Concatenation": _Describer._concat,
    "Split": _Describer._split,
    "Gather": _Describer._gather,
    **dict.fromkeys(
        "StridedSlice Interpolate Broadcast Convert Pad NormalizeL2 ShuffleChannels DepthToSpace "
        "SpaceToDepth Tile FakeQuantize".split(),
        _Describer._single,
    ),
}

# Attributes that say nothing that types do not.
_TOLD_BY_TYPES = frozenset({"to", "num_outputs", "keepdims", "noop_with_empty_axes"})


def _signature(
    node: RuntimeNode, kind: str, attributes: Mapping[str, Any], operands: Sequence[tuple[TensorType | None, bool]]
) -> KernelSignature:
    """A signature by the rules of `nnmeter.kernels.naming`, with the layout of the result (rule 6)."""
    settings = {
        key: value
        for key, value in attributes.items()
        if key not in _TOLD_BY_TYPES and not isinstance(value, (Graph, np.ndarray))
    }
    layout = node.layouts[0] if node.layouts else ""
    if node.layer != "Reorder" and layout.isalnum() and not is_plain(layout) and layout != "undef":
        settings["layout"] = layout
    outputs = node.outputs
    if node.layer in ("Subgraph", "Eltwise"):
        outputs = tuple(sorted(outputs, key=lambda output: operand_order(output, False)))
    return kernel_signature(kind, "", settings, [t for t, _ in operands], [c for _, c in operands], outputs)


def _product(
    node: RuntimeNode, kind: str, attributes: Mapping[str, Any], weight: TensorType, bias: TensorType | None
) -> KernelSignature:
    """A kernel of data and weights, with its bias and what its fused operators read (rule 3)."""
    fused = [(t, c) for t, c in zip(node.inputs[2:], node.constants[2:], strict=True) if not c]
    first = [(node.inputs[0], node.constants[0]), (weight, node.constants[1]), (bias, bias is not None)]
    return _signature(node, kind, attributes, [*first, *fused])


def _on_data(node: RuntimeNode, kind: str, attributes: Mapping[str, Any]) -> KernelSignature:
    """A kernel whose first input is its data; the others are settings."""
    return _signature(node, kind, attributes, [(node.inputs[0], node.constants[0])])


def _operands(node: RuntimeNode) -> list[tuple[TensorType, bool]]:
    """The inputs of an element-wise kernel (rule 4)."""
    return [
        (without_leading_ones(tensor) if constant else tensor, constant)
        for tensor, constant in zip(node.inputs, node.constants, strict=True)
        if not constant or tensor.elements > 1
    ]


def _bias(node: RuntimeNode) -> TensorType | None:
    """The constant third input of a product, where it is one: an absent bias is an empty constant."""
    if len(node.inputs) > 2 and node.constants[2] and node.inputs[2].elements > 0:
        return TensorType(node.inputs[2].dtype, (node.inputs[2].elements,))
    return None


def _transposed(a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...]) -> dict[str, int]:
    """Which factors of a product lie transposed, as far as shapes tell."""
    found = {}
    if len(a) > 1 and a[-2] != y[-2]:
        found["transA"] = 1
    if len(b) > 1 and b[-1] != y[-1]:
        found["transB"] = 1
    return found


def _reduced_axes(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    if len(x) == len(y):
        return tuple(axis for axis, (a, b) in enumerate(zip(x, y, strict=True)) if a != b)
    axes, kept = [], 0
    for axis, size in enumerate(x):
        if kept < len(y) and size == y[kept]:
            kept += 1
        else:
            axes.append(axis)
    return tuple(axes)


def _changed_axis(node: RuntimeNode) -> int:
    """The first dimension in which the first input and the first output differ."""
    pairs = zip(node.inputs[0].shape, node.outputs[0].shape, strict=False)
    return next((axis for axis, (a, b) in enumerate(pairs) if a != b), 0)
