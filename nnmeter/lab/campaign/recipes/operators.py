"""Single layers as exporters write them: each function appends one operator, or its decomposed form.

Functions take the builder first, tensors next, and return the output. What depends on the opset (axes as attribute or
as input, operators that did not exist yet) is decided here, so that blocks need not know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nnmeter.lab.campaign.recipes.builder import FLOAT, INT64, NetworkBuilder, Tensor

_INT64_MAX = (1 << 63) - 1


def conv(
    b: NetworkBuilder,
    x: Tensor,
    c_out: int,
    kernel: int | Sequence[int] = 1,
    stride: int | Sequence[int] = 1,
    *,
    groups: int = 1,
    dilation: int = 1,
    pad: Sequence[int] | int | None = None,
    bias: bool = True,
) -> Tensor:
    """Convolution over all spatial axes of `x`, "same" padding by default."""
    rank = len(x.shape) - 2
    k = _per_axis(kernel, rank)
    s = _per_axis(stride, rank)
    p = [dilation * (v - 1) // 2 for v in k] if pad is None else _per_axis(pad, rank)
    c_in = x.shape[1]
    space = [
        (size + 2 * q - dilation * (v - 1) - 1) // t + 1 for size, q, v, t in zip(x.shape[2:], p, k, s, strict=True)
    ]
    if min(space) < 1:
        raise ValueError(f"a {k} window does not fit a map of {x.shape[2:]}")
    fan_in = c_in // groups * math.prod(k)
    inputs = [x, b.weight((c_out, c_in // groups, *k), (1.6 / fan_in) ** 0.5)]
    if bias:
        inputs.append(b.weight((c_out,), 0.1))
    shape = (x.shape[0], c_out, *space)
    work = 2.0 * math.prod(shape) * fan_in * (1.0 if groups == 1 else 3.0)
    return b.node(
        "Conv", inputs, shape, flops=work,
        dilations=[dilation] * rank, group=groups, kernel_shape=k, pads=p + p, strides=s,
    )  # fmt: skip


def conv_transpose(b: NetworkBuilder, x: Tensor, c_out: int, kernel: int = 2, stride: int = 2, pad: int = 0) -> Tensor:
    """Transposed convolution that enlarges the map `stride` times."""
    n, c_in, h, w = x.shape
    shape = (n, c_out, (h - 1) * stride + kernel - 2 * pad, (w - 1) * stride + kernel - 2 * pad)
    inputs = [x, b.weight((c_in, c_out, kernel, kernel), (1.6 / c_in) ** 0.5), b.weight((c_out,), 0.1)]
    return b.node(
        "ConvTranspose", inputs, shape, flops=2.0 * x.elements * c_out * kernel * kernel,
        dilations=[1, 1], group=1, kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[stride] * 2,
    )  # fmt: skip


def batch_norm(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Inference BatchNormalization with positive variances."""
    c = (x.shape[1],)
    inputs = [
        x, b.weight(c, 0.2, mean=1.0), b.weight(c, 0.2), b.weight(c, 0.1), b.weight(c, 0.2, mean=1.0, positive=True),
    ]  # fmt: skip
    return b.node("BatchNormalization", inputs, x.shape, flops=2.0 * x.elements, epsilon=1e-5, momentum=0.9)


def conv_norm(
    b: NetworkBuilder,
    x: Tensor,
    c_out: int,
    kernel: int | Sequence[int] = 1,
    stride: int | Sequence[int] = 1,
    *,
    groups: int = 1,
    dilation: int = 1,
    pad: Sequence[int] | int | None = None,
) -> Tensor:
    """Convolution followed by BatchNormalization, which most exporters have folded into the weights already."""
    folded = b.exporter.folds_batch_norm
    y = conv(b, x, c_out, kernel, stride, groups=groups, dilation=dilation, pad=pad, bias=folded)
    return y if folded else batch_norm(b, y)


