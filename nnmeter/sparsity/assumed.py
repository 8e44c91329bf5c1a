"""Zeros that a caller assumes of layers, without weights: what a model would be if it were pruned so.

An assumption is a share of zeros (`0.8`), n of m (`2:4`), blocks and their share (`4x4:0.8`), or whole channels
(`channels:0.5`: the last half of what the layer writes, with their biases).
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import numpy as np

from nnmeter.errors import NnmeterError
from nnmeter.graph.ir import Node
from nnmeter.sparsity.classes import MATRIX
from nnmeter.sparsity.patterns import Pattern
from nnmeter.sparsity.weights import WeightZeros
from nnmeter.transforms.draft import Draft

_FORM = re.compile(r"(?:(?P<n>\d{1,4}):(?P<m>\d{1,4})|(?:(?P<word>channels)|(?P<rows>\d{1,5})x(?P<columns>\d{1,5})):"
                   r"(?P<of>[\d.]{1,20})|(?P<share>[\d.]{1,20}))")  # fmt: skip


def assume_zeros(weights: WeightZeros, draft: Draft, layer: str, asked: str, called: str) -> None:
    """Add what is assumed of the layers whose names fit a pattern.

    Args:
        weights: what is known of the constants; more is added.
        draft: the model.
        layer: name of a convolution or product with a weight, or a pattern of such names.
        asked: what is assumed.
        called: what errors call the model.

    Raises:
        NnmeterError: no layer fits, or what is asked is no assumption.
    """
    pattern, channels = _parse(layer, asked, called)
    found = [
        node
        for node in draft.nodes
        if node.op_type in MATRIX and not node.domain and len(node.inputs) > 1
        and node.inputs[1] in draft.constants and fnmatchcase(node.name, layer)
    ]  # fmt: skip
    if not found:
        some = [node.name for node in draft.nodes if node.op_type in MATRIX][:5]
        raise NnmeterError(f"{called}: no layer with a weight is called '{layer}'; there are {', '.join(some)}, ...")
    for node in found:
        weights.patterns[node.inputs[1]] = pattern
        if channels:
            _zero_channels(weights, draft, node, pattern.zeros)


def _zero_channels(weights: WeightZeros, draft: Draft, node: Node, share: float) -> None:
    weight = node.inputs[1]
    axis = 1 if node.op_type in ("ConvTranspose", "MatMul") else 0
    if node.op_type == "Gemm" and not node.attributes.get("transB"):
        axis = 1
    shape = draft.types[weight].shape
    for name, place in (
        (weight, axis),
        *((name, len(draft.types[name].shape) - 1) for name in node.inputs[2:3] if name),
    ):
        size = draft.types[name].shape[place] if draft.types[name].shape else 0
        if size == shape[axis]:
            weights.zero[name, place] = np.arange(size) >= size - round(share * size)


def _parse(layer: str, asked: str, called: str) -> tuple[Pattern, bool]:
    match = _FORM.fullmatch(asked.strip())
    if match is not None:
        try:
            share = float(match["of"] or match["share"] or 0)
        except ValueError:
            share = 2.0
        if match["n"] is not None and 0 < int(match["n"]) < int(match["m"]):
            n, m = int(match["n"]), int(match["m"])
            return Pattern("n:m", 1 - n / m, n, m), False
        if match["n"] is None and 0 < share < 1:
            if match["word"]:
                return Pattern("channel", share), True
            if match["rows"]:
                return Pattern("block", share, block=(int(match["rows"]), int(match["columns"]))), False
            return Pattern("unstructured", share), False
    raise NnmeterError(
        f"{called}: '{layer}={asked:.40}' is no assumption of zeros; give a share (0.8), 2:4, 4x4:0.8 or channels:0.5"
    )
