"""Which values are optional ones, that operators before operator set 18 demand.

Types here are those of what an optional value holds, so that a tensor and an optional tensor look alike. ONNX Runtime
tells them apart: `OptionalGetElement` and `OptionalHasElement` take no plain tensor or sequence before operator set 18.
What a nested graph reads of the graph around it, and what an operator hands on whatever it is, is not judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.binding.faults import Faults
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundGraph

_TAKING = frozenset({"OptionalGetElement", "OptionalHasElement"})
_PLAIN_TOO = 18  # the operator set from which on they take what is not optional
_HANDING_ON = frozenset({"Optional", "Identity", "If", "Loop", "Scan", "SequenceMap"})


def check_optionals(graph: UnboundGraph, nodes: Sequence[Node], opset: int, faults: Faults) -> None:
    """Refuse operators that take optional values and are given others.

    Args:
        graph: the graph, with what its inputs are declared as.
        nodes: its operators, branches that are known put in the place of their `If`.
        opset: version of the operators of ai.onnx.
        faults: makes the errors of the model.

    Raises:
        ModelError: one is given a value that is known to be no optional one.
    """
    taking = [node for node in nodes if not node.domain and node.op_type in _TAKING and node.inputs]
    if opset >= _PLAIN_TOO or not taking:
        return
    plain = set(graph.constants)
    for told in graph.inputs:
        if not told.is_optional and (told.container in ("sequence", "map") or (told.dtype and not told.container)):
            plain.add(told.name)
    for node in nodes:
        if not node.domain and node.op_type not in _HANDING_ON:
            plain.update(node.outputs)
    for node in taking:
        if node.inputs[0] in plain:
            raise faults.of_node(
                node,
                f"input '{node.inputs[0]}' is no optional value, which alone it takes before operator set {_PLAIN_TOO}",
                f"export the model with operator set {_PLAIN_TOO} or later",
            )
