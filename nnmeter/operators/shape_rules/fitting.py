"""What an operator demands of its inputs beyond what its output's shape needs: a runtime refuses a node without it.

`CHECKS` has, by operator of ai.onnx, small functions of a node, the types of its inputs and the context; each raises
`ShapeError` where the node cannot run. Nothing is said where a value is not known.

Rules (each seen: ONNX Runtime 1.32 refuses the model or fails when it runs it):

1. Inputs that share a type parameter have one element type (`Add` of float32 and int64).
2. Windows, strides and dilations are 1 or more, pads 0 or more; the pads of a pooling are smaller than its window; the
   window of a convolution is that of its weights, and there is a bias for each output channel.
3. An axis lies in the tensor, and `Unsqueeze` and `Slice` name none twice (`Squeeze` and the reductions may).
4. Sizes fit: statistics of normalizations the channels, weights of recurrent layers their gates and states, operands of
   `Einsum` each other, the addend of `Gemm` its product, blocks of `DepthToSpace` the channels.
5. Known indices lie in the tensor (`Gather`); `TopK` takes no more than there is; without sizes, `Split` is even before
   operator set 18, and says how many parts it makes from then on; with them it has an output for each.
6. From operator set 14 on, `BatchNormalization` returns statistics if it is trained, and only then.
"""

from __future__ import annotations

from collections.abc import Callable

from nnmeter.graph.ir import Node
from nnmeter.operators.shape_rules.common import Context, Inputs, ShapeError, axis_of, broadcast, optional, show

Check = Callable[[Node, Inputs, Context], None]
_UNEVEN_SPLIT, _TRAINING_MODE, _NEGATIVE_AXIS = 18, 14, 11  # operator sets


def check_fit(node: Node, inputs: Inputs, context: Context) -> None:
    """Refuse a node of ai.onnx whose inputs do not fit each other (rules 1 to 6).

    Raises:
        ShapeError: they do not.
    """
    check = CHECKS.get(node.op_type)
    if check is not None:
        check(node, inputs, context)


def _positive(node: Node) -> None:
    """Rule 2 of attributes."""
    for name, least in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("pads", 0)):
        values = node.attributes.get(name)
        if values and min(values) < least:
            raise ShapeError(f"attribute {name} is {list(values)}, none of it may be below {least}")


def _convolution(weight: int, bias: int, transposed: bool = False) -> Check:
    def check(node: Node, inputs: Inputs, context: Context) -> None:
        _positive(node)
        w, b = optional(inputs, weight), optional(inputs, bias)
        if w is None:
            return
        kernel = node.attributes.get("kernel_shape")
        if 0 in w.shape[2:]:
            raise ShapeError(f"its weights {show(w.shape)} are a window of nothing")
        if kernel and tuple(kernel) != w.shape[2:]:
            raise ShapeError(f"kernel_shape is {show(tuple(kernel))}, its weights are {show(w.shape)}")
        x = optional(inputs, 0)
        if transposed and x is not None:
            _transposed(node, x.shape, w.shape)
        channels = w.shape[1] * node.attributes.get("group", 1) if transposed and len(w.shape) > 1 else w.shape[:1]
        wanted = channels if isinstance(channels, int) else (channels or (0,))[0]
        if b is not None and b.shape != (wanted,):
            raise ShapeError(f"its bias is {show(b.shape)}, it writes {wanted} channels")

    return check


def _transposed(node: Node, x: tuple[int, ...], w: tuple[int, ...]) -> None:
    groups = node.attributes.get("group", 1)
    if len(x) < 3 or len(w) != len(x) or x[1] != w[0] or groups < 1 or w[0] % groups:
        raise ShapeError(f"weights {show(w)} in {groups} groups do not fit the input {show(x)}")
    rank = len(x) - 2
    for name, count in (("strides", 1), ("dilations", 1), ("output_padding", 1), ("pads", 2)):
        values = node.attributes.get(name)
        if values and len(values) != count * rank:
            raise ShapeError(f"{name} {list(values)} do not fit {rank} spatial dimensions")
    declared = node.attributes.get("output_shape")
    if declared and len(declared) not in (rank, rank + 2):
        raise ShapeError(f"output_shape {list(declared)} does not fit {rank} spatial dimensions")


def _pool(node: Node, inputs: Inputs, context: Context) -> None:
    _positive(node)
    kernel, pads = node.attributes.get("kernel_shape") or (), node.attributes.get("pads") or ()
    if node.attributes.get("auto_pad", "NOTSET") in ("NOTSET", "") and len(pads) == 2 * len(kernel):
        for size, before, behind in zip(kernel, pads, pads[len(kernel) :], strict=False):
            if max(before, behind) >= size:
                raise ShapeError(f"pads {list(pads)} are not smaller than the window {show(tuple(kernel))}")


def _axis(default: int, extra: int = 0) -> Check:
    """Rule 3 of the attribute `axis`; `extra` for one that may also lie behind the last."""

    def check(node: Node, inputs: Inputs, context: Context) -> None:
        x = optional(inputs, 0)
        axis = node.attributes.get("axis", default)
        if x is not None and not -len(x.shape) <= axis < len(x.shape) + extra:
            raise ShapeError(f"axis {axis} is outside of a tensor of rank {len(x.shape)}")

    return check


