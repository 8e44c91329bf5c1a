"""Asks ONNX Runtime which kernels its CPU provider has: nnmeter/devices/refused/onnxruntime_cpu_kernels.json.

    python benchmarks/runtime_kernels.py > nnmeter/devices/refused/onnxruntime_cpu_kernels.json

1. The kernels are those that the installed runtime lists (`get_all_opkernel_def`), each with the versions of its
   operator and the element types that it takes.
2. A kernel serves an operator set whose version of the operator is the first that the kernel is for, or, of a kernel
   whose versions have an end, one of those up to it. (One without an end is of its first version only: a newer version
   of the operator may do something else.)
3. An operator that is a function runs without a kernel where the runtime expands its body. Whether it does, for which
   operator sets and types, is asked: a model of one node is made of the first of ONNX's suite (`onnx_suite.py`) with
   the operator, the element type of its first type parameter and its operator set changed; where a session is made,
   that type is taken, with those types of each other parameter of the inputs with which a session is made, too.
4. Of com.microsoft, operators that the runtime knows and has no kernel of are asked for in the same way.

The table has for each domain and operator rows of an operator set, from which on they hold, and the kernels there: for
each kernel the element types of each input (the last stands for all behind it) and of each output, as numbers of lists
in `types`, -1 for any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import onnx
import onnxruntime
from onnx import TensorProto, defs, helper
from onnx_suite import Case, cases
from onnxruntime.capi import onnxruntime_pybind11_state as binding

from nnmeter.formats import NEWEST_OPSET
from nnmeter.graph.dtypes import DTYPE_OF_CODE

DOMAINS = {"": NEWEST_OPSET, "ai.onnx.ml": 5, "com.microsoft": 1}
_ENDLESS = 2**31 - 1
_NAMES = {"float": "float32", "double": "float64"}
_CODES = {dtype: code for code, dtype in DTYPE_OF_CODE.items()}
_WITH_GRAPHS = frozenset({"If", "Loop", "Scan", "SequenceMap"})

Kernel = tuple[tuple[frozenset[str] | None, ...], tuple[frozenset[str] | None, ...]]


def element(text: str) -> str:
    """The element type in the text of a type."""
    for outer in ("optional(", "sparse_tensor(", "seq(", "map("):
        text = text.removeprefix(outer)
    text = text.rpartition(",")[2].removeprefix("tensor(").rstrip(")").removeprefix("tensor(")
    return _NAMES.get(text, text)


class Formal:
    """The labels of an operator's inputs and outputs: type parameter and name."""

    def __init__(self, domain: str, op_type: str, version: int) -> None:
        self.since, self.inputs, self.outputs = 0, [], []
        if domain == "com.microsoft":
            found = [s for s in binding.get_all_operator_schema() if (s.domain, s.name) == (domain, op_type)]
            if found:
                self.since = found[0].since_version
                self.inputs = [(p.typeStr, p.name) for p in found[0].inputs]
                self.outputs = [(p.typeStr, p.name) for p in found[0].outputs]
            return
        try:
            schema = defs.get_schema(op_type, version, domain)
        except defs.SchemaError:
            return
        if not schema.deprecated:
            self.since = schema.since_version
            self.inputs = [(p.type_str, p.name) for p in schema.inputs]
            self.outputs = [(p.type_str, p.name) for p in schema.outputs]
            self.schema = schema


def kernels_of(formal: Formal, defined: list[Any]) -> list[Kernel]:
    """The kernels that serve a version of an operator (rule 2)."""
    found = []
    for kernel in defined:
        first, last = kernel.version_range
        if first == formal.since or (first < formal.since <= last and last != _ENDLESS):
            taken = {label: frozenset(map(element, types)) for label, types in kernel.type_constraints.items()}
            sides = [
                tuple(taken.get(label, taken.get(name)) for label, name in side)
                for side in (formal.inputs, formal.outputs)
            ]
            found.append((sides[0], sides[1]))
    return merged(found, formal)


