"""Low precision: operators read the integers that DequantizeLinear was to make numbers of.

Fields of a `low_precision` pass: `products` (operators that multiply integers), `moving` (operators that compute in the
integers they read and keep their scale), `joins` (those that join several tensors), `averages` (operators that read
integers and write numbers), `normalizations` (those that undo any scale), `views` (that may stand behind an average),
`transpose`, `sums` (operators whose operands may be integers), `activations` (operators that keep the scale where it
has no zero point), `retype`, `scale`, `difference` and `zero_point` (operators that rules add), `apart` (the attribute
that keeps an operator out of loops).

What each kind of operator does with quantized data are the rules of `quantized_products`, `quantized_moves`,
`quantized_arithmetic`, `quantized_normalizations`, `requantization` and `quantized_rounding`. Operators are visited in
the order of the run, so that scales move on to the next; what is left of QuantizeLinear and DequantizeLinear is looked
at last.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.passes.openvino.quantized_arithmetic import QuantizedArithmetic
from nnmeter.fusion.passes.openvino.quantized_moves import QuantizedMoves
from nnmeter.fusion.passes.openvino.quantized_normalizations import QuantizedNormalizations
from nnmeter.fusion.passes.openvino.quantized_products import QuantizedProducts
from nnmeter.fusion.passes.openvino.quantized_rounding import QuantizedRounding
from nnmeter.fusion.passes.openvino.quantized_tensors import DEQUANTIZE, QuantizedTensors
from nnmeter.fusion.passes.openvino.requantization import Requantization


def low_precision(graph: WorkingGraph, fields: Fields) -> bool:
    """Let operators read integers; whether there were any."""
    before = graph.version
    tensors = QuantizedTensors(graph, fields)
    QuantizedNormalizations(tensors).express()
    requantization, rounding = Requantization(tensors), QuantizedRounding(tensors)
    products = QuantizedProducts(tensors)
    moves, arithmetic = QuantizedMoves(tensors), QuantizedArithmetic(tensors)
    for node in list(graph.ordered()):
        if not node.alive:
            continue
        if tensors.quantizes(node):
            requantization.visit(node)
            continue
        for rules in (products, moves, arithmetic):
            if node.kind in rules.kinds:
                rules.visit(node)
    for node in list(tensors.scales):
        if tensors.quantizes(node):
            rounding.round_without_zero_point(node)
    for node in tensors.floats:
        products.numbers_behind(node)
    for node in list(tensors.scales):
        if tensors.quantizes(node):
            rounding.round_numbers(node)
    arithmetic.scale_constants()
    for node in list(tensors.scales):
        if node.alive and node.kind == DEQUANTIZE and node.inputs[0] not in graph.constants:
            rounding.copy_for_readers(node)
    tensors.drop_settings()
    return graph.version != before


PASSES = (
    PassKind(
        "low_precision",
        procedure(low_precision),
        {
            "products": Field(texts),
            "moving": Field(texts),
            "joins": Field(texts),
            "averages": Field(texts),
            "normalizations": Field(texts),
            "sums": Field(texts),
            "activations": Field(texts),
            "views": Field(texts),
            "transpose": Field(text),
            "retype": Field(text),
            "scale": Field(text),
            "difference": Field(text),
            "zero_point": Field(text),
            "apart": Field(text),
        },
    ),
)
