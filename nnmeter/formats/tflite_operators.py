"""Operators of TensorFlow Lite as operators of ONNX: the table, and the rules of those that compute by element or move.

Rules:

1. Numbers of operators and of the fields of their options are those of the schema (`BuiltinOperator`, `...Options`).
2. Operators that treat all elements alike keep maps; those that depend on the stored order read and write it (rule 1 of
   `nnmeter.formats.tflite_model`).
3. A view (Reshape, Squeeze, ExpandDims) has the shape that the file states.
4. An operator that is not in the table is of the domain `tflite`, with the results that the file declares: it is priced
   by the fallback and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnmeter.formats.tflite_file import TfliteOperator
from nnmeter.formats.tflite_layout import turned
from nnmeter.formats.tflite_model import TfliteModel
from nnmeter.formats.tflite_windows import (
    Rule,
    batch_matmul,
    convolution,
    depthwise,
    fully_connected,
    options_of,
    pool,
    transposed,
)

DOMAIN = "tflite"
NEWEST_OPSET = 20  # of ai.onnx, in whose words the operators here are


def _option(operator: TfliteOperator, field: int, code: str = "b", default: int = 0) -> int:
    return default if operator.options is None else operator.options.number(field, code, default)


def _unary(op_type: str, **attributes: Any) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        result = model.assembly.add(op_type, [model.read(operator.inputs[0])], attributes)
        model.write(operator.outputs[0], result)

    return rule


def _clip(low: float, high: float) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        bounds = [model.assembly.scalar(low), model.assembly.scalar(high)]
        model.write(operator.outputs[0], model.assembly.add("Clip", [model.read(operator.inputs[0]), *bounds]))

    return rule


def _binary(op_type: str, fused: bool = False, inverted: bool = False) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        place = operator.outputs[0]
        names = [model.read_beside(source, place) for source in operator.inputs]
        result = model.assembly.add(op_type, names)
        if inverted:
            result = model.assembly.add("Not", [result])
        model.write(place, result, _option(operator, 0) if fused else 0)

    return rule


def _chain(*op_types: str) -> Rule:
    """Operators one after another, for what ONNX has in two."""

    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        place = operator.outputs[0]
        result = model.assembly.add(op_types[0], [model.read_beside(source, place) for source in operator.inputs])
        for op_type in op_types[1:]:
            result = model.assembly.add(op_type, [result])
        model.write(place, result)

    return rule


def _square(model: TfliteModel, operator: TfliteOperator) -> None:
    name = model.read(operator.inputs[0])
    model.write(operator.outputs[0], model.assembly.add("Mul", [name, name]))


def _squared_difference(model: TfliteModel, operator: TfliteOperator) -> None:
    place = operator.outputs[0]
    difference = model.assembly.add("Sub", [model.read_beside(source, place) for source in operator.inputs])
    model.write(place, model.assembly.add("Mul", [difference, difference]))


def _prelu(model: TfliteModel, operator: TfliteOperator) -> None:
    source, slope = operator.inputs[:2]
    names = [model.read(source), model.read_beside(slope, operator.outputs[0])]
    model.write(operator.outputs[0], model.assembly.add("PRelu", names))


def _leaky(model: TfliteModel, operator: TfliteOperator) -> None:
    alpha = options_of(model, operator).real(0)
    _unary("LeakyRelu", alpha=alpha)(model, operator)


def _softmax(op_type: str) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        source = operator.inputs[0]
        axis = model.axis(source, -1)
        model.write(operator.outputs[0], model.assembly.add(op_type, [model.read(source)], {"axis": axis}))

    return rule


def _normalized(model: TfliteModel, operator: TfliteOperator) -> None:
    source = operator.inputs[0]
    attributes = {"axis": model.axis(source, -1), "p": 2}
    model.write(operator.outputs[0], model.assembly.add("LpNormalization", [model.read(source)], attributes))


def _reduce(op_type: str) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        source, place = operator.inputs[0], operator.outputs[0]
        axes = sorted({model.axis(source, axis) for axis in model.values(operator, 1)})
        kept = bool(_option(operator, 0))
        if model.is_map(source) and axes == list(range(2, len(model.shape(source)))):
            names = [model.read(source), model.assembly.integers(axes)]  # of the whole map, as a pool: then a view
            result = model.assembly.add(op_type, names, {"keepdims": 1})
            model.write(place, result, view=None if kept and model.is_map(place) else model.shape(place))
        elif kept and model.is_map(source) == model.is_map(place):
            names = [model.read(source), model.assembly.integers(axes)]
            model.write(place, model.assembly.add(op_type, names, {"keepdims": 1}))
        else:
            stored = sorted({axis % len(model.shape(source)) for axis in model.values(operator, 1)})
            names = [model.read_stored(source), model.assembly.integers(stored)]
            model.write_stored(place, model.assembly.add(op_type, names, {"keepdims": int(kept)}))

    return rule


def _arg(op_type: str) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        source, place = operator.inputs[0], operator.outputs[0]
        (axis,) = model.values(operator, 1)[:1] or (-1,)
        rank = len(model.tensor(source).type.shape)
        attributes = {"axis": axis % max(rank, 1), "keepdims": 0}
        result = model.assembly.add(op_type, [model.read_stored(source)], attributes)
        model.write_stored(place, _cast(model, result, "int64", model.dtype(place)))

    return rule


def _cast(model: TfliteModel, name: str, before: str, after: str) -> str:
    from nnmeter.graph.dtypes import CODE_OF_DTYPE

    return name if before == after else model.assembly.add("Cast", [name], {"to": CODE_OF_DTYPE[after]})


def _cast_to(model: TfliteModel, operator: TfliteOperator) -> None:
    source, place = operator.inputs[0], operator.outputs[0]
    if model.is_constant(source):
        model.write_constant(place)
        return
    model.write(place, _cast(model, model.read(source), model.dtype(source), model.dtype(place)))


def _same(model: TfliteModel, operator: TfliteOperator) -> None:
    """QUANTIZE and DEQUANTIZE, which reading and writing of quantized tensors do; rule 5 of `tflite_model`."""
    source, place = operator.inputs[0], operator.outputs[0]
    if model.is_constant(source):
        model.write_constant(place)
        return
    model.write(place, _cast(model, model.read(source), model.dtype(source), model.dtype(place)))


def _view(model: TfliteModel, operator: TfliteOperator) -> None:
    source, place = operator.inputs[0], operator.outputs[0]
    if model.tensor(source).type.elements != model.tensor(place).type.elements:
        raise model.fault(f"a view of {model.tensor(source).type} as {model.tensor(place).type}")
    if model.is_constant(source):
        model.write_constant(place)
        return
    model.write_view(place, source)


def _concat(model: TfliteModel, operator: TfliteOperator) -> None:
    place = operator.outputs[0]
    axis = model.axis(place, _option(operator, 0, "i"))
    names = [model.read_beside(source, place) for source in operator.inputs]
    result = model.assembly.add("Concat", names, {"axis": axis})
    model.write(place, result, _option(operator, 1))


def _split(axis_at: int, source_at: int) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        source = operator.inputs[source_at]
        (axis,) = model.values(operator, axis_at)[:1] or (0,)
        place = model.axis(source, axis)
        sizes = [model.shape(output)[place] for output in operator.outputs]
        names = [model.read(source), model.assembly.integers(sizes)]
        if len(sizes) == 1:
            model.write(operator.outputs[0], names[0])
            return
        for output, name in zip(
            operator.outputs, model.assembly.add_all("Split", names, {"axis": place}, len(sizes)), strict=True
        ):
            model.write(output, name)

    return rule


def _pad(mode: str) -> Rule:
    modes = {0: "reflect", 1: "reflect"}  # ONNX has no SYMMETRIC; it moves as much

    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        source, flat = operator.inputs[0], model.values(operator, 1)
        pairs = [flat[at : at + 2] for at in range(0, len(flat), 2)]
        if len(pairs) != len(model.tensor(source).type.shape) or len(flat) % 2:
            raise model.fault(f"{len(flat)} paddings for {model.tensor(source).type}")
        if model.is_map(source):
            pairs = list(turned(pairs))  # type: ignore[arg-type]
        pads = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        chosen = mode or modes.get(_option(operator, 0), "reflect")
        result = model.assembly.add("Pad", [model.read(source), model.assembly.integers(pads)], {"mode": chosen})
        model.write(operator.outputs[0], result)

    return rule


def _transpose(model: TfliteModel, operator: TfliteOperator) -> None:
    perm = model.values(operator, 1)
    if sorted(perm) != list(range(len(model.tensor(operator.inputs[0]).type.shape))):
        raise model.fault(f"the order {list(perm)} for {model.tensor(operator.inputs[0]).type}")
    result = model.assembly.add("Transpose", [model.read_stored(operator.inputs[0])], {"perm": perm})
    model.write_stored(operator.outputs[0], result)


def _slice(model: TfliteModel, operator: TfliteOperator) -> None:
    """SLICE: where it begins, and the sizes of the result."""
    source, begins = operator.inputs[0], model.values(operator, 1)
    sizes = model.tensor(operator.outputs[0]).type.shape
    if len(begins) != len(sizes):
        raise model.fault(f"{len(begins)} begins for {model.tensor(source).type}")
    _cut(model, operator, begins, [b + size for b, size in zip(begins, sizes, strict=True)], [1] * len(sizes))


def _strided_slice(model: TfliteModel, operator: TfliteOperator) -> None:
    """STRIDED_SLICE: fields are masks of begin, end, ellipsis, new and removed dimensions."""
    shape = model.tensor(operator.inputs[0]).type.shape
    begins, ends, steps = (list(model.values(operator, position)) for position in (1, 2, 3))
    if _option(operator, 2, "i") or _option(operator, 3, "i") or len(begins) > len(shape) or not all(steps):
        _unknown(model, operator)
        return
    if not len(begins) == len(ends) == len(steps):
        raise model.fault("begins, ends and steps of different lengths")
    removed = _option(operator, 4, "i")
    for axis, size in enumerate(shape[: len(begins)]):
        low, high = (0, size) if steps[axis] > 0 else (size - 1, -size - 1)
        if _option(operator, 0, "i") >> axis & 1:
            begins[axis] = low
        if _option(operator, 1, "i") >> axis & 1:
            ends[axis] = high
        if removed >> axis & 1:
            begins[axis], steps[axis] = begins[axis] % max(size, 1), 1
            ends[axis] = begins[axis] + 1
    _cut(model, operator, begins, ends, steps, bool(removed))


def _cut(
    model: TfliteModel,
    operator: TfliteOperator,
    begins: Sequence[int],
    ends: Sequence[int],
    steps: Sequence[int],
    removed: bool = False,
) -> None:
    source, place = operator.inputs[0], operator.outputs[0]
    if model.is_constant(source):
        model.write_constant(place)
        return
    axes = [model.axis(source, axis) for axis in range(len(begins))]
    integers = model.assembly.integers
    limited = [min(max(end, -(2**62)), 2**62) for end in ends]
    names = [model.read(source), integers(begins), integers(limited), integers(axes), integers(steps)]
    result = model.assembly.add("Slice", names)
    model.write(place, result, view=model.shape(place) if removed else None)


def _gather(model: TfliteModel, operator: TfliteOperator) -> None:
    if _option(operator, 1, "i"):
        _unknown(model, operator)
        return
    source, indices = operator.inputs[:2]
    rank = len(model.tensor(source).type.shape)
    axis = _option(operator, 0, "i") % max(rank, 1)
    names = [model.read_stored(source), model.read_stored(indices)]
    model.write_stored(operator.outputs[0], model.assembly.add("Gather", names, {"axis": axis}))


def _pack(model: TfliteModel, operator: TfliteOperator) -> None:
    place = operator.outputs[0]
    shape = model.tensor(place).type.shape
    axis = _option(operator, 1, "i") % max(len(shape), 1)
    part = (*shape[:axis], 1, *shape[axis + 1 :])
    names = [model.read_as(source, part) for source in operator.inputs]
    model.write_stored(place, model.assembly.add("Concat", names, {"axis": axis}))


def _unpack(model: TfliteModel, operator: TfliteOperator) -> None:
    source = operator.inputs[0]
    shape = model.tensor(source).type.shape
    axis = _option(operator, 1, "i") % max(len(shape), 1)
    count = len(operator.outputs)
    if not shape or shape[axis] != count:
        raise model.fault(f"{count} parts of {model.tensor(source).type}")
    name = model.read_stored(source)
    parts = (name,) if count == 1 else model.assembly.add_all(
        "Split", [name, model.assembly.integers([1] * count)], {"axis": axis}, count
    )  # fmt: skip
    for place, part in zip(operator.outputs, parts, strict=True):
        model.write(place, part, view=model.shape(place))


def _tile(model: TfliteModel, operator: TfliteOperator) -> None:
    source, repeats = operator.inputs[0], model.values(operator, 1)
    if len(repeats) != len(model.shape(source)):
        raise model.fault(f"{len(repeats)} repeats for {model.tensor(source).type}")
    counts = turned(repeats) if model.is_map(source) else repeats
    names = [model.read(source), model.assembly.integers(counts)]
    model.write(operator.outputs[0], model.assembly.add("Tile", names))


def _expand(model: TfliteModel, operator: TfliteOperator) -> None:
    place = operator.outputs[0]
    names = [model.read_beside(operator.inputs[0], place), model.assembly.integers(model.shape(place))]
    model.write(place, model.assembly.add("Expand", names))


def _resize(mode: str, aligned: int, centered: int) -> Rule:
    """Options: whether corners are aligned, and whether pixels have their centre at a half."""

    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        place = operator.outputs[0]
        way = "asymmetric"
        if _option(operator, aligned):
            way = "align_corners"
        elif _option(operator, centered):
            way = "half_pixel"
        attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": way}
        if mode == "nearest":
            attributes["nearest_mode"] = "floor"
        names = [model.read(operator.inputs[0]), "", "", model.assembly.integers(model.shape(place))]
        model.write(place, model.assembly.add("Resize", names, attributes))

    return rule


def _blocks(op_type: str) -> Rule:
    def rule(model: TfliteModel, operator: TfliteOperator) -> None:
        attributes: dict[str, Any] = {"blocksize": _option(operator, 0, "i")}
        if op_type == "DepthToSpace":
            attributes["mode"] = "DCR"
        if attributes["blocksize"] < 1:
            raise model.fault(f"blocks of {attributes['blocksize']}")
        result = model.assembly.add(op_type, [model.read(operator.inputs[0])], attributes)
        model.write(operator.outputs[0], result)

    return rule


def _gelu(model: TfliteModel, operator: TfliteOperator) -> None:
    _unary("Gelu", approximate="tanh" if _option(operator, 0) else "none")(model, operator)


def _sum_of_all(model: TfliteModel, operator: TfliteOperator) -> None:
    place = operator.outputs[0]
    model.write(place, model.assembly.add("Sum", [model.read_beside(source, place) for source in operator.inputs]))


def _decompressed(model: TfliteModel, operator: TfliteOperator) -> None:
    """DENSIFY: weights that the file stores without their zeros (rule 5 of `tflite_model`)."""
    model.write_constant(operator.outputs[0])


def _shape(model: TfliteModel, operator: TfliteOperator) -> None:
    place = operator.outputs[0]
    shape = np.array(model.tensor(operator.inputs[0]).type.shape, model.dtype(place))
    model.write(place, model.assembly.constant(shape, model.dtype(place)))


def _unknown(model: TfliteModel, operator: TfliteOperator) -> None:
    """Rule 4."""
    name = NAMES.get(operator.code, f"OPERATOR_{operator.code}")
    if operator.custom:
        name = operator.custom
    names = [model.read_stored(place) if place >= 0 else "" for place in operator.inputs]
    outputs = [place for place in operator.outputs if place >= 0]
    if not outputs:
        raise model.fault("no result")
    for place, result in zip(outputs, model.assembly.add_all(name, names, {}, len(outputs), DOMAIN), strict=True):
        kind = model.tensor(place).type
        model.declare(result, "float32" if model.tensor(place).quantized else kind.dtype, kind.shape)
        model.write_stored(place, result)


def convert(model: TfliteModel, operator: TfliteOperator) -> None:
    """Add what an operator is."""
    OPERATORS.get(operator.code, _unknown)(model, operator)


OPERATORS: dict[int, Rule] = {
    0: _binary("Add", fused=True), 1: pool("AveragePool"), 2: _concat, 3: convolution, 4: depthwise,
    5: _blocks("DepthToSpace"), 6: _same, 8: _unary("Floor"), 9: fully_connected, 11: _normalized,
    14: _unary("Sigmoid"), 17: pool("MaxPool"), 18: _binary("Mul", fused=True), 19: _unary("Relu"),
    20: _clip(-1.0, 1.0), 21: _clip(0.0, 6.0), 22: _view, 23: _resize("linear", 2, 3), 25: _softmax("Softmax"),
    26: _blocks("SpaceToDepth"), 28: _unary("Tanh"), 34: _pad("constant"), 36: _gather, 39: _transpose,
    40: _reduce("ReduceMean"), 41: _binary("Sub", fused=True), 42: _binary("Div", fused=True), 43: _view,
    45: _strided_slice, 47: _unary("Exp"), 49: _split(0, 1), 50: _softmax("LogSoftmax"), 53: _cast_to, 54: _prelu,
    55: _binary("Max"), 56: _arg("ArgMax"), 57: _binary("Min"), 58: _binary("Less"), 59: _unary("Neg"),
    60: _pad("constant"), 61: _binary("Greater"), 62: _binary("GreaterOrEqual"), 63: _binary("LessOrEqual"),
    64: _binary("Where"), 65: _slice, 66: _unary("Sin"), 67: transposed, 69: _tile, 70: _view, 71: _binary("Equal"),
    72: _binary("Equal", inverted=True), 73: _unary("Log"), 74: _reduce("ReduceSum"), 75: _unary("Sqrt"),
    76: _chain("Sqrt", "Reciprocal"), 77: _shape, 78: _binary("Pow"), 79: _arg("ArgMin"), 80: _same,
    81: _reduce("ReduceProd"), 82: _reduce("ReduceMax"), 83: _pack, 84: _binary("Or"), 86: _binary("And"),
    87: _unary("Not"), 88: _unpack, 89: _reduce("ReduceMin"), 90: _chain("Div", "Floor"), 92: _square,
    97: _resize("nearest", 0, 1), 98: _leaky, 99: _squared_difference, 100: _pad(""), 101: _unary("Abs"),
    102: _split(2, 0), 104: _unary("Ceil"), 106: _sum_of_all, 108: _unary("Cos"), 111: _unary("Elu"), 114: _same,
    116: _unary("Round"), 117: _unary("HardSwish"), 123: _binary("Where"), 124: _decompressed, 126: batch_matmul,
    130: _expand, 150: _gelu, 152: _clip(0.0, 1.0),
}  # fmt: skip

# Names of operators that have no rule, for what names them.
NAMES: dict[int, str] = {
    7: "EMBEDDING_LOOKUP", 12: "L2_POOL_2D", 13: "LOCAL_RESPONSE_NORMALIZATION", 16: "LSTM", 24: "RNN", 27: "SVDF",
    35: "UNIDIRECTIONAL_SEQUENCE_RNN", 36: "GATHER", 37: "BATCH_TO_SPACE_ND", 38: "SPACE_TO_BATCH_ND",
    44: "UNIDIRECTIONAL_SEQUENCE_LSTM", 45: "STRIDED_SLICE", 46: "BIDIRECTIONAL_SEQUENCE_RNN", 48: "TOPK_V2",
    52: "BIDIRECTIONAL_SEQUENCE_LSTM", 68: "SPARSE_TO_DENSE", 85: "ONE_HOT", 91: "REDUCE_ANY", 93: "ZEROS_LIKE",
    94: "FILL", 95: "FLOOR_MOD", 96: "RANGE", 103: "UNIQUE", 105: "REVERSE_V2", 107: "GATHER_ND", 109: "WHERE",
    110: "RANK", 112: "REVERSE_SEQUENCE", 118: "IF", 119: "WHILE", 120: "NON_MAX_SUPPRESSION_V4",
    121: "NON_MAX_SUPPRESSION_V5", 122: "SCATTER_ND", 128: "CUMSUM", 129: "CALL_ONCE", 131: "RFFT2D", 132: "CONV_3D",
    140: "REDUCE_ALL", 141: "CONV_3D_TRANSPOSE", 142: "VAR_HANDLE", 143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE",
    151: "DYNAMIC_UPDATE_SLICE",
}  # fmt: skip
