"""Values of small tensors, computed while shapes are inferred, so that shapes that depend on them are known.

Only what an operator gives for small known inputs is computed here (at most `MAX_KNOWN_ELEMENTS` elements in and out).
A function takes the node and the values of its inputs, None for an absent one, and returns its first output's value;
those of `SEVERAL` return all outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from nnmeter.graph.dtypes import DTYPE_OF_CODE, NUMPY_OF_DTYPE
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS

Array = np.ndarray[Any, Any]
Values = Sequence[Any]
ValueRule = Callable[[Node, Values], Any]

# What NumPy raises of operands that do not fit; attributes and the number of inputs were looked at before.
_UNFIT = (IndexError, OverflowError, TypeError, ValueError, ZeroDivisionError)


def propagate(
    node: Node, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType], values: dict[str, Array]
) -> int:
    """Add to `values` what is known of a node's outputs; the bytes of what was added."""
    op_type = node.op_type
    of_types = _OF_TYPES.get(op_type)
    if of_types is not None:
        first = inputs[0]
        if first is None or not node.outputs:
            return 0
        found = values[node.outputs[0]] = of_types(node, first)
        return found.nbytes
    rule = VALUES.get(op_type)
    if rule is None:
        return 0
    known = []
    for name in node.inputs:
        value = values.get(name)
        if value is None and name:
            return 0
        known.append(value)
    if not outputs or outputs[0].elements > MAX_KNOWN_ELEMENTS:
        return 0
    added = 0
    try:
        results = rule(node, known)
        for name, kind, result in zip(
            node.outputs, outputs, results if op_type in SEVERAL else (results,), strict=False
        ):
            array = np.asarray(result, NUMPY_OF_DTYPE.get(kind.dtype))
            if name and array.shape == kind.shape and array.size <= MAX_KNOWN_ELEMENTS:
                values[name] = array
                added += array.nbytes
    except _UNFIT:
        pass  # the value stays unknown; a shape that needs it says so
    return added


