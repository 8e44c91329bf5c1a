"""A line of the phones' tables of GPU operations as a kernel.

Rules:

1. The operation and its `feature` tell the leader of the kernel: sizes, window, stride, groups. The name of the kernel
   that ran tells what joined it: `convolution_2d_5_linked_:_add_6_linked_:_relu_7` is `Conv+Add+Relu`.
2. `mul` and `add` behind one another are a normalization by itself, whose constants do not matter; `relu` and `mul`
   behind a convolution of one element are a hard sigmoid; `minimum` and `relu` are a Clip; any other `add` is a sum
   with what another kernel computed.
3. The size of the input is stated with its padding, where an operator of its own padded it before the run. If no
   operation of the network gave a tensor of that size, it is the size without the padding of the window.
4. A concatenation states its first input and their number alone; the others are looked up in the network that ships
   (`network_catalog`) under its name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnmeter.binding.assembly import same_pads
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.naming import kernel_signature

DTYPE = "float32"
_FIRST_EXTRA_INPUT = 3
_LARGEST_SIZE = 1 << 20
_LINK = re.compile(r"_linked_:_")
_NUMBERS = re.compile(r"(_\d+)+$")
_JOINED = {"relu": "Relu", "hard_swish": "HardSwish", "sigmoid": "Sigmoid", "add": "Add", "mul": "Mul"}


class OperationFault(ValueError):
    """Why a line is no kernel."""


@dataclass(frozen=True)
class Operation:
    """What a line says of the leader of its kernel; sizes are those of square maps, 1 where there is none."""

    name: str
    in_size: int
    in_channels: int
    out_size: int
    stride: int
    window: int
    filters: int
    groups: int


def parse_operation(name: str, feature: str) -> Operation:
    """An operation and its features.

    Raises:
        OperationFault: the features are not what the operation has.
    """
    try:
        found: Any = ast.literal_eval(feature)
        numbers = {key: _number(value) for key, value in dict(found).items()}
        return Operation(
            name,
            numbers["Input_shape"],
            numbers["Input_channel"],
            numbers["Output_shape"],
            numbers["Stride"],
            numbers["Kernel"],
            numbers["Filter"],
            numbers["Group"],
        )
    except (ValueError, SyntaxError, TypeError, KeyError, OverflowError, RecursionError, MemoryError) as fault:
        raise OperationFault("the features of the operation cannot be read") from fault


def _number(value: Any) -> int:
    number = 1 if value == "-" else int(value)
    if not 0 <= number <= _LARGEST_SIZE:
        raise ValueError(number)
    return number


def joined_operators(kernel: str) -> tuple[str, ...] | None:
    """What joined the leader of a kernel, by the kernel's name (rules 1 and 2); None if the name does not tell.

    Raises:
        OperationFault: an operator is unknown.
    """
    leader, *links = _LINK.split(kernel)
    if "winograd" in leader or is_pair(kernel):
        return None
    words = [_NUMBERS.sub("", link) for link in links]
    found: list[str] = []
    while words:
        two = tuple(words[:2])
        if two == ("mul", "add"):
            found.append("BatchNormalization")
        elif two == ("relu", "mul") and leader.startswith("fully_connected"):
            found.append("HardSigmoid")
        elif two == ("minimum", "relu"):
            found.append("Clip")
        elif words[0] in _JOINED:
            found.append(_JOINED[words[0]])
            two = two[:1]
        else:
            raise OperationFault(f"the operator {words[0]} joined the kernel")
        del words[: len(two)]
    return tuple(found)


def is_pair(kernel: str) -> bool:
    """Whether a kernel is a depthwise convolution together with the 1x1 convolution behind it."""
    return kernel.startswith("depthwise_conv_plus_1x1_conv")


def operation_signature(
    operation: Operation, joined: Sequence[str], sizes: Collection[int], concats: Mapping[Any, Sequence[int]]
) -> KernelSignature:
    """The kernel of an operation.

    Args:
        operation: the leader.
        joined: what joined it.
        sizes: sizes of the tensors that operations before it gave, and of the input (rule 3).
        concats: channels of the inputs of a concatenation, by its size, number of inputs, first input and
            result (rule 4).

    Raises:
        OperationFault: the operation is unknown, or its numbers contradict each other.
    """
    rule = _RULES.get(operation.name)
    if rule is None:
        raise OperationFault(f"the operation {operation.name} is unknown")
    op_type, attributes, inputs, constants, result = rule(operation, sizes, concats)
    for name in joined:
        if name == "Add":
            missing = max(_FIRST_EXTRA_INPUT - len(inputs), 0)
            inputs += [None] * missing + [result]
            constants += [False] * (missing + 1)
    if joined:
        attributes = {**attributes, "fused": "+".join(joined)}
    return kernel_signature(op_type, "", attributes, inputs, constants, [result])


_Parts = tuple[str, dict[str, Any], list[TensorType | None], list[bool], TensorType]


def _map(channels: int, size: int) -> TensorType:
    return TensorType(DTYPE, (1, channels, size, size))


def _window(o: Operation, sizes: Collection[int]) -> tuple[int, dict[str, Any]]:
    """Size of the input without padding, and attributes (rule 3)."""
    window, strides = (o.window, o.window), (o.stride, o.stride)
    attributes: dict[str, Any] = {"kernel_shape": window, "strides": strides}
    candidates = [o.in_size, *[size for size in sorted(sizes, reverse=True) if size < o.in_size]]
    for size in candidates:
        pads = same_pads((size, size), window, strides)
        if (
            size in sizes
            and -(-size // o.stride) == o.out_size
            and o.in_size - size in (0, pads[0] + pads[2], o.window - 1)
        ):
            return size, {**attributes, "pads": pads}
    if (o.in_size - o.window) // o.stride + 1 == o.out_size:
        return o.in_size, {**attributes, "pads": (0, 0, 0, 0)}
    raise OperationFault("window, stride and sizes contradict each other")


def _convolution(o: Operation, sizes: Collection[int], concats: Mapping[Any, Sequence[int]]) -> _Parts:
    if o.in_channels % o.groups or o.filters % o.groups:
        raise OperationFault("groups do not divide the channels")
    return _weighted(o, sizes, o.filters, o.groups)


def _depthwise(o: Operation, sizes: Collection[int], concats: Mapping[Any, Sequence[int]]) -> _Parts:
    return _weighted(o, sizes, o.in_channels * o.filters, o.in_channels)


def _weighted(o: Operation, sizes: Collection[int], outputs: int, groups: int) -> _Parts:
    size, attributes = _window(o, sizes)
    weight = TensorType(DTYPE, (outputs, o.in_channels // groups, o.window, o.window))
    inputs: list[TensorType | None] = [_map(o.in_channels, size), weight, TensorType(DTYPE, (outputs,))]
    return "Conv", {**attributes, "group": groups}, inputs, [False, True, True], _map(outputs, o.out_size)


def _pool(op_type: str) -> Any:
    def rule(o: Operation, sizes: Collection[int], concats: Mapping[Any, Sequence[int]]) -> _Parts:
        if op_type == "AveragePool" and o.out_size == 1 and o.window == o.in_size:
            return _mean(o, sizes, concats)
        size, attributes = _window(o, sizes)
        return op_type, attributes, [_map(o.in_channels, size)], [False], _map(o.in_channels, o.out_size)

    return rule


def _mean(o: Operation, sizes: Collection[int], concats: Mapping[Any, Sequence[int]]) -> _Parts:
    return "GlobalAveragePool", {}, [_map(o.in_channels, o.in_size)], [False], _map(o.in_channels, 1)


def _product(o: Operation, sizes: Collection[int], concats: Mapping[Any, Sequence[int]]) -> _Parts:
    inputs: list[TensorType | None] = [
        TensorType(DTYPE, (1, o.in_channels)), TensorType(DTYPE, (o.filters, o.in_channels)),
        TensorType(DTYPE, (o.filters,)),
    ]  # fmt: skip
    return "Gemm", {"transB": 1}, inputs, [False, True, True], TensorType(DTYPE, (1, o.filters))


def _concat(o: Operation, sizes: Collection[int], concats: Mapping[Any, Sequence[int]]) -> _Parts:
    channels = concats.get((o.out_size, o.window, o.in_channels, o.filters))
    if channels is None:
        raise OperationFault("the inputs of the concatenation are not stated, and no network that ships has it")
    inputs: list[TensorType | None] = [_map(count, o.out_size) for count in channels]
    return "Concat", {"axis": 1}, inputs, [False] * len(inputs), _map(o.filters, o.out_size)


_RULES: dict[str, Any] = {
    "CONV_2D": _convolution,
    "CONV_2D_GROUP": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MAX_POOL_2D": _pool("MaxPool"),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "MEAN": _mean,
    "FULLY_CONNECTED": _product,
    "CONCATENATION": _concat,
}
