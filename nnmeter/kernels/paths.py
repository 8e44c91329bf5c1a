"""The code path of a kernel: what beside operator, element type and size makes a runtime run other code.

Rules:
1. `_TABLE` states for each operator what chooses the path. A path is the list of what is unusual, in words
   (`3-D, ceil_mode`); the usual path has none.
2. "Trained" means that this path was sampled: a predictor knows which paths its training had of each kind of kernel.
3. A pack that was made before does not tell. It saw usual networks: what the table calls rare it did not see.

Evidence (ONNX Runtime 1.32, one thread, priced by a predictor that had not seen the path): AveragePool 3x3 with
`ceil_mode` and `count_include_pad` 7.6 ms, 1.1 predicted; Softmax over an inner axis 12.9, 5.6 predicted; Resize of
rank 5 25 ms, 1 predicted; cubic Resize 16.7 ms, 7.5 predicted; Resize with antialias 1.1 ms, 11 predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

from nnmeter.kernels.features.movement import transpose_path
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.broadcasts import is_by_element


class _Choice(NamedTuple):
    """What chooses a path: a function that says in words what is unusual, and whether that is rare (rule 3)."""

    unusual: Callable[[KernelSignature], str]
    rare: bool


def _shape(s: KernelSignature, position: int = 0) -> tuple[int, ...]:
    kind = s.inputs[position] if position < len(s.inputs) else None
    return () if kind is None else kind.shape


def _rank(s: KernelSignature) -> str:
    """Spatial rank; two is usual."""
    rank = len(_shape(s)) - 2
    return "" if rank in (2, -2) else f"{rank}-D"


def _flag(name: str) -> Callable[[KernelSignature], str]:
    return lambda s: name if s.attribute(name, 0) else ""


def _padded_mean(s: KernelSignature) -> str:
    return "count_include_pad" if s.attribute("count_include_pad", 0) and any(s.attribute("pads", ())) else ""


def _dilated(s: KernelSignature) -> str:
    return "dilated" if any(step != 1 for step in s.attribute("dilations", ())) else ""


def _interpolation(s: KernelSignature) -> str:
    mode = s.attribute("mode", "nearest")
    return "" if mode in ("nearest", "linear", "bilinear") else str(mode)


def _coordinates(s: KernelSignature) -> str:
    return f"{s.attribute('mode', 'nearest')} by {s.attribute('coordinate_transformation_mode', 'half_pixel')}"


def _scaled_channels(s: KernelSignature) -> str:
    x, y = _shape(s), s.outputs[0].shape if s.outputs else ()
    return "channels scaled" if len(x) == len(y) > 2 and x[:2] != y[:2] else ""


def _inner_axis(s: KernelSignature) -> str:
    """An axis that elements do not lie along side by side."""
    axis, shape = s.attribute("axis"), _shape(s)
    if axis is None:
        axes = s.attribute("axes")
        axis = axes[0] if axes else None
    if not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
        return ""
    return "inner axis" if any(size != 1 for size in shape[axis % len(shape) + 1 :]) else ""


def _reduced(s: KernelSignature) -> str:
    """Kept (K) and reduced (R) axes in order, neighbours of a kind as one; K R and R are usual."""
    shape, axes = _shape(s), s.attribute("axes")
    if not axes or not shape:
        return ""
    reduced = {axis % len(shape) for axis in axes}
    kinds = ["R" if axis in reduced else "K" for axis, size in enumerate(shape) if size != 1]
    pattern = "".join(kind for kind, _ in groupby(kinds))
    return "" if pattern in ("", "K", "R", "KR") else f"axes {pattern}"


def _mode(s: KernelSignature) -> str:
    mode = s.attribute("mode", "")
    return "" if mode in ("", "constant") else str(mode)


def _reduction(s: KernelSignature) -> str:
    word = s.attribute("reduction", "none")
    return "" if word == "none" else str(word)


def _batch_last(s: KernelSignature) -> str:
    return "layout 1" if s.attribute("layout", 0) == 1 else ""


def _transform_length(s: KernelSignature) -> str:
    shape = _shape(s)
    length = s.attribute("dft_length", 0)
    if not length and len(shape) > 1:
        length = shape[int(s.attribute("axis", -2)) % len(shape)]
    return "no power of two" if length & (length - 1) else ""


def _groups(s: KernelSignature) -> str:
    """Groups of few channels, which do not fill a vector; and one channel that several results are made of."""
    groups, weight = s.attribute("group", 1), _shape(s, _WEIGHTS.get(s.op_type, 1))
    if groups == 1 or len(weight) < 3:
        return ""
    outside, inside = weight[0] // groups, weight[1]
    if s.op_type in _TRANSPOSED:
        outside, inside = weight[1], weight[0] // groups
    if inside == 1:
        return "" if outside == 1 else "several results a channel"
    return "groups of few channels" if min(inside, outside) < _FEW_CHANNELS else ""


def _grouped(s: KernelSignature) -> str:
    return "grouped" if s.attribute("group", 1) > 1 else ""


def _with_indices(s: KernelSignature) -> str:
    return "with indices" if len(s.outputs) > 1 else ""


def _padding_mode(s: KernelSignature) -> str:
    word = s.attribute("padding_mode", "zeros")
    return "" if word == "zeros" else str(word)


def _sampling(s: KernelSignature) -> str:
    return "adaptive sampling" if s.attribute("sampling_ratio", 0) == 0 else ""


def _order(s: KernelSignature) -> str:
    word = s.attribute("mode", "DCR")
    return "" if word == "DCR" else str(word)


def _broadcast(s: KernelSignature) -> str:
    """An operand that is the same along the last axis, and two that are each broadcast along the other's axes."""
    y = s.outputs[0].shape if s.outputs else ()
    padded = [(1,) * (len(y) - len(t.shape)) + t.shape for t in s.inputs if t is not None and t.elements > 1]
    if not y or any(len(shape) != len(y) for shape in padded):
        return ""
    last = max((axis for axis, size in enumerate(y) if size > 1), default=0)
    if any(shape[last] == 1 for shape in padded):
        return "broadcast along the last axis"
    full = any(shape == y for shape in padded)
    return "" if full or not padded else "both broadcast"


