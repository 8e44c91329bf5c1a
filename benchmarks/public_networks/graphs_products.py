"""Products of matrices, attention and recurrent networks. See graphs_rules.py."""

from __future__ import annotations

import math
from typing import Any

import torch
from graphs_record import Recorder, integers
from graphs_rules import Arguments, Rule


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


PRODUCTS: dict[str, Rule] = {
    "linear": _linear,
    "addmm": _addmm,
    "matmul": _product("self", "other"),
    "mm": _product("self", "mat2"),
    "lstm": _lstm,
    "bmm": _product("self", "mat2"),
    "baddbmm": _baddbmm,
    "scaled_dot_product_attention": _attention,
}
