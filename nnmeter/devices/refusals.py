"""What a runtime does not run, though the standard allows it: said of a prediction, which it makes worthless.

Rules:
1. What is refused is data of the runtime (`refused/<runtime>_<kind>.json`): element types of an operator's first input,
   operators as a whole, and forms of operators. It was made by asking the runtime (`benchmarks/runtime_refusals.py`),
   or is from where `source` says. Of a runtime that lists its kernels, what has none is refused
   (`nnmeter.devices.runtime_kernels`).
2. A form is refused where attributes, rank and scaled axes are as it says. Attributes that a node does not state have
   the values that ONNX gives them.
3. A runtime without such data says nothing.
4. Operators of nested graphs, of loops and branches, count like others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.devices.runtime_kernels import kernels_of
from nnmeter.graph.ir import Graph
from nnmeter.graph.notes import Note

if TYPE_CHECKING:
    from nnmeter.graph.ir import Node, TensorType

_DEFAULTS: dict[str, Any] = {"mode": "nearest", "antialias": 0, "layout": 0}
_NAMED = 3
_WITH_GRAPHS = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def refused_by(runtime: str, kind: str, graph: Graph) -> list[Note]:
    """A note for each operator of a graph that a device's runtime does not run, whatever the number of its nodes.

    Args:
        runtime: of the device, as its card has it.
        kind: of the device: `cpu`, `gpu`.
        graph: the model.
    """
    name = f"{runtime}_{kind}"
    if not name.replace("_", "").replace("-", "").isalnum():
        return []
    rows, kernels = _rows(name), kernels_of(name)
    if not rows and kernels is None:
        return []
    found: dict[str, list[str]] = {}
    for inner in _with_nested(graph):
        if kernels is not None:
            for node, why in kernels.missing(inner):
                found.setdefault(why, []).append(node.name)
        for node in inner.nodes:
            row = rows.get(node.op_type)
            if row is not None and not node.domain:
                for why in _reasons(node, inner.types, row):
                    found.setdefault(why, []).append(node.name)
    return [
        Note(
            f"the device's runtime does not run this model: {why} (node {_some(names)}); {runtime} refuses it",
            "runtime",
            names[0],
        )
        for why, names in found.items()
    ]


def _with_nested(graph: Graph) -> Iterator[Graph]:
    """A graph and those nested in it (rule 4)."""
    waiting = [graph]
    while waiting:
        inner = waiting.pop()
        yield inner
        for node in inner.nodes:
            if node.op_type in _WITH_GRAPHS:
                waiting.extend(value for value in node.attributes.values() if isinstance(value, Graph))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


def _reasons(node: Node, types: Mapping[str, TensorType], row: _Row) -> Iterator[str]:
    if row.whole is not None:
        yield f"{node.op_type}: {row.whole}"
    if not node.inputs or not node.inputs[0]:
        return
    first = types.get(node.inputs[0])
    if first is None:  # of a graph around a nested one
        return
    if first.dtype in row.element_types:
        yield f"no {node.op_type} in {first.dtype}"
    result = types.get(node.outputs[0]) if node.outputs else None
    for form in row.forms:
        if _is_form(node, form, first, result):
            yield f"{node.op_type}: {form['why']}"


def _is_form(node: Node, form: Mapping[str, Any], first: TensorType, result: TensorType | None) -> bool:
    """Rule 2."""
    if any(node.attributes.get(name, _DEFAULTS.get(name)) != value for name, value in form["where"].items()):
        return False
    rank = len(first.shape)
    if rank not in form.get("ranks", (rank,)) or rank < form.get("from_rank", 0):
        return False
    kept = form.get("kept_axes")
    if kept is None:
        return True
    if result is None or len(result.shape) != rank:
        return False
    return not any(all(first.shape[axis] == result.shape[axis] for axis in axes) for axes in kept)


class _Row(NamedTuple):
    """What a runtime does not run of an operator: why not at all, in which element types, in which forms."""

    whole: str | None
    element_types: Sequence[str]
    forms: Sequence[Mapping[str, Any]]


@lru_cache(maxsize=16)
def _rows(name: str) -> Mapping[str, _Row]:
    """The data of a runtime by operator; empty where there is none."""
    table = _table(name)
    if not table:
        return {}
    whole, types, forms = table.get("operators", {}), table["element_types"], table["forms"]
    operators = {*whole, *types, *(operator for form in forms for operator in form["operators"])}
    return {
        operator: _Row(
            whole.get(operator), types.get(operator, ()), [form for form in forms if operator in form["operators"]]
        )
        for operator in operators
    }


def _table(name: str) -> Mapping[str, Any]:
    """The data of a runtime; empty where there is none."""
    file = files("nnmeter.devices").joinpath("refused", f"{name}.json")
    return json.loads(file.read_text()) if file.is_file() else {}
