"""Operators that ONNX has for integers alone, as those of numbers between dequantized operands and a quantized result.

An `integer_operators` pass has no fields.

1. Each operand has its scale and zero point behind it, and a DequantizeLinear of its own.
2. What a product makes is quantized by the scale and zero point of the result; what another operator makes is divided
   by the scale, a zero point added, and converted.
3. The bias of a convolution has no scale; it is dequantized by that of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnmeter.fusion.engine.passes import Fields, PassKind, procedure
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType


@dataclass(frozen=True)
class _Form:
    """Where an operator has its operands, each with scale and zero point behind it, those of its result, and a bias."""

    kind: str
    operands: tuple[int, ...]
    result: int
    bias: int = -1


_MICROSOFT = "com.microsoft."
OPERATORS: dict[str, _Form] = {
    "QLinearConv": _Form("Conv", (0, 3), 6, 8),
    "QLinearMatMul": _Form("MatMul", (0, 3), 6),
    _MICROSOFT + "QLinearAdd": _Form("Add", (0, 3), 6),
    _MICROSOFT + "QLinearMul": _Form("Mul", (0, 3), 6),
    _MICROSOFT + "QLinearAveragePool": _Form("AveragePool", (0,), 3),
    _MICROSOFT + "QLinearGlobalAveragePool": _Form("GlobalAveragePool", (0,), 3),
    _MICROSOFT + "QLinearLeakyRelu": _Form("LeakyRelu", (0,), 3),
    _MICROSOFT + "QLinearSigmoid": _Form("Sigmoid", (0,), 3),
}
CONCAT = _MICROSOFT + "QLinearConcat"
_PRODUCTS = frozenset({"Conv", "MatMul"})
_OWN_ATTRIBUTES = frozenset({"channels_last"})


def express_by_numbers(graph: WorkingGraph, fields: Fields) -> bool:
    """Express the operators by those of numbers; whether there were any."""
    forms = {node: _form(node) for node in graph.of_kinds((*OPERATORS, CONCAT))}
    whole = {node: form for node, form in forms.items() if _is_whole(node, form)}
    for node, form in whole.items():
        _express(graph, node, form)
    return bool(whole)


def _form(node: WorkNode) -> _Form:
    return OPERATORS.get(node.kind) or _Form("Concat", tuple(range(2, len(node.inputs), 3)), 0)


def _is_whole(node: WorkNode, form: _Form) -> bool:
    """Whether all operands are there, and all scales; other nodes are left alone."""
    needed = [form.result, *form.operands, *(place + 1 for place in form.operands)]
    return bool(node.outputs[0]) and all(place < len(node.inputs) and node.inputs[place] for place in needed)


def _express(graph: WorkingGraph, node: WorkNode, form: _Form) -> None:
    inputs = node.inputs
    operands = [_dequantized(graph, node, inputs[place : place + 3]) for place in form.operands]
    if 0 <= form.bias < len(inputs) and inputs[form.bias]:
        operands.append(_dequantized(graph, node, [inputs[form.bias], inputs[form.operands[1] + 1]]))
    output = node.outputs[0]
    numbers = graph.fresh(output)
    graph.types[numbers] = TensorType("float32", graph.types[output].shape)
    attributes = {key: value for key, value in node.attributes.items() if key not in _OWN_ATTRIBUTES}
    scales = [name for name in inputs[form.result : form.result + 2] if name]
    graph.remove_node(node)
    graph.add_node(form.kind, node.name, operands, [numbers], attributes, node.position, node.sources)
    if form.kind in _PRODUCTS:
        graph.add_node("QuantizeLinear", output, [numbers, *scales], [output], {}, node.position + 1e-7)
        return
    point = graph.values.get(scales[-1]) if len(scales) > 1 else None
    steps = [("Div", scales[0])]
    if len(scales) > 1 and (point is None or np.any(point)):
        steps.append(("Add", graph.add_weight(scales[1], TensorType("float32", ()))))
    for place, (kind, constant) in enumerate(steps, 1):
        made = graph.fresh(output)
        graph.types[made] = graph.types[numbers]
        graph.add_node(kind, made, [numbers, constant], [made], {}, node.position + place * 1e-7)
        numbers = made
    graph.add_node("Cast", output, [numbers], [output], {}, node.position + 4e-7)


def _dequantized(graph: WorkingGraph, node: WorkNode, operand: list[str]) -> str:
    made = graph.fresh(operand[0])
    graph.types[made] = TensorType("float32", graph.types[operand[0]].shape)
    graph.add_node("DequantizeLinear", made, [name for name in operand if name], [made], {}, node.position - 1e-7)
    return made


PASSES = (PassKind("integer_operators", procedure(express_by_numbers), {}),)
