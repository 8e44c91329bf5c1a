"""Static quantization in the QOperator form: operators of integers, floating point only where there is none.

What `quantize_static` of ONNX Runtime 1.32 writes with `QuantFormat.QOperator` (onnxruntime/quantization/
onnx_quantizer.py and `operators/`), told as rules:

1. Operators are visited in the order of the file. One with an integer form (`_MAKERS`) reads integers: a constant is
   stored so, any other tensor gets a QuantizeLinear the first time.
2. One without, or whose ranges nobody measured, stays as it is and reads what a DequantizeLinear gives back.
3. Relu and Clip behind an operator of integers are left out: its range is that of what they write.
4. What only moves data stays in integers where it reads such, with their scale.
5. Outputs of the model are dequantized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.draft import MICROSOFT, Draft
from nnmeter.transforms.quantization.integers import IntegerNetwork, Quantized
from nnmeter.transforms.quantization.qdq import StaticOptions
from nnmeter.transforms.quantization.ranges import LOWEST, Ranges


def quantize_qoperator(model: UnboundModel, options: StaticOptions, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with operators of integers.

    Args:
        model: the model in floating point.
        options: types, scales and operators.
        sizes: what the model leaves open.
    """
    return _Quantizer(Draft(model, sizes), options).run()


class _Quantizer(IntegerNetwork):
    """One quantization of one model."""

    def __init__(self, draft: Draft, options: StaticOptions) -> None:
        super().__init__(draft, (declared.name for declared in draft.inputs))
        self.options = options
        self.ranges = Ranges(draft, options.activation, options.symmetric, options.operators)
        self.calibrated = {
            name
            for node in draft.nodes
            if node.op_type in options.operators
            for name in (*node.inputs, *node.outputs)
            if draft.is_float(name) and name not in draft.constants
        }

    def run(self) -> UnboundModel:
        draft = self.draft
        for node in draft.nodes:
            first = len(self.nodes)
            make = _MAKERS.get(node.op_type) if node.op_type in self.options.operators else None
            if make is None or not draft.is_float(node.inputs[0] if node.inputs else "") or not make(self, node):
                self.keep(node)
            self.there.update(name for added in self.nodes[first:] for name in added.outputs)
        for declared in draft.outputs:
            self.dequantize(declared.name)
        draft.nodes = self.nodes
        return draft.finish(same_shapes=True, note="(QOperator)")

    def read(self, names: Sequence[str]) -> list[Quantized] | None:
        """Tensors as integers (rule 1); None where the range of one is not known."""
        if any(n not in self.quantized and n not in self.draft.constants and n not in self.calibrated for n in names):
            return None
        return [self.quantized.get(name) or self._quantize(name) for name in names]

    def _quantize(self, name: str) -> Quantized:
        draft, dtype = self.draft, self.options.activation
        kind = draft.types[name]
        scale, zero_point = self.ranges.activation(name)
        names = (draft.constant(f"{name}_scale", scale, kind.dtype), draft.constant(f"{name}_zp", zero_point, dtype))
        if name in draft.constants:
            found = Quantized(draft.weight(f"{name}_quantized", dtype, kind.shape), *names)
        else:
            found = Quantized(draft.fresh(f"{name}_quantized"), *names)
            self.nodes.append(draft.node("QuantizeLinear", (name, *names), (found.integers,)))
        self.quantized[name] = found
        return found

    def weight(self, name: str, axis: int | None, dtype: str) -> Quantized | None:
        """A weight as integers, with a scale for each index of an axis where one is given."""
        if name in self.quantized:
            return self.quantized[name]
        if name not in self.draft.constants:
            found = self.read([name])
            return found[0] if found else None
        draft = self.draft
        kind = draft.constants[name]
        stored = draft.weight(f"{name}_quantized", dtype, kind.shape)
        if axis is None:
            scale, zero_point = self.ranges.weight(dtype, dtype == "int8")
            names = (
                draft.constant(f"{name}_scale", scale, kind.dtype),
                draft.constant(f"{name}_zp", zero_point, dtype),
            )
            self.quantized[name] = Quantized(stored, *names)
        else:
            count = kind.shape[axis]
            zeros = [0 if dtype == "int8" else 128] * count
            names = (draft.weight(f"{name}_scale", kind.dtype, (count,)), draft.constant(f"{name}_zp", zeros, dtype))
            self.quantized[name] = Quantized(stored, *names, count)
        return self.quantized[name]

    def bias(self, name: str, weight: Quantized) -> str:
        """A bias as integers of 32 bits."""
        if name not in self.quantized:
            kind = self.draft.constants[name]
            stored = self.draft.weight(f"{name}_quantized", "int32", kind.shape)
            self.quantized[name] = Quantized(stored, weight.scale, weight.zero_point)
        return self.quantized[name].integers

    def result(self, name: str, scale_of: Quantized | None = None, of_softmax: bool = False) -> Quantized | None:
        """The integers that an operator writes; None where their range is not known."""
        integers = f"{name}_quantized"
        if scale_of is not None:
            return Quantized(self.draft.fresh(integers), scale_of.scale, scale_of.zero_point)
        if name not in self.calibrated:
            return None
        dtype = self.options.activation
        scale, zero_point = (1 / 256, LOWEST[dtype]) if of_softmax else self.ranges.activation(name)
        kind = self.draft.types[name]
        names = (
            self.draft.constant(f"{name}_scale", scale, kind.dtype),
            self.draft.constant(f"{name}_zp", zero_point, dtype),
        )
        return Quantized(self.draft.fresh(integers), *names)

    def write(self, node: Node, op_type: str, inputs: Sequence[str], result: Quantized, **attributes: Any) -> bool:
        """Add an operator of integers in the place of one."""
        domain = "" if op_type in ("QLinearConv", "QLinearMatMul") else MICROSOFT
        kept = {**node.attributes, **attributes}
        self.nodes.append(self.draft.node(op_type, inputs, (result.integers,), f"{node.name}_quant", domain, **kept))
        self.quantized[node.outputs[0]] = result
        return True

    @property
    def by_channel(self) -> bool:
        return self.options.per_channel