def _flatten(node: Node, inputs: Inputs, context: Context) -> None:
    _axis(1, extra=1)(node, inputs, context)
    if node.attributes.get("axis", 1) < 0 and context.opsets.get("", 0) < _NEGATIVE_AXIS:
        raise ShapeError(f"axis {node.attributes['axis']} is below 0, which it may be from operator set 11 on")


def _distinct(position: int, widened: bool) -> Check:
    """Rule 3 of a list of axes; `widened` counts them in the output."""

    def check(node: Node, inputs: Inputs, context: Context) -> None:
        x, value = optional(inputs, 0), context.value(node, position)
        axes = node.attributes.get("axes") or (value.ravel().tolist() if value is not None else ())
        if x is None or not axes:
            return
        rank = len(x.shape) + (len(axes) if widened else 0)
        chosen = [axis_of(int(axis), rank) for axis in axes]
        if len(set(chosen)) != len(chosen):
            raise ShapeError(f"axes {list(axes)} name one twice")

    return check


def _per_channel(axis: int, names: str) -> Check:
    """Rule 4 of normalizations: one element for each channel in all inputs but the first."""

    def check(node: Node, inputs: Inputs, context: Context) -> None:
        x = optional(inputs, 0)
        if x is None:
            return
        channels = x.shape[axis] if len(x.shape) > axis else 1
        for kind in inputs[1:]:
            if kind is not None and kind.elements != channels:
                raise ShapeError(f"its {names} have {kind.elements} elements, its input {channels} channels")

    return check


def _batch_normalization(node: Node, inputs: Inputs, context: Context) -> None:
    _per_channel(1, "scale, bias, mean or variance")(node, inputs, context)
    if context.opsets.get("", 0) < _TRAINING_MODE:
        return
    trained, count = node.attributes.get("training_mode", 0), sum(map(bool, node.outputs))
    if (len(node.outputs) < 3) if trained else (count > 1):
        raise ShapeError(f"it has {count} outputs, with training_mode {trained} it returns {3 if trained else 1}")


def _layer_normalization(node: Node, inputs: Inputs, context: Context) -> None:
    _axis(-1)(node, inputs, context)
    x = optional(inputs, 0)
    for kind in inputs[1:3]:
        if x is not None and kind is not None and broadcast(x.shape, kind.shape) != x.shape:
            raise ShapeError(f"its scale or bias {show(kind.shape)} does not fit the input {show(x.shape)}")


def _group_normalization(node: Node, inputs: Inputs, context: Context) -> None:
    x, groups = optional(inputs, 0), node.attributes.get("num_groups", 1)
    if x is not None and (len(x.shape) < 2 or groups < 1 or x.shape[1] % groups):
        raise ShapeError(f"{groups} groups do not fit the input {show(x.shape)}")


def _gemm(node: Node, inputs: Inputs, context: Context) -> None:
    a, b, c = (optional(inputs, position) for position in range(3))
    if a is None or b is None or c is None or len(a.shape) != 2 or len(b.shape) != 2 or "broadcast" in node.attributes:
        return
    rows = a.shape[1 if node.attributes.get("transA", 0) else 0]
    columns = b.shape[0 if node.attributes.get("transB", 0) else 1]
    if len(c.shape) > 2 or broadcast((rows, columns), c.shape) != (rows, columns):
        raise ShapeError(f"its addend {show(c.shape)} does not fit the product {show((rows, columns))}")


def _einsum(node: Node, inputs: Inputs, context: Context) -> None:
    sizes: dict[str, int] = {}
    terms = node.attributes.get("equation", "").replace(" ", "").partition("->")[0].split(",")
    for term, kind in zip(terms, inputs, strict=False):
        head, dots, tail = term.partition("...")
        if kind is None or len(head) + len(tail) > len(kind.shape):
            continue  # the rule of the shape says so
        behind = kind.shape[len(kind.shape) - len(tail) :] if dots else ()
        for label, size in (*zip(head, kind.shape, strict=False), *zip(tail, behind, strict=False)):
            known = sizes.setdefault(label, size)
            if known != size and 1 not in (known, size):
                raise ShapeError(f"'{label}' of its equation is {known} in one input and {size} in another")
            sizes[label] = max(known, size)


_GATES: dict[str, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}


_OF_BATCH = frozenset({"initial state", "initial cell"})


