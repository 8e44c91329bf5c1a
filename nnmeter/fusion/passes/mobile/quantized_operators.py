"""Operators that ONNX has for integers alone, as the operator that they are: `QLinearConv` is a Conv of int8.

Field of a `quantized_operators` pass: `types` (integer types of the file -> those that the runtime stores in their
place).

1. Scales and zero points are no operands: they are numbers of the kernel. What remains are the operands of the operator
   without the prefix, in its order.
2. `QLinearConcat` has a scale and a zero point behind each operand.
3. Operands and results are of the runtime's types: unsigned integers of a file are shifted to signed ones.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, element_type, map_of, procedure
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.graph.ir import TensorType

# The operator that it is, and the positions of its operands (rule 1).
OPERATORS: dict[str, tuple[str, tuple[int, ...]]] = {
    "QLinearConv": ("Conv", (0, 3, 8)),
    "QLinearMatMul": ("MatMul", (0, 3)),
    "com.microsoft.QGemm": ("Gemm", (0, 3, 6)),
    "com.microsoft.QLinearAdd": ("Add", (0, 3)),
    "com.microsoft.QLinearMul": ("Mul", (0, 3)),
    "com.microsoft.QLinearAveragePool": ("AveragePool", (0,)),
    "com.microsoft.QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "com.microsoft.QLinearLeakyRelu": ("LeakyRelu", (0,)),
    "com.microsoft.QLinearSigmoid": ("Sigmoid", (0,)),
    "com.microsoft.QLinearSoftmax": ("Softmax", (0,)),
}
CONCAT = "com.microsoft.QLinearConcat"
_OWN_ATTRIBUTES = ("channels_last", "opset")  # of com.microsoft's operators, that those of the standard lack


def plain_operators(graph: WorkingGraph, fields: Fields) -> bool:
    """Write the operators without their prefix; whether there were any."""
    found = graph.of_kinds((*OPERATORS, CONCAT))
    types = fields["types"]
    for node in found:
        if node.kind == CONCAT:
            kind, operands = "Concat", node.inputs[2::3]  # rule 2
        else:
            kind, places = OPERATORS[node.kind]
            operands = [node.inputs[place] for place in places if place < len(node.inputs)]
        for name in (*operands, *node.outputs):
            if name and graph.types[name].dtype in types:
                graph.types[name] = TensorType(types[graph.types[name].dtype], graph.types[name].shape)
        attributes = {key: value for key, value in node.attributes.items() if key not in _OWN_ATTRIBUTES}
        graph.remove_node(node)
        graph.add_node(kind, node.name, operands, node.outputs, attributes, node.position, node.sources)
    return bool(found)


PASSES = (
    PassKind(
        "quantized_operators", procedure(plain_operators), {"types": Field(map_of(element_type, key=element_type), {})}
    ),
)
