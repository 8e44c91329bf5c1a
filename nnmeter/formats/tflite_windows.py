"""Operators of TensorFlow Lite that slide windows or multiply matrices, as operators of ONNX.

A rule takes the model and the operator, and adds what it is. Numbers of fields are those of the tables of options in
the schema. Padding is SAME (0) or VALID (1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from nnmeter.binding.assembly import same_pads
from nnmeter.formats.flatbuffers import Table
from nnmeter.formats.tflite_file import TfliteOperator
from nnmeter.formats.tflite_model import TfliteModel
from nnmeter.graph.unbound import MAX_ELEMENTS

Rule = Callable[[TfliteModel, TfliteOperator], None]


def options_of(model: TfliteModel, operator: TfliteOperator) -> Table:
    """The options of an operator that cannot do without."""
    if operator.options is None:
        raise model.fault("no options")
    return operator.options


def _window(
    model: TfliteModel,
    operator: TfliteOperator,
    source: int,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: int,
) -> dict[str, Any]:
    """Attributes of a window over a map."""
    if min((*kernel, *strides, *dilations)) < 1 or max((*kernel, *strides, *dilations)) > MAX_ELEMENTS:
        raise model.fault(f"a window of {list(kernel)}, steps of {list(strides)} and dilations of {list(dilations)}")
    sizes = model.shape(source)[2:]
    if len(sizes) != len(kernel) or not model.is_map(source):
        raise model.fault(f"a window of {len(kernel)} dimensions over {model.tensor(source).type}")
    extents = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    pads = same_pads(sizes, extents, strides) if padding == 0 else (0,) * (2 * len(sizes))
    attributes: dict[str, Any] = {"kernel_shape": tuple(kernel), "strides": tuple(strides), "pads": pads}
    if max(dilations) > 1:
        attributes["dilations"] = tuple(dilations)
    return attributes


def _channels(model: TfliteModel, place: int) -> int:
    shape = model.shape(place)
    if len(shape) < 3 or not model.is_map(place):
        raise model.fault(f"no map: {model.tensor(place).type}")
    return shape[1]


def convolution(model: TfliteModel, operator: TfliteOperator) -> None:
    """CONV_2D: weights of (outputs, rows, columns, inputs of a group)."""
    options, (source, weight) = options_of(model, operator), operator.inputs[:2]
    shape = model.tensor(weight).type.shape
    if len(shape) != 4 or not shape[3] or _channels(model, source) % shape[3]:
        raise model.fault(f"weights of {model.tensor(weight).type}")
    outputs, rows, columns, inputs = shape
    attributes = _window(
        model, operator, source, (rows, columns),
        (options.number(2, "i"), options.number(1, "i")), (options.number(5, "i", 1), options.number(4, "i", 1)),
        options.number(0, "b"),
    )  # fmt: skip
    attributes["group"] = _channels(model, source) // inputs
    operands = [model.read(source), model.weight(weight, (outputs, inputs, rows, columns))]
    result = model.assembly.add("Conv", [*operands, *model.bias(operator, 2, outputs)], attributes)
    model.write(operator.outputs[0], result, options.number(3, "b"))


def depthwise(model: TfliteModel, operator: TfliteOperator) -> None:
    """DEPTHWISE_CONV_2D: weights of (1, rows, columns, outputs)."""
    options, (source, weight) = options_of(model, operator), operator.inputs[:2]
    shape = model.tensor(weight).type.shape
    channels = _channels(model, source)
    if len(shape) != 4 or shape[0] != 1 or shape[3] % max(channels, 1):
        raise model.fault(f"weights of {model.tensor(weight).type}")
    _, rows, columns, outputs = shape
    attributes = _window(
        model, operator, source, (rows, columns),
        (options.number(2, "i"), options.number(1, "i")), (options.number(6, "i", 1), options.number(5, "i", 1)),
        options.number(0, "b"),
    )  # fmt: skip
    attributes["group"] = channels
    operands = [model.read(source), model.weight(weight, (outputs, 1, rows, columns))]
    result = model.assembly.add("Conv", [*operands, *model.bias(operator, 2, outputs)], attributes)
    model.write(operator.outputs[0], result, options.number(4, "b"))


def transposed(model: TfliteModel, operator: TfliteOperator) -> None:
    """TRANSPOSE_CONV: the shape of the result, weights of (outputs, rows, columns, inputs), the map, and a bias."""
    options, (_, weight, source) = options_of(model, operator), operator.inputs[:3]
    shape = model.tensor(weight).type.shape
    if len(shape) != 4 or shape[3] != _channels(model, source):
        raise model.fault(f"weights of {model.tensor(weight).type}")
    outputs, rows, columns, inputs = shape
    strides = (options.number(2, "i"), options.number(1, "i"))
    attributes = _window(model, operator, source, (rows, columns), strides, (1, 1), 1)
    before, after = [], []
    for size, result, kernel, stride in zip(
        model.shape(source)[2:], model.shape(operator.outputs[0])[2:], (rows, columns), strides, strict=True
    ):
        whole = (size - 1) * stride + kernel
        before.append(max(whole - result, 0) // 2)
        after.append(max(whole - result, 0) - max(whole - result, 0) // 2)
        attributes.setdefault("output_padding", []).append(max(result - whole, 0))
    attributes["pads"] = (*before, *after)
    attributes["output_padding"] = tuple(attributes["output_padding"])
    operands = [model.read(source), model.weight(weight, (inputs, outputs, rows, columns), axis=1)]
    result_name = model.assembly.add("ConvTranspose", [*operands, *model.bias(operator, 3, outputs)], attributes)
    model.write(operator.outputs[0], result_name, options.number(3, "b"))


def pool(op_type: str) -> Rule:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""

    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        options, source = options_of(model, operator), operator.inputs[0]
        attributes = _window(
            model, operator, source, (options.number(4, "i"), options.number(3, "i")),
            (options.number(2, "i"), options.number(1, "i")), (1, 1), options.number(0, "b"),
        )  # fmt: skip
        result = model.assembly.add(op_type, [model.read(source)], attributes)
        model.write(operator.outputs[0], result, options.number(5, "b"))

    return rule


def fully_connected(model: TfliteModel, operator: TfliteOperator) -> None:
    """FULLY_CONNECTED: weights of (outputs, inputs); the data are rows of as many numbers, whatever their shape."""
    source, weight = operator.inputs[:2]
    shape = model.tensor(weight).type.shape
    kind = model.tensor(source).type
    if len(shape) != 2 or not shape[1] or kind.elements % shape[1]:
        raise model.fault(f"weights of {model.tensor(weight).type} beside {kind}")
    rows = (kind.elements // shape[1], shape[1])
    data = model.read_stored(source) if kind.shape == rows else model.read_as(source, rows)
    operands = [data, model.weight(weight, shape), *model.bias(operator, 2, shape[0])]
    result = model.assembly.add("Gemm", operands, {"transB": 1})
    activation = 0 if operator.options is None else operator.options.number(0, "b")
    written = model.shape(operator.outputs[0])
    if prod(written) != rows[0] * shape[0]:
        raise model.fault(f"the result {model.tensor(operator.outputs[0]).type}, not {rows[0]} rows of {shape[0]}")
    model.write(operator.outputs[0], result, activation, None if written == (rows[0], shape[0]) else written)


def batch_matmul(model: TfliteModel, operator: TfliteOperator) -> None:
    """BATCH_MATMUL: a product of the last two dimensions, each perhaps transposed before."""
    options, names = operator.options, []
    for position, place in enumerate(operator.inputs[:2]):
        name, rank = model.read_stored(place), len(model.tensor(place).type.shape)
        if options is not None and options.number(position, "b"):
            name = model.assembly.add("Transpose", [name], {"perm": (*range(rank - 2), rank - 1, rank - 2)})
        names.append(name)
    model.write_stored(operator.outputs[0], model.assembly.add("MatMul", names))