def _recurrent(node: Node, inputs: Inputs, context: Context) -> None:
    x, w, r, b = (optional(inputs, position) for position in range(4))
    if x is None or w is None or r is None:
        return
    if len(x.shape) != 3 or len(r.shape) != 3:
        raise ShapeError(f"input {show(x.shape)} and recurrent weights {show(r.shape)} are not both of rank 3")
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    hidden = node.attributes.get("hidden_size") or r.shape[2]
    rows = _GATES[node.op_type] * hidden
    by_batch = node.attributes.get("layout", 0)
    state = (x.shape[0], directions, hidden) if by_batch else (directions, x.shape[1], hidden)
    for what, kind, wanted in (
        ("weights", w, (directions, rows, x.shape[2])),
        ("recurrent weights", r, (directions, rows, hidden)),
        ("bias", b, (directions, 2 * rows)),
        ("initial state", optional(inputs, 5), state),
        ("initial cell", optional(inputs, 6), state),
        ("peepholes", optional(inputs, 7), (directions, 3 * hidden)),
    ):
        if what in _OF_BATCH and any(name in context.bounded for name in node.inputs):
            continue
        if kind is not None and kind.shape != wanted:
            raise ShapeError(f"its {what} are {show(kind.shape)}, {hidden} hidden units need {show(wanted)}")


def _gather(node: Node, inputs: Inputs, context: Context) -> None:
    _axis(0)(node, inputs, context)
    x, indices = optional(inputs, 0), context.value(node, 1)
    if x is None or indices is None or not indices.size:
        return
    size = x.shape[node.attributes.get("axis", 0)]
    if int(indices.min()) < -size or int(indices.max()) >= size:
        raise ShapeError(f"an index of {int(indices.min())} to {int(indices.max())} is outside of an axis of {size}")


def _top_k(node: Node, inputs: Inputs, context: Context) -> None:
    _axis(-1)(node, inputs, context)
    x, value = optional(inputs, 0), context.value(node, 1)
    count = node.attributes.get("k")
    if count is None and value is not None and value.size:
        count = int(value.ravel()[0])
    if x is None or count is None or (len(node.inputs) > 1 and node.inputs[1] in context.bounded):
        return
    size = x.shape[node.attributes.get("axis", -1)]
    if not 0 <= count <= size and node.inputs[0] not in context.bounded:
        raise ShapeError(f"it selects {count} of {size}")


def _split(node: Node, inputs: Inputs, context: Context) -> None:
    _axis(0)(node, inputs, context)
    x, value = optional(inputs, 0), context.value(node, 1)
    sizes = node.attributes.get("split") or (value.ravel().tolist() if value is not None else None)
    if x is None:
        return
    count = len(node.outputs)
    stated = node.attributes.get("num_outputs", count)
    if stated != count and context.opsets.get("", 0) >= _UNEVEN_SPLIT:
        raise ShapeError(f"num_outputs is {stated}, it has {count} outputs")
    if sizes is not None:
        if len(sizes) != count or min(sizes, default=0) < 0:
            raise ShapeError(f"parts {list(sizes)} do not fit {count} outputs")
    elif len(node.inputs) < 2 and context.opsets.get("", 0) >= _UNEVEN_SPLIT and "num_outputs" not in node.attributes:
        raise ShapeError(f"from operator set {_UNEVEN_SPLIT} on it needs its parts or num_outputs")
    elif len(node.inputs) < 2 and context.opsets.get("", 0) < _UNEVEN_SPLIT:
        size = x.shape[node.attributes.get("axis", 0)]
        if size % count:
            raise ShapeError(f"an axis of {size} is not split evenly into {count}")


def _depth_to_space(node: Node, inputs: Inputs, context: Context) -> None:
    x, block = optional(inputs, 0), node.attributes.get("blocksize", 0)
    if x is not None and (len(x.shape) != 4 or block < 1 or x.shape[1] % (block * block)):
        raise ShapeError(f"blocks of {block} do not fit the input {show(x.shape)}")


def _space_to_depth(node: Node, inputs: Inputs, context: Context) -> None:
    x, block = optional(inputs, 0), node.attributes.get("blocksize", 0)
    if x is not None and (len(x.shape) != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block):
        raise ShapeError(f"blocks of {block} do not fit the input {show(x.shape)}")


def _non_max_suppression(node: Node, inputs: Inputs, context: Context) -> None:
    boxes, scores = optional(inputs, 0), optional(inputs, 1)
    if boxes is None or scores is None:
        return
    b, s = boxes.shape, scores.shape
    if len(b) != 3 or len(s) != 3 or b[2] != 4 or b[0] != s[0] or b[1] != s[2]:
        raise ShapeError(f"boxes {show(b)} and scores {show(s)} do not fit each other")


CHECKS: dict[str, Check] = {
    "Conv": _convolution(1, 2), "ConvTranspose": _convolution(1, 2, transposed=True),
    "ConvInteger": _convolution(1, 4), "QLinearConv": _convolution(3, 8),
    "LayerNormalization": _layer_normalization, "GroupNormalization": _group_normalization,
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _per_channel(1, "scale or bias"),
    "Gemm": _gemm, "Einsum": _einsum, "Gather": _gather, "TopK": _top_k, "Split": _split,
    "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth, "NonMaxSuppression": _non_max_suppression,
    "Unsqueeze": _distinct(1, widened=True), "Slice": _distinct(3, widened=False),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization"), _axis(-1)),
    **dict.fromkeys(("ArgMax", "ArgMin", "Concat", "GatherElements", "ScatterElements", "Scatter"), _axis(0)),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    "Flatten": _flatten,
}  # fmt: skip
