"""Static quantization in the QDQ form: pairs of QuantizeLinear and DequantizeLinear around operators.

What `quantize_static` of ONNX Runtime 1.32 writes with `QuantFormat.QDQ` (onnxruntime/quantization/qdq_quantizer.py and
`operators/`), told as rules:

1. Operators are visited in the order of the file; each marks the tensors that it wants quantized (`_MARKS`). Only
   tensors of floating point are marked. One that is marked twice keeps its first place.
2. A Relu or Clip behind a quantized tensor that nothing else reads is left out: the integers clip as it does. Not where
   activations are symmetric, for then they do not.
3. A marked constant is stored as integers behind a DequantizeLinear: of the type of weights where it is one, of that of
   activations where it is an operand, and with a scale a channel for weights where that is asked for.
4. Any other marked tensor gets a pair, which all its readers read. What only moves data takes the scale of its input.
5. A bias is stored as int32 with the scale of input times weight. One that two operators read is stored for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.draft import Draft
from nnmeter.transforms.quantization.ranges import Ranges

# What `quantize_static` quantizes where nothing is said.
OPERATORS = frozenset(
    {
        "Add", "ArgMax", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "CumSum",
        "EmbedLayerNormalization", "Flatten", "Gather", "GatherElements", "Gemm", "GlobalAveragePool",
        "InstanceNormalization", "LayerNormalization", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Pad", "Relu",
        "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split", "Squeeze", "TopK", "Transpose", "Unsqueeze",
        "Where",
    }
)  # fmt: skip


@dataclass(frozen=True)
class StaticOptions:
    """How a static quantization is made.

    Attributes:
        activation: integer type of activations.
        weight: integer type of weights.
        per_channel: whether weights have a scale for each channel.
        symmetric: whether ranges of activations are symmetric around zero.
        operators: the operators that are quantized.
    """

    activation: str = "uint8"
    weight: str = "int8"
    per_channel: bool = False
    symmetric: bool = False
    operators: frozenset[str] = OPERATORS


@dataclass
class _Mark:
    """What is to become of a tensor."""

    weight: bool = False
    axis: int | None = None
    scale_of: str = ""


@dataclass(frozen=True)
class _Bias:
    data: str
    weight: str


@dataclass(frozen=True)
class _Parameters:
    """Names of a scale and a zero point, and how many there are of each."""

    scale: str
    zero_point: str
    channels: int = 1


def quantize_qdq(model: UnboundModel, options: StaticOptions, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with pairs of QuantizeLinear and DequantizeLinear.

    Args:
        model: the model in floating point.
        options: types, scales and operators.
        sizes: what the model leaves open.
    """
    return _Quantizer(Draft(model, sizes), options).run()


