"""Operators that take parts of what they read: slices, rows, windows. See graphs_rules.py."""

from __future__ import annotations

from typing import Any

import torch
from graphs_record import Recorder, integers
from graphs_rules import Arguments, Rule, pairs, pass_on

_END = 2**31


def _cut(r: Recorder, x: Any, axis: int, start: int, end: int, step: int = 1) -> Any:
    more = [integers([step])] if step != 1 else []
    return r.node("Slice", [r.reference(x), integers([start]), integers([end]), integers([axis]), *more])


def _slice(r: Recorder, a: Arguments, y: Any) -> None:
    x, axis = a["self"], a["dim"] % a["self"].dim()
    if list(x.shape) == list(y.shape):
        pass_on(r, a, y)
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
    kernel, padding, stride, dilation = (pairs(a[k], 2) for k in ("kernel_size", "padding", "stride", "dilation"))
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


PARTS: dict[str, Rule] = {
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    "index_select": _index_select,
    "index": _index,
    "gather": _gather,
    "embedding": _embedding,
    "roll": _roll,
    "flip": _flip,
    "unfold": _windows,
    "im2col": _columns,
}
