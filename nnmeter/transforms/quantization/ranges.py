"""Scales and zero points without data: what a calibration would find, as far as it decides the graph.

A runtime compares scales, to leave out a pair of quantization that changes nothing, and looks at zero points, to leave
out an activation that clipping to the range of the integers does already. So:

1. Every range that calibration would measure gets a scale of its own, since ranges of real data never are equal; but
   what only moves elements has the range of what it reads.
2. A tensor that is never negative has its zero point at the lowest integer; so has the input of a Relu or Clip that
   nothing else reads, whose range the quantizer takes from the output. Any other has it in the middle.
3. The range of a small constant is known, and that of Softmax is 0 to 1 where it is quantized.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from nnmeter.graph.ir import Node
from nnmeter.transforms.draft import Draft

LOWEST = {"uint8": 0, "int8": -128}
HIGHEST = {"uint8": 255, "int8": 127}
_MIDDLE = {"uint8": 128, "int8": 0}

# Operators whose results are never negative, whatever they read.
_NEVER_NEGATIVE = frozenset(
    {"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Exp", "Abs", "Sqrt", "Softplus", "ReduceL1", "ReduceL2"}
)
# Operators whose results are not negative where what they read is not; by the inputs that count.
_HANDS_ON: Mapping[str, int | None] = {
    "MaxPool": 1, "AveragePool": 1, "GlobalAveragePool": 1, "GlobalMaxPool": 1, "Reshape": 1, "Transpose": 1,
    "Squeeze": 1, "Unsqueeze": 1, "Flatten": 1, "Identity": 1, "Slice": 1, "Split": 1, "Gather": 1, "Resize": 1,
    "ReduceMean": 1, "ReduceSum": 1, "ReduceMax": 1, "Dropout": 1, "Expand": 1, "Tile": 1, "Pad": 1, "DepthToSpace": 1,
    "Add": None, "Mul": None, "Concat": None, "Max": None, "Div": None,
}  # fmt: skip

# Operators that give the elements that they read, all of them, in another shape or order (rule 1).
_MOVES = frozenset(
    {"DepthToSpace", "Expand", "Flatten", "Identity", "Reshape", "SpaceToDepth", "Squeeze", "Transpose", "Unsqueeze"}
)


class Ranges:
    """The scale and zero point of every tensor of one draft.

    Args:
        draft: the model.
        dtype: integer type of activations.
        symmetric: whether ranges of activations are made symmetric.
        operators: the operators that are quantized.
    """

    def __init__(self, draft: Draft, dtype: str, symmetric: bool, operators: Collection[str]) -> None:
        self._draft = draft
        self._dtype = dtype
        self._symmetric = symmetric
        self._count = 0
        self._fixed: dict[str, tuple[float, float]] = {}
        self._scales: dict[str, float] = {}
        self._moved = {node.outputs[0]: node.inputs[0] for node in draft.nodes if node.op_type in _MOVES}
        self._not_negative = _never_negative(draft)
        readers = draft.readers()
        for node in draft.nodes:
            if node.op_type not in operators:
                continue
            if node.op_type in ("Relu", "Clip"):
                if len(readers[node.inputs[0]]) == 1:
                    self._moved[node.inputs[0]] = node.outputs[0]
                    if node.outputs[0] in self._not_negative:
                        self._not_negative.add(node.inputs[0])
            elif node.op_type == "Softmax":
                self._fixed[node.outputs[0]] = (0.0, 1.0)

    def activation(self, name: str) -> tuple[float, int]:
        """Scale and zero point of an activation, or of a constant that is quantized as one."""
        value = self._draft.known.get(name) if name in self._draft.constants else None
        if value is not None and value.size:
            return self._of_range(min(float(value.min()), 0.0), max(float(value.max()), 0.0))
        if name in self._fixed:
            return self._of_range(*self._fixed[name])
        if self._symmetric:
            return self._scale_of(name), _MIDDLE[self._dtype]
        zero_point = LOWEST[self._dtype] if name in self._not_negative else _MIDDLE[self._dtype]
        return self._scale_of(name), zero_point

    def weight(self, dtype: str, symmetric: bool) -> tuple[float, int]:
        """Scale and zero point of a weight as a whole."""
        return self._next_scale(), 0 if symmetric and dtype == "int8" else _MIDDLE[dtype]

    def _of_range(self, low: float, high: float) -> tuple[float, int]:
        lowest, highest = LOWEST[self._dtype], HIGHEST[self._dtype]
        if self._symmetric:
            return max(abs(low), abs(high), 1e-9) / 127.0, _MIDDLE[self._dtype]
        if high == low:
            return 1.0, 0 if lowest == 0 else _MIDDLE[self._dtype]
        scale = (high - low) / (highest - lowest)
        return scale, round(lowest - low / scale)

    def _scale_of(self, name: str) -> float:
        """The scale of the tensor whose elements a tensor has."""
        seen = {name}
        while name in self._moved and self._moved[name] not in seen:
            name = self._moved[name]
            seen.add(name)
        if name not in self._scales:
            self._scales[name] = self._next_scale()
        return self._scales[name]

    def _next_scale(self) -> float:
        self._count += 1
        return 0.01 + 1e-5 * self._count


def _never_negative(draft: Draft) -> set[str]:
    """Rule 2: the tensors that cannot be negative."""
    found: set[str] = set()
    for name, value in draft.known.items():
        if name in draft.constants and value.size and value.dtype.kind == "f" and float(value.min()) >= 0:
            found.add(name)
    for node in draft.nodes:
        if node.op_type in _NEVER_NEGATIVE or (node.op_type == "Clip" and _clips_at_zero(draft, node)):
            found.update(node.outputs)
        elif node.op_type in _HANDS_ON:
            counted = node.inputs[: _HANDS_ON[node.op_type]]
            if all(name in found for name in counted if name):
                found.update(node.outputs)
    return found


def _clips_at_zero(draft: Draft, node: Node) -> bool:
    low = node.attributes.get("min")
    if low is None and len(node.inputs) > 1 and node.inputs[1] in draft.known:
        low = float(np.ravel(draft.known[node.inputs[1]])[0])
    return low is not None and low >= 0