class _Quantizer:
    """One quantization of one model."""

    def __init__(self, draft: Draft, options: StaticOptions) -> None:
        self.draft = draft
        self.options = options
        self.ranges = Ranges(draft, options.activation, options.symmetric, options.operators)
        self.marks: dict[str, _Mark] = {}
        self.biases: dict[str, _Bias] = {}
        self.done: dict[str, _Parameters] = {}
        self.read_as: dict[str, str] = {}
        self.written_as: dict[str, str] = {}
        self.added: list[Node] = []
        self.left_out: set[str] = set()
        self.readers = draft.readers()
        self.outputs = {declared.name for declared in draft.outputs}
        self.calibrated = {
            name
            for node in draft.nodes
            if node.op_type in options.operators
            for name in (*node.inputs, *node.outputs)
            if draft.is_float(name) and name not in draft.constants
        }

    def run(self) -> UnboundModel:
        draft = self.draft
        for node in list(draft.nodes):
            if node.op_type in self.options.operators:
                _MARKS.get(node.op_type, mark_all)(self, node)
        draft.nodes = [node for node in draft.nodes if node.name not in self.left_out]
        for name in [name for name, mark in self.marks.items() if not mark.scale_of]:
            mark = self.marks.pop(name)
            if name in draft.constants:
                self._store_integers(name, mark)
            else:
                scale, zero_point = self.ranges.activation(name)
                self._add_pair(name, self._parameters(name, scale, zero_point, self.options.activation))
        self._share_scales()
        for name, bias in self.biases.items():
            self._store_bias(name, bias)
        for node in draft.nodes:
            node.inputs = tuple([self.read_as.get(name, name) for name in node.inputs])
            node.outputs = tuple([self.written_as.get(name, name) for name in node.outputs])
        draft.nodes += self.added
        return draft.finish(same_shapes=True, note="(QDQ)")

    def mark(self, name: str, scale_of: str = "", weight: bool = False, axis: int | None = None) -> None:
        """Mark a tensor (rule 1)."""
        if not name or not self.draft.is_float(name):
            return
        if scale_of or axis is not None or name not in self.marks:
            self.marks[name] = _Mark(weight, axis, scale_of)

    def mark_weight(self, name: str, axis: int) -> None:
        """Mark a weight, by channel where that is asked for and it has such an axis."""
        kind = self.draft.constants.get(name)
        by_channel = kind is not None and self.options.per_channel and -len(kind.shape) <= axis < len(kind.shape)
        self.mark(name, weight=True, axis=axis % len(kind.shape) if by_channel and kind is not None else None)

    def mark_bias(self, node: Node, position: int) -> None:
        """Mark a constant bias (rule 5)."""
        name = node.inputs[position] if len(node.inputs) > position else ""
        if name not in self.draft.constants or not self.draft.is_float(name):
            return
        if name in self.biases:
            kind = self.draft.constants[name]
            copy = self.draft.weight(name, kind.dtype, kind.shape)
            if name in self.draft.values:
                self.draft.values[copy] = self.draft.values[name]
            node.inputs = (*node.inputs[:position], copy, *node.inputs[position + 1 :])
            name = copy
        self.biases[name] = _Bias(node.inputs[0], node.inputs[1])

    def is_marked(self, name: str) -> bool:
        return name in self.marks or name in self.biases

    def leave_out(self, node: Node) -> bool:
        """Leave a Relu or Clip out (rule 2); whether that can be."""
        before, after = node.inputs[0], node.outputs[0]
        if self.options.symmetric or after not in self.calibrated or len(self.readers.get(before, ())) != 1:
            return False
        if before in self.outputs or before not in self.calibrated:
            return False
        writer = next((n for n in self.draft.nodes if before in n.outputs), None)
        if writer is None:
            return False
        writer.outputs = tuple([after if name == before else name for name in writer.outputs])
        self.marks.pop(before, None)
        self.left_out.add(node.name)
        return True

    def _share_scales(self) -> None:
        """Give what only moves data the scale of what it reads (rule 4)."""
        while True:
            ready = [name for name, mark in self.marks.items() if mark.scale_of in self.done]
            if not ready:
                return
            for name in ready:
                self._add_pair(name, self.done[self.marks.pop(name).scale_of])

    def _parameters(self, name: str, scale: float, zero_point: int, dtype: str) -> _Parameters:
        kind = self.draft.types[name]
        return _Parameters(
            self.draft.constant(f"{name}_scale", scale, kind.dtype),
            self.draft.constant(f"{name}_zero_point", zero_point, dtype),
        )

    def _add_pair(self, name: str, parameters: _Parameters) -> None:
        draft = self.draft
        read, result = name, draft.fresh(f"{name}_DequantizeLinear_Output")
        if name in self.outputs:
            read, result = draft.fresh(f"{name}_QuantizeLinear_Input"), name
            self.written_as[name] = read
        else:
            self.read_as[name] = result
        integers = draft.fresh(f"{name}_QuantizeLinear_Output")
        names = (parameters.scale, parameters.zero_point)
        self.added.append(draft.node("QuantizeLinear", (read, *names), (integers,)))
        self.added.append(draft.node("DequantizeLinear", (integers, *names), (result,)))
        self.done[name] = parameters

    def _store_integers(self, name: str, mark: _Mark) -> None:
        """Store a constant as integers (rule 3)."""
        draft, options = self.draft, self.options
        kind = draft.constants[name]
        dtype = options.weight if mark.weight else options.activation
        attributes: dict[str, Any] = {}
        if mark.axis is not None:
            channels = kind.shape[mark.axis]
            scale = draft.weight(f"{name}_scale", kind.dtype, (channels,))
            zero_point = draft.constant(f"{name}_zero_point", [0] * channels, dtype)
            parameters = _Parameters(scale, zero_point, channels)
            attributes["axis"] = mark.axis
        elif mark.weight:
            parameters = self._parameters(name, *self.ranges.weight(dtype, dtype == "int8"), dtype)
        else:
            parameters = self._parameters(name, *self.ranges.activation(name), dtype)
        stored = draft.weight(f"{name}_quantized", dtype, kind.shape)
        result = draft.fresh(f"{name}_DequantizeLinear_Output")
        names = (stored, parameters.scale, parameters.zero_point)
        self.added.append(draft.node("DequantizeLinear", names, (result,), **attributes))
        self.read_as[name] = result
        self.done[name] = parameters

    def _store_bias(self, name: str, bias: _Bias) -> None:
        """Store a bias as integers of 32 bits (rule 5)."""
        draft = self.draft
        if name in self.done or bias.weight not in self.done or bias.data not in self.done:
            return
        kind = draft.constants.pop(name)
        draft.values.pop(name, None)
        channels = self.done[bias.weight].channels
        stored = draft.weight(f"{name}_quantized", "int32", kind.shape)
        scale = draft.weight(f"{name}_quantized_scale", kind.dtype, (channels,))
        zero_point = draft.constant(f"{name}_quantized_zero_point", [0] * channels if channels > 1 else 0, "int32")
        attributes: dict[str, Any] = {"axis": 0} if channels > 1 else {}
        self.added.append(draft.node("DequantizeLinear", (stored, scale, zero_point), (name,), **attributes))
        self.done[name] = _Parameters(scale, zero_point, channels)


def mark_all(quantizer: _Quantizer, node: Node) -> None:
    """An operator that reads and writes floating point between pairs: all of its tensors."""
    for name in (*node.inputs, *node.outputs):
        quantizer.mark(name)


