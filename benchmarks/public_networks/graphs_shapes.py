"""Operators that change shape, order or type of what they read, or join several. See graphs_rules.py."""

from __future__ import annotations

from typing import Any

import torch
from graphs_record import Recorder, integers
from graphs_rules import Arguments, Rule, input_of, pass_on


def _cast(r: Recorder, a: Arguments, y: Any) -> None:
    x = input_of(a)
    if (x.dtype.is_floating_point and y.dtype.is_floating_point) or x.dtype == y.dtype:
        pass_on(r, a, y)
        return
    kinds = {torch.int64: 7, torch.int32: 7, torch.bool: 9}
    r.emit("Cast", [x], y, to=kinds.get(y.dtype, 1))


def _view(r: Recorder, a: Arguments, y: Any) -> None:
    x = input_of(a)
    if list(x.shape) == list(y.shape):
        pass_on(r, a, y)
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
    x, parts = input_of(a), list(y)
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


def _expand(r: Recorder, a: Arguments, y: Any) -> None:
    x = input_of(a)
    if list(x.shape) == list(y.shape):
        pass_on(r, a, y)
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
    x = input_of(a)
    before, after = [0] * x.dim(), [0] * x.dim()
    for position in range(len(pads) // 2):
        before[-1 - position], after[-1 - position] = pads[2 * position], pads[2 * position + 1]
    if not any(pads):
        pass_on(r, a, y)
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
        r.note(y, r.node("Resize", [r.reference(input_of(a)), "", "", integers(y.shape)],
                         mode=mode if mode != "nearest" else None))  # fmt: skip

    return rule


def _grid_sample(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("GridSample", [a["input"], a["grid"]], y, mode=("linear", "nearest", "cubic")[a["interpolation_mode"]])


def _pixel_shuffle(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("DepthToSpace", [a["self"]], y, blocksize=a["upscale_factor"], mode="CRD")


SHAPES: dict[str, Rule] = {
    **dict.fromkeys(
        ("clone", "contiguous", "detach", "alias", "dropout", "feature_dropout", "lift_fresh", "alpha_dropout"), pass_on
    ),
    **dict.fromkeys(("to", "_to_copy", "type_as", "float"), _cast),
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "_reshape_alias", "flatten", "unflatten"), _view
    ),
    "unbind": _views,
    "permute": _permute,
    "transpose": _transpose,
    "t": _turned,
    "numpy_T": _turned,
    "cat": _concat,
    "concat": _concat,
    "stack": _stack,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), _split),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    **dict.fromkeys(("repeat", "tile"), _repeat),
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **{f"upsample_nearest{n}d": _resize("nearest") for n in (1, 2, 3)},
    "_upsample_nearest_exact2d": _resize("nearest"),
    **dict.fromkeys(("upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_trilinear3d"), _resize("linear")),
    **dict.fromkeys(("upsample_bicubic2d", "_upsample_bicubic2d_aa"), _resize("cubic")),
    "grid_sampler": _grid_sample,
    "grid_sampler_2d": _grid_sample,
    "pixel_shuffle": _pixel_shuffle,
    # Of the input only its size counts: the result is a constant.
    **dict.fromkeys(
        ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"),
        lambda r, a, y: None,
    ),
}
