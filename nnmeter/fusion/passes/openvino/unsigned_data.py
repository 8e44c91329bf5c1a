"""Signed data of convolutions that a runtime makes unsigned, on machines that multiply unsigned by signed bytes.

Fields of an `unsigned_data` pass: `products` (operators whose data, the first input, must be unsigned), `moving` and
`joins` (operators that keep the integers they read, one tensor or several), `unless` (the parameter that switches the
pass off).

1. What a QuantizeLinear makes is int8, and all that read it dequantize it by the same scale and zero point: where one
   of `products` then reads it, directly or past `moving` and `joins`, it becomes uint8, and the zero point 128 higher.
2. Each such QuantizeLinear has a zero point of its own, so that none is the very constant that another one has.
"""

from __future__ import annotations

import numpy as np

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.passes.openvino.quantized_tensors import DEQUANTIZE, MIDDLE, QUANTIZE
from nnmeter.graph.ir import TensorType


def unsigned_data(graph: WorkingGraph, fields: Fields) -> bool:
    """Turn signed into unsigned data; whether there were any."""
    if graph.parameters.get(fields["unless"]):
        return False
    products, keeping = frozenset(fields["products"]), frozenset((*fields["moving"], *fields["joins"]))
    found = [
        node
        for node in graph.of_kinds((QUANTIZE,))
        if _is_signed(graph, node) and _feeds(graph, node.outputs[0], products, keeping)
    ]
    for node in found:
        _make_unsigned(graph, node)
    return bool(found)


def _is_signed(graph: WorkingGraph, node: WorkNode) -> bool:
    output = node.outputs[0]
    if graph.types[output].dtype != "int8" or output in graph.outputs or _scales(node)[0] not in graph.constants:
        return False
    readers = graph.readers.get(output, ())
    dequantized = all(reader.kind == DEQUANTIZE and _scales(reader) == _scales(node) for reader in readers)
    return dequantized and (not _scales(node)[1] or _scales(node)[1] in graph.constants)


def _scales(node: WorkNode) -> tuple[str, str]:
    """The scale and the zero point; "" where there is none."""
    scale, point = (*node.inputs[1:3], "", "")[:2]
    return scale, point


def _feeds(graph: WorkingGraph, quantized: str, products: frozenset[str], keeping: frozenset[str]) -> bool:
    """Whether a product reads the numbers that some integers stand for."""
    pending, seen = [reader.outputs[0] for reader in graph.readers.get(quantized, ())], set()
    while pending:
        tensor = pending.pop()
        seen.add(tensor)
        for reader in graph.readers.get(tensor, ()):
            graph.spend(1)
            if reader.kind in products and reader.inputs[0] == tensor:
                return True
            if reader.kind in keeping:
                pending += [output for output in reader.outputs if output not in seen]
    return False


def _make_unsigned(graph: WorkingGraph, node: WorkNode) -> None:
    output, name = node.outputs[0], _scales(node)[1]
    signed = graph.values.get(name) if name else np.array(0)
    if signed is None:
        point = graph.add_weight(name, TensorType("uint8", graph.types[name].shape))
    else:
        point = graph.add_constant(f"{output}_zero_point", (signed.astype(np.int32) + MIDDLE).astype(np.uint8), "uint8")
    for each in (node, *dict.fromkeys(graph.readers.get(output, ()))):
        if len(each.inputs) == 2:
            each.inputs.append("")
        graph.set_input(each, 2, point)
    graph.types[output] = TensorType("uint8", graph.types[output].shape)


PASSES = (
    PassKind(
        "unsigned_data",
        procedure(unsigned_data),
        {
            "products": Field(texts),
            "moving": Field(texts),
            "joins": Field(texts),
            "unless": Field(text),
        },
    ),
)