def pool(
    b: NetworkBuilder,
    kind: str,
    x: Tensor,
    kernel: int,
    stride: int,
    pad: int = 0,
    *,
    ceil_mode: int = 0,
    include_pad: int = 1,
) -> Tensor:
    """`MaxPool` or `AveragePool` over all spatial axes."""
    rank = len(x.shape) - 2
    space = []
    for size in x.shape[2:]:
        span = size + 2 * pad - kernel
        out = (math.ceil(span / stride) if ceil_mode else span // stride) + 1
        if ceil_mode and (out - 1) * stride >= size + pad:
            out -= 1
        space.append(out)
    extra = {"count_include_pad": include_pad} if kind == "AveragePool" else {}
    shape = (*x.shape[:2], *space)
    return b.node(
        kind, [x], shape, flops=math.prod(shape) * kernel**rank,
        kernel_shape=[kernel] * rank, strides=[stride] * rank, pads=[pad] * (2 * rank), ceil_mode=ceil_mode, **extra,
    )  # fmt: skip


def reduce(b: NetworkBuilder, kind: str, x: Tensor, axes: Sequence[int], keepdims: int = 1) -> Tensor:
    """`ReduceMean`, `ReduceSum`, `ReduceMax`, ... over `axes`."""
    rank = len(x.shape)
    gone = {a % rank for a in axes}
    shape = [1 if i in gone else s for i, s in enumerate(x.shape) if keepdims or i not in gone]
    as_input = b.exporter.opset >= (13 if kind == "ReduceSum" else 18)
    if as_input:
        return b.node(kind, [x, b.constant(list(axes))], shape, flops=x.elements, keepdims=keepdims)
    return b.node(kind, [x], shape, flops=x.elements, axes=list(axes), keepdims=keepdims)


def global_average(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Mean over height and width with kept dimensions, as the exporter writes it."""
    spatial = len(x.shape) - 2
    if b.exporter.dynamo:
        return reduce(b, "ReduceMean", x, b.rng.choice(([-1, -2], [2, 3])) if spatial == 2 else [-1])
    return b.node("GlobalAveragePool", [x], (*x.shape[:2], *[1] * spatial), flops=x.elements)


def reshape(b: NetworkBuilder, x: Tensor, shape: Sequence[int]) -> Tensor:
    """Reshape to a full static shape."""
    return b.node("Reshape", [x, b.constant(list(shape))], shape, flops=0)


def flatten(b: NetworkBuilder, x: Tensor) -> Tensor:
    """(N, ...) to (N, features), as Flatten or Reshape."""
    shape = (x.shape[0], x.elements // x.shape[0])
    return reshape(b, x, shape) if b.exporter.dynamo else b.node("Flatten", [x], shape, flops=0, axis=1)


def transpose(b: NetworkBuilder, x: Tensor, perm: Sequence[int]) -> Tensor:
    """Transpose by `perm`."""
    return b.node("Transpose", [x], [x.shape[p] for p in perm], flops=0, perm=list(perm))


def squeeze(b: NetworkBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Drops the given axes of size one."""
    gone = {a % len(x.shape) for a in axes}
    return b.node("Squeeze", [x, b.constant(list(axes))], [s for i, s in enumerate(x.shape) if i not in gone], flops=0)


def unsqueeze(b: NetworkBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Inserts axes of size one."""
    shape = list(x.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return b.node("Unsqueeze", [x, b.constant(list(axes))], shape, flops=0)


def concat(b: NetworkBuilder, parts: Sequence[Tensor], axis: int = 1) -> Tensor:
    """Concatenation along `axis`."""
    axis %= len(parts[0].shape)
    shape = list(parts[0].shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    return b.node("Concat", parts, shape, flops=0, axis=axis)


def split(b: NetworkBuilder, x: Tensor, sizes: Sequence[int], axis: int = 1) -> list[Tensor]:
    """Split along `axis` into the given sizes."""
    axis %= len(x.shape)
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    if b.exporter.opset >= 18 and len(set(sizes)) == 1 and b.rng.random() < 0.5:
        return b.node_with_outputs("Split", [x], shapes, flops=0, axis=axis, num_outputs=len(sizes))
    return b.node_with_outputs("Split", [x, b.constant(list(sizes))], shapes, flops=0, axis=axis)


def slice_axis(b: NetworkBuilder, x: Tensor, axis: int, start: int, end: int, step: int = 1) -> Tensor:
    """`x[..., start:end:step, ...]` along one axis."""
    axis %= len(x.shape)
    shape = list(x.shape)
    shape[axis] = len(range(*slice(start, end, step).indices(x.shape[axis])))
    stop = _INT64_MAX if end >= x.shape[axis] else end
    inputs = [x, b.constant([start]), b.constant([stop]), b.constant([axis])]
    if step != 1:
        inputs.append(b.constant([step]))
    return b.node("Slice", inputs, shape, flops=0)


def select(b: NetworkBuilder, x: Tensor, axis: int, index: int) -> Tensor:
    """`x[..., index, ...]` with the axis dropped: a Gather with a scalar index."""
    axis %= len(x.shape)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return b.node("Gather", [x, b.constant(index)], shape, flops=0, axis=axis)


def elementwise(b: NetworkBuilder, op_type: str, x: Tensor, y: Tensor, dtype: int | None = None) -> Tensor:
    """A binary operator with broadcasting (Add, Mul, Sub, Div, Pow, Max, And, ...)."""
    return b.node(op_type, [x, y], broadcast_shape(x.shape, y.shape), dtype=dtype)


def add(b: NetworkBuilder, x: Tensor, y: Tensor) -> Tensor:
    """Sum with broadcasting."""
    return elementwise(b, "Add", x, y)


def mul(b: NetworkBuilder, x: Tensor, y: Tensor) -> Tensor:
    """Product with broadcasting."""
    return elementwise(b, "Mul", x, y)


def where(b: NetworkBuilder, test: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`x` where `test` is true, `y` elsewhere, with broadcasting."""
    shape = broadcast_shape(test.shape, broadcast_shape(x.shape, y.shape))
    return b.node("Where", [test, x, y], shape, dtype=x.dtype)


def unary(b: NetworkBuilder, op_type: str, x: Tensor, **attributes: Any) -> Tensor:
    """An element-wise operator with one input."""
    return b.node(op_type, [x], x.shape, **attributes)


def pad(b: NetworkBuilder, x: Tensor, before: Sequence[int], after: Sequence[int], mode: str = "constant") -> Tensor:
    """Pads every axis."""
    shape = [s + p + q for s, p, q in zip(x.shape, before, after, strict=True)]
    return b.node("Pad", [x, b.constant([*before, *after])], shape, flops=0, mode=mode)


def matmul(b: NetworkBuilder, x: Tensor, y: Tensor) -> Tensor:
    """Batched matrix product."""
    lead = broadcast_shape(x.shape[:-2], y.shape[:-2])
    shape = (*lead, x.shape[-2], y.shape[-1])
    return b.node("MatMul", [x, y], shape, flops=2.0 * math.prod(shape) * x.shape[-1])


def linear(b: NetworkBuilder, x: Tensor, features: int, *, bias: bool = True, as_gemm: bool | None = None) -> Tensor:
    """Fully connected layer over the last axis: Gemm for matrices, MatMul + Add otherwise."""
    k = x.shape[-1]
    scale = (1.0 / k) ** 0.5
    gemm = len(x.shape) == 2 if as_gemm is None else as_gemm
    if gemm and bias:
        flat = x if len(x.shape) == 2 else reshape(b, x, (x.elements // k, k))
        transposed = len(x.shape) == 2
        weight = b.weight((features, k) if transposed else (k, features), scale)
        y = b.node(
            "Gemm", [flat, weight, b.weight((features,), 0.1)], (flat.shape[0], features),
            flops=2.0 * flat.elements * features, alpha=1.0, beta=1.0, transA=0, transB=int(transposed),
        )  # fmt: skip
        return y if flat is x else reshape(b, y, (*x.shape[:-1], features))
    y = matmul(b, x, b.weight((k, features), scale))
    if not bias:
        return y
    offset = b.weight((features,), 0.1)
    return add(b, y, offset) if b.exporter.dynamo else add(b, offset, y)


def softmax(b: NetworkBuilder, x: Tensor, axis: int = -1) -> Tensor:
    """Softmax along `axis`."""
    return b.node("Softmax", [x], x.shape, flops=20.0 * x.elements, axis=axis)


def layer_norm(b: NetworkBuilder, x: Tensor) -> Tensor:
    """LayerNormalization over the last axis: the operator from opset 17 on, its nine-node form before."""
    scale, offset = b.weight((x.shape[-1],), 0.1, mean=1.0), b.weight((x.shape[-1],), 0.1)
    if b.exporter.opset >= 17:
        return b.node("LayerNormalization", [x, scale, offset], x.shape, flops=6.0 * x.elements, axis=-1, epsilon=1e-6)
    centred = elementwise(b, "Sub", x, reduce(b, "ReduceMean", x, [-1]))
    squared = elementwise(b, "Pow", centred, b.scalar(2.0))
    variance = add(b, reduce(b, "ReduceMean", squared, [-1]), b.scalar(1e-6))
    normal = elementwise(b, "Div", centred, unary(b, "Sqrt", variance))
    return add(b, mul(b, normal, scale), offset)


def embedding(b: NetworkBuilder, ids: Tensor, rows: int, dim: int) -> Tensor:
    """Rows of a table by integer index."""
    return b.node("Gather", [b.weight((rows, dim), 0.5), ids], (*ids.shape, dim), flops=0, axis=0)


def resize(b: NetworkBuilder, x: Tensor, factor: float, mode: str = "nearest", *, aligned: bool = False) -> Tensor:
    """Enlarges (or shrinks) height and width by `factor`, as interpolate is exported."""
    h, w = (max(1, int(s * factor)) for s in x.shape[2:])
    style: dict[str, Any]
    if mode == "nearest":
        style = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        coordinates = "align_corners" if aligned else "pytorch_half_pixel" if not b.exporter.dynamo else "half_pixel"
        style = {"coordinate_transformation_mode": coordinates}
    if b.rng.random() < 0.6 and h == x.shape[2] * factor and w == x.shape[3] * factor:
        inputs = [x, None, b.constant([1.0, 1.0, factor, factor], FLOAT)]
    else:
        inputs = [x, None, None, b.constant([*x.shape[:2], h, w], INT64)]
    cost = {"nearest": 1.0, "linear": 8.0, "cubic": 40.0}[mode]
    return b.node(
        "Resize", inputs, (*x.shape[:2], h, w), flops=cost * x.shape[0] * x.shape[1] * h * w, mode=mode, **style
    )


def classifier(b: NetworkBuilder, x: Tensor, classes: int) -> Tensor:
    """Global average, flatten, and the last layer, in the forms of both exporters."""
    if b.exporter.dynamo and b.rng.random() < 0.3:
        y = reduce(b, "ReduceMean", x, [2, 3], keepdims=0)
    else:
        y = flatten(b, global_average(b, x))
    return linear(b, y, classes)


def broadcast_shape(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    """Shape of a broadcast binary operator.

    Raises:
        ValueError: the shapes do not broadcast; the block that joined them is wrong.
    """
    rank = max(len(left), len(right))
    a = [1] * (rank - len(left)) + list(left)
    c = [1] * (rank - len(right)) + list(right)
    if any(p != q and p != 1 and q != 1 for p, q in zip(a, c, strict=True)):
        raise ValueError(f"shapes {tuple(left)} and {tuple(right)} do not broadcast")
    return tuple(q if p == 1 else p for p, q in zip(a, c, strict=True))


def _per_axis(value: int | Sequence[int], rank: int) -> list[int]:
    return [value] * rank if isinstance(value, int) else list(value)
