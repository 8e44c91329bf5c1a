"""nn-Meter's graphs: by the name of an operator, its type, attributes and shapes, and what it reads and is read by.

Operators keep their names of ONNX, which nn-Meter's own converter writes too, and channels come first. Operators that
read constants only are left out, as are the constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter import UnboundModel
from nnmeter.binding.bind import bind_shapes

_INPUT = "Placeholder"
_WINDOWS = frozenset({"Conv", "ConvTranspose"})


def graph_to_ir(model: UnboundModel) -> dict[str, Any]:
    """The graph of a model in nn-Meter's form.

    Raises:
        ModelError: dimensions remain free.
    """
    graph = bind_shapes(model)
    found: dict[str, Any] = {}
    writer: dict[str, str] = {}
    for name in graph.inputs:
        writer[name] = name
        found[name] = _entry(name, _INPUT, {}, [], [list(graph.types[name].shape)])
    for node in graph.nodes:
        read = [name for name in node.inputs if name in writer]
        if not read:
            continue
        shapes = [[list(graph.types[name].shape) for name in names if name in graph.types]
                  for names in (read, node.outputs)]  # fmt: skip
        attributes = _attributes(node.attributes)
        if node.op_type in _WINDOWS and "kernel_shape" not in attributes:
            attributes["kernel_shape"] = list(graph.types[node.inputs[1]].shape[2:])  # ONNX lets the weight say it
        entry = _entry(node.name, node.op_type, attributes, *shapes)
        entry["inbounds"] = list(dict.fromkeys(writer[name] for name in read))
        found[node.name] = entry
        for one in entry["inbounds"]:
            found[one]["outbounds"].append(node.name)
        writer.update(dict.fromkeys(filter(None, node.outputs), node.name))
    return found


def _entry(name: str, kind: str, attributes: dict[str, Any], read: list[Any], written: list[Any]) -> dict[str, Any]:
    return {
        "attr": {"name": name, "type": kind, "attr": attributes, "input_shape": read, "output_shape": written},
        "inbounds": [],
        "outbounds": [],
    }


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes that JSON can hold; graphs and tensors are left out."""
    kept = {}
    for key, value in attributes.items():
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, tuple) and all(isinstance(one, int | float | str) for one in value):
            kept[key] = list(value)
        elif isinstance(value, int | float | str):
            kept[key] = value
    return kept
