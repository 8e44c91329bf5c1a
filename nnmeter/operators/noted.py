"""What the values of inputs say of an operator's cost, noted as attributes while the values are still seen.

Rules:
1. A cost rule sees types and attributes. Where the value of a small constant input changes what is computed, that is
   noted as an attribute of the node, and so becomes part of the kernel's signature.
2. Nothing is noted where the value says nothing new, so that a kernel has one signature with and without it.
3. What would change the cost much and is not known is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnmeter.graph.ir import TensorType

Value = Callable[[int], "np.ndarray[Any, Any] | None"]  # the value of an input by its position, None if unknown


class Noted(NamedTuple):
    """Attributes to add to a node, and what is to be warned of (rule 3); "" for nothing."""

    attributes: Mapping[str, Any]
    warning: str = ""


_NOTHING = Noted({})
_Inputs = Sequence[TensorType | None]
_Note = Callable[[Mapping[str, Any], _Inputs, Value], Noted]


def _given(inputs: _Inputs, position: int) -> bool:
    return position < len(inputs) and inputs[position] is not None


def _number(value: Value, position: int) -> int | None:
    found = value(position)
    return int(found.ravel()[0]) if found is not None and found.size else None


def _steps(attributes: Mapping[str, Any], inputs: _Inputs, value: Value) -> Noted:
    """Recurrent layers run as many steps as the longest sequence has."""
    x = inputs[0] if inputs else None
    if not _given(inputs, 4) or x is None or len(x.shape) != 3:
        return _NOTHING
    padded = x.shape[1] if attributes.get("layout", 0) else x.shape[0]
    lengths = value(4)
    if lengths is None or not lengths.size:
        return Noted({}, f"the run decides how long its sequences are; counted as {padded} steps each")
    steps = min(max(int(lengths.max()), 0), padded)
    return Noted({"steps": steps}) if steps < padded else _NOTHING


def _total_length(attributes: Mapping[str, Any], inputs: _Inputs, value: Value) -> Noted:
    """A cache of fixed size holds as many keys as the total length says."""
    total = _number(value, 6)
    past = inputs[3] if _given(inputs, 3) else None
    q = inputs[0] if inputs else None
    if total is None or past is None or q is None or len(past.shape) != 4 or len(q.shape) != 3:
        return _NOTHING
    return Noted({"total_sequence_length": total}) if 0 < total != past.shape[2] + q.shape[1] else _NOTHING


def _training(attributes: Mapping[str, Any], inputs: _Inputs, value: Value) -> Noted:
    if not _given(inputs, 2):
        return _NOTHING
    mode = value(2)
    if mode is None:
        return Noted({}, "the run decides whether it is in training mode; counted as inference")
    if not mode.any():
        return _NOTHING
    return Noted({"training": 1}, "is in training mode: it draws a mask in every run")


def _selected(attributes: Mapping[str, Any], inputs: _Inputs, value: Value) -> Noted:
    """At most so many boxes of each class are selected; without a limit none is."""
    if not _given(inputs, 2):
        return Noted({"max_output_boxes": 0})
    most = _number(value, 2)
    boxes = inputs[0].shape[-2] if inputs and inputs[0] is not None and len(inputs[0].shape) > 1 else 0
    return Noted({"max_output_boxes": max(most, 0)}) if most is not None and most < boxes else _NOTHING


def _transform(attributes: Mapping[str, Any], inputs: _Inputs, value: Value) -> Noted:
    """The axis and the length of a transform."""
    found: dict[str, Any] = {}
    axis, length = _number(value, 2), _number(value, 1)
    x = inputs[0] if inputs else None
    if axis is not None:
        found["axis"] = axis
    if length is not None and x is not None:
        found["dft_length"] = length
    return Noted(found)


def _strides(attributes: Mapping[str, Any], inputs: _Inputs, value: Value) -> Noted:
    """Steps of a slice: elements that do not lie side by side are copied one by one."""
    steps = value(4) if _given(inputs, 4) else None
    if steps is None or not steps.size or (steps == 1).all():
        return _NOTHING
    return Noted({"strides": tuple(int(step) for step in steps.ravel())})


_NOTES: dict[str, _Note] = {
    "LSTM": _steps,
    "GRU": _steps,
    "RNN": _steps,
    "DynamicQuantizeLSTM": _steps,
    "GroupQueryAttention": _total_length,
    "Dropout": _training,
    "NonMaxSuppression": _selected,
    "DFT": _transform,
    "Slice": _strides,
}

NOTING = frozenset(_NOTES)  # operators that `noted` has something to say of


def noted(op_type: str, attributes: Mapping[str, Any], inputs: _Inputs, value: Value) -> Noted:
    """What the values of an operator's inputs say of its cost.

    Args:
        op_type: operator of a domain of the table.
        attributes: its attributes.
        inputs: types of its inputs, None for an absent one.
        value: gives the value of an input by its position, None where it is not known.
    """
    note = _NOTES.get(op_type)
    return _NOTHING if note is None else note(attributes, inputs, value)
