"""One way to write each operator, so that equal work has equal attributes, whichever exporter wrote the model.

Fields of a `plain_attributes` pass: `windows` (operators that slide a window), `same_padding` (whether padding is told
by its effect alone, rule 3), `drop` (operator -> attributes that do not matter), `sorted_inputs` (operators whose two
inputs may be swapped), `data_inputs` (operator -> how many of its inputs are data; the others are settings), `axes`
(operators whose `axis` is counted from the first dimension), `bounds` (operators with a lower and an upper bound).

1. A window has `kernel_shape`, `strides` and `pads` in full; `dilations` only where they are not 1, `ceil_mode` never:
   the shapes tell the number of outputs. A convolution has its `group`.
2. `auto_pad` becomes the padding that it means.
3. With `same_padding`, a window that gives `ceil(size / stride)` outputs along each dimension has the padding that
   this needs, the odd one behind the data: what TensorFlow calls SAME. PyTorch pads both sides alike; the work is the
   same.
4. Inputs that may be swapped stand in the order of `nnmeter.kernels.naming.operand_order`. Settings that arrive as
   inputs (sizes, axes) are dropped; bounds become the attributes `min` and `max`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.binding.assembly import same_pads
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, count, flag, map_of, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.kernels.naming import operand_order

_WINDOW_ATTRIBUTES = frozenset({"kernel_shape", "strides", "pads", "dilations", "auto_pad", "ceil_mode", "group"})


def plain_attributes(graph: WorkingGraph, fields: Fields) -> bool:
    """Apply the rules to all nodes; whether any changed."""
    windows, axes = frozenset(fields["windows"]), frozenset(fields["axes"])
    drop: Mapping[str, Sequence[str]] = fields["drop"]
    data_inputs: Mapping[str, int] = fields["data_inputs"]
    sorted_inputs = frozenset(fields["sorted_inputs"])
    bounds = frozenset(fields["bounds"])
    same = fields["same_padding"]
    before = graph.version
    for node in graph.of_kinds({*windows, *axes, *drop, *data_inputs, *sorted_inputs, *bounds}):
        kind = node.kind
        attributes = _plain_window(graph, node, same) if kind in windows else node.attributes
        dropped = drop.get(kind, ())
        attributes = {key: value for key, value in attributes.items() if key not in dropped}
        if kind in axes and attributes.get("axis", 0) < 0:
            attributes["axis"] += len(graph.types[node.inputs[0]].shape)
        inputs = node.inputs[: data_inputs.get(kind, len(node.inputs))]
        if kind in bounds:
            attributes.update(_bounds(graph, inputs))
            inputs = inputs[:1]
        if kind in sorted_inputs and len(inputs) == 2 and all(inputs):
            inputs.sort(key=lambda name: operand_order(graph.types[name], name in graph.constants))
        if inputs != node.inputs:
            graph.remove_node(node)
            graph.add_node(kind, node.name, inputs, node.outputs, attributes, node.position, node.sources)
        elif attributes != node.attributes:
            node.attributes = attributes
            graph.version += 1
    return graph.version != before


def _bounds(graph: WorkingGraph, inputs: Sequence[str]) -> dict[str, float]:
    """The bounds that are stated as inputs and known."""
    found = {}
    for key, name in zip(("min", "max"), inputs[1:], strict=False):
        value = graph.values.get(name) if name in graph.constants else None
        if value is not None and value.size == 1:
            found[key] = float(value.ravel()[0])
    return found


def _plain_window(graph: WorkingGraph, node: WorkNode, same: bool) -> dict[str, Any]:
    """Rules 1 to 3."""
    old = node.attributes
    sizes = graph.types[node.inputs[0]].shape[2:]
    outputs = graph.types[node.outputs[0]].shape[2:]
    rank = len(sizes)
    window = tuple(old.get("kernel_shape") or graph.types[node.inputs[1]].shape[2:])
    strides = tuple(old.get("strides") or (1,) * rank)
    dilations = tuple(old.get("dilations") or (1,) * rank)
    extents = [dilation * (taps - 1) + 1 for dilation, taps in zip(dilations, window, strict=True)]
    mode = old.get("auto_pad", "NOTSET") or "NOTSET"
    needed = same_pads(sizes, extents, strides)
    if mode == "SAME_LOWER" and not same:
        pads = needed[rank:] + needed[:rank]
    elif mode.startswith("SAME") or (
        same and all(count == -(-size // stride) for count, size, stride in zip(outputs, sizes, strides, strict=True))
    ):
        pads = needed
    else:
        pads = (0,) * (2 * rank) if mode == "VALID" else tuple(old.get("pads") or (0,) * (2 * rank))
    plain = {key: value for key, value in old.items() if key not in _WINDOW_ATTRIBUTES}
    plain.update(kernel_shape=window, strides=strides, pads=pads)
    if any(dilation != 1 for dilation in dilations):
        plain["dilations"] = dilations
    if len(node.inputs) > 1:
        plain["group"] = old.get("group", 1)
    return plain


PASSES = (
    PassKind(
        "plain_attributes",
        procedure(plain_attributes),
        {
            "windows": Field(texts),
            "same_padding": Field(flag, False),
            "drop": Field(map_of(texts), {}),
            "sorted_inputs": Field(texts, ()),
            "data_inputs": Field(map_of(count), {}),
            "axes": Field(texts, ()),
            "bounds": Field(texts, ()),
        },
    ),
)