def _mark_convolution(quantizer: _Quantizer, node: Node) -> None:
    quantizer.mark(node.inputs[0])
    quantizer.mark(node.outputs[0])
    quantizer.mark_weight(node.inputs[1], 0 if node.op_type == "Conv" else 1)
    quantizer.mark_bias(node, 2)


def _mark_gemm(quantizer: _Quantizer, node: Node) -> None:
    quantizer.mark(node.inputs[0])
    quantizer.mark(node.outputs[0])
    quantizer.mark_weight(node.inputs[1], 0 if node.attributes.get("transB") else 1)
    if len(node.inputs) > 2 and node.inputs[2] in quantizer.draft.constants:
        quantizer.mark_bias(node, 2)
        if "beta" in node.attributes:
            node.attributes = {**node.attributes, "beta": 1.0}


def _mark_product(quantizer: _Quantizer, node: Node) -> None:
    for name in (*node.inputs, *node.outputs):
        if name in quantizer.draft.constants:
            quantizer.mark_weight(name, 1)
        else:
            quantizer.mark(name)


def _mark_activation(quantizer: _Quantizer, node: Node) -> None:
    if not quantizer.is_marked(node.inputs[0]):
        return
    if not quantizer.leave_out(node):
        quantizer.mark(node.inputs[0])
    quantizer.mark(node.outputs[0])


def _mark_move(quantizer: _Quantizer, node: Node) -> None:
    """What moves data without a look at it keeps the scale, and is quantized only behind what is."""
    if quantizer.is_marked(node.inputs[0]):
        quantizer.mark(node.outputs[0], scale_of=node.inputs[0])


def _mark_move_from(opset: int) -> Callable[[_Quantizer, Node], None]:
    """As a move, from a version of the operator set on: earlier ones take no integers."""

    def mark(quantizer: _Quantizer, node: Node) -> None:
        if quantizer.draft.opset >= opset:
            _mark_move(quantizer, node)

    return mark


def _mark_gather(quantizer: _Quantizer, node: Node) -> None:
    if node.inputs[0] in quantizer.draft.constants and quantizer.draft.is_float(node.inputs[0]):
        quantizer.mark(node.inputs[0])
        quantizer.mark(node.outputs[0], scale_of=node.inputs[0])
    else:
        _mark_move(quantizer, node)


def _mark_pad(quantizer: _Quantizer, node: Node) -> None:
    for name in node.inputs:
        quantizer.mark(name)
    same = node.inputs[0] if _pads_with_zeros_or_data(quantizer.draft, node) else ""
    quantizer.mark(node.outputs[0], scale_of=same)


def _pads_with_zeros_or_data(draft: Draft, node: Node) -> bool:
    if node.attributes.get("mode", "constant") != "constant":
        return True
    if draft.opset < 11:
        return float(node.attributes.get("value", 0.0)) == 0
    if len(node.inputs) < 3 or not node.inputs[2]:
        return True
    value = draft.known.get(node.inputs[2])
    return value is not None and value.dtype.kind == "f" and float(value.ravel()[0]) == 0


def _mark_split(quantizer: _Quantizer, node: Node) -> None:
    quantizer.mark(node.inputs[0])
    for name in node.outputs:
        quantizer.mark(name, scale_of=node.inputs[0])


def _mark_where(quantizer: _Quantizer, node: Node) -> None:
    if quantizer.is_marked(node.inputs[1]) and quantizer.is_marked(node.inputs[2]):
        for name in node.outputs:
            quantizer.mark(name)


def _mark_normalization(quantizer: _Quantizer, node: Node) -> None:
    quantizer.mark(node.inputs[0])
    if node.inputs[1] in quantizer.draft.constants:
        quantizer.mark_weight(node.inputs[1], 1)
    else:
        quantizer.mark(node.inputs[1])
    quantizer.mark_bias(node, 2)
    for name in node.outputs:
        quantizer.mark(name)


# Rule 1: what an operator marks; any other that is quantized marks all of its tensors.
_MARKS: Mapping[str, Callable[[_Quantizer, Node], None]] = {
    "AveragePool": _mark_move,
    "BatchNormalization": _mark_normalization,
    "Clip": _mark_activation,
    "Conv": _mark_convolution,
    "ConvTranspose": _mark_convolution,
    "Flatten": _mark_move,
    "Gather": _mark_gather,
    "GatherElements": _mark_gather,
    "Gemm": _mark_gemm,
    "InstanceNormalization": _mark_normalization,
    "LayerNormalization": _mark_normalization,
    "MatMul": _mark_product,
    "MaxPool": _mark_move_from(12),
    "Pad": _mark_pad,
    "Relu": _mark_activation,
    "Reshape": _mark_move,
    "Resize": _mark_move_from(11),
    "Slice": _mark_move,
    "Split": _mark_split,
    "Squeeze": _mark_move,
    "TopK": _mark_move,
    "Transpose": _mark_move,
    "Unsqueeze": _mark_move,
    "Where": _mark_where,
}
