"""Dynamic quantization: weights as integers, activations quantized when the model runs.

What `quantize_dynamic` of ONNX Runtime 1.32 writes, told as rules:

1. A Gemm without factors becomes a MatMul and an Add before anything else; a transposed weight is stored the other way.
2. A MatMul whose second operand is a constant becomes DynamicQuantizeLinear, MatMulInteger, a Cast and two products
   with the scales. So does a Conv with a ConvInteger, and an Add of its bias behind it.
3. What is quantized once is read by all.
4. A table that a Gather looks up is stored as unsigned integers. What a Transpose or Gather moves stays quantized, and
   is dequantized for whoever cannot read it so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nnmeter.graph.dtypes import CODE_OF_DTYPE
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.draft import Draft
from nnmeter.transforms.quantization.integers import IntegerNetwork, Quantized

OPERATORS = frozenset({"Conv", "MatMul", "Gather", "Transpose"})


@dataclass(frozen=True)
class DynamicOptions:
    """How a dynamic quantization is made.

    Attributes:
        weight: integer type of weights.
        per_channel: whether the weights of products have a scale for each column.
        operators: the operators that are quantized.
    """

    weight: str = "int8"
    per_channel: bool = False
    operators: frozenset[str] = OPERATORS


def quantize_dynamic(model: UnboundModel, options: DynamicOptions, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with products of integers whose activations are quantized when it runs.

    Args:
        model: the model in floating point.
        options: types, scales and operators.
        sizes: what the model leaves open.
    """
    draft = Draft(model, sizes)
    _gemm_to_matmul(draft)
    return _Quantizer(draft, options).run()


def _gemm_to_matmul(draft: Draft) -> None:
    """Rule 1."""
    turned: dict[str, str] = {}
    nodes: list[Node] = []
    for node in draft.nodes:
        get = node.attributes.get
        if node.op_type != "Gemm" or get("alpha", 1.0) != 1.0 or get("beta", 1.0) != 1.0 or get("transA", 0):
            nodes.append(node)
            continue
        weight = node.inputs[1]
        if get("transB", 0):
            kind = draft.types[weight]
            if weight not in turned:
                shape = kind.shape[::-1]
                if weight in draft.constants:
                    turned[weight] = draft.weight(f"{weight}_Transposed", kind.dtype, shape)
                else:
                    turned[weight] = draft.fresh(f"{weight}_Transposed")
                    draft.types[turned[weight]] = TensorType(kind.dtype, shape)
                    nodes.append(draft.node("Transpose", (weight,), (turned[weight],)))
            weight = turned[weight]
        bias = len(node.inputs) > 2
        product = draft.fresh(f"{node.outputs[0]}_MatMul") if bias else node.outputs[0]
        draft.types[product] = draft.types[node.outputs[0]]
        nodes.append(draft.node("MatMul", (node.inputs[0], weight), (product,), f"{node.name}_MatMul"))
        if bias:
            nodes.append(draft.node("Add", (product, node.inputs[2]), node.outputs, f"{node.name}_Add"))
    draft.nodes = nodes