def _make_convolution(quantizer: _Quantizer, node: Node) -> bool:
    constant = node.inputs[1] in quantizer.draft.constants
    data = quantizer.read(node.inputs[:1])
    by_channel = constant and quantizer.by_channel
    dtype = "int8" if by_channel else quantizer.options.weight
    weight = quantizer.weight(node.inputs[1], 0 if by_channel else None, dtype)
    result = quantizer.result(node.outputs[0])
    if data is None or weight is None or result is None:
        return False
    inputs = [*data[0].all, *weight.all, result.scale, result.zero_point]
    if len(node.inputs) > 2:
        inputs.append(quantizer.bias(node.inputs[2], weight))
    return quantizer.write(node, "QLinearConv", inputs, result)


def _make_gemm(quantizer: _Quantizer, node: Node) -> bool:
    constant = node.inputs[1] in quantizer.draft.constants
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    if bias and bias not in quantizer.draft.constants:
        return False
    data = quantizer.read(node.inputs[:1])
    axis = (0 if node.attributes.get("transB") else 1) if constant and quantizer.by_channel else None
    weight = quantizer.weight(node.inputs[1], axis, quantizer.options.weight)
    result = quantizer.result(node.outputs[0])
    if data is None or weight is None or result is None:
        return False
    integers = quantizer.bias(bias, weight) if bias else ""
    inputs = [*data[0].all, *weight.all, integers, result.scale, result.zero_point]
    plain = replace(node, attributes={key: value for key, value in node.attributes.items() if key != "beta"})
    return quantizer.write(plain, "QGemm", inputs, result)


def _make_product(quantizer: _Quantizer, node: Node) -> bool:
    data = quantizer.read(node.inputs[:1])
    kind = quantizer.draft.constants.get(node.inputs[1])
    axis = len(kind.shape) - 1 if kind is not None and quantizer.by_channel else None
    weight = quantizer.weight(node.inputs[1], axis, quantizer.options.weight)
    result = quantizer.result(node.outputs[0])
    if data is None or weight is None or result is None:
        return False
    return quantizer.write(node, "QLinearMatMul", [*data[0].all, *weight.all, result.scale, result.zero_point], result)


def _make_elementwise(count: int, op_type: str = "") -> Callable[[_Quantizer, Node], bool]:
    """An operator that reads the first `count` inputs as integers and writes a range of its own."""

    def make(quantizer: _Quantizer, node: Node) -> bool:
        data = quantizer.read(node.inputs[:count])
        softmax = node.op_type == "Softmax"
        result = quantizer.result(node.outputs[0], of_softmax=softmax)
        if data is None or result is None:
            return False
        inputs = [name for one in data for name in one.all] + [result.scale, result.zero_point]
        more = {"opset": quantizer.draft.opset} if softmax else {}
        return quantizer.write(node, op_type or f"QLinear{node.op_type}", inputs, result, **more)

    return make


