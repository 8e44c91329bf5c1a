"""Shapes of everything that is not spatial, and propagation of small values."""

from __future__ import annotations

import numpy as np

from nnmeter.graph.ir import TensorType
from nnmeter.graph.stopgap.base import NodeView, Rule, broadcast, element_type, product, same_as_first

LIMIT = 1024


def _shapes(view):
    return [t.shape for t in view.types if t is not None]


def _elementwise(view):
    return [TensorType(view.type(0).dtype, broadcast(view, _shapes(view)))]


def _compare(view):
    return [TensorType("bool", broadcast(view, _shapes(view)))]


def _where(view):
    return [TensorType(view.type(1).dtype, broadcast(view, _shapes(view)))]


def _cast(view):
    return [TensorType(element_type(view, view.attributes["to"]), view.shape(0))]


def _matmul_shape(view, a, b):
    if not a or not b:
        raise view.fault("a scalar operand")
    if (a[-1]) != (b[-2] if len(b) > 1 else b[0]):
        raise view.fault(f"inner sizes {a} and {b} differ")
    left = a[:-1] if len(a) > 1 else ()
    lead = broadcast(view, [a[:-2], b[:-2]]) if len(a) > 1 and len(b) > 1 else (a[:-2] if len(a) > 1 else b[:-2])
    out = tuple(lead) + (a[-2:-1] if len(a) > 1 else ()) + (b[-1:] if len(b) > 1 else ())
    return out


def _matmul(dtype=None, bpos=1, dtype_from=None):
    def rule(view):
        a, b = view.shape(0), view.shape(bpos)
        kind = dtype or (view.type(dtype_from).dtype if dtype_from is not None else view.type(0).dtype)
        return [TensorType(kind, _matmul_shape(view, a, b))]

    return rule


def _fused_matmul(view):
    a, b, at = list(view.shape(0)), list(view.shape(1)), view.attributes
    if at.get("transBatchA"):
        a = a[1:-1] + [a[0], a[-1]]
    if at.get("transBatchB"):
        b = b[1:-1] + [b[0], b[-1]]
    if at.get("transA"):
        a[-1], a[-2] = a[-2], a[-1]
    if at.get("transB"):
        b[-1], b[-2] = b[-2], b[-1]
    return [TensorType(view.type(0).dtype, _matmul_shape(view, tuple(a), tuple(b)))]


def _gemm(view):
    a, b = view.shape(0), view.shape(3 if view.node.op_type == "QGemm" else 1)
    m = a[1] if view.attributes.get("transA") else a[0]
    n = b[0] if view.attributes.get("transB") else b[1]
    dtype = view.type(0).dtype
    if view.node.op_type == "QGemm":
        dtype = view.type(8).dtype if view.optional_type(8) else "float32"
    return [TensorType(dtype, (m, n))]


def _nbits(view):
    a = view.type(0)
    return [TensorType(a.dtype, (*a.shape[:-1], view.attributes["N"]))]


def _reduce(view):
    x = view.type(0)
    rank = len(x.shape)
    axes = view.integers(1, "axes")
    if not axes:
        if view.attributes.get("noop_with_empty_axes", 0):
            return [x]
        axes = tuple(range(rank))
    marks = {a + rank if a < 0 else a for a in axes}
    if view.attributes.get("keepdims", 1):
        return [TensorType(x.dtype, tuple(1 if i in marks else s for i, s in enumerate(x.shape)))]
    return [TensorType(x.dtype, tuple(s for i, s in enumerate(x.shape) if i not in marks))]


def _arg(view):
    x = view.shape(0)
    axis = view.axis(len(x))
    keep = view.attributes.get("keepdims", 1)
    return [TensorType("int64", x[:axis] + ((1,) if keep else ()) + x[axis + 1 :])]


def _reshape(view):
    x = view.type(0)
    wanted = view.integers(1, "shape")
    zero_is_zero = view.attributes.get("allowzero", 0)
    out = [x.shape[i] if s == 0 and not zero_is_zero and i < len(x.shape) else s for i, s in enumerate(wanted)]
    if -1 in out:
        rest = product([s for s in out if s != -1])
        out[out.index(-1)] = x.elements // rest if rest else 0
    if product(out) != x.elements:
        raise view.fault(f"{x.elements} elements do not reshape to {tuple(out)}")
    return [TensorType(x.dtype, tuple(out))]


def _squeeze(view):
    x = view.type(0)
    axes = view.integers(1, "axes")
    rank = len(x.shape)
    if axes is None:
        return [TensorType(x.dtype, tuple(s for s in x.shape if s != 1))]
    marks = {a + rank if a < 0 else a for a in axes}
    return [TensorType(x.dtype, tuple(s for i, s in enumerate(x.shape) if i not in marks))]