def _by_element(s: KernelSignature) -> str:
    return "element by element" if is_by_element(s.inputs) else ""


def _target(s: KernelSignature) -> str:
    return f"to {s.outputs[0].dtype}" if s.outputs else ""


def _moved(s: KernelSignature) -> str:
    """How ONNX Runtime moves the data of a transpose; one axis in blocks is usual."""
    x = _shape(s)
    perm = s.attribute("perm") or tuple(range(len(x)))[::-1]
    if sorted(perm) != list(range(len(x))):
        return ""
    return _MOVED[transpose_path(x, perm)]


def _steps(s: KernelSignature) -> str:
    strides = s.attribute("strides", ())
    return "backwards" if any(step < 0 for step in strides) else "strided" if strides else ""


def _computed(s: KernelSignature) -> str:
    """A second matrix that is not known before the run cannot be packed before it."""
    return "" if len(s.constants) > 1 and s.constants[1] else "computed matrix"


def _third(s: KernelSignature) -> str:
    """The third matrix of Gemm: none or a row (usual: to add a row costs next to nothing), or of another shape."""
    c, y = _shape(s, 2), s.outputs[0].shape if s.outputs else ()
    if len(s.inputs) < 3:
        return ""
    usual = not y or (bool(c) and c[-1] == y[-1] == math.prod(c))
    return "" if usual else "third matrix of another shape"


def _batches(s: KernelSignature) -> str:
    """Batches of matrices of which one operand has fewer."""
    a, b = _shape(s)[:-2], _shape(s, 1)[:-2]
    if math.prod(b) == 1:
        return ""
    return "" if math.prod(a) == math.prod(b) else "batches broadcast"


def _bits(s: KernelSignature) -> str:
    bits = s.attribute("bits", 4)
    return "" if bits == 4 else f"{bits} bits"


def _accuracy(s: KernelSignature) -> str:
    level = s.attribute("accuracy_level", 0)
    return f"accuracy {level}" if level else ""


def _given(word: str, position: int) -> Callable[[KernelSignature], str]:
    return lambda s: word if position < len(s.inputs) and s.inputs[position] is not None else ""


def _by_axis(s: KernelSignature) -> str:
    if s.attribute("block_size", 0):
        return "in blocks"
    return "by axis" if math.prod(_shape(s, 1)) > 1 else ""


def _several_axes(s: KernelSignature) -> str:
    axis, rank = s.attribute("axis", -1), len(_shape(s))
    return "several axes" if rank and axis % rank != rank - 1 else ""


def _reset(s: KernelSignature) -> str:
    return "" if s.attribute("linear_before_reset", 0) else "reset before"


def _window(s: KernelSignature) -> str:
    return "window" if s.attribute("local_window_size", -1) > 0 else ""


def _packed(s: KernelSignature) -> str:
    return "packed" if len(s.inputs) > 1 and s.inputs[1] is None else ""


def _operands(s: KernelSignature) -> str:
    """An Einsum of one operand or of several, along a diagonal, or of two whose elements meet one by one."""
    terms, result = (part.replace(".", "") for part in _equation(s))
    operands = terms.split(",")
    count = {1: "one operand", 2: ""}.get(len(operands), "several operands")
    if len(operands) == 2 and set(operands[0]) == set(operands[1]) == set(result):
        count = "element by element"
    diagonal = any(len(set(operand)) < len(operand) for operand in operands)
    return ", ".join(filter(None, (count, "diagonal" if diagonal else "")))


def _equation(s: KernelSignature) -> tuple[str, str]:
    operands, _, result = str(s.attribute("equation", "")).replace(" ", "").partition("->")
    return operands, result


def _chosen(s: KernelSignature) -> str:
    """The type of what Where chooses among, which is not that of its first input.

    Packs that were made before this was asked saw float32, int64 and uint8.
    """
    dtype = s.inputs[1].dtype if len(s.inputs) > 1 and s.inputs[1] is not None else ""
    return "" if dtype in _USUALLY_CHOSEN else f"of {dtype}"


