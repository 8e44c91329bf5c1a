"""Operators of PyTorch as operators of ONNX: what a trace tells of one is enough for a model of it alone.

A trace has, for each argument, its shape (`[]` for what is no tensor, a list of shapes for a list of tensors), its
type, and its value as text where it is a number or a list of numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

_OPSET, _IR_VERSION = 20, 9
_MOST_INPUTS, _MOST_RANK = 64, 8
_DTYPES = {
    "float": 1, "double": 11, "c10::Half": 10, "c10::BFloat16": 16, "long int": 7, "long": 7, "int": 6, "bool": 9,
    "unsigned char": 2, "signed char": 3, "short": 5,
}  # fmt: skip
_INT64 = 7
_NUMBERS = re.compile(r"\[[-0-9,. ]*\]")

Shape = tuple[int, ...]


@dataclass
class _Tensor:
    """An input of the operator: its shape, element type, whether it is a weight, and its value if it is a setting."""

    shape: Shape
    kind: int
    weight: bool = False
    value: Sequence[int] | None = None


@dataclass
class _Operator:
    """An operator of ONNX."""

    op_type: str
    inputs: list[_Tensor | None]
    attributes: dict[str, Any] = field(default_factory=dict)


class _Call:
    """The arguments of a call in a trace."""

    def __init__(self, dims: Any, kinds: Any, values: Any) -> None:
        if not all(isinstance(one, list) and len(one) <= _MOST_INPUTS for one in (dims, kinds)):
            raise ValueError("its arguments are no lists")
        self.dims, self.kinds = dims, kinds
        self.values = values if isinstance(values, list) else []

    def tensor(self, position: int, weight: bool = False) -> _Tensor:
        """The tensor at a position."""
        kind = self.kinds[position]
        return _Tensor(_shape(self.dims[position]), _DTYPES[kind], weight)

    def optional(self, position: int, weight: bool = True) -> _Tensor | None:
        """The same, or None where the argument is no tensor."""
        there = position < len(self.dims) and self.kinds[position] in _DTYPES and self.dims[position]
        return self.tensor(position, weight) if there else None

    def tensors(self, position: int) -> list[_Tensor]:
        """The tensors of a list."""
        kinds = self.kinds[position]
        kind = _DTYPES.get(kinds, 1) if isinstance(kinds, str) else 1
        return [_Tensor(_shape(dims), kind) for dims in self.dims[position][:_MOST_INPUTS]]

    def integers(self, position: int, count: int | None = None) -> list[int]:
        """A list of numbers, or one that stands for `count` of them."""
        text = self.values[position] if position < len(self.values) else ""
        if isinstance(text, list):
            found = [int(one) for one in text]
        elif isinstance(text, str) and _NUMBERS.fullmatch(text):
            found = [int(one) for one in json.loads(text)]
        elif isinstance(text, str) and re.fullmatch(r"-?\d{1,18}", text):
            found = [int(text)]
        else:
            raise ValueError(f"argument {position} is no list of numbers")
        return found * count if count is not None and len(found) == 1 else found


def _shape(dims: Any) -> Shape:
    if not isinstance(dims, list) or len(dims) > _MOST_RANK or not all(isinstance(d, int) and d >= 0 for d in dims):
        raise ValueError("a shape is no list of sizes")
    return tuple(dims)


def _convolution(call: _Call) -> _Operator:
    x, weight = call.tensor(0), call.tensor(1, weight=True)
    spatial = len(x.shape) - 2
    strides, pads, dilations = (call.integers(i, spatial) for i in (3, 4, 5))
    inputs = [x, weight, call.optional(2)]
    transposed = len(call.dims) > 6 and call.values[6] == "True"
    group = call.integers(8 if len(call.dims) > 8 else 6)[0]
    attributes = {"strides": strides, "pads": pads * 2, "dilations": dilations, "group": group}
    return _Operator("ConvTranspose" if transposed else "Conv", _trimmed(inputs), attributes)


def _linear(call: _Call) -> _Operator:
    x, weight = call.tensor(0), call.tensor(1, weight=True)
    if len(x.shape) == 2:
        return _Operator("Gemm", _trimmed([x, weight, call.optional(2)]), {"transB": 1})
    turned = _Tensor((weight.shape[1], weight.shape[0]), weight.kind, True)
    return _Operator("MatMul", [x, turned])


def _addmm(call: _Call) -> _Operator:
    return _Operator("Gemm", [call.tensor(1), call.tensor(2, weight=True), call.tensor(0, weight=True)])


def _product(call: _Call) -> _Operator:
    return _Operator("MatMul", [call.tensor(0), call.tensor(1)])


def _unary(op_type: str) -> Callable[[_Call], _Operator]:
    return lambda call: _Operator(op_type, [call.tensor(0)])


def _binary(op_type: str) -> Callable[[_Call], _Operator]:
    def make(call: _Call) -> _Operator:
        other = call.optional(1, weight=False)
        return _Operator(op_type, [call.tensor(0), other or _Tensor((), call.tensor(0).kind, True)])

    return make


def _softmax(call: _Call) -> _Operator:
    return _Operator("Softmax", [call.tensor(0)], {"axis": call.integers(1)[0]})


def _layer_norm(call: _Call) -> _Operator:
    rank = len(call.integers(1))
    x = call.tensor(0)
    scale = call.optional(2) or _Tensor(x.shape[-rank:], x.kind, True)
    return _Operator("LayerNormalization", _trimmed([x, scale, call.optional(3)]), {"axis": -rank})


def _batch_norm(call: _Call) -> _Operator:
    x = call.tensor(0)
    channels = _Tensor((x.shape[1],), x.kind, True)
    return _Operator("BatchNormalization", [x, channels, channels, channels, channels])


def _pool(op_type: str) -> Callable[[_Call], _Operator]:
    def make(call: _Call) -> _Operator:
        x = call.tensor(0)
        kernel = call.integers(1, 2)
        strides = call.integers(2, 2) or kernel
        pads = call.integers(3, 2)
        return _Operator(op_type, [x], {"kernel_shape": kernel, "strides": strides, "pads": pads * 2})

    return make


def _adaptive_pool(call: _Call) -> _Operator:
    x, size = call.tensor(0), call.integers(1, 2)
    if size == [1, 1]:
        return _Operator("GlobalAveragePool", [x])
    kernel = [x.shape[2] // size[0], x.shape[3] // size[1]]
    return _Operator("AveragePool", [x], {"kernel_shape": kernel, "strides": kernel})


def _cat(call: _Call) -> _Operator:
    return _Operator("Concat", list(call.tensors(0)), {"axis": call.integers(1)[0]})


def _embedding(call: _Call) -> _Operator:
    return _Operator("Gather", [call.tensor(0, weight=True), call.tensor(1)])


def _mean(call: _Call) -> _Operator:
    axes = call.integers(1)
    keep = int(len(call.values) > 2 and call.values[2] == "True")
    return _Operator("ReduceMean", [call.tensor(0), _Tensor((len(axes),), _INT64, True, axes)], {"keepdims": keep})


def _trimmed(inputs: list[_Tensor | None]) -> list[_Tensor | None]:
    while inputs and inputs[-1] is None:
        inputs.pop()
    return inputs


# Operator of a trace -> how it becomes one of ONNX.
OPERATORS: Mapping[str, Callable[[_Call], _Operator]] = {
    "aten::conv1d": _convolution, "aten::conv2d": _convolution, "aten::conv3d": _convolution,
    "aten::convolution": _convolution, "aten::linear": _linear, "aten::addmm": _addmm, "aten::mm": _product,
    "aten::bmm": _product, "aten::matmul": _product,
    "aten::relu": _unary("Relu"), "aten::relu_": _unary("Relu"), "aten::sigmoid": _unary("Sigmoid"),
    "aten::tanh": _unary("Tanh"), "aten::gelu": _unary("Gelu"), "aten::hardswish": _unary("HardSwish"),
    "aten::hardswish_": _unary("HardSwish"), "aten::exp": _unary("Exp"), "aten::sqrt": _unary("Sqrt"),
    "aten::add": _binary("Add"), "aten::add_": _binary("Add"), "aten::mul": _binary("Mul"),
    "aten::mul_": _binary("Mul"),
    "aten::sub": _binary("Sub"), "aten::div": _binary("Div"), "aten::div_": _binary("Div"),
    "aten::softmax": _softmax, "aten::_softmax": _softmax, "aten::layer_norm": _layer_norm,
    "aten::batch_norm": _batch_norm, "aten::max_pool2d": _pool("MaxPool"), "aten::avg_pool2d": _pool("AveragePool"),
    "aten::adaptive_avg_pool2d": _adaptive_pool, "aten::cat": _cat, "aten::embedding": _embedding, "aten::mean": _mean,
}  # fmt: skip

# Operators that view or allocate.
IDLE = frozenset(
    f"aten::{name}"
    for name in "view reshape t transpose permute expand as_strided unsqueeze squeeze flatten empty empty_like "
    "empty_strided resize_ slice select detach detach_ alias unbind split chunk narrow _unsafe_view view_as "
    "result_type to dropout resolve_conj resolve_neg _reshape_alias contiguous item is_nonzero".split()
)


def one_operator_model(name: str, dims: Any, kinds: Any, values: Any) -> onnx.ModelProto:
    """The model of one operator of a trace, its weights described and not stored.

    Args:
        name: of the operator, a key of `OPERATORS`.
        dims: shape of each argument.
        kinds: type of each argument.
        values: text of each argument that is a number or a list of numbers.

    Raises:
        ValueError, IndexError, KeyError, TypeError: the arguments are not those of the operator.
    """
    from onnx import TensorProto, helper

    operator = OPERATORS[name](_Call(dims, kinds, values))
    names: list[str] = []
    inputs, weights = [], []
    for number, tensor in enumerate(operator.inputs):
        if tensor is None:
            names.append("")
            continue
        names.append(f"x{number}")
        if tensor.value is not None:
            weights.append(helper.make_tensor(names[-1], tensor.kind, tensor.shape, tensor.value))
        elif tensor.weight:
            stored = TensorProto(name=names[-1], data_type=tensor.kind, dims=tensor.shape)
            stored.data_location = TensorProto.EXTERNAL
            weights.append(stored)
        else:
            inputs.append(helper.make_tensor_value_info(names[-1], tensor.kind, tensor.shape))
    node = helper.make_node(operator.op_type, names, ["y"], name="operator", **operator.attributes)
    kind = next(tensor.kind for tensor in operator.inputs if tensor is not None)
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph([node], name, inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