def _unsqueeze(view):
    x = view.type(0)
    axes = view.integers(1, "axes")
    rank = len(x.shape) + len(axes)
    marks = {a + rank if a < 0 else a for a in axes}
    rest = iter(x.shape)
    return [TensorType(x.dtype, tuple(1 if i in marks else next(rest) for i in range(rank)))]


def _flatten(view):
    x = view.type(0)
    axis = view.attributes.get("axis", 1)
    axis = axis + len(x.shape) if axis < 0 else axis
    return [TensorType(x.dtype, (product(x.shape[:axis]), product(x.shape[axis:])))]


def _transpose(view):
    x = view.type(0)
    perm = view.attributes.get("perm") or tuple(range(len(x.shape)))[::-1]
    return [TensorType(x.dtype, tuple(x.shape[p] for p in perm))]


def _concat(view):
    first = view.type(0)
    axis = view.axis(len(first.shape))
    types = [t for t in view.types if t is not None]
    return [TensorType(first.dtype, (*first.shape[:axis], sum(t.shape[axis] for t in types), *first.shape[axis + 1 :]))]


def _split(view):
    x = view.type(0)
    axis = view.axis(len(x.shape))
    count = len(view.node.outputs)
    sizes = view.integers(1, "split")
    if not sizes:
        count = view.attributes.get("num_outputs", count)
        step = -(-x.shape[axis] // count)
        sizes = [min(step, x.shape[axis] - step * i) for i in range(count)]
    return [TensorType(x.dtype, (*x.shape[:axis], s, *x.shape[axis + 1 :])) for s in sizes]


def _slice_plan(view):
    rank = len(view.shape(0))
    if "starts" in view.attributes:
        starts, ends = view.attributes["starts"], view.attributes["ends"]
        axes, steps = view.attributes.get("axes"), None
    else:
        starts, ends, axes, steps = (view.integers(i) for i in (1, 2, 3, 4))
    axes = axes or tuple(range(len(starts)))
    steps = steps or (1,) * len(starts)
    return [(a + rank if a < 0 else a, s, e, t) for a, s, e, t in zip(axes, starts, ends, steps)]


def _slice(view):
    x = view.type(0)
    shape = list(x.shape)
    for axis, start, end, step in _slice_plan(view):
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
        if step < 0 and end < -x.shape[axis]:
            shape[axis] = len(range(*slice(start, None, step).indices(x.shape[axis])))
    return [TensorType(x.dtype, tuple(shape))]


def _gather(view):
    x, i = view.type(0), view.shape(1)
    axis = view.axis(len(x.shape))
    return [TensorType(x.dtype, x.shape[:axis] + i + x.shape[axis + 1 :])]


def _gather_nd(view):
    x, i = view.type(0), view.shape(1)
    b = view.attributes.get("batch_dims", 0)
    return [TensorType(x.dtype, i[:-1] + x.shape[b + i[-1] :])]


def _like_second(view):
    return [TensorType(view.type(0).dtype, view.shape(1))]


def _pad(view):
    x = view.type(0)
    pads = view.integers(1, "pads") or view.attributes.get("paddings")
    axes = view.integers(3) or tuple(range(len(x.shape)))
    shape = list(x.shape)
    for i, a in enumerate(axes):
        shape[a] += pads[i] + pads[i + len(axes)]
    return [TensorType(x.dtype, tuple(shape))]


def _expand(view):
    x = view.type(0)
    return [TensorType(x.dtype, broadcast(view, [x.shape, view.integers(1)]))]


def _tile(view):
    x = view.type(0)
    return [TensorType(x.dtype, tuple(a * b for a, b in zip(x.shape, view.integers(1))))]


def _constant_of_shape(view):
    value = view.attributes.get("value")
    dtype = "float32" if value is None else str(value.dtype)
    return [TensorType(dtype, view.integers(0))]


def _range(view):
    a, b, c = (view.value(i) for i in range(3))
    if a is None or b is None or c is None:
        raise view.unknown(0)
    return [TensorType(view.type(0).dtype, (max(int(np.ceil((b.item() - a.item()) / c.item())), 0),))]


def _shape(view):
    rank = len(view.shape(0))
    start, end = view.attributes.get("start", 0), view.attributes.get("end", rank)
    return [TensorType("int64", (len(range(rank)[start:end]),))]


def _topk(view):
    x = view.type(0)
    axis = view.axis(len(x.shape), default=-1)
    k = view.integers(1, "k")[0]
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return [TensorType(x.dtype, shape), TensorType("int64", shape)]


def _onehot(view):
    i = view.shape(0)
    axis = view.attributes.get("axis", -1)
    axis = axis + len(i) + 1 if axis < 0 else axis
    depth = view.integers(1)[0]
    return [TensorType(view.type(2).dtype, (*i[:axis], depth, *i[axis:]))]


def _recurrent(view):
    x, r = view.type(0), view.shape(2)
    d, h = r[0], r[-1]
    s, b = x.shape[0], x.shape[1]
    state = TensorType(x.dtype, (d, b, h))
    return [TensorType(x.dtype, (s, d, b, h)), state, state][: len(view.node.outputs)]


def _layer_norm(view):
    x = view.type(0)
    axis = view.axis(len(x.shape), default=-1)
    stat = TensorType("float32", (*x.shape[:axis], *(1,) * (len(x.shape) - axis)))
    return [x, stat, stat][: len(view.node.outputs)]


def _skip_norm(view):
    x = view.type(0)
    stat = TensorType("float32", (*x.shape[:-1], 1))
    return [x, stat, stat, x][: len(view.node.outputs)]


def _batch_norm(view):
    x, s = view.type(0), view.optional_type(3) or view.type(1)
    return [x, s, s, s, s][: len(view.node.outputs)]


def _quantize(view):
    zero = view.optional_type(2)
    return [TensorType(zero.dtype if zero else "uint8", view.shape(0))]


def _dequantize(view):
    return [TensorType(view.type(1).dtype, view.shape(0))]


def _dynamic_quantize(view):
    return [TensorType("uint8", view.shape(0)), TensorType("float32", ()), TensorType("uint8", ())]


def _qlinear_binary(view):
    return [TensorType(view.type(0).dtype, broadcast(view, [view.shape(0), view.shape(3)]))]


def _qlinear_matmul(view):
    zero = view.optional_type(7)
    return [TensorType(zero.dtype if zero else view.type(0).dtype, _matmul_shape(view, view.shape(0), view.shape(3)))]


def _qlinear_concat(view):
    axis = view.attributes["axis"]
    parts = [view.shape(i) for i in range(2, len(view.types), 3)]
    return [TensorType(view.type(2).dtype, (*parts[0][:axis], sum(p[axis] for p in parts), *parts[0][axis + 1 :]))]


def _einsum(view):
    eq = view.attributes["equation"].replace(" ", "")
    left, _, right = eq.partition("->")
    sizes = {}
    for term, t in zip(left.split(","), view.types):
        sizes.update(zip(term, t.shape))
    return [TensorType(view.type(0).dtype, tuple(sizes[c] for c in right))]


def _attention(view):
    x = view.type(0)
    if view.node.domain == "com.microsoft" and view.node.op_type in ("Attention", "QAttention"):
        w = view.shape(1)
        return [TensorType(x.dtype, (*x.shape[:-1], w[1] // 3))]
    v = view.optional_type(2) or x
    return [TensorType(x.dtype, (*x.shape[:-1], v.shape[-1]))]


def _many(names, rule):
    return {n: rule for n in names.split()}


RULES: dict[str, Rule] = {
    **_many("Add Sub Mul Div Pow Mod Min Max Sum Mean PRelu BitShift BitwiseAnd BitwiseOr BitwiseXor BiasGelu", _elementwise),
    **_many("Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor", _compare),
    **_many("Not IsNaN IsInf", _compare),
    **_many(
        "Relu LeakyRelu Sigmoid Tanh Erf Gelu FastGelu QuickGelu HardSigmoid HardSwish Swish Mish Elu Celu Selu Softplus Softsign "
        "ThresholdedRelu Clip Exp Log Sqrt Reciprocal Neg Abs Sign Floor Ceil Round Sin Cos Tan Asin Acos Atan Sinh Cosh "
        "Asinh Acosh Atanh Shrink Identity Dropout Softmax LogSoftmax Hardmax LRN InstanceNormalization GroupNormalization "
        "LpNormalization MeanVarianceNormalization CumSum Trilu ScatterElements ScatterND Scatter BitwiseNot ReverseSequence "
        "QLinearSigmoid QLinearLeakyRelu QLinearSoftmax RotaryEmbedding SimplifiedLayerNormalization RMSNormalization",
        lambda v: [v.type(0)],
    ),
    "Where": _where, "Cast": _cast, "CastLike": lambda v: [TensorType(v.type(1).dtype, v.shape(0))],
    "MatMul": _matmul(), "MatMulInteger": _matmul("int32"), "MatMulIntegerToFloat": _matmul("float32"),
    "DynamicQuantizeMatMul": _matmul("float32"), "QLinearMatMul": _qlinear_matmul, "FusedMatMul": _fused_matmul,
    "Gemm": _gemm, "FusedGemm": _gemm, "QGemm": _gemm, "MatMulNBits": _nbits, "Einsum": _einsum,
    **_many("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare", _reduce),
    "ArgMax": _arg, "ArgMin": _arg, "Reshape": _reshape, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Flatten": _flatten,
    "Transpose": _transpose, "Concat": _concat, "Split": _split, "Slice": _slice, "Gather": _gather, "GatherND": _gather_nd,
    "GatherElements": _like_second, "Pad": _pad, "Expand": _expand, "Tile": _tile, "ConstantOfShape": _constant_of_shape,
    "Range": _range, "Shape": _shape, "Size": lambda v: [TensorType("int64", ())], "TopK": _topk, "OneHot": _onehot,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent, "LayerNormalization": _layer_norm,
    "SkipLayerNormalization": _skip_norm, "SkipSimplifiedLayerNormalization": _skip_norm, "BatchNormalization": _batch_norm,
    "QuantizeLinear": _quantize, "DequantizeLinear": _dequantize, "DynamicQuantizeLinear": _dynamic_quantize,
    "QLinearAdd": _qlinear_binary, "QLinearMul": _qlinear_binary, "QLinearConcat": _qlinear_concat,
    "Attention": _attention, "QAttention": _attention, "MultiHeadAttention": _attention,
    "EyeLike": lambda v: [v.type(0)],
}  # fmt: skip


def _squeezed(view, values, out):
    return values[0].reshape(out.shape)


_BINARY = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Equal": np.equal, "Greater": np.greater, "Less": np.less,
    "GreaterOrEqual": np.greater_equal, "LessOrEqual": np.less_equal, "And": np.logical_and, "Or": np.logical_or,
    "Min": np.minimum, "Max": np.maximum, "Mod": np.mod, "Pow": np.power,
}  # fmt: skip


def _div(view, v, out):
    if np.issubdtype(v[0].dtype, np.integer):
        return (np.trunc(v[0] / np.where(v[1] == 0, 1, v[1]))).astype(v[0].dtype)
    return np.divide(v[0], v[1])


def _slice_value(view, v, out):
    index = [slice(None)] * v[0].ndim
    for axis, start, end, step in _slice_plan(view):
        index[axis] = slice(start, None if step < 0 and end < -v[0].shape[axis] else end, step)
    return v[0][tuple(index)]


VALUES = {
    **{name: (lambda f: lambda view, v, out: f(v[0], v[1]))(f) for name, f in _BINARY.items()},
    "Div": _div, "Neg": lambda w, v, o: -v[0], "Not": lambda w, v, o: ~v[0], "Abs": lambda w, v, o: np.abs(v[0]),
    "Sqrt": lambda w, v, o: np.sqrt(v[0]), "Floor": lambda w, v, o: np.floor(v[0]), "Ceil": lambda w, v, o: np.ceil(v[0]),
    "Cast": lambda w, v, o: v[0].astype(o.dtype) if o.dtype not in ("bfloat16", "string") else None,
    "Identity": lambda w, v, o: v[0], "Reshape": _squeezed, "Squeeze": _squeezed, "Unsqueeze": _squeezed, "Flatten": _squeezed,
    "Gather": lambda w, v, o: np.take(v[0], v[1], axis=w.axis(v[0].ndim)),
    "Concat": lambda w, v, o: np.concatenate(v, axis=w.attributes["axis"]),
    "Slice": _slice_value, "Transpose": lambda w, v, o: np.transpose(v[0], w.attributes.get("perm")),
    "Expand": lambda w, v, o: np.broadcast_to(v[0], o.shape),
    "Where": lambda w, v, o: np.where(v[0], v[1], v[2]),
    "Range": lambda w, v, o: np.arange(v[0].item(), v[1].item(), v[2].item()).astype(v[0].dtype)[: o.shape[0]],
    "ConstantOfShape": lambda w, v, o: np.full(o.shape, 0 if w.attributes.get("value") is None else w.attributes["value"].ravel()[0], o.dtype),
    "ReduceProd": lambda w, v, o: np.prod(v[0]).reshape(o.shape).astype(o.dtype) if o.elements == 1 else None,
    "ReduceSum": lambda w, v, o: np.sum(v[0]).reshape(o.shape).astype(o.dtype) if o.elements == 1 else None,
}  # fmt: skip
