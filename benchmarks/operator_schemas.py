"""Writes what ONNX's schemas say of the operators of ai.onnx and ai.onnx.ml: nnmeter/operators/schemas.json.

    python benchmarks/operator_schemas.py > nnmeter/operators/schemas.json

For every version of every operator: since which operator set, how many inputs it needs at its front and takes at most,
how many outputs it has, the kind of each attribute (`!` for one that must be there), and for each input the name of its
type parameter and the element types that it may have (of a sequence or an optional, those of its elements).
`nnmeter.operators.schemas` reads it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import click
import onnx
from onnx import defs

DOMAINS = ("", "ai.onnx.ml")
_ENDLESS = 2**31 - 1
_NAMES = {"float": "float32", "double": "float64"}
_ELEMENT = re.compile(r"tensor\((\w+)\)|map\(\w+, ?(\w+)\)")


def element_types(allowed: list[str]) -> str:
    """The element types in a list of type texts, in order."""
    found = [_ELEMENT.search(text) for text in allowed]
    names = [m.group(1) or m.group(2) for m in found if m]
    return " ".join(sorted({_NAMES.get(name, name) for name in names}))


def row(schema: defs.OpSchema, sets: dict[str, int]) -> list[Any]:
    """One version of an operator; lists of element types are kept once, in `sets`."""
    constraints = {c.type_param_str: list(c.allowed_type_strs) for c in schema.type_constraints}
    inputs = []
    for item in schema.inputs:
        types = element_types(constraints.get(item.type_str, [item.type_str]))
        variadic = str(item.option).endswith("Variadic")
        label = item.type_str if item.type_str in constraints and (not variadic or item.is_homogeneous) else ""
        inputs.append([label, sets.setdefault(types, len(sets))])
    attributes = {
        name: str(a.type).rpartition(".")[2] + "!" * bool(a.required) for name, a in sorted(schema.attributes.items())
    }
    most = None if schema.max_input == _ENDLESS else schema.max_input
    outputs = None if schema.max_output == _ENDLESS else schema.max_output
    return [schema.since_version, _needed(schema), most, outputs, attributes, inputs]


def _needed(schema: defs.OpSchema) -> int:
    """How many inputs at the front none may be absent of; Loop has none, though two must be named."""
    count = 0
    for item in schema.inputs:
        kind = str(item.option).rpartition(".")[2]
        if kind == "Optional" or (kind == "Variadic" and (not item.min_arity or schema.name == "Scan")):
            return count  # a body may read all that it needs from around it
        count += 1
        if kind == "Variadic":
            break
    return count


@click.command()
def main() -> None:
    """Print the table."""
    sets: dict[str, int] = {}
    table: dict[str, dict[str, list[Any]]] = {domain: {} for domain in DOMAINS}
    for schema in sorted(defs.get_all_schemas_with_history(), key=lambda s: (s.domain, s.name, s.since_version)):
        rows = table.get(schema.domain, {}).get(schema.name, [])
        if schema.domain in DOMAINS and not (schema.deprecated and (rows or not schema.inputs)):
            rows = table[schema.domain].setdefault(schema.name, [])
            found = row(schema, sets)
            if not rows or rows[-1][1:] != found[1:]:
                rows.append(found)
    parts = []
    for domain, operators in table.items():
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(rows)}" for name, rows in sorted(operators.items()))
        parts.append(f" {json.dumps(domain)}: {{\n{lines}\n }}")
    head = f'{{\n "onnx": "{onnx.__version__}",\n "types": {json.dumps(list(sets))},\n'
    click.echo(f"{head}{','.join(parts)}\n}}")


if __name__ == "__main__":
    main()
