"""What ONNX's schemas demand of a node of ai.onnx or ai.onnx.ml; a runtime loads no model that breaks them.

`schemas.json` has the schemas of onnx 1.23, every version of every operator; `benchmarks/operator_schemas.py` makes it.

Rules:
1. The version of an operator is the newest that the model's operator set has. An operator set from before its first
   version does not have the operator.
2. It has so many inputs, of which so many at the front are needed, and so many outputs.
3. It has no attributes but those of its schema (and private ones, whose names begin with `_`), each of its kind; some
   must be there.
4. Each input has one of the element types that it may have, and inputs with one type parameter have one element type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.unbound import UnboundGraph
from nnmeter.operators.attributes import wrong_attribute, wrong_word

_NAMES: dict[str, str] = {"": "ai.onnx", "ai.onnx.ml": "ai.onnx.ml"}
_IN_EVERY_SET = frozenset({"LayerNormalization"})  # ONNX Runtime has it of its own before ONNX's first version
_NEWEST = 1 << 31  # of a domain that the model does not import, which runtimes take for the newest

_GRAPHS = (UnboundGraph, Graph)
Kind = tuple[tuple[type, ...], frozenset[type], str]
# By the kind of an attribute, the types of its value, those of the elements of a list, and what it is called.
_KINDS: dict[str, Kind] = {
    "INT": ((int,), frozenset(), "a whole number"),
    "FLOAT": ((float,), frozenset(), "a number"),
    "STRING": ((str,), frozenset(), "a word"),
    "INTS": ((tuple, TensorType), frozenset({int, bool}), "a list of whole numbers"),
    "FLOATS": ((tuple, TensorType), frozenset({float}), "a list of numbers"),
    "STRINGS": ((tuple, TensorType), frozenset({str}), "a list of words"),
    "TENSOR": ((np.ndarray, TensorType), frozenset(), "a tensor"),
    "SPARSE_TENSOR": ((np.ndarray, TensorType), frozenset(), "a sparse tensor"),
    "GRAPH": (_GRAPHS, frozenset(), "a graph"),
}
_ANY: Kind = ((object,), frozenset(), "")  # of kinds that no attribute here has, as TYPE_PROTO


class Schema(NamedTuple):
    """A version of an operator; the last of `inputs` stands for all behind it."""

    since: int
    least: int
    most: int | None
    outputs: int | None
    needed: tuple[str, ...]
    kinds: Mapping[str, Kind]
    inputs: tuple[tuple[str, frozenset[str]], ...]


class Schemas:
    """The schemas that the nodes of one model have (rule 1).

    Args:
        opsets: the operator sets that it imports.
    """

    def __init__(self, opsets: Mapping[str, int]) -> None:
        self._opsets = opsets
        # By operator, number of outputs and types of inputs, what is wrong with these, and the schema: a model has few.
        self._seen: dict[tuple[Any, ...], tuple[str | None, Schema | None]] = {}

    def of(self, domain: str, op_type: str) -> Schema | None:
        """The schema of an operator; None where there is none, or none of the version."""
        return schema_of(domain, op_type, self._opsets.get(domain, _NEWEST)) if domain in _NAMES else None

    def wrong(self, node: Node, inputs: Sequence[TensorType | None]) -> str | None:
        """What is wrong with a node (rules 1 to 4), or None where nothing is.

        Of an operator without a schema, only kinds and words of attributes are known (`nnmeter.operators.attributes`).
        """
        dtypes = [kind.dtype if kind is not None else "" for kind in inputs]
        key = (node.op_type, node.domain, len(node.outputs), *dtypes)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = self._look_at(node, dtypes)
        wrong, schema = seen
        if wrong is not None:
            return wrong
        if schema is None:
            return wrong_attribute(node)
        if not node.attributes and not schema.needed:
            return None
        return _wrong_attributes(node.attributes, schema) or wrong_word(node)

    def _look_at(self, node: Node, dtypes: Sequence[str]) -> tuple[str | None, Schema | None]:
        """All that attributes play no part in."""
        schema = self.of(node.domain, node.op_type)
        if schema is None:
            return self._not_there(node.domain, node.op_type), None
        wrong = wrong_number(node, schema.least, schema.most, schema.outputs)
        return wrong or _wrong_types(dtypes, schema), schema

    def _not_there(self, domain: str, op_type: str) -> str | None:
        rows = _table().get(domain, {}).get(op_type)
        if not rows or op_type in _IN_EVERY_SET:
            return None
        return (
            f"{_NAMES[domain]} has the operator from its version {rows[0][0]} on, the model imports version "
            f"{self._opsets.get(domain)}"
        )


def wrong_number(node: Node, least: int, most: int | None, outputs: int | None) -> str | None:
    """What is wrong with the number of a node's inputs and outputs (rule 2)."""
    front = node.inputs[:least]
    if len(front) < least or "" in front:
        position = next((i for i, name in enumerate(front) if not name), len(front))
        return f"input {position} is missing, the operator needs {least}"
    if most is not None and len(node.inputs) > most:
        return f"it has {len(node.inputs)} inputs, the operator takes {most} at most"
    if outputs is not None and len(node.outputs) > outputs:
        return f"it has {len(node.outputs)} outputs, the operator {outputs}"
    return None


def _wrong_attributes(attributes: Mapping[str, Any], schema: Schema) -> str | None:
    """Rule 3."""
    kinds = schema.kinds
    for name, value in attributes.items():
        kind = kinds.get(name)
        if kind is None:
            if name[:1] == "_":
                continue
            return f"it has an attribute {name:.80}, which the operator does not know in this version"
        types, elements, words = kind
        if value is None:
            return f"attribute {name} has no value"
        if isinstance(value, types) and (
            not elements or type(value) is not tuple or elements.issuperset(map(type, value))
        ):
            continue
        shown = repr(value)
        return f"attribute {name} is {shown[:40]}{'...' * (len(shown) > 40)}, not {words}"
    for name in schema.needed:
        if name not in attributes:
            return f"attribute {name} is missing"
    return None


def _wrong_types(dtypes: Sequence[str], schema: Schema) -> str | None:
    """Rule 4."""
    bound: dict[str, str] = {}
    last = len(schema.inputs) - 1
    for position, dtype in enumerate(dtypes):
        if not dtype or last < 0:
            continue
        label, allowed = schema.inputs[min(position, last)]
        if allowed and dtype not in allowed:
            return f"its input {position} is of {dtype}, which the operator does not take"
        first = bound.setdefault(label, dtype) if label else dtype
        if first != dtype:
            return f"its inputs are of {first} and {dtype}, the operator takes one element type"
    return None


@lru_cache(maxsize=4096)
def schema_of(domain: str, op_type: str, version: int) -> Schema | None:
    """The schema of an operator of ai.onnx ("") or ai.onnx.ml in an operator set; None where it has none."""
    rows = [row for row in _table().get(domain, {}).get(op_type, ()) if row[0] <= version]
    if not rows:
        return None
    since, least, most, outputs, attributes, inputs = rows[-1]
    sets = _table()["types"]
    needed = tuple(name for name, kind in attributes.items() if kind.endswith("!"))
    kinds = {name: _KINDS.get(kind.rstrip("!"), _ANY) for name, kind in attributes.items()}
    typed = tuple((label, frozenset(sets[number].split())) for label, number in inputs)
    return Schema(since, least, most, outputs, needed, kinds, typed)


@lru_cache(maxsize=1)
def _table() -> Any:
    return json.loads(files(__package__).joinpath("schemas.json").read_bytes())