class _Quantizer(IntegerNetwork):
    """One quantization of one model."""

    def __init__(self, draft: Draft, options: DynamicOptions) -> None:
        super().__init__(draft, {declared.name for declared in draft.inputs} | set(draft.constants))
        self.options = options

    def run(self) -> UnboundModel:
        draft = self.draft
        for node in draft.nodes:
            first = len(self.nodes)
            make = _MAKERS.get(node.op_type) if node.op_type in self.options.operators else None
            if make is None or not make(self, node):
                self.keep(node)
            self.there.update(name for added in self.nodes[first:] for name in added.outputs)
        for declared in draft.outputs:
            self.dequantize(declared.name)
        draft.nodes = self.nodes
        return draft.finish(same_shapes=True, note="(dynamic)")

    def add(self, op_type: str, inputs: tuple[str, ...], output: str, name: str = "", **attributes: Any) -> str:
        self.nodes.append(self.draft.node(op_type, inputs, (output,), name, **attributes))
        return output

    def activation(self, name: str) -> Quantized:
        """A tensor, quantized when the model runs (rule 3)."""
        if name not in self.quantized:
            self.dequantize(name)
            fresh = self.draft.fresh
            q = Quantized(fresh(f"{name}_quantized"), fresh(f"{name}_scale"), fresh(f"{name}_zero_point"))
            node = self.draft.node("DynamicQuantizeLinear", (name,), (q.integers, q.scale, q.zero_point))
            self.nodes.append(node)
            self.quantized[name] = q
        return self.quantized[name]

    def weight(self, name: str, dtype: str, by_column: bool = False) -> Quantized:
        """A constant as integers."""
        if name not in self.quantized:
            draft = self.draft
            kind = draft.types[name]
            stored = draft.weight(f"{name}_quantized", dtype, kind.shape)
            if by_column:
                scale = draft.weight(f"{name}_scale", kind.dtype, kind.shape[-1:])
                zero_point = draft.weight(f"{name}_zero_point", dtype, kind.shape[-1:])
            else:
                scale = draft.constant(f"{name}_scale", 0.01 + 1e-5 * len(self.quantized), kind.dtype)
                zero_point = draft.constant(f"{name}_zero_point", 0 if dtype == "int8" else 128, dtype)
            self.quantized[name] = Quantized(stored, scale, zero_point)
            self.there.discard(name)
        return self.quantized[name]

    def product(self, node: Node, op_type: str, by_column: bool, bias: str = "") -> None:
        """An operator of integers and what gives it back its scales (rule 2)."""
        draft, result = self.draft, node.outputs[0]
        data = self.activation(node.inputs[0])
        weight = self.weight(node.inputs[1], self.options.weight, by_column)
        integers = draft.fresh(f"{result}_output_quantized")
        inputs = (data.integers, weight.integers, data.zero_point, weight.zero_point)
        self.add(op_type, inputs, integers, f"{node.name}_quant", **node.attributes)
        dtype = draft.types[result].dtype
        whole = self.add("Cast", (integers,), draft.fresh(f"{integers}_cast_output"), to=CODE_OF_DTYPE[dtype])
        scales = self.add("Mul", (data.scale, weight.scale), draft.fresh(f"{result}_scales"))
        scaled = self.add("Mul", (whole, scales), draft.fresh(f"{result}quant_scaled_output") if bias else result)
        if bias:
            rank = len(draft.types[node.inputs[1]].shape)
            shape = draft.constant(f"{result}_bias_reshape_shape", [1, -1, *[1] * (rank - 2)], "int64")
            self.dequantize(bias)
            placed = self.add("Reshape", (bias, shape), draft.fresh(f"{result}_bias_reshape_output"))
            self.add("Add", (scaled, placed), result, f"{result}_bias_add")


def _make_convolution(quantizer: _Quantizer, node: Node) -> bool:
    draft = quantizer.draft
    if not draft.is_float(node.inputs[0]) or node.inputs[1] not in draft.constants:
        return False
    quantizer.product(node, "ConvInteger", False, node.inputs[2] if len(node.inputs) > 2 else "")
    return True


def _make_product(quantizer: _Quantizer, node: Node) -> bool:
    draft = quantizer.draft
    if node.inputs[1] not in draft.constants or not any(map(draft.is_float, node.inputs[:2])):
        return False
    by_column = quantizer.options.per_channel and len(draft.types[node.inputs[1]].shape) > 1
    quantizer.product(node, "MatMulInteger", by_column)
    return True


def _make_gather(quantizer: _Quantizer, node: Node) -> bool:
    """Rule 4."""
    table = node.inputs[0]
    if table not in quantizer.draft.constants or not quantizer.draft.is_float(table):
        return False
    return _move(quantizer, node, quantizer.weight(table, "uint8"))


def _make_transpose(quantizer: _Quantizer, node: Node) -> bool:
    found = quantizer.quantized.get(node.inputs[0])
    return found is not None and quantizer.draft.is_float(node.inputs[0]) and _move(quantizer, node, found)


def _move(quantizer: _Quantizer, node: Node, source: Quantized) -> bool:
    integers = quantizer.draft.fresh(f"{node.outputs[0]}_quantized")
    quantizer.nodes.append(replace(node, inputs=(source.integers, *node.inputs[1:]), outputs=(integers,)))
    quantizer.quantized[node.outputs[0]] = replace(source, integers=integers)
    return True


_MAKERS: Mapping[str, Callable[[_Quantizer, Node], bool]] = {
    "Conv": _make_convolution,
    "MatMul": _make_product,
    "Gather": _make_gather,
    "Transpose": _make_transpose,
}
