"""PyTorch's operators as those of ONNX: one rule an operator, of the recorder, its arguments by name and its result.

Rules of translation:

1. What PyTorch's exporter writes as one operator of ONNX is one here; normalization is not folded into convolutions.
2. `linear` of a matrix is Gemm, of anything else MatMul and Add, as exporters write it.
3. Attention is its products, with the scale on the queries and Softmax between them.
4. A mean over a map, and an adaptive pool to one element, is GlobalAveragePool.
5. A copy, a cast to the same type, and dropout are nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from graphs_record import Recorder, integers

Arguments = dict[str, Any]
Rule = Callable[[Recorder, Arguments, Any], None]
_END = 2**31


def _pairs(value: Any, rank: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * rank if len(values) == 1 else values


def _unless(values: Sequence[int], default: int) -> list[int] | None:
    return None if all(v == default for v in values) else list(values)


# Convolutions and pools.


def _convolution(r: Recorder, a: Arguments, y: Any) -> None:
    weight, rank = a["weight"], a["weight"].dim() - 2
    if r.known(weight):
        raise ValueError("a convolution with computed weights")
    strides, dilations = _pairs(a["stride"], rank), _pairs(a["dilation"], rank)
    transposed = a.get("transposed", "output_padding" in a)
    if isinstance(a["padding"], str):
        total = [d * (k - 1) if a["padding"] == "same" else 0 for d, k in zip(dilations, weight.shape[2:], strict=True)]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
    else:
        pads = _pairs(a["padding"], rank) * 2
    references = [r.reference(a["input"]), r.reference(weight)]
    if a["bias"] is not None:
        references.append(r.reference(a["bias"]))
    more: dict[str, Any] = {"output_padding": _unless(_pairs(a["output_padding"], rank), 0)} if transposed else {}
    place = r.node(
        "ConvTranspose" if transposed else "Conv", references, group=a["groups"] if a["groups"] != 1 else None,
        strides=_unless(strides, 1), pads=_unless(pads, 0), dilations=_unless(dilations, 1), **more,
    )  # fmt: skip
    r.note(y, place)


def _pool(operator: str, rank: int) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        kernel = _pairs(a["kernel_size"], rank)
        strides = _pairs(a["stride"], rank) if a["stride"] else kernel
        attributes: dict[str, Any] = {
            "strides": _unless(strides, 1),
            "pads": _unless(_pairs(a["padding"], rank) * 2, 0),
        }
        if "dilation" in a:
            attributes["dilations"] = _unless(_pairs(a["dilation"], rank), 1)
        if a["ceil_mode"]:
            attributes["ceil_mode"] = 1
        if a.get("count_include_pad") and attributes["pads"]:
            attributes["count_include_pad"] = 1
        result = y[0] if isinstance(y, (tuple, list)) else y
        r.emit(operator, [_first(a)], result, kernel_shape=kernel, **attributes)

    return rule


def _adaptive_pool(whole: str, operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        result = y[0] if isinstance(y, (tuple, list)) else y
        x = _first(a)
        rank = len(_pairs(a["output_size"], 1)) if not isinstance(a["output_size"], int) else result.dim() - 2
        before, after = x.shape[-rank:], result.shape[-rank:]
        if list(before) == list(after):
            r.note(result, r.reference(x))
        elif all(n == 1 for n in after) and x.dim() == rank + 2:
            r.emit(whole, [x], result)
        elif all(b % s == 0 for b, s in zip(before, after, strict=True)):
            kernel = [b // s for b, s in zip(before, after, strict=True)]
            r.emit(operator, [x], result, kernel_shape=kernel, strides=kernel)
        else:
            raise ValueError(f"an adaptive pool from {list(before)} to {list(after)}")

    return rule


# Normalization.


def _batch_norm(r: Recorder, a: Arguments, y: Any) -> None:
    x = _first(a)
    if a["running_mean"] is None or a.get("training"):
        raise ValueError("a normalization over the batch")
    channels = f"w:{x.shape[1]}"
    r.note(y[0] if isinstance(y, (tuple, list)) else y,
           r.node("BatchNormalization", [r.reference(x)] + [channels] * 4))  # fmt: skip


def _layer_norm(r: Recorder, a: Arguments, y: Any) -> None:
    x, sizes = a["input"], "x".join(map(str, a["normalized_shape"]))
    references = [r.reference(x), f"w:{sizes}"] + ([f"w:{sizes}"] if a["bias"] is not None else [])
    axis = -len(a["normalized_shape"])
    r.note(y, r.node("LayerNormalization", references, axis=axis if axis != -1 else None))


def _rms_norm(r: Recorder, a: Arguments, y: Any) -> None:
    sizes = "x".join(map(str, a["normalized_shape"]))
    axis = -len(a["normalized_shape"])
    r.note(y, r.node("RMSNormalization", [r.reference(a["input"]), f"w:{sizes}"], axis=axis if axis != -1 else None))


def _group_norm(r: Recorder, a: Arguments, y: Any) -> None:
    x = a["input"]
    channels = f"w:{x.shape[1]}"
    r.note(y, r.node("GroupNormalization", [r.reference(x), channels, channels], num_groups=a["num_groups"]))


def _instance_norm(r: Recorder, a: Arguments, y: Any) -> None:
    channels = f"w:{a['input'].shape[1]}"
    r.note(y, r.node("InstanceNormalization", [r.reference(a["input"]), channels, channels]))


# Products.


def _linear(r: Recorder, a: Arguments, y: Any) -> None:
    x, weight, bias = a["input"], a["weight"], a["bias"]
    if r.known(weight):
        raise ValueError("a product with computed weights")
    if x.dim() == 2:
        extra = [r.reference(bias)] if bias is not None else []
        r.note(y, r.node("Gemm", [r.reference(x), r.reference(weight), *extra], transB=1))
        return
    place = r.node("MatMul", [r.reference(x), f"w:{weight.shape[1]}x{weight.shape[0]}"])
    r.note(y, place if bias is None else r.node("Add", [place, r.reference(bias)]))


def _addmm(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("Gemm", [a["mat1"], a["mat2"], a["self"]], y)


def _product(first: str, second: str) -> Rule:
    return lambda r, a, y: r.emit("MatMul", [a[first], a[second]], y)


def _baddbmm(r: Recorder, a: Arguments, y: Any) -> None:
    place = r.node("MatMul", [r.reference(a["batch1"]), r.reference(a["batch2"])])
    if a["alpha"] != 1:
        place = r.node("Mul", [place, r.reference(a["alpha"])])
    r.note(y, r.node("Add", [place, r.reference(a["self"])]))


def _attention(r: Recorder, a: Arguments, y: Any) -> None:
    query, key, value = a["query"], a["key"], a["value"]
    if a["is_causal"] or a.get("enable_gqa"):
        raise ValueError("attention that is causal or shares its keys")
    scale = a["scale"] if a["scale"] is not None else 1 / math.sqrt(query.shape[-1])
    turned = [*range(key.dim() - 2), key.dim() - 1, key.dim() - 2]
    if not r.known(key):
        raise ValueError("attention to keys that are constant")
    keys = r.node("Transpose", [r.reference(key)], perm=turned)
    queries = r.node("Mul", [r.reference(query), r.reference(float(scale))])
    place = r.node("MatMul", [queries, keys])
    if a["attn_mask"] is not None:
        if a["attn_mask"].dtype == torch.bool:
            raise ValueError("attention with a mask of truth values")
        place = r.node("Add", [place, r.reference(a["attn_mask"])])
    place = r.node("Softmax", [place])
    r.note(y, r.node("MatMul", [place, r.reference(value)]))


def _lstm(r: Recorder, a: Arguments, y: Any) -> None:
    x, directions = a["input"], 2 if a["bidirectional"] else 1
    if a["num_layers"] != 1 or any(map(r.known, a["params"])):
        raise ValueError("an LSTM of several layers, or with computed weights")
    inputs, hidden = x.shape[-1], y[1].shape[-1]
    place = r.reference(x)
    if a["batch_first"]:
        place = r.node("Transpose", [place], perm=[1, 0, 2])
    weights = [f"w:{directions}x{4 * hidden}x{inputs}", f"w:{directions}x{4 * hidden}x{hidden}"]
    biases = [f"w:{directions}x{8 * hidden}"] if a["has_biases"] else []
    direction = "bidirectional" if directions == 2 else None
    place = r.node("LSTM", [place, *weights, *biases], hidden_size=hidden, direction=direction)
    place = r.node("Transpose", [place], perm=[2, 0, 1, 3] if a["batch_first"] else [0, 2, 1, 3])
    r.note(y[0], r.node("Reshape", [place, integers(y[0].shape)]))


# Element by element.


def _first(a: Arguments) -> Any:
    return a["self"] if "self" in a else a["input"]


def _simple(operator: str, *copied: str, **attributes: Any) -> Rule:
    """An operator of one input; `copied` are attributes that have the name of the argument."""
    return lambda r, a, y: r.emit(operator, [_first(a)], y, **{name: float(a[name]) for name in copied}, **attributes)


def _pairwise(operator: str, first: str = "self", second: str = "other") -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        other = a[second]
        alpha = a.get("alpha", 1)
        if alpha != 1:
            scaled = r.node("Mul", [r.reference(other), r.reference(alpha, y)])
            r.note(y, r.node(operator, [r.reference(a[first], y), scaled]))
        elif isinstance(other, torch.Tensor) and isinstance(a[first], torch.Tensor):
            r.emit(operator, [a[first], other], y)
        else:
            like = a[first] if isinstance(a[first], torch.Tensor) else other
            r.note(y, r.node(operator, [r.reference(a[first], like), r.reference(other, like)]))

    return rule


def _reversed(operator: str) -> Rule:
    return lambda r, a, y: r.note(y, r.node(operator, [r.reference(a["other"], a["self"]), r.reference(a["self"])]))


def _silu(r: Recorder, a: Arguments, y: Any) -> None:
    x = r.reference(_first(a))
    r.note(y, r.node("Mul", [x, r.node("Sigmoid", [x])]))


def _gelu(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("Gelu", [a["self"]], y, approximate="tanh" if a["approximate"] == "tanh" else None)


def _clip(low: str, high: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        x = _first(a)
        bounds = [r.reference(a[low], x), r.reference(a[high], x)]
        r.note(y, r.node("Clip", [r.reference(x), *(bounds if bounds[1] else bounds[:1])]))

    return rule


def _rsqrt(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("Reciprocal", [r.node("Sqrt", [r.reference(a["self"])])]))


def _square(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("Mul", [a["self"], a["self"]], y)


def _glu(r: Recorder, a: Arguments, y: Any) -> None:
    place = r.node("Split", [r.reference(a["self"])], 2, axis=a["dim"] % a["self"].dim(), num_outputs=2)
    r.note(y, r.node("Mul", [[place, 0], r.node("Sigmoid", [[place, 1]])]))


def _masked_fill(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("Where", [r.reference(a["mask"]), r.reference(a["value"], a["self"]), r.reference(a["self"])]))


def _where(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("Where", [r.reference(a["condition"]), r.reference(a["self"], y), r.reference(a["other"], y)]))


def _addcmul(r: Recorder, a: Arguments, y: Any) -> None:
    place = r.node("Mul", [r.reference(a["tensor1"]), r.reference(a["tensor2"])])
    if a["value"] != 1:
        place = r.node("Mul", [place, r.reference(a["value"], y)])
    r.note(y, r.node("Add", [r.reference(a["self"]), place]))


# Reductions.


def _axes(a: Arguments, x: Any, key: str = "dim") -> list[int]:
    dims = a.get(key)
    dims = [dims] if isinstance(dims, int) else list(dims or range(x.dim()))
    return sorted(d % x.dim() for d in dims)


def _reduction(operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        x = _first(a)
        axes, keeps = _axes(a, x), bool(a.get("keepdim"))
        if operator == "ReduceMean" and x.dim() == 4 and axes == [2, 3]:
            place = r.node("GlobalAveragePool", [r.reference(x)])
            r.note(y, place if keeps else r.node("Reshape", [place, integers(y.shape)]))
            return
        result = y[0] if isinstance(y, (tuple, list)) else y
        r.note(result, r.node(operator, [r.reference(x), integers(axes)], keepdims=None if keeps else 0))

    return rule


def _max(r: Recorder, a: Arguments, y: Any) -> None:
    (_pairwise("Max") if "other" in a else _reduction("ReduceMax"))(r, a, y)


def _variance(with_mean: bool, root: bool) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        x = _first(a)
        axes = integers(_axes(a, x))
        mean = r.node("ReduceMean", [r.reference(x), axes])
        apart = r.node("Sub", [r.reference(x), mean])
        keeps = bool(a.get("keepdim"))
        spread = r.node("ReduceMean", [r.node("Mul", [apart, apart]), axes], keepdims=None if keeps else 0)
        spread = r.node("Sqrt", [spread]) if root else spread
        if with_mean:
            r.note(y[0], spread)
            r.note(y[1], mean if keeps else r.node("Reshape", [mean, integers(y[1].shape)]))
        else:
            r.note(y, spread)

    return rule


def _norm(r: Recorder, a: Arguments, y: Any) -> None:
    x, order = _first(a), a.get("p", a.get("ord"))
    if order not in (1, 2, None):
        raise ValueError(f"a norm of order {order}")
    operator = "ReduceL1" if order == 1 else "ReduceL2"
    r.note(y, r.node(operator, [r.reference(x), integers(_axes(a, x))], keepdims=None if a.get("keepdim") else 0))


def _softmax(operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        axis = a["dim"] % a["self"].dim()
        r.emit(operator, [a["self"]], y, axis=axis if axis != a["self"].dim() - 1 else None)

    return rule


def _cumsum(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("CumSum", [r.reference(a["self"]), f"k:{a['dim'] % a['self'].dim()}"]))


def _arg(operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        r.emit(operator, [a["self"]], y, axis=a["dim"] % a["self"].dim(), keepdims=None if a["keepdim"] else 0)

    return rule


def _topk(r: Recorder, a: Arguments, y: Any) -> None:
    place = r.node("TopK", [r.reference(a["self"]), integers([a["k"]])], 2, axis=a["dim"] % a["self"].dim())
    r.note(y[0], [place, 0])
    r.note(y[1], [place, 1])


# Shapes and parts.


def _same(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.reference(_first(a)))


def _cast(r: Recorder, a: Arguments, y: Any) -> None:
    x = _first(a)
    if (x.dtype.is_floating_point and y.dtype.is_floating_point) or x.dtype == y.dtype:
        _same(r, a, y)
        return
    kinds = {torch.int64: 7, torch.int32: 7, torch.bool: 9}
    r.emit("Cast", [x], y, to=kinds.get(y.dtype, 1))


def _view(r: Recorder, a: Arguments, y: Any) -> None:
    x = _first(a)
    if list(x.shape) == list(y.shape):
        _same(r, a, y)
    else:
        r.note(y, r.node("Reshape", [r.reference(x), integers(y.shape)]))


def _views(r: Recorder, a: Arguments, y: Any) -> None:
    x, axis = a["self"], a["dim"] % a["self"].dim()
    count = len(y)
    place = r.node("Split", [r.reference(x)], count, axis=axis, num_outputs=count)
    for position, part in enumerate(y):
        one = [place, position] if count > 1 else place
        r.note(part, r.node("Reshape", [one, integers(part.shape)]))


def _permute(r: Recorder, a: Arguments, y: Any) -> None:
    _turn(r, a["self"], [d % a["self"].dim() for d in a["dims"]], y)


def _transpose(r: Recorder, a: Arguments, y: Any) -> None:
    x = a["self"]
    perm = list(range(x.dim()))
    first, second = a["dim0"] % len(perm), a["dim1"] % len(perm)
    perm[first], perm[second] = perm[second], perm[first]
    _turn(r, x, perm, y)


def _turned(r: Recorder, a: Arguments, y: Any) -> None:
    x = a["self"]
    perm = list(range(x.dim()))
    _turn(r, x, perm[:-2] + perm[-2:][::-1], y)


def _turn(r: Recorder, x: Any, perm: list[int], y: Any) -> None:
    if perm == sorted(perm):
        r.note(y, r.reference(x))
    else:
        r.emit("Transpose", [x], y, perm=perm)


def _concat(r: Recorder, a: Arguments, y: Any) -> None:
    axis = a.get("dim", 0)
    parts = [t for t in a["tensors"] if t.dim() == y.dim() and t.numel()]
    if len(parts) == 1:
        r.note(y, r.reference(parts[0]))
    else:
        r.emit("Concat", parts, y, axis=axis % y.dim())


def _stack(r: Recorder, a: Arguments, y: Any) -> None:
    axis = a["dim"] % y.dim()
    shape = [1 if i == axis else s for i, s in enumerate(y.shape)]
    places = [r.node("Reshape", [r.reference(t), integers(shape)]) for t in a["tensors"]]
    r.note(y, r.node("Concat", places, axis=axis) if len(places) > 1 else places[0])


def _split(r: Recorder, a: Arguments, y: Any) -> None:
    x, parts = _first(a), list(y)
    axis = (a["dim"] or 0) % x.dim()
    if len(parts) == 1:
        r.note(parts[0], r.reference(x))
        return
    sizes = [t.shape[axis] for t in parts]
    if len(set(sizes)) == 1:
        place = r.node("Split", [r.reference(x)], len(parts), axis=axis or None, num_outputs=len(parts))
    else:
        place = r.node("Split", [r.reference(x), integers(sizes)], len(parts), axis=axis or None)
    for position, part in enumerate(parts):
        r.note(part, [place, position])


def _cut(r: Recorder, x: Any, axis: int, start: int, end: int, step: int = 1) -> Any:
    more = [integers([step])] if step != 1 else []
    return r.node("Slice", [r.reference(x), integers([start]), integers([end]), integers([axis]), *more])


def _slice(r: Recorder, a: Arguments, y: Any) -> None:
    x, axis = a["self"], a["dim"] % a["self"].dim()
    if list(x.shape) == list(y.shape):
        _same(r, a, y)
        return
    size = x.shape[axis]
    start, end = ((v + size if v < 0 else v) for v in (a["start"] or 0, size if a["end"] is None else a["end"]))
    r.note(y, _cut(r, x, axis, start, min(end, size), a["step"]))


def _narrow(r: Recorder, a: Arguments, y: Any) -> None:
    x, axis = a["self"], a["dim"] % a["self"].dim()
    r.note(y, _cut(r, x, axis, a["start"], a["start"] + a["length"]))


def _select(r: Recorder, a: Arguments, y: Any) -> None:
    x, axis = a["self"], a["dim"] % a["self"].dim()
    r.note(y, r.node("Gather", [r.reference(x), f"k:{int(a['index']) % x.shape[axis]}"], axis=axis or None))


def _index_select(r: Recorder, a: Arguments, y: Any) -> None:
    axis = a["dim"] % a["self"].dim()
    r.note(y, r.node("Gather", [r.reference(a["self"]), r.reference(a["index"])], axis=axis or None))


def _index(r: Recorder, a: Arguments, y: Any) -> None:
    given = [(axis, index) for axis, index in enumerate(a["indices"]) if index is not None]
    if len(given) != 1 or given[0][1].dtype == torch.bool:
        raise ValueError("an index along several axes")
    axis, index = given[0]
    r.note(y, r.node("Gather", [r.reference(a["self"]), r.reference(index)], axis=axis or None))


def _gather(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("GatherElements", [a["self"], a["index"]], y, axis=a["dim"] % a["self"].dim())


def _embedding(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("Gather", [a["weight"], a["indices"]], y)


def _roll(r: Recorder, a: Arguments, y: Any) -> None:
    x, place = a["self"], r.reference(a["self"])
    for shift, dim in zip(a["shifts"], a["dims"], strict=True):
        axis = dim % x.dim()
        size = x.shape[axis]
        cut = (size - shift) % size
        if cut:
            bounds = ([cut], [size]), ([0], [cut])
            parts = [r.node("Slice", [place, integers(s), integers(e), integers([axis])]) for s, e in bounds]
            place = r.node("Concat", parts, axis=axis)
    r.note(y, place)


def _flip(r: Recorder, a: Arguments, y: Any) -> None:
    x, place = a["self"], r.reference(a["self"])
    for dim in a["dims"]:
        axis = dim % x.dim()
        place = r.node("Slice", [place, integers([-1]), integers([-_END]), integers([axis]), integers([-1])])
    r.note(y, place)


def _expand(r: Recorder, a: Arguments, y: Any) -> None:
    x = _first(a)
    if list(x.shape) == list(y.shape):
        _same(r, a, y)
    else:
        r.note(y, r.node("Expand", [r.reference(x), integers(y.shape)]))


def _repeat(r: Recorder, a: Arguments, y: Any) -> None:
    repeats = list(a["repeats"] if "repeats" in a else a["dims"])
    x = a["self"]
    place = r.reference(x)
    if len(repeats) > x.dim():
        place = r.node("Reshape", [place, integers([1] * (len(repeats) - x.dim()) + list(x.shape))])
    r.note(y, r.node("Tile", [place, integers(repeats)]) if set(repeats) != {1} else place)


def _pad(r: Recorder, a: Arguments, y: Any) -> None:
    pads, mode = list(a["pad"] if "pad" in a else a["padding"]), a.get("mode", "constant")
    x = _first(a)
    before, after = [0] * x.dim(), [0] * x.dim()
    for position in range(len(pads) // 2):
        before[-1 - position], after[-1 - position] = pads[2 * position], pads[2 * position + 1]
    if not any(pads):
        _same(r, a, y)
        return
    place = r.reference(x)
    for axis, (left, right) in enumerate(zip(before, after, strict=True)):
        if left < 0 or right < 0:
            start, end = max(-left, 0), x.shape[axis] + min(right, 0)
            place = r.node("Slice", [place, integers([start]), integers([end]), integers([axis])])
    added = [max(pad, 0) for pad in before + after]
    if any(added):
        value = a.get("value")
        more = [r.reference(value, x)] if value else []
        mode = {"constant": None, "reflect": "reflect", "replicate": "edge"}[mode]
        place = r.node("Pad", [place, integers(added), *more], mode=mode)
    r.note(y, place)


def _resize(mode: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        r.note(y, r.node("Resize", [r.reference(_first(a)), "", "", integers(y.shape)],
                         mode=mode if mode != "nearest" else None))  # fmt: skip

    return rule


def _grid_sample(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("GridSample", [a["input"], a["grid"]], y, mode=("linear", "nearest", "cubic")[a["interpolation_mode"]])


def _pixel_shuffle(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("DepthToSpace", [a["self"]], y, blocksize=a["upscale_factor"], mode="CRD")


def _windows(r: Recorder, a: Arguments, y: Any) -> None:
    """Windows along one dimension become a dimension of their own, at the end: a Gather, and a turn."""
    x, axis = a["self"], a["dimension"] % a["self"].dim()
    count = y.shape[axis]
    place = r.node("Gather", [r.reference(x), f"n:{count}x{a['size']}"], axis=axis or None)
    perm = [*range(axis + 1), *range(axis + 2, x.dim() + 1), axis + 1]
    r.note(y, place if perm == sorted(perm) else r.node("Transpose", [place], perm=perm))


def _columns(r: Recorder, a: Arguments, y: Any) -> None:
    """Patches of a map (im2col), as exporters write it: a Gather along rows, one along columns, a turn."""
    x = a["self"]
    kernel, padding, stride, dilation = (_pairs(a[k], 2) for k in ("kernel_size", "padding", "stride", "dilation"))
    height, width = x.shape[2:]
    rows, columns = (
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip((height, width), padding, dilation, kernel, stride, strict=True)
    )
    place = r.reference(x)
    if any(padding):
        place = r.node("Pad", [place, integers([0, 0, *padding, 0, 0, *padding])])
    place = r.node("Gather", [place, f"n:{kernel[0]}x{rows}"], axis=2)
    place = r.node("Gather", [place, f"n:{kernel[1]}x{columns}"], axis=4)
    place = r.node("Transpose", [place], perm=[0, 1, 2, 4, 3, 5])
    r.note(y, r.node("Reshape", [place, integers(y.shape)]))


OPERATORS: dict[str, Rule] = {
    "convolution": _convolution, **{f"conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _convolution for n in (1, 2)},
    **{f"max_pool{n}d": _pool("MaxPool", n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _pool("MaxPool", n) for n in (2, 3)},
    **{f"avg_pool{n}d": _pool("AveragePool", n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive_pool("GlobalAveragePool", "AveragePool") for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _adaptive_pool("GlobalAveragePool", "AveragePool") for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _adaptive_pool("GlobalMaxPool", "MaxPool") for n in (1, 2, 3)},
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "layer_norm": _layer_norm, "rms_norm": _rms_norm, "group_norm": _group_norm, "instance_norm": _instance_norm,
    "linear": _linear, "addmm": _addmm, "matmul": _product("self", "other"), "mm": _product("self", "mat2"),
    "lstm": _lstm, "bmm": _product("self", "mat2"), "baddbmm": _baddbmm, "scaled_dot_product_attention": _attention,
    "relu": _simple("Relu"), "relu6": lambda r, a, y: r.note(y, r.node("Clip", [r.reference(a["self"]), "s:0", "s:6"])),
    "hardtanh": _clip("min_val", "max_val"), "clamp": _clip("min", "max"), "sigmoid": _simple("Sigmoid"),
    "clamp_min": lambda r, a, y: r.note(y, r.node("Clip", [r.reference(a["self"]), r.reference(a["min"], a["self"])])),
    "hardswish": _simple("HardSwish"), "hardsigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "silu": _silu, "gelu": _gelu, "mish": _simple("Mish"), "tanh": _simple("Tanh"), "softplus": _simple("Softplus"),
    "leaky_relu": lambda r, a, y: r.emit("LeakyRelu", [a["self"]], y, alpha=float(a["negative_slope"])),
    "elu": _simple("Elu", "alpha"), "selu": _simple("Selu"), "erf": _simple("Erf"), "exp": _simple("Exp"),
    "log": _simple("Log"), "sqrt": _simple("Sqrt"), "rsqrt": _rsqrt, "reciprocal": _simple("Reciprocal"),
    "sin": _simple("Sin"), "cos": _simple("Cos"), "abs": _simple("Abs"), "neg": _simple("Neg"),
    "square": _square, "glu": _glu, "floor": _simple("Floor"), "logical_not": _simple("Not"),
    **dict.fromkeys(("prelu", "_prelu_kernel"), lambda r, a, y: r.note(y, r.node(
        "PRelu", [r.reference(_first(a)), f"w:{a['weight'].numel()}x" + "x".join(["1"] * (_first(a).dim() - 2))]))),
    "add": _pairwise("Add"), "sub": _pairwise("Sub"), "mul": _pairwise("Mul"), "div": _pairwise("Div"),
    "pow": _pairwise("Pow", "self", "exponent"), "maximum": _pairwise("Max"), "minimum": _pairwise("Min"),
    "rsub": _reversed("Sub"), "addcmul": _addcmul, "masked_fill": _masked_fill, "where": _where,
    "eq": _pairwise("Equal"), "gt": _pairwise("Greater"), "lt": _pairwise("Less"), "ge": _pairwise("GreaterOrEqual"),
    "le": _pairwise("LessOrEqual"),
    "mean": _reduction("ReduceMean"), "sum": _reduction("ReduceSum"), "amax": _reduction("ReduceMax"),
    "amin": _reduction("ReduceMin"), "max": _max, "logsumexp": _reduction("ReduceLogSumExp"),
    "var_mean": _variance(True, False), "std_mean": _variance(True, True), "var": _variance(False, False),
    "std": _variance(False, True), "norm": _norm, "linalg_vector_norm": _norm, "cumsum": _cumsum,
    "argmax": _arg("ArgMax"), "topk": _topk,
    **dict.fromkeys(("softmax", "_softmax"), _softmax("Softmax")),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _softmax("LogSoftmax")),
    **dict.fromkeys(("clone", "contiguous", "detach", "alias", "dropout", "feature_dropout", "lift_fresh",
                     "alpha_dropout"), _same),
    **dict.fromkeys(("to", "_to_copy", "type_as", "float"), _cast),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "_reshape_alias", "flatten",
                     "unflatten"), _view),
    "unbind": _views, "permute": _permute, "transpose": _transpose, "t": _turned, "numpy_T": _turned,
    "cat": _concat, "concat": _concat, "stack": _stack,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), _split),
    "slice": _slice, "narrow": _narrow, "select": _select, "index_select": _index_select, "index": _index,
    "gather": _gather, "embedding": _embedding, "roll": _roll, "flip": _flip,
    **dict.fromkeys(("expand", "expand_as"), _expand), **dict.fromkeys(("repeat", "tile"), _repeat),
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **{f"upsample_nearest{n}d": _resize("nearest") for n in (1, 2, 3)},
    "_upsample_nearest_exact2d": _resize("nearest"),
    **dict.fromkeys(("upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_trilinear3d"), _resize("linear")),
    **dict.fromkeys(("upsample_bicubic2d", "_upsample_bicubic2d_aa"), _resize("cubic")),
    "grid_sampler": _grid_sample, "grid_sampler_2d": _grid_sample, "pixel_shuffle": _pixel_shuffle,
    "unfold": _windows, "im2col": _columns,
    # Of the input only its size counts: the result is a constant.
    **dict.fromkeys(("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full",
                     "new_empty"), lambda r, a, y: None),
}  # fmt: skip