def _shape(node: Node, kind: TensorType) -> Array:
    return np.array(kind.shape[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)


_OF_TYPES: dict[str, Callable[[Node, TensorType], Array]] = {
    "Shape": _shape,
    "Size": lambda node, kind: np.array(kind.elements, np.int64),
}


def _axes(node: Node, values: Values, position: int = 1) -> tuple[int, ...] | None:
    axes = node.attributes.get("axes")
    if axes is None and len(values) > position and values[position] is not None:
        axes = values[position].ravel().tolist()
    return None if axes is None else tuple(axes)


def _unary(function: Callable[[Array], Any]) -> ValueRule:
    return lambda node, v: function(v[0])


def _binary(function: Callable[[Array, Array], Any]) -> ValueRule:
    return lambda node, v: function(v[0], v[1])


def _variadic(function: Callable[[Array, Array], Any]) -> ValueRule:
    def rule(node: Node, v: Values) -> Any:
        result = v[0]
        for other in v[1:]:
            result = function(result, other)
        return result

    return rule


def _divide(a: Array, b: Array) -> Any:
    """Integers are divided towards zero."""
    if a.dtype.kind in "iu":
        return np.where(b != 0, np.abs(a) // np.maximum(np.abs(b), 1) * np.sign(a) * np.sign(b), 0)
    return a / b


def _mod(node: Node, v: Values) -> Any:
    return np.fmod(v[0], v[1]) if node.attributes.get("fmod", 0) else np.mod(v[0], v[1])


def _power(a: Array, b: Array) -> Any:
    return np.power(a.astype(np.float64), b).astype(a.dtype)


def _cast(node: Node, v: Values) -> Any:
    dtype = NUMPY_OF_DTYPE.get(DTYPE_OF_CODE.get(node.attributes["to"], ""))
    return v[0].astype(dtype or np.float32)


def _gather(node: Node, v: Values) -> Any:
    return np.take(v[0], v[1], axis=node.attributes.get("axis", 0))


def _gather_elements(node: Node, v: Values) -> Any:
    axis = node.attributes.get("axis", 0)
    return np.take_along_axis(v[0], np.where(v[1] < 0, v[1] + v[0].shape[axis], v[1]), axis)


def _gather_nd(node: Node, v: Values) -> Any:
    if node.attributes.get("batch_dims", 0):
        raise ValueError("batched")
    return v[0][tuple(np.moveaxis(v[1], -1, 0))]


def _scatter_nd(node: Node, v: Values) -> Any:
    if node.attributes.get("reduction", "none") != "none":
        raise ValueError("reduction")
    result = v[0].copy()
    result[tuple(np.moveaxis(v[1], -1, 0))] = v[2]
    return result


def _scatter_elements(node: Node, v: Values) -> Any:
    if node.attributes.get("reduction", "none") != "none":
        raise ValueError("reduction")
    result = v[0].copy()
    np.put_along_axis(result, v[1], v[2], node.attributes.get("axis", 0))
    return result


def _squeeze(node: Node, v: Values) -> Any:
    return np.squeeze(v[0], _axes(node, v))


def _unsqueeze(node: Node, v: Values) -> Any:
    return np.expand_dims(v[0], _axes(node, v) or ())


def _reshape(node: Node, v: Values) -> Any:
    target = v[1].tolist()
    if not node.attributes.get("allowzero", 0):
        target = [v[0].shape[i] if size == 0 else size for i, size in enumerate(target)]
    return v[0].reshape(target)


def _flatten(node: Node, v: Values) -> Any:
    axis = node.attributes.get("axis", 1)
    return v[0].reshape(int(np.prod(v[0].shape[:axis])), -1)


def _slice(node: Node, v: Values) -> Any:
    x = v[0]
    if "starts" in node.attributes:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attributes.get("axes"), None
    else:
        starts, ends = v[1].tolist(), v[2].tolist()
        axes = v[3].tolist() if len(v) > 3 and v[3] is not None else None
        steps = v[4].tolist() if len(v) > 4 and v[4] is not None else None
    index = [slice(None)] * x.ndim
    for i, axis in enumerate(axes if axes is not None else range(len(starts))):
        step = steps[i] if steps else 1
        end = ends[i] if ends[i] >= -x.shape[axis] or step > 0 else None
        index[axis] = slice(starts[i], end, step)
    return x[tuple(index)]


def _split(node: Node, v: Values) -> Any:
    axis = node.attributes.get("axis", 0)
    sizes = node.attributes.get("split")
    if sizes is None and len(v) > 1 and v[1] is not None:
        sizes = v[1].tolist()
    if sizes is None:
        count = len(node.outputs)
        chunk = -(-v[0].shape[axis] // count)
        return np.split(v[0], [min(chunk * i, v[0].shape[axis]) for i in range(1, count)], axis)
    return np.split(v[0], np.cumsum(sizes)[:-1], axis)


def _range(node: Node, v: Values) -> Any:
    return np.arange(v[0].item(), v[1].item(), v[2].item())


def _constant_of_shape(node: Node, v: Values) -> Any:
    fill = node.attributes.get("value")
    if fill is not None and not (isinstance(fill, np.ndarray) and fill.size):
        raise ValueError("unknown fill")
    return np.full(v[0].tolist(), 0.0 if fill is None else fill.ravel()[0])


def _expand(node: Node, v: Values) -> Any:
    if prod(size or 1 for size in v[1].tolist()) > MAX_KNOWN_ELEMENTS:
        raise ValueError("an empty tensor of huge sizes")
    return v[0] * np.ones(v[1].tolist(), v[0].dtype) if v[0].dtype != bool else v[0] & np.ones(v[1].tolist(), bool)


def _tile(node: Node, v: Values) -> Any:
    repeats = v[1].tolist()
    if max(v[0].size, 1) * prod(max(count, 1) for count in repeats) > MAX_KNOWN_ELEMENTS:
        raise ValueError("NumPy repeats axis by axis, and a 0 may come last")
    return np.tile(v[0], repeats)


def _clip(node: Node, v: Values) -> Any:
    low = node.attributes.get("min") if len(v) < 2 else v[1]
    high = node.attributes.get("max") if len(v) < 3 else v[2]
    x = v[0] if low is None else np.maximum(v[0], low)
    return x if high is None else np.minimum(x, high)


def _reduce(function: Callable[..., Any]) -> ValueRule:
    def rule(node: Node, v: Values) -> Any:
        axes = _axes(node, v)
        if not axes:
            if node.attributes.get("noop_with_empty_axes", 0):
                return v[0]
            axes = None
        return function(v[0], axis=axes, keepdims=bool(node.attributes.get("keepdims", 1)))

    return rule


def _arg(function: Callable[..., Any]) -> ValueRule:
    def rule(node: Node, v: Values) -> Any:
        if node.attributes.get("select_last_index", 0):
            raise ValueError("order")
        keep = bool(node.attributes.get("keepdims", 1))
        return function(v[0], axis=node.attributes.get("axis", 0), keepdims=keep)

    return rule


def _cumulative_sum(node: Node, v: Values) -> Any:
    if node.attributes.get("exclusive", 0) or node.attributes.get("reverse", 0):
        raise ValueError("order")
    return np.cumsum(v[0], int(v[1].item()), dtype=v[0].dtype)


def _triangle(node: Node, v: Values) -> Any:
    offset = int(v[1].item()) if len(v) > 1 and v[1] is not None else 0
    return (np.triu if node.attributes.get("upper", 1) else np.tril)(v[0], offset)


VALUES: dict[str, ValueRule] = {
    "Identity": _unary(lambda x: x), "Neg": _unary(np.negative), "Abs": _unary(np.abs), "Sign": _unary(np.sign),
    "Floor": _unary(np.floor), "Ceil": _unary(np.ceil), "Round": _unary(np.round), "Sqrt": _unary(np.sqrt),
    "Exp": _unary(np.exp), "Log": _unary(np.log), "Reciprocal": _unary(lambda x: 1 / x), "Sin": _unary(np.sin),
    "Cos": _unary(np.cos), "Not": _unary(np.logical_not), "Relu": _unary(lambda x: np.maximum(x, 0)),
    "IsNaN": _unary(np.isnan),
    "Add": _binary(np.add), "Sub": _binary(np.subtract), "Mul": _binary(np.multiply), "Div": _binary(_divide),
    "Pow": _binary(_power), "Mod": _mod,
    "Equal": _binary(np.equal), "Greater": _binary(np.greater), "GreaterOrEqual": _binary(np.greater_equal),
    "Less": _binary(np.less), "LessOrEqual": _binary(np.less_equal),
    "And": _binary(np.logical_and), "Or": _binary(np.logical_or), "Xor": _binary(np.logical_xor),
    "Max": _variadic(np.maximum), "Min": _variadic(np.minimum), "Sum": _variadic(np.add),
    "Where": lambda node, v: np.where(v[0], v[1], v[2]),
    "Cast": _cast,
    "CastLike": lambda node, v: v[0].astype(v[1].dtype),
    "Clip": _clip,
    "Concat": lambda node, v: np.concatenate(v, node.attributes.get("axis", 1)),
    "Gather": _gather, "GatherElements": _gather_elements, "GatherND": _gather_nd, "ScatterND": _scatter_nd,
    "ScatterElements": _scatter_elements,
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Reshape": _reshape, "Flatten": _flatten,
    "Transpose": lambda node, v: np.transpose(v[0], node.attributes.get("perm")),
    "Slice": _slice, "Split": _split, "Range": _range, "ConstantOfShape": _constant_of_shape, "Expand": _expand,
    "Tile": _tile,
    "ReduceSum": _reduce(np.sum), "ReduceProd": _reduce(np.prod), "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min), "ReduceMean": _reduce(np.mean),
    "ArgMax": _arg(np.argmax), "ArgMin": _arg(np.argmin),
    "CumSum": _cumulative_sum, "Trilu": _triangle,
    "NonZero": lambda node, v: np.array(np.nonzero(np.atleast_1d(v[0]))),
}  # fmt: skip

SEVERAL = frozenset({"Split"})

PROPAGATED = frozenset(VALUES) | frozenset(_OF_TYPES)  # operators of whose results something may be known
