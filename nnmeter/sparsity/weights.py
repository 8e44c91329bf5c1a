"""Reads the weights of an ONNX file, to count their zeros: the one place where nnmeter looks at them, when asked.

1. Tensors are read one at a time, those that lie in other files included, and only what is known of their zeros is
   kept: masks by axis, links of matrices (`nnmeter.sparsity.slices`), the pattern (`patterns`), and small values.
2. What follows from constants alone by a view, a Transpose, a Cast or a DequantizeLinear is a constant as well; an
   integer that stands for zero (its zero point) is zero.
3. A file is read as it is; what it says is checked by its reader before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.errors import ModelError, brief
from nnmeter.graph.ir import Node
from nnmeter.sparsity.patterns import DENSE, Pattern, as_matrix, find_pattern
from nnmeter.sparsity.slices import Mask

Array = np.ndarray[Any, Any]
_SMALL = 65_536  # elements of a vector, or of any constant, whose values are kept
_FOLLOWED = frozenset({"Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "DequantizeLinear"})
_MATRIX_INPUT: dict[str, int] = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}


@dataclass
class WeightZeros:
    """What is known of the constants of a model.

    Attributes:
        zero: indices that are zero, by tensor and axis.
        constant: indices that are one number.
        links: of weights, outputs by inputs (of a group).
        patterns: how the zeros of weights lie.
        values: values of small constants.
        count: elements of all weights, and those of them that are zero.
    """

    zero: dict[tuple[str, int], Mask] = field(default_factory=dict)
    constant: dict[tuple[str, int], Mask] = field(default_factory=dict)
    links: dict[str, Mask] = field(default_factory=dict)
    patterns: dict[str, Pattern] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    count: tuple[int, int] = (0, 0)


def read_weights(source: Any, nodes: Sequence[Node], called: str) -> WeightZeros:
    """Read the weights of a model.

    Args:
        source: path of an ONNX file, its bytes, or an `onnx.ModelProto`.
        nodes: operators of the model, in order.
        called: what errors call it.

    Raises:
        ModelError: it is no ONNX model, or a tensor is not there.
    """
    return weigh(_initializers(source, called), nodes)


def weigh(tensors: Mapping[str, Array], nodes: Sequence[Node]) -> WeightZeros:
    """What is known of constants, from their values; `tensors` may read each when it is asked for."""
    found = WeightZeros()
    readers: dict[str, list[tuple[Node, int]]] = {}
    for node in nodes:
        for position, name in enumerate(node.inputs):
            readers.setdefault(name, []).append((node, position))
    for name in tensors:
        _describe(name, tensors[name], tensors, readers, found, counted=True)
    return found


def _describe(
    name: str, value: Array, tensors: Mapping[str, Array], readers: Mapping[str, list[tuple[Node, int]]],
    found: WeightZeros, counted: bool,
) -> None:  # fmt: skip
    zero = value == 0
    _masks(name, value, zero, found)
    if counted and value.size > 1 and value.dtype.kind in "fiu" and name in readers:
        total, none = found.count
        found.count = total + value.size, none + int(zero.sum())
    for node, position in readers.get(name, ()):
        if node.domain:
            continue
        if position == _MATRIX_INPUT.get(node.op_type, -1):
            _link(name, node, value, zero, found)
        if position == 0 and node.op_type in _FOLLOWED and node.outputs:
            after = _followed(node, value, tensors)
            if after is not None:
                _describe(node.outputs[0], after, tensors, readers, found, counted=False)


def _masks(name: str, value: Array, zero: Mask, found: WeightZeros) -> None:
    if value.size <= _SMALL:
        found.values[name] = value
    for axis in range(value.ndim):
        others = tuple(other for other in range(value.ndim) if other != axis)
        mask = np.asarray(zero.all(axis=others))
        if mask.any():
            found.zero[name, axis] = mask
        if value.size and value.dtype.kind in "fiub":
            even = (value.max(axis=others) == value.min(axis=others)) if others else np.ones(value.shape[axis], bool)
            if even.any():
                found.constant[name, axis] = np.asarray(even)


def _link(name: str, node: Node, value: Array, zero: Mask, found: WeightZeros) -> None:
    if value.ndim < 2 or (node.op_type == "MatMul" and value.ndim != 2):
        return
    transposed = bool(node.attributes.get("transB"))
    if node.op_type == "Conv":
        links = np.asarray((~zero).reshape(*value.shape[:2], -1).any(2))
    elif node.op_type == "ConvTranspose":
        groups = node.attributes.get("group", 1)
        joined = (~zero).reshape(*value.shape[:2], -1).any(2)  # inputs by the outputs of a group
        links = np.concatenate([part.T for part in np.split(joined, groups)])
    else:
        links = ~zero if transposed else ~zero.T
    found.links[name] = links
    pattern = find_pattern(as_matrix(node.op_type, value, transposed))
    if pattern != DENSE or name not in found.patterns:
        found.patterns[name] = pattern


def _followed(node: Node, value: Array, tensors: Mapping[str, Array]) -> Array | None:
    """What an operator makes of a constant (rule 2); None where it also depends on something that is not known."""
    if node.op_type in ("Identity", "Cast"):
        return value
    if node.op_type == "Transpose":
        return np.transpose(value, node.attributes.get("perm"))
    if node.op_type == "DequantizeLinear":
        if len(node.inputs) < 3 or not node.inputs[2]:
            return value
        if node.inputs[2] not in tensors:
            return None
        zero = tensors[node.inputs[2]].astype(np.int32)
        shape = [1] * value.ndim
        if zero.ndim == 1 and zero.size > 1:
            if node.attributes.get("block_size"):
                return None
            shape[node.attributes.get("axis", 1)] = zero.size
        return value.astype(np.int32) - (zero.reshape(shape) if zero.size > 1 else zero.ravel()[0])
    size = tensors.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op_type == "Reshape" and size is not None and (size > 0).all():
        return value.reshape(tuple(int(n) for n in size))
    return None


class _Tensors(Mapping[str, Array]):
    """The initializers of a file, each read when it is asked for."""

    def __init__(self, protos: Mapping[str, Any], folder: str, called: str) -> None:
        self._protos = protos
        self._folder = folder
        self._called = called

    def __getitem__(self, name: str) -> Array:
        from onnx import external_data_helper, numpy_helper

        proto = self._protos[name]
        try:
            if external_data_helper.uses_external_data(proto):
                copy = type(proto)()
                copy.CopyFrom(proto)
                external_data_helper.load_external_data_for_tensor(copy, self._folder)
                proto = copy
            value = np.asarray(numpy_helper.to_array(proto))
            return value.astype(np.float32) if value.dtype.kind == "V" else value  # bfloat16, float8, 4 bits
        except Exception as fault:  # of a file that is missing, or of bytes that are no tensor
            raise ModelError(
                f"{self._called}: the weight '{brief(name, 100)}' cannot be read ({brief(fault, 200)}); "
                "leave --read-weights out, or give the file with its weights"
            ) from fault

    def __iter__(self) -> Any:
        return iter(self._protos)

    def __len__(self) -> int:
        return len(self._protos)

    def __contains__(self, name: object) -> bool:
        return name in self._protos


def _initializers(source: Any, called: str) -> _Tensors:
    import onnx

    folder = ""
    try:
        if isinstance(source, str | os.PathLike):
            folder = str(Path(source).parent)
            proto = onnx.load(os.fspath(source), load_external_data=False)
        elif isinstance(source, bytes):
            proto = onnx.load_from_string(source)
        elif hasattr(source, "graph") and hasattr(source, "opset_import"):
            proto = source
        else:
            raise ModelError(f"{called}: weights are read from an ONNX file; give its path")
    except ModelError:
        raise
    except Exception as fault:
        raise ModelError(f"{called}: its weights cannot be read ({brief(fault, 200)}); give an ONNX file") from fault
    found = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and len(node.output) == 1:
            stored = (a.t for a in node.attribute if a.name == "value" and a.HasField("t"))
            found.update((node.output[0], tensor) for tensor in stored)
    return _Tensors(found, folder, called)