def merged(kernels: list[Kernel], formal: Formal) -> list[Kernel]:
    """Kernels of one type parameter as one: what it says of the inputs and outputs that have it holds of all alike."""
    single: dict[tuple[Any, ...], set[str]] = {}
    others = []
    for kernel in kernels:
        sets = {types for side in kernel for types in side if types is not None}
        places = tuple(tuple(types is not None for types in side) for side in kernel)
        labels = {
            label
            for side, there in zip((formal.inputs, formal.outputs), places, strict=True)
            for (label, _), one in zip(side, there, strict=True)
            if one
        }
        if len(sets) == len(labels) == 1:
            single.setdefault(places, set()).update(*sets)
        else:
            others.append(kernel)
    for places, types in single.items():
        inputs, outputs = (tuple(frozenset(types) if there else None for there in side) for side in places)
        others.append((inputs, outputs))
    return list(dict.fromkeys(others))


def takes(kernels: list[Kernel], inputs: list[str | None], outputs: list[str | None]) -> bool:
    """Whether one of the kernels takes these types."""
    return any(
        all(
            dtype is None or not side or _is_among(dtype, side[min(i, len(side) - 1)])
            for side, dtypes in zip(kernel, (inputs, outputs), strict=True)
            for i, dtype in enumerate(dtypes)
        )
        for kernel in kernels
    )


def _is_among(dtype: str, types: frozenset[str] | None) -> bool:
    return types is None or dtype in types


def expanded(case: Case, formal: Formal, version: int, kernels: list[Kernel]) -> Iterator[Kernel]:
    """The types that a function takes beyond those of its kernels (rule 3)."""
    node = case.model.graph.node[0]
    kinds = {v.name: v.type for v in (*case.model.graph.input, *case.model.graph.output)}
    label = formal.inputs[0][0] if formal.inputs else ""
    allowed = {c.type_param_str: {element(t) for t in c.allowed_type_strs} for c in formal.schema.type_constraints}
    sides = [
        [(formal_side[min(i, len(formal_side) - 1)][0], name) for i, name in enumerate(names)]
        for formal_side, names in ((formal.inputs, node.input), (formal.outputs, node.output))
    ]
    others = sorted({one for one, _ in sides[0]} - {label})  # of outputs alone, an attribute says the type
    found: dict[tuple[Any, ...], set[str]] = {}
    for dtype in sorted(allowed.get(label, set()) & _CODES.keys()):
        of_example: list[list[str | None]] = [
            [
                None if not name else dtype if one == label else DTYPE_OF_CODE.get(_element_code(kinds.get(name)))
                for one, name in side
            ]
            for side in sides
        ]
        if takes(kernels, *of_example):
            continue
        of_one = [[dtype if name else None for _, name in side] for side in sides]
        chosen = next((types for types in (of_example, of_one) if _runs(case, version, types)), None)
        if chosen is None:
            continue
        beside = []
        for other in others:
            asked = sorted(allowed.get(other, set()) & _CODES.keys())
            taken = [one for one in asked if _runs(case, version, _with(sides, chosen, other, one))]
            beside.append(None if taken == asked else frozenset(taken))
        found.setdefault(tuple(beside), set()).add(dtype)
    for beside_all, dtypes in found.items():
        of = {label: frozenset(dtypes), **dict(zip(others, beside_all, strict=True))}
        inputs, outputs = (
            tuple(of.get(one) for one, _ in formal_side) for formal_side in (formal.inputs, formal.outputs)
        )
        yield inputs, outputs


def _with(
    sides: list[list[tuple[str, str]]], chosen: list[list[str | None]], label: str, dtype: str
) -> list[list[str | None]]:
    """Types with another one for a type parameter; of places that are not given, None stays."""
    return [
        [dtype if one == label and name else old for (one, name), old in zip(side, types, strict=True)]
        for side, types in zip(sides, chosen, strict=True)
    ]


def _element_code(kind: onnx.TypeProto | None) -> int:
    return 0 if kind is None else kind.tensor_type.elem_type


def _runs(case: Case, version: int, chosen: list[list[str | None]]) -> bool:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    node = model.graph.node[0]
    for names, dtypes in zip((node.input, node.output), chosen, strict=True):
        for name, dtype in zip(names, dtypes, strict=True):
            for value in (*model.graph.input, *model.graph.output):
                if value.name == name and dtype is not None and value.type.HasField("tensor_type"):
                    value.type.tensor_type.elem_type = _CODES[dtype]
    known = defs.get_schema(node.op_type, version, "").attributes
    for attribute in [a for a in node.attribute if a.name not in known]:
        node.attribute.remove(attribute)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", version))
    return _made(model) is None


def _made(model: onnx.ModelProto) -> str | None:
    """What ONNX Runtime says against a model when it is loaded."""
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as fault:  # the binding has no base class of its own
        return str(fault)
    return None


