"""What a runtime does not run, though the standard allows it: said of a prediction, which it makes worthless.

Rules:
1. What is refused is data of the runtime (`refused/<runtime>_<kind>.json`): element types of an operator's first input,
   operators as a whole, and forms of operators. It was made by asking the runtime (`benchmarks/runtime_refusals.py`),
   or is from where `source` says. Of a runtime that lists its kernels, what has none is refused
   (`nnmeter.devices.runtime_kernels`).
2. A form is refused where all is as it says: attributes are one of some values (`where`), or even (`even`), or have an
   entry above one (`above_one`), one is stated at all (`stated`), the first input is of some rank (`ranks`,
   `from_rank`) or element type, an input has several elements (`several`), axes are scaled (`kept_axes`), pads reach
   beyond what there is to reflect (`reflects`), the operator set is an older one (`below_set`).
   Attributes that a node does not state have the values that ONNX gives them.
3. A runtime without such data says nothing. What a delegate leaves to the processor is a section of its own.
4. What a form needs of the device is another (`needs`): the value of an attribute (`names`, or its default) must be
   there, unless it is one that is everywhere (`everywhere`), or attributes say that nothing is looked up (`unless`, of
   which one must hold).
5. Operators of nested graphs, of loops and branches, count like others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.devices.runtime_kernels import RuntimeKernels, kernels_of
from nnmeter.errors import brief
from nnmeter.graph.ir import Graph
from nnmeter.graph.notes import Note

if TYPE_CHECKING:
    from nnmeter.graph.ir import Node, TensorType

_DEFAULTS: dict[str, Any] = {
    "mode": "nearest", "antialias": 0, "layout": 0, "fmod": 0, "reduction": "none", "auto_pad": "NOTSET", "p": 2
}  # fmt: skip
_ELSEWHERE, _NEEDS = "elsewhere", "needs"  # sections of the data
_ENDLESS = 2**31
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
    kernels = kernels_of(name)
    refused = _found(graph, _rows(name, ""), kernels)
    elsewhere = _found(graph, _rows(name, _ELSEWHERE), None)
    return [
        *_notes("the device's runtime does not run this model", refused, f"{runtime} refuses it"),
        *_notes(
            "the device does not run all of this model",
            elsewhere,
            "the runtime leaves it to the CPU, and copies to and fro: it is priced as if the device ran it",
        ),
        *_notes(
            "the device's runtime runs this model only under a condition",
            _needed(graph, _needs(name)),
            f"{runtime} fails where that is not so",
        ),
    ]


def _needed(graph: Graph, needs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """What nodes need of the device, and their names (rule 4)."""
    found: dict[str, list[str]] = {}
    for inner in _with_nested(graph) if needs else ():
        for node in inner.nodes:
            need = needs.get(node.op_type)
            if need is None or node.domain:
                continue
            idle = any(
                all((node.attributes.get(name) or None) in values for name, values in case.items())
                for case in need["unless"]
            )
            wanted = node.attributes.get(need["names"], need["default"])
            if not idle and wanted not in need["everywhere"]:
                why = need["why"].format(brief(str(wanted), 80))
                found.setdefault(f"{node.op_type}: {why}", []).append(node.name)
    return found


def _found(graph: Graph, rows: Mapping[str, _Row], kernels: RuntimeKernels | None) -> dict[str, list[str]]:
    """Why nodes are not run, and their names."""
    found: dict[str, list[str]] = {}
    if not rows and kernels is None:
        return found
    for inner in _with_nested(graph):
        if kernels is not None:
            for node, why in kernels.missing(inner):
                found.setdefault(why, []).append(node.name)
        for node in inner.nodes:
            row = rows.get(node.op_type)
            if row is not None and not node.domain:
                for why in _reasons(node, inner, row):
                    found.setdefault(why, []).append(node.name)
    return found


def _notes(fault: str, found: Mapping[str, Sequence[str]], remedy: str) -> Iterator[Note]:
    for why, names in found.items():
        yield Note(f"{fault}: {why} (node {_some(names)}); {remedy}", "runtime", names[0])


def _with_nested(graph: Graph) -> Iterator[Graph]:
    """A graph and those nested in it (rule 5)."""
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


def _reasons(node: Node, graph: Graph, row: _Row) -> Iterator[str]:
    types = graph.types
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
        if "reflects" in form and not _reflects_beyond(node, first, graph):
            continue
        if graph.opsets.get("", 0) < form.get("below_set", _ENDLESS) and _is_form(node, form, first, result, types):
            yield f"{node.op_type}: {form['why']}"


def _is_form(
    node: Node, form: Mapping[str, Any], first: TensorType, result: TensorType | None, types: Mapping[str, TensorType]
) -> bool:
    """Rule 2."""
    attributes = node.attributes
    if any(attributes.get(name, _DEFAULTS.get(name)) not in values for name, values in form["where"].items()):
        return False
    rank = len(first.shape)
    if rank not in form.get("ranks", (rank,)) or rank < form.get("from_rank", 0):
        return False
    if first.dtype not in form.get("element_types", (first.dtype,)):
        return False
    if "even" in form and attributes.get(form["even"], 1) % 2:
        return False
    if "above_one" in form and not any(entry > 1 for entry in attributes.get(form["above_one"], ())):
        return False
    if "stated" in form and not attributes.get(form["stated"]):
        return False
    if "several" in form and not _has_several(node, form["several"], types):
        return False
    kept = form.get("kept_axes")
    if kept is None:
        return True
    if result is None or len(result.shape) != rank:
        return False
    return not any(all(first.shape[axis] == result.shape[axis] for axis in axes) for axes in kept)


def _reflects_beyond(node: Node, first: TensorType, graph: Graph) -> bool:
    """Whether known pads are as long as what they reflect, the edge left out."""

    def known(position: int) -> Sequence[int] | None:
        value = graph.values.get(node.inputs[position]) if position < len(node.inputs) else None
        return None if value is None else [int(number) for number in value.ravel()]

    pads = node.attributes.get("pads") or known(1)
    axes = known(3) or range(len(first.shape))
    if pads is None or len(pads) != 2 * len(axes):
        return False
    sizes = [first.shape[axis] + min(pads[i], 0) + min(pads[i + len(axes)], 0) for i, axis in enumerate(axes)]
    return any(max(pads[i], pads[i + len(axes)]) >= max(size, 1) for i, size in enumerate(sizes))


def _has_several(node: Node, position: int, types: Mapping[str, TensorType]) -> bool:
    kind = types.get(node.inputs[position]) if position < len(node.inputs) else None
    return kind is not None and kind.elements > 1


class _Row(NamedTuple):
    """What a runtime does not run of an operator: why not at all, in which element types, in which forms."""

    whole: str | None
    element_types: Sequence[str]
    forms: Sequence[Mapping[str, Any]]


@lru_cache(maxsize=16)
def _rows(name: str, section: str) -> Mapping[str, _Row]:
    """The data of a runtime by operator, or of a section of it; empty where there is none."""
    table = _table(name)
    if section:
        table = table.get(section, {})
    if not table:
        return {}
    whole, types, forms = table.get("operators", {}), table.get("element_types", {}), table.get("forms", ())
    operators = {*whole, *types, *(operator for form in forms for operator in form["operators"])}
    return {
        operator: _Row(
            whole.get(operator), types.get(operator, ()), [form for form in forms if operator in form["operators"]]
        )
        for operator in operators
    }


@lru_cache(maxsize=16)
def _needs(name: str) -> Mapping[str, Mapping[str, Any]]:
    """What operators need of the device, by operator (rule 4)."""
    return {operator: need for need in _table(name).get(_NEEDS, ()) for operator in need["operators"]}


def _table(name: str) -> Mapping[str, Any]:
    """The data of a runtime; empty where there is none."""
    file = files("nnmeter.devices").joinpath("refused", f"{name}.json")
    return json.loads(file.read_text()) if file.is_file() else {}
