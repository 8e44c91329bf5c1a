"""Convolutions, pools and normalization. See graphs_rules.py."""

from __future__ import annotations

from typing import Any

from graphs_record import Recorder
from graphs_rules import Arguments, Rule, input_of, pairs, unless


def _convolution(r: Recorder, a: Arguments, y: Any) -> None:
    weight, rank = a["weight"], a["weight"].dim() - 2
    if r.known(weight):
        raise ValueError("a convolution with computed weights")
    strides, dilations = pairs(a["stride"], rank), pairs(a["dilation"], rank)
    transposed = a.get("transposed", "output_padding" in a)
    if isinstance(a["padding"], str):
        total = [d * (k - 1) if a["padding"] == "same" else 0 for d, k in zip(dilations, weight.shape[2:], strict=True)]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
    else:
        pads = pairs(a["padding"], rank) * 2
    references = [r.reference(a["input"]), r.reference(weight)]
    if a["bias"] is not None:
        references.append(r.reference(a["bias"]))
    more: dict[str, Any] = {"output_padding": unless(pairs(a["output_padding"], rank), 0)} if transposed else {}
    place = r.node(
        "ConvTranspose" if transposed else "Conv", references, group=a["groups"] if a["groups"] != 1 else None,
        strides=unless(strides, 1), pads=unless(pads, 0), dilations=unless(dilations, 1), **more,
    )  # fmt: skip
    r.note(y, place)


def _pool(operator: str, rank: int) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        kernel = pairs(a["kernel_size"], rank)
        strides = pairs(a["stride"], rank) if a["stride"] else kernel
        attributes: dict[str, Any] = {
            "strides": unless(strides, 1),
            "pads": unless(pairs(a["padding"], rank) * 2, 0),
        }
        if "dilation" in a:
            attributes["dilations"] = unless(pairs(a["dilation"], rank), 1)
        if a["ceil_mode"]:
            attributes["ceil_mode"] = 1
        if a.get("count_include_pad") and attributes["pads"]:
            attributes["count_include_pad"] = 1
        result = y[0] if isinstance(y, (tuple, list)) else y
        r.emit(operator, [input_of(a)], result, kernel_shape=kernel, **attributes)

    return rule


def _adaptive_pool(whole: str, operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        result = y[0] if isinstance(y, (tuple, list)) else y
        x = input_of(a)
        rank = len(pairs(a["output_size"], 1)) if not isinstance(a["output_size"], int) else result.dim() - 2
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


def _batch_norm(r: Recorder, a: Arguments, y: Any) -> None:
    x = input_of(a)
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


LAYERS: dict[str, Rule] = {
    "convolution": _convolution,
    **{f"conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _convolution for n in (1, 2)},
    **{f"max_pool{n}d": _pool("MaxPool", n) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _pool("MaxPool", n) for n in (2, 3)},
    **{f"avg_pool{n}d": _pool("AveragePool", n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive_pool("GlobalAveragePool", "AveragePool") for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _adaptive_pool("GlobalAveragePool", "AveragePool") for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _adaptive_pool("GlobalMaxPool", "MaxPool") for n in (1, 2, 3)},
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
}