def unknown_kernel(op_type: str, schema: Any) -> bool:
    """Whether ONNX Runtime says that it has no implementation of an operator of its own (rule 4)."""
    inputs = [f"x{i}" for i in range(max(schema.min_input, 1))]
    attributes: dict[str, Any] = {
        name: {"INT": 1, "FLOAT": 1.0, "STRING": "linear", "INTS": [1, 1]}.get(str(a.type).rpartition(".")[2], 1)
        for name, a in schema.attributes.items()
        if a.required
    }
    kinds = []
    for i in range(len(inputs)):
        formal = schema.inputs[min(i, len(schema.inputs) - 1)]
        types = {element(str(t)) for t in formal.types} or {"float32"}
        kinds.append(_CODES["float32"] if "float32" in types else _CODES.get(sorted(types)[0], TensorProto.FLOAT))
    node = helper.make_node(op_type, inputs, ["y"], domain="com.microsoft", **attributes)
    values = [helper.make_tensor_value_info(n, k, None) for n, k in zip(inputs, kinds, strict=True)]
    graph = helper.make_graph([node], "g", values, [onnx.ValueInfoProto(name="y")])
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    fault = _made(helper.make_model(graph, opset_imports=imports, ir_version=10))
    return fault is not None and f"an implementation for {op_type}" in fault


@click.command()
def main() -> None:
    """Print the table."""
    onnxruntime.set_default_logger_severity(4)
    defined: dict[tuple[str, str], list[Any]] = {}
    for kernel in binding.get_all_opkernel_def():
        if kernel.provider == "CPUExecutionProvider":
            defined.setdefault((kernel.domain, kernel.op_name), []).append(kernel)
    examples: dict[str, Case] = {}
    for case in cases(("node",)):
        nodes = case.model.graph.node
        if len(nodes) == 1 and not nodes[0].domain:
            examples.setdefault(nodes[0].op_type, case)
    sets: dict[str, int] = {}
    parts = []
    for domain, newest in DOMAINS.items():
        lines = []
        for op_type in operators(domain, defined):
            rows = list(rows_of(domain, op_type, newest, defined.get((domain, op_type), []), examples.get(op_type)))
            if rows:
                lines.append(f"  {json.dumps(op_type)}: {json.dumps(numbered(rows, sets), separators=(',', ':'))}")
        parts.append(f" {json.dumps(domain)}: {{\n" + ",\n".join(lines) + "\n }")
    version = ".".join(onnxruntime.__version__.split(".")[:2])
    head = f'{{\n "runtime": "onnxruntime",\n "version": "{version}",\n "types": {json.dumps(list(sets))},\n'
    click.echo(head + ",\n".join(parts) + "\n}")


def operators(domain: str, defined: dict[tuple[str, str], list[Any]]) -> list[str]:
    """The operators of a domain of which something is known."""
    if domain == "com.microsoft":
        known = [s for s in binding.get_all_operator_schema() if s.domain == domain]
        return sorted(s.name for s in known if (domain, s.name) in defined or unknown_kernel(s.name, s))
    names = {s.name for s in defs.get_all_schemas_with_history() if s.domain == domain}
    return sorted(names - _WITH_GRAPHS)


def rows_of(
    domain: str, op_type: str, newest: int, defined: list[Any], example: Case | None
) -> Iterator[tuple[int, list[Kernel]]]:
    """The kernels of an operator by operator set, where they change."""
    before: list[Kernel] | None = None
    for version in range(1, newest + 1):
        formal = Formal(domain, op_type, version)
        if not formal.since:
            continue
        found = kernels_of(formal, defined)
        if not domain and example is not None and _is_function(formal.schema):
            found = merged([*found, *expanded(example, formal, version, found)], formal)
        if found != before:
            yield version, found
        before = found


def _is_function(schema: Any) -> bool:
    return bool(schema.has_function or getattr(schema, "has_context_dependent_function", False))


def numbered(rows: list[tuple[int, list[Kernel]]], sets: dict[str, int]) -> list[Any]:
    """The rows with numbers in place of sets."""

    def number(types: frozenset[str] | None) -> int:
        return -1 if types is None else sets.setdefault(" ".join(sorted(types)), len(sets))

    return [
        [version, [[list(map(number, side)) for side in kernel] for kernel in kernels]] for version, kernels in rows
    ]


if __name__ == "__main__":
    main()
