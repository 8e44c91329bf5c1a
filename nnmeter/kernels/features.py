"""What a trained function sees of a kernel: the features of each kernel family.

Rules:

1. Every feature is a finite number made from the signature alone; an absent quantity is -1.
2. Sizes enter as log2(1 + size), because latency is a power law of sizes nearly everywhere.
3. Every family has the common features first (FLOPs, bytes, elements, type), then its own.
4. What matters to a vector unit enters as it is: widths and remainders by the register blocking of 4 x 16.
5. The order is the schema. `FEATURE_NAMES` is stored with a predictor and compared when it is loaded.

To add a family: write a function from signature to a list of numbers, and enter it with its names in `_OWN`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import log2
from typing import NamedTuple

from nnmeter.graph.cost import Cost, operator_cost
from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.kernels.families import FAMILIES, kernel_family
from nnmeter.kernels.kernel import KernelSignature

# Code of what is fused behind the anchor; ordered roughly by what it costs, 0 is nothing, -1 is not in the table.
_FUSED_CODES: dict[str, int] = {
    "": 0, "Relu": 1, "LeakyRelu": 2, "Clip": 3, "HardSigmoid": 4, "HardSwish": 5, "Sigmoid": 6, "Tanh": 7, "Gelu": 8,
}  # fmt: skip

COMMON_NAMES = (
    "anchor", "log_flops", "log_in_bytes", "log_constant_bytes", "log_out_bytes", "log_out_elements", "log_intensity",
    "item_bits", "inputs", "outputs", "rank", "log_batch", "fused", "adds",
)  # fmt: skip


class KernelFeatures(NamedTuple):
    """Family, anchor (vocabulary key: family, operator and element type) and features of one kernel, with its cost."""

    family: str
    anchor: str
    values: tuple[float, ...]  # in the order of FEATURE_NAMES[family]; the first, "anchor", is filled by the predictor
    cost: Cost


def signature_cost(signature: KernelSignature) -> Cost:
    """FLOPs and bytes of a kernel: its anchor's, and one FLOP an output element for each operator fused to it."""
    cost = operator_cost(
        signature.op_type, signature.domain, dict(signature.attributes), signature.inputs, signature.outputs
    )
    fused = signature.type.count("+")
    if not fused or not signature.outputs:
        return cost
    return Cost(cost.flops + fused * signature.outputs[0].elements, cost.bytes_read, cost.bytes_written)


@lru_cache(maxsize=65536)
def kernel_features(signature: KernelSignature) -> KernelFeatures:
    """The features of a kernel, `FEATURE_NAMES[family]` naming them one by one."""
    family = kernel_family(signature)
    cost = signature_cost(signature)
    own = _OWN.get(family)
    values = _common(signature, cost)
    if own is not None:
        values += own[1](signature)
    anchor = signature.type.partition("+")[0]
    dtype = next((t.dtype for t in signature.inputs if t is not None), "none")
    return KernelFeatures(family, f"{family}:{anchor}|{dtype}", tuple(values), cost)


def _log(size: float) -> float:
    return log2(1.0 + size)


def _common(signature: KernelSignature, cost: Cost) -> list[float]:
    constant = 0
    activation = 0
    present = 0
    for tensor, is_constant in zip(signature.inputs, signature.constants, strict=True):
        if tensor is None:
            continue
        present += 1
        if is_constant:
            constant += tensor.bytes
        else:
            activation += tensor.bytes
    outputs = signature.outputs
    out_bytes = sum(t.bytes for t in outputs)
    elements = sum(t.elements for t in outputs)
    first = next((t for t in signature.inputs if t is not None), outputs[0] if outputs else TensorType("float32", ()))
    parts = signature.type.split("+")[1:]
    fused = parts[-1] if parts and parts[-1] != "Add" else ""
    shape = outputs[0].shape if outputs else ()
    return [
        -1.0,
        _log(cost.flops),
        _log(activation),
        _log(constant),
        _log(out_bytes),
        _log(elements),
        log2((1.0 + cost.flops) / (1.0 + cost.bytes_read + cost.bytes_written)),
        float(DTYPE_BITS[first.dtype]),
        float(present),
        float(len(outputs)),
        float(len(shape)),
        _log(shape[0] if shape else 1),
        float(_FUSED_CODES.get(fused, -1)),
        float("Add" in parts),
    ]


