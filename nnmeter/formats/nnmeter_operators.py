"""Operators of nn-Meter's JSON graphs as operators of ONNX; `nnmeter_ir` has the rules.

A rule takes the reader, the node and the tensors that it reads, and returns the tensors that it writes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from nnmeter.formats.nnmeter_graph import MAP_RANK, IrGraph, IrNode, whole
from nnmeter.operators.shape_rules.common import ShapeError

_MOST_PARTS = 10_000

_Rule = Callable[[IrGraph, IrNode, list[str]], tuple[str, ...]]


def _simple(op_type: str, **attributes: Any) -> _Rule:
    return lambda reader, node, x: (reader.assembly.add(op_type, x[:1], attributes),)


def _input(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    shapes = node.output_shapes or (node.attributes.get("shape"),)
    return (reader.add_input(node.shape_of(shapes, 0)),)


def _same(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    return tuple(x[:1])


def _nothing(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    return ()


def _channels(reader: IrGraph, node: IrNode) -> tuple[int, int]:
    return reader.channels(node, reader.in_shape(node)), reader.channels(node, reader.out_shape(node))


def _conv(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    channels, outputs = _channels(reader, node)
    attributes = reader.window(node)
    groups = node.count("group", default=1)
    weight = reader.assembly.weight((outputs, channels // groups, *attributes["kernel_shape"]))
    return (reader.assembly.add("Conv", [x[0], weight], {**attributes, "group": groups}),)


def _dwconv(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    channels, outputs = _channels(reader, node)
    attributes = reader.window(node)
    weight = reader.assembly.weight((outputs, 1, *attributes["kernel_shape"]))
    return (reader.assembly.add("Conv", [x[0], weight], {**attributes, "group": channels}),)


def _normalization(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    channels = reader.channels(node, reader.in_shape(node))
    statistics = [reader.assembly.weight((channels,)) for _ in range(4)]
    return (reader.assembly.add("BatchNormalization", [x[0], *statistics]),)


def _bias(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    shape = reader.in_shape(node)
    weight = reader.assembly.weight((reader.channels(node, shape), *[1] * (len(shape) - 2)))
    return (reader.assembly.add("Add", [x[0], weight]),)


def _relu6(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    low, high = node.number("min", 0), node.number("max", 6)
    return (reader.assembly.add("Clip", [x[0], reader.assembly.scalar(low), reader.assembly.scalar(high)]),)


def _pool(op_type: str) -> _Rule:
    def rule(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
        attributes = reader.window(node)
        if node.attributes.get("ceil_mode"):
            attributes["ceil_mode"] = 1
        return (reader.assembly.add(op_type, x[:1], attributes),)

    return rule


def _mean(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    result = reader.assembly.add("GlobalAveragePool", x[:1])
    shape = node.shape_of(node.output_shapes, 0) if node.output_shapes else ()
    if len(shape) == 2:
        result = reader.assembly.add("Flatten", [result], {"axis": 1})
    return (result,)


def _product_with_matrix(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    shape, outputs = reader.in_shape(node), reader.channels(node, reader.out_shape(node))
    data = x[0] if len(shape) == 2 else reader.assembly.add("Flatten", x[:1], {"axis": 1})
    weight = reader.assembly.weight((outputs, prod(shape[1:])))
    return (reader.assembly.add("Gemm", [data, weight], {"transB": 1}),)


def _pairwise(op_type: str, number: float) -> _Rule:
    """Rule 4: two computed tensors, or one and a number."""

    def rule(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
        return (reader.assembly.add(op_type, x[:2] if len(x) > 1 else [x[0], reader.assembly.scalar(number)]),)

    return rule


def _concat(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    return (reader.assembly.add("Concat", x, {"axis": 1}),)


def _split(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    shapes = [reader.turned(node.shape_of(node.output_shapes, i)) for i in range(len(node.output_shapes))]
    channels = [reader.channels(node, shape) for shape in shapes]
    if len(channels) < 2:
        total = reader.channels(node, reader.in_shape(node))
        part = channels[0] if channels else total // 2
        if not 0 < total // max(part, 1) <= _MOST_PARTS:
            raise ShapeError(f"{total} channels in parts of {part}")
        channels = [part] * (total // part)
    return reader.assembly.add_all("Split", [x[0], reader.assembly.integers(channels)], {"axis": 1}, len(channels))


def _reshape(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    return (reader.assembly.add("Reshape", [x[0], reader.assembly.integers(reader.out_shape(node))]),)


def _transpose(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    before, after = reader.in_shape(node), reader.out_shape(node)
    perm = node.numbers("perm")
    if perm is None:  # TensorFlow's converter leaves it out: a shuffle turns the two dimensions of channels
        if len(before) != MAP_RANK + 1 or before[1:3] != after[2:0:-1]:
            raise ShapeError("it has no perm")
        perm = (0, 2, 1, 3, 4)
    elif sorted(perm) != list(range(len(before))):
        raise ShapeError(f"perm {list(perm)} does not fit {len(before)} dimensions")
    elif not reader.channels_first and len(perm) >= MAP_RANK:
        place = {old: new for new, old in enumerate((0, *range(3, len(perm)), 1, 2))}
        turned = [perm[old] for old in (0, *range(3, len(perm)), 1, 2)]
        perm = tuple([place[old] for old in turned])
    return (reader.assembly.add("Transpose", x[:1], {"perm": tuple(perm)}),)


def _shuffle(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    shape = reader.in_shape(node)
    if len(shape) != MAP_RANK:
        raise ShapeError(f"it has an input of {len(shape)} dimensions, not {MAP_RANK}")
    batch, channels, height, width = shape
    groups = node.count("groups", "group", default=2)
    assembly = reader.assembly
    apart = assembly.add("Reshape", [x[0], assembly.integers((batch, groups, channels // groups, height, width))])
    turned = assembly.add("Transpose", [apart], {"perm": (0, 2, 1, 3, 4)})
    return (assembly.add("Reshape", [turned, assembly.integers((batch, channels, height, width))]),)


def _pad(reader: IrGraph, node: IrNode, x: list[str]) -> tuple[str, ...]:
    flat = list(node.numbers("pads") or ()) if node.attributes.get("paddings") is None else _from_pairs(node)
    if not flat or len(flat) % 2:
        raise ShapeError(f"pads are {flat}, not two for each axis")
    rank = len(flat) // 2
    if not reader.channels_first and rank == MAP_RANK:
        flat = [flat[side * rank + axis] for side in (0, 1) for axis in (0, 3, 1, 2)]
    return (reader.assembly.add("Pad", [x[0], reader.assembly.integers(flat)], {"mode": "constant"}),)


def _from_pairs(node: IrNode) -> list[int]:
    """Padding before the axes, then behind them, from pairs of both."""
    pairs = node.attributes["paddings"]
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise ShapeError(f"paddings are {pairs!r:.40}, no pairs")
    return [whole(pair[side], "paddings") for side in (0, 1) for pair in pairs]


INPUTS = frozenset({"Placeholder", "input", "Input"})
CONSTANTS = frozenset({"Const", "Constant", "Shape", "StridedSlice", "Pack", "Prod", "GatherV2"})

OPERATORS: dict[str, _Rule] = {
    **dict.fromkeys(sorted(INPUTS), _input),
    **dict.fromkeys(sorted(CONSTANTS), _nothing),
    **dict.fromkeys(("Identity", "Dropout", "NoOp", "IdentityN", "StopGradient"), _same),
    **dict.fromkeys(("Conv2D", "Conv", "conv"), _conv),
    **dict.fromkeys(("DepthwiseConv2dNative", "DepthwiseConv2D", "dwconv"), _dwconv),
    **dict.fromkeys(
        ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "BatchNormalization", "bn"), _normalization
    ),
    **dict.fromkeys(("BiasAdd", "Biasadd", "biasadd"), _bias),
    **dict.fromkeys(("Relu", "relu"), _simple("Relu")),
    **dict.fromkeys(("Relu6", "relu6", "Clip"), _relu6),
    **dict.fromkeys(("Sigmoid", "sigmoid"), _simple("Sigmoid")),
    **dict.fromkeys(("HardSwish", "hswish"), _simple("HardSwish")),
    **dict.fromkeys(("HardSigmoid", "hardsigmoid", "hsigmoid"), _simple("HardSigmoid", alpha=1 / 6, beta=0.5)),
    **dict.fromkeys(("Softmax", "softmax"), _simple("Softmax", axis=-1)),
    **dict.fromkeys(("MaxPool", "maxpool"), _pool("MaxPool")),
    **dict.fromkeys(("AvgPool", "AveragePool", "avgpool"), _pool("AveragePool")),
    **dict.fromkeys(("Mean", "ReduceMean", "GlobalAveragePool", "gap", "global-avgpool"), _mean),
    **dict.fromkeys(("MatMul", "Gemm", "fc", "Dense"), _product_with_matrix),
    **dict.fromkeys(("Add", "AddV2", "add"), _pairwise("Add", 3.0)),
    **dict.fromkeys(("Sub", "sub"), _pairwise("Sub", 1.0)),
    **dict.fromkeys(("Mul", "mul"), _pairwise("Mul", 1 / 6)),
    **dict.fromkeys(("Div", "RealDiv", "div"), _pairwise("Div", 6.0)),
    **dict.fromkeys(("ConcatV2", "Concat", "concat"), _concat),
    **dict.fromkeys(("Split", "split", "SplitV"), _split),
    **dict.fromkeys(("Reshape", "reshape", "Flatten", "flatten", "Squeeze", "Unsqueeze", "ExpandDims"), _reshape),
    **dict.fromkeys(("Transpose", "transpose"), _transpose),
    **dict.fromkeys(("channelshuffle", "channel_shuffle"), _shuffle),
    **dict.fromkeys(("Pad", "PadV2", "pad"), _pad),
}