def _make_concat(quantizer: _Quantizer, node: Node) -> bool:
    data = quantizer.read(node.inputs)
    result = quantizer.result(node.outputs[0])
    if data is None or result is None:
        return False
    inputs = [result.scale, result.zero_point, *(name for one in data for name in one.all)]
    return quantizer.write(node, "QLinearConcat", inputs, result)


def _make_global_pool(quantizer: _Quantizer, node: Node) -> bool:
    found = quantizer.quantized.get(node.inputs[0])
    if found is None:
        return False
    result = quantizer.result(node.outputs[0]) or quantizer.result(node.outputs[0], scale_of=found)
    assert result is not None
    inputs = [*found.all, result.scale, result.zero_point]
    return quantizer.write(node, "QLinearGlobalAveragePool", inputs, result, channels_last=0)


def _make_activation(quantizer: _Quantizer, node: Node) -> bool:
    """Rule 3."""
    if node.inputs[0] not in quantizer.quantized or quantizer.options.symmetric:
        return False
    quantizer.quantized[node.outputs[0]] = quantizer.quantized[node.inputs[0]]
    return True


def _make_move(quantizer: _Quantizer, node: Node) -> bool:
    """Rule 4."""
    found = quantizer.quantized.get(node.inputs[0])
    if found is None:
        return False
    return _move(quantizer, node, found)


def _move(quantizer: _Quantizer, node: Node, source: Quantized) -> bool:
    result = quantizer.result(node.outputs[0], scale_of=source)
    assert result is not None
    moved = replace(node, inputs=(source.integers, *node.inputs[1:]), outputs=(result.integers, *node.outputs[1:]))
    quantizer.nodes.append(moved)
    quantizer.quantized[node.outputs[0]] = result
    return True


def _make_move_from(opset: int) -> Callable[[_Quantizer, Node], bool]:
    return lambda quantizer, node: quantizer.draft.opset >= opset and _make_move(quantizer, node)


def _make_gather(quantizer: _Quantizer, node: Node) -> bool:
    if node.inputs[0] not in quantizer.draft.constants:
        return False
    found = quantizer.read(node.inputs[:1])
    return found is not None and _move(quantizer, node, found[0])


def _make_split(quantizer: _Quantizer, node: Node) -> bool:
    found = quantizer.read(node.inputs[:1])
    if found is None:
        return False
    results = [quantizer.result(name, scale_of=found[0]) for name in node.outputs]
    integers = tuple([result.integers for result in results if result is not None])
    quantizer.nodes.append(replace(node, inputs=(found[0].integers, *node.inputs[1:]), outputs=integers))
    for name, result in zip(node.outputs, results, strict=True):
        if result is not None:
            quantizer.quantized[name] = result
    return True


def _make_pad(quantizer: _Quantizer, node: Node) -> bool:
    found = quantizer.quantized.get(node.inputs[0])
    if found is None or quantizer.draft.opset < 11:
        return False
    inputs = list(node.inputs)
    if node.attributes.get("mode", "constant") == "constant":
        inputs += [""] * (3 - len(inputs))
        if inputs[2] and inputs[2] not in quantizer.draft.constants:
            return False
        value = quantizer.draft.constant(f"{node.name}_value", 0, quantizer.options.activation)
        inputs[2] = value if inputs[2] else found.zero_point
    return _move(quantizer, replace(node, inputs=tuple(inputs)), found)


# Rule 1: the operators with an integer form.
_MAKERS: Mapping[str, Callable[[_Quantizer, Node], bool]] = {
    "Add": _make_elementwise(2),
    "AveragePool": _make_elementwise(1),
    "Clip": _make_activation,
    "Concat": _make_concat,
    "Conv": _make_convolution,
    "Flatten": _make_move,
    "Gather": _make_gather,
    "Gemm": _make_gemm,
    "GlobalAveragePool": _make_global_pool,
    "LeakyRelu": _make_elementwise(1),
    "MatMul": _make_product,
    "MaxPool": _make_move_from(12),
    "Mul": _make_elementwise(2),
    "Pad": _make_pad,
    "Relu": _make_activation,
    "Reshape": _make_move,
    "Resize": _make_move_from(11),
    "Sigmoid": _make_elementwise(1),
    "Softmax": _make_elementwise(1),
    "Split": _make_split,
    "Squeeze": _make_move,
    "Transpose": _make_move,
    "Unsqueeze": _make_move,
}