def _at(values: Sequence[int] | None, index: int, default: int) -> int:
    return values[index] if values is not None and len(values) > index else default


def _shape(signature: KernelSignature, position: int) -> tuple[int, ...]:
    if position < len(signature.inputs):
        tensor = signature.inputs[position]
        if tensor is not None:
            return tensor.shape
    return ()


def _channels_first(signature: KernelSignature) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of data and result as N, C, spatial axes, whichever order the kernel has them in."""
    x, y = _shape(signature, 0), signature.outputs[0].shape
    if signature.attribute("channels_last", 0) or signature.op_type.startswith("Nhwc"):
        x, y = (x[0], x[-1], *x[1:-1]), (y[0], y[-1], *y[1:-1])
    return x, y


def _product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


_CONVOLUTION_NAMES = (
    "log_in_channels", "log_out_channels", "log_channels_per_group", "log_groups", "log_out_height", "log_out_width",
    "log_in_spatial", "log_out_spatial", "out_width", "kernel_height", "kernel_width", "kernel_area", "stride",
    "dilation", "padded", "blocks_mod_4", "out_channels_mod_16", "in_channels_mod_16", "out_width_mod_6",
    "log_column_bytes", "log_taps",
)  # fmt: skip


def _convolution(s: KernelSignature) -> list[float]:
    x, y = _channels_first(s)
    w = _shape(s, 3 if s.op_type == "QLinearConv" else 1)
    groups = s.attribute("group", 1)
    spatial = y[2:] or (1,)
    height, width = (spatial[-2], spatial[-1]) if len(spatial) > 1 else (1, spatial[-1])
    window = s.attribute("kernel_shape") or w[2:] or (1,)
    strides = s.attribute("strides")
    dilations = s.attribute("dilations")
    pads = s.attribute("pads")
    in_channels = _at(x, 1, 1)
    out_channels = _at(y, 1, 1)
    area = _product(window)
    return [
        _log(in_channels),
        _log(out_channels),
        _log(in_channels // max(groups, 1)),
        _log(groups),
        _log(height),
        _log(width),
        _log(_product(x[2:])),
        _log(_product(spatial)),
        float(min(width, 256)),
        float(window[-2] if len(window) > 1 else 1),
        float(window[-1]),
        float(area),
        float(_at(strides, -1 % len(strides) if strides else 0, 1)),
        float(_at(dilations, 0, 1)),
        float(any(pads) if pads else 0),
        float((out_channels + 15) // 16 % 4),
        float(out_channels % 16),
        float(in_channels % 16),
        float(width % 6),
        _log(area * (in_channels // max(groups, 1)) * _product(spatial) * 4),
        _log(_taps_inside(x[2:], spatial, window, strides, dilations, pads)),
    ]


def _taps_inside(
    sizes: Sequence[int],
    outputs: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
) -> float:
    """Mean number of taps of an output that lie on data; runtimes skip those that lie on padding.

    With a dilation near the size of the map, as in atrous pyramids, that is far less than the window has.
    """
    result = 1.0
    for axis, (size, count, taps) in enumerate(zip(sizes, outputs, window, strict=False)):
        stride, dilation, pad = _at(strides, axis, 1), _at(dilations, axis, 1), _at(pads, axis, 0)
        inside = 0
        for tap in range(taps):
            offset = tap * dilation - pad
            first = max(0, -(offset // stride)) if offset < 0 else 0
            last = min(count - 1, (size - 1 - offset) // stride)
            inside += max(0, last - first + 1)
        result *= inside / max(count, 1)
    return result


_MATMUL_NAMES = (
    "log_batch_of_matrices", "log_m", "log_n", "log_k", "m", "n_mod_16", "k_mod_16", "m_mod_12", "transposed_a",
    "transposed_b", "constant_b", "log_b_bytes", "log_a_bytes", "batched_b", "transposed_batch",
)  # fmt: skip


def _matmul(s: KernelSignature) -> list[float]:
    second = {"QLinearMatMul": 3, "QGemm": 3}.get(s.op_type, 1)
    a, b, y = _shape(s, 0), _shape(s, second), s.outputs[0].shape
    transposed_a = s.attribute("transA", 0)
    transposed_b = s.attribute("transB", 0)
    batch_transposed = s.attribute("transBatchA", 0) + s.attribute("transBatchB", 0)
    n = y[-1] if y else 1
    k = (a[-2] if transposed_a and len(a) > 1 else a[-1]) if a else 1
    m = y[-2] if len(y) > 1 else 1
    batch = _product(y[:-2])
    batched_b = len(b) > 2 and _product(b[:-2]) > 1
    if not batched_b and not transposed_a:  # one product of all the rows, which is how runtimes execute it
        m, batch = m * batch, 1
    return [
        _log(batch),
        _log(m),
        _log(n),
        _log(k),
        float(min(m, 512)),
        float(n % 16),
        float(k % 16),
        float(m % 12),
        float(transposed_a),
        float(transposed_b),
        float(len(s.constants) > second and s.constants[second]),
        _log(_product(b) * 4),
        _log(_product(a) * 4),
        float(batched_b),
        float(batch_transposed),
    ]


_POOLING_NAMES = (
    "log_channels", "log_in_spatial", "log_out_spatial", "out_width", "kernel_area", "stride", "padded",
    "count_include_pad",
)  # fmt: skip


def _pooling(s: KernelSignature) -> list[float]:
    x, y = _channels_first(s)
    window = s.attribute("kernel_shape")
    strides = s.attribute("strides")
    pads = s.attribute("pads")
    return [
        _log(_at(x, 1, 1)),
        _log(_product(x[2:])),
        _log(_product(y[2:])),
        float(min(y[-1] if y else 1, 256)),
        float(_product(window) if window else _product(x[2:])),
        float(_at(strides, 0, 1)),
        float(any(pads) if pads else 0),
        float(s.attribute("count_include_pad", 0)),
    ]


_ROW_NAMES = ("log_rows", "log_columns", "log_inner", "columns_mod_16")


def _rows(s: KernelSignature, default_axis: int) -> list[float]:
    x = _shape(s, 0)
    axis = s.attribute("axis", default_axis)
    axis = axis + len(x) if axis < 0 else axis
    columns = _at(x, axis, 1) if s.op_type in ("Softmax", "LogSoftmax", "Hardmax") else _product(x[axis:])
    inner = _product(x[axis + 1 :]) if s.op_type in ("Softmax", "LogSoftmax", "Hardmax") else 1
    return [_log(_product(x[:axis])), _log(columns), _log(inner), float(columns % 16)]


_ELEMENTWISE_NAMES = (
    "log_span", "log_spans", "scalar_operand", "constant_operands", "broadcast", "second_item_bits", "out_item_bits",
    "log_last",
)  # fmt: skip


def _elementwise(s: KernelSignature) -> list[float]:
    y = s.outputs[0].shape
    # The span: trailing elements over which no input is broadcast in another way than throughout, which is the loop
    # that a runtime vectorises; a product of [1, C, H, W] and [1, C, 1, 1] has spans of H*W and one scalar operand.
    span = 1
    broadcast = 0
    scalar = 0
    shapes = [t.shape for t in s.inputs if t is not None]
    for shape in shapes:
        if _product(shape) == 1 and _product(y) > 1:
            scalar += 1
        elif _product(shape) != _product(y):
            broadcast += 1
    full = [s for s in shapes if _product(s) != 1]
    kinds: tuple[bool, ...] | None = None
    for position in range(1, len(y) + 1):
        size = y[-position]
        if size == 1:
            continue
        kind = tuple(len(shape) >= position and shape[-position] == size for shape in full)
        if kinds is None:
            kinds = kind
        elif kind != kinds:
            break
        span *= size
    total = _product(y)
    types = [t for t in s.inputs if t is not None]
    return [
        _log(span),
        _log(total // max(span, 1)),
        float(scalar),
        float(sum(s.constants)),
        float(broadcast),
        float(DTYPE_BITS[types[1].dtype] if len(types) > 1 else -1),
        float(DTYPE_BITS[s.outputs[0].dtype]),
        _log(y[-1] if y else 1),
    ]


_REDUCTION_NAMES = ("log_outer", "log_reduced", "log_inner", "contiguous", "log_in_elements")


def _reduction(s: KernelSignature) -> list[float]:
    x, y = _shape(s, 0), s.outputs[0].shape
    axes = s.attribute("axes")
    if axes is None:
        axis = s.attribute("axis")
        axes = (axis,) if axis is not None else _reduced_axes(x, y)
    marks = {a + len(x) if a < 0 else a for a in axes} or set(range(len(x)))
    first, last = min(marks, default=0), max(marks, default=0)
    return [
        _log(_product(x[:first])),
        _log(_product([x[a] for a in marks if a < len(x)])),
        _log(_product(x[last + 1 :])),
        float(len(marks) == last - first + 1),
        _log(_product(x)),
    ]


def _reduced_axes(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    if len(x) == len(y):
        return tuple(i for i, (a, b) in enumerate(zip(x, y, strict=True)) if a != b)
    kept = 0
    axes = []
    for i, size in enumerate(x):  # greedy alignment: a dimension that the result lacks was reduced
        if kept < len(y) and size == y[kept] and len(x) - i > 0:
            kept += 1
        else:
            axes.append(i)
    return tuple(axes)


_TRANSPOSE_NAMES = (
    "log_block", "merged_rank", "log_rows", "log_columns", "swaps_last", "log_last_in", "log_last_out", "channels_last",
    "moves_one_axis",
)  # fmt: skip


def _transpose(s: KernelSignature) -> list[float]:
    x, y = _shape(s, 0), s.outputs[0].shape
    perm = s.attribute("perm") or tuple(range(len(x)))[::-1]
    if s.op_type != "Transpose" or len(perm) != len(x):
        spatial = _product(x[2:]) if len(x) > 2 else _product(x)
        channels_last = s.attribute("channels_last", 0)
        return [-1.0, -1.0, _log(_at(x, 1, 1)), _log(spatial), -1.0, _log(x[-1] if x else 1),
                _log(y[-1] if y else 1), float(channels_last), -1.0]  # fmt: skip
    kept = [p for p in perm if x[p] != 1]
    runs: list[list[int]] = []  # axes that stay neighbours move as one
    alive = [a for a in range(len(x)) if x[a] != 1]
    for p in kept:
        if runs and alive.index(p) == alive.index(runs[-1][-1]) + 1:
            runs[-1].append(p)
        else:
            runs.append([p])
    sizes = [_product([x[p] for p in run]) for run in runs]
    block = sizes[-1] if runs and runs[-1][-1] == alive[-1] else 1
    moved_last = not runs or runs[-1][-1] != alive[-1]
    source_last = next((sizes[i] for i, run in enumerate(runs) if run[-1] == alive[-1]), 1)
    return [
        _log(block * DTYPE_BITS[s.outputs[0].dtype] // 8),
        float(len(runs)),
        _log(sizes[0] if sizes else 1),
        _log(sizes[-1] if sizes else 1),
        float(moved_last and bool(runs)),
        _log(source_last),
        _log(y[-1] if y else 1),
        -1.0,
        float(_moves_one_axis(perm)),
    ]


def _moves_one_axis(perm: Sequence[int]) -> bool:
    """Whether all axes but one stay in order: runtimes copy such a transpose in blocks, others by element."""
    for moved in perm:
        rest = [p for p in perm if p != moved]
        if rest == sorted(rest):
            return True
    return False


_MOVEMENT_NAMES = ("log_chunk_bytes", "log_chunks", "axis_from_end", "log_first_chunk", "log_last", "log_table_bytes")


def _movement(s: KernelSignature) -> list[float]:
    x, y = _shape(s, 0), s.outputs[0].shape if s.outputs else ()
    axis = s.attribute("axis", 0)
    base = x if s.op_type in ("Gather", "Split", "SplitToSequence") else y
    rank = max(len(base), 1)
    axis = axis + rank if axis < 0 else axis
    item = DTYPE_BITS[s.outputs[0].dtype] // 8 or 1
    # contiguous bytes that are copied at once
    chunk = _product(base[axis + 1 :]) if s.op_type == "Gather" else _product(y[axis:])
    if s.op_type in ("Slice", "Pad", "Tile", "Expand"):
        chunk = 1
        for position in range(1, min(len(x), len(y)) + 1):
            chunk *= min(x[-position], y[-position])
            if x[-position] != y[-position]:
                break
    total = sum(t.elements for t in s.outputs)
    return [
        _log(chunk * item),
        _log(total // max(chunk, 1)),
        float(rank - axis),
        _log(_product(x[axis:]) * item if len(x) > axis else 1),
        _log(y[-1] if y else 1),
        _log(_product(x) * item),
    ]


_RESIZE_NAMES = ("mode", "log_scale", "log_channels", "log_out_width", "coordinate")
_RESIZE_MODES = {"nearest": 0.0, "linear": 1.0, "bilinear": 1.0, "cubic": 2.0, "bicubic": 2.0}
_COORDINATES = {"asymmetric": 0.0, "half_pixel": 1.0, "pytorch_half_pixel": 2.0, "align_corners": 3.0}


def _resize(s: KernelSignature) -> list[float]:
    x, y = _shape(s, 0), s.outputs[0].shape
    return [
        _RESIZE_MODES.get(s.attribute("mode", "nearest"), -1.0),
        log2((1 + _product(y)) / (1 + _product(x))),
        _log(_at(x, 1, 1)),
        _log(y[-1] if y else 1),
        _COORDINATES.get(s.attribute("coordinate_transformation_mode", "half_pixel"), -1.0),
    ]


_RECURRENT_NAMES = ("log_sequence", "log_hidden", "log_input", "directions")


def _recurrent(s: KernelSignature) -> list[float]:
    x, r = _shape(s, 0), _shape(s, 2)
    return [_log(_at(x, 0, 1)), _log(r[-1] if r else 1), _log(_at(x, 2, 1)), float(_at(r, 0, 1))]


_ATTENTION_NAMES = ("log_sequence", "log_hidden", "heads")


def _attention(s: KernelSignature) -> list[float]:
    x = _shape(s, 0)
    return [_log(_at(x, 1, 1)), _log(x[-1] if x else 1), float(s.attribute("num_heads", -1))]


_OWN: Mapping[str, tuple[tuple[str, ...], Callable[[KernelSignature], list[float]]]] = {
    "convolution": (_CONVOLUTION_NAMES, _convolution),
    "grouped_convolution": (_CONVOLUTION_NAMES, _convolution),
    "depthwise_convolution": (_CONVOLUTION_NAMES, _convolution),
    "matmul": (_MATMUL_NAMES, _matmul),
    "pooling": (_POOLING_NAMES, _pooling),
    "normalization": (_ROW_NAMES, lambda s: _rows(s, -1)),
    "softmax": (_ROW_NAMES, lambda s: _rows(s, -1)),
    "elementwise": (_ELEMENTWISE_NAMES, _elementwise),
    "reduction": (_REDUCTION_NAMES, _reduction),
    "transpose": (_TRANSPOSE_NAMES, _transpose),
    "movement": (_MOVEMENT_NAMES, _movement),
    "resize": (_RESIZE_NAMES, _resize),
    "recurrent": (_RECURRENT_NAMES, _recurrent),
    "attention": (_ATTENTION_NAMES, _attention),
}

FEATURE_NAMES: dict[str, tuple[str, ...]] = {
    family: COMMON_NAMES + (_OWN[family][0] if family in _OWN else ()) for family in FAMILIES
}
