"""Reads nn-Meter's JSON graphs: `{name: {"attr": {"type", "attr", "output_shape", ...}, "inbounds", "outbounds"}}`.

The format is described in nn-Meter's documentation (docs/predictor/input_models.md); its converters write two kinds.

Rules:

1. A graph with operators of TensorFlow (`Conv2D`, `DepthwiseConv2dNative`, `FusedBatchNormV3`, ...) or with nn-Meter's
   own names (`conv`, `dwconv`, `bn`, ...) has channels last. A graph with operators of ONNX has channels first.
2. Operators become those of ONNX with channels first (`OPERATORS`); padding SAME becomes the padding that it means.
3. A node reads its `inbounds`, in that order; `outbounds` are not needed. A `Placeholder` is an input; a node that
   reads none has one of its own. An `Identity` is what it reads. Constants and what computes shapes are left out.
4. Shapes of weights follow from those of the data that is read and written. Where an operator of two inputs names one,
   the other is a number, which is not told: it is taken to be that of `x * relu6(x + 3) / 6`.
5. Outputs are nodes that no node reads. Every stated `output_shape` must be the one that is inferred.
6. At most `MAX_JSON_BYTES` and `MAX_JSON_VALUES` (`nnmeter.limits`) and `MAX_NODES` are read.
"""

from __future__ import annotations

import math
from typing import Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError, brief
from nnmeter.files import parse_json
from nnmeter.formats.foreign import what_json
from nnmeter.formats.nnmeter_graph import IrGraph, IrNode
from nnmeter.formats.nnmeter_operators import CONSTANTS, INPUTS, OPERATORS
from nnmeter.graph.unbound import UnboundModel
from nnmeter.operators.shape_rules.common import ShapeError

MAX_NODES = 100_000

_REMEDY = "give a graph as nn-Meter's `get_ir` writes it"


def read_nnmeter_ir(data: bytes, source: str, name: str) -> UnboundModel:
    """Read a graph.

    Args:
        data: the bytes of the file.
        source: what errors call it.
        name: name of the model.

    Raises:
        ModelError: it is no graph of nn-Meter, or one with an operator that is not known.
    """
    try:
        content = parse_json(data)
    except ValueError as fault:
        raise ModelError(f"{source}: is not valid JSON, or too much ({brief(fault)}); {_REMEDY}") from fault
    if not isinstance(content, dict) or not content or not all(_is_node(node) for node in content.values()):
        other = f"is JSON, but no graph of nn-Meter: nodes with 'attr' and 'inbounds'; {_REMEDY}"
        raise ModelError(f"{source}: {what_json(content) or other}")
    if len(content) > MAX_NODES:
        raise ModelError(f"{source}: has {len(content)} nodes, more than {MAX_NODES}; {_REMEDY}")
    return IrReader(content, source, name).model()


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and isinstance(node.get("attr"), dict)
        and isinstance(node["attr"].get("type"), str)
        and isinstance(node.get("inbounds"), list)
    )


class IrReader(IrGraph):
    """Turns the nodes of one file into operators, each after those that it reads."""

    def model(self) -> UnboundModel:
        """The model that the nodes describe."""
        order = self._order()
        for name in order:
            node = self.nodes[name]
            rule = OPERATORS.get(node.type)
            if rule is None:
                raise ModelError(
                    f"{self.source}: node '{name}' has the type {node.type!r:.80}, which is not known; "
                    f"known are {', '.join(OPERATORS)}"
                )
            self.assembly.stem = name
            try:
                tensors = self._read(node)
                if not tensors and node.type not in INPUTS | CONSTANTS:
                    raise ShapeError("it reads no result of another node")
                self.results[name] = rule(self, node, tensors)
            except ShapeError as fault:
                raise ModelError(
                    f"{self.source}: node '{name}' ({node.type}) lacks what its operator needs ({brief(fault)}); "
                    f"{_REMEDY}"
                ) from fault
        read = {source for node in self.nodes.values() for source in node.inbounds}
        last = [name for name in order if name not in read and self.results[name]
                and self.nodes[name].type not in INPUTS]  # fmt: skip
        if not last:
            raise ModelError(f"{self.source}: no operator gives a result; {_REMEDY}")
        model = self.assembly.finish([tensor for name in last for tensor in self.results[name]])
        self._check(model)
        return model

    def _order(self) -> list[str]:
        order: list[str] = []
        state: dict[str, bool] = {}  # False while its inputs are visited
        for start in self.nodes:
            stack = [start]
            while stack:
                name = stack[-1]
                if state.get(name):
                    stack.pop()
                    continue
                missing = [source for source in self.nodes[name].inbounds if source in self.nodes
                           and not state.get(source)]  # fmt: skip
                if missing and name in state:
                    raise ModelError(f"{self.source}: the graph has a cycle through node '{name}'; {_REMEDY}")
                state[name] = not missing
                if missing:
                    stack += missing
                else:
                    order.append(stack.pop())
        return order

    def _read(self, node: IrNode) -> list[str]:
        """The computed tensors that a node reads; where it reads no node, an input of the network (rule 3)."""
        tensors: list[str] = []
        for source in node.inbounds:
            written = self.results.get(source)
            if written is None:
                raise ModelError(f"{self.source}: node '{node.name}' reads '{source}', which is no node; {_REMEDY}")
            if len(written) > 1:
                place = self.taken[source] = self.taken.get(source, -1) + 1
                written = (written[place % len(written)],)
            tensors += written
        if not tensors and not node.inbounds and node.type not in INPUTS | CONSTANTS:
            tensors.append(self.add_input(node.shape_of(node.input_shapes, 0)))
        return tensors

    def _check(self, model: UnboundModel) -> None:
        """Rule 5."""
        types = bind_shapes(model).types
        for name, node in self.nodes.items():
            written = self.results[name]
            if not node.output_shapes or len(written) != 1 or written[0] not in types:
                continue
            try:
                stated, found = self.out_shape(node), types[written[0]].shape
            except ShapeError as fault:
                raise ModelError(
                    f"{self.source}: node '{name}' ({node.type}) has no proper output_shape ({brief(fault)}); {_REMEDY}"
                ) from fault
            if node.type not in INPUTS and math.prod(stated) != math.prod(found):
                raise ModelError(
                    f"{self.source}: node '{name}' ({node.type}) is stated as {'x'.join(map(str, stated))} and "
                    f"computed as {'x'.join(map(str, found))}; {_REMEDY}"
                )