def _exponents(s: KernelSignature) -> str:
    """One exponent for all is a product or a root; others are a call of the library for each element."""
    exponent = s.inputs[1] if len(s.inputs) > 1 else None
    return "an exponent for each element" if exponent is not None and exponent.elements > 1 else ""


_FEW_CHANNELS = 8
_USUALLY_CHOSEN = frozenset({"", "float32", "int32", "int64", "uint8"})
_TRANSPOSED = frozenset({"ConvTranspose", "QLinearConvTranspose"})
_WEIGHTS = {"QLinearConv": 3, "QLinearConvTranspose": 3}
_MOVED = ("as it lies", "", "blocks of the last axis", "by element")

_RANK = _Choice(_rank, True)
_INNER = _Choice(_inner_axis, False)
_DILATED = _Choice(_dilated, False)
_WINDOW = (_RANK, _Choice(_flag("ceil_mode"), False))
_BROADCAST = (_Choice(_broadcast, False), _Choice(_by_element, True))

_GROUPS: tuple[tuple[str, tuple[_Choice, ...]], ...] = (
    ("Conv FusedConv NhwcConv NhwcFusedConv ConvInteger QLinearConv DeformConv",
     (_RANK, _DILATED, _Choice(_groups, False))),
    ("ConvTranspose QLinearConvTranspose", (_RANK, _DILATED, _Choice(_grouped, False))),
    ("MaxPool QLinearMaxPool NhwcMaxPool",
     (*_WINDOW, _Choice(_dilated, True), _Choice(_with_indices, False))),
    ("AveragePool QLinearAveragePool", (*_WINDOW, _Choice(_padded_mean, False), _Choice(_dilated, True))),
    ("LpPool", (*_WINDOW, _Choice(_dilated, True))),
    ("GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool", (_RANK,)),
    ("Resize Upsample", (_RANK, _Choice(_interpolation, True), _Choice(_flag("antialias"), True),
                         _Choice(_flag("exclude_outside"), True), _Choice(_scaled_channels, True),
                         _Choice(_coordinates, False))),
    ("GridSample", (_RANK, _Choice(_mode, False), _Choice(_padding_mode, False))),
    ("RoiAlign", (_Choice(_sampling, False),)),
    ("DepthToSpace", (_Choice(_order, False),)),
    ("Softmax LogSoftmax Hardmax ArgMax ArgMin CumSum CumProd TopK LpNormalization GatherElements OneHot", (_INNER,)),
    ("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
     "ReduceSumSquare", (_Choice(_reduced, False),)),
    ("LayerNormalization RMSNormalization SimplifiedLayerNormalization", (_Choice(_several_axes, False),)),
    ("Pad", (_Choice(_mode, False),)),
    ("Scatter ScatterElements ScatterND", (_Choice(_reduction, False),)),
    ("Slice", (_Choice(_steps, False),)),
    ("Transpose", (_Choice(_moved, False),)),
    ("GatherND", (_Choice(_flag("batch_dims"), False),)),
    ("Cast", (_Choice(_target, False),)),
    ("QuantizeLinear DequantizeLinear", (_Choice(_by_axis, False),)),
    ("Pow", (*_BROADCAST, _Choice(_exponents, True))),
    ("Add Sub Mul Div PRelu Mod Min Max Sum Mean Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor "
     "BitwiseAnd BitwiseOr BitwiseXor QLinearAdd QLinearMul", _BROADCAST),
    ("Where", (*_BROADCAST, _Choice(_chosen, True))),
    ("MatMul FusedMatMul", (_Choice(_computed, False), _Choice(_batches, False))),
    ("Gemm FusedGemm", (_Choice(_computed, False), _Choice(_flag("transA"), False), _Choice(_third, False))),
    ("MatMulNBits", (_Choice(_bits, False), _Choice(_accuracy, False), _Choice(_given("zero points", 3), False))),
    ("LSTM RNN DynamicQuantizeLSTM", (_Choice(_batch_last, True),)),
    ("GRU", (_Choice(_batch_last, True), _Choice(_reset, False))),
    ("MultiHeadAttention", (_Choice(_given("past", 6), False),)),
    ("GroupQueryAttention", (_Choice(_packed, False), _Choice(_given("past", 3), False), _Choice(_window, False))),
    ("DFT STFT", (_Choice(_transform_length, True),)),
    ("Einsum", (_Choice(_operands, True),)),
)  # fmt: skip

_TABLE: dict[str, tuple[_Choice, ...]] = {op: choices for ops, choices in _GROUPS for op in ops.split()}


def code_path(signature: KernelSignature) -> str:
    """What is unusual of a kernel's path, in words; "" for the usual one, and where the table says nothing."""
    choices = _TABLE.get(signature.op_type)
    if choices is None:
        return ""
    return ", ".join(filter(None, (choice.unusual(signature) for choice in choices)))


def rare_path(signature: KernelSignature) -> str:
    """What of a kernel's path is rare (rule 3); "" for nothing."""
    choices = _TABLE.get(signature.op_type)
    if choices is None:
        return ""
    return ", ".join(filter(None, (choice.unusual(signature) for choice in choices if choice.rare)))
