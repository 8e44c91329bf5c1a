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

from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

from nnmeter.kernels.kernel import KernelSignature


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


_RANK = _Choice(_rank, True)
_INNER = _Choice(_inner_axis, False)
_WINDOW = (_RANK, _Choice(_flag("ceil_mode"), False))

_GROUPS: tuple[tuple[str, tuple[_Choice, ...]], ...] = (
    ("Conv ConvTranspose FusedConv NhwcConv NhwcFusedConv ConvInteger QLinearConv QLinearConvTranspose DeformConv",
     (_RANK,)),
    ("MaxPool QLinearMaxPool NhwcMaxPool", (*_WINDOW, _Choice(_dilated, True))),
    ("AveragePool QLinearAveragePool", (*_WINDOW, _Choice(_padded_mean, False), _Choice(_dilated, True))),
    ("LpPool", (*_WINDOW, _Choice(_dilated, True))),
    ("GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool", (_RANK,)),
    ("Resize Upsample", (_RANK, _Choice(_interpolation, True), _Choice(_flag("antialias"), True),
                         _Choice(_flag("exclude_outside"), True), _Choice(_scaled_channels, True),
                         _Choice(_coordinates, False))),
    ("GridSample", (_RANK, _Choice(_mode, False))),
    ("Softmax LogSoftmax Hardmax ArgMax ArgMin CumSum CumProd TopK", (_INNER,)),
    ("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
     "ReduceSumSquare", (_Choice(_reduced, False),)),
    ("Pad", (_Choice(_mode, False),)),
    ("Scatter ScatterElements ScatterND", (_Choice(_reduction, False),)),
    ("LSTM GRU RNN", (_Choice(_batch_last, True),)),
    ("DFT STFT", (_Choice(_transform_length, True),)),
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
