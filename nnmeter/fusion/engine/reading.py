"""Rewrite rules, read from their JSON: every name bound, every node connected, every expression of the right kinds.

`nnmeter.fusion.engine.rules` (4-8) says what a rule is. What is checked here holds on every graph; it is what the
matcher and the rewriter rely on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.fusion.engine.expressions import Expression, check_expression, references
from nnmeter.fusion.engine.faults import RuleFault
from nnmeter.fusion.engine.functions import ON_NODES
from nnmeter.fusion.engine.rules import NewTensor, PatternNode, RewriteRule, Surroundings, Template

MAX_PATTERN = 64
_FREE = frozenset({"_", "..."})  # names in a pattern that bind nothing


def read_rule(data: Any) -> RewriteRule:
    """One rewrite rule; `check_rule` looks at what its parts say of each other.

    Raises:
        RuleFault: what is wrong with it.
    """
    name = named(data, "name", "rule")
    try:
        return _read(data, name)
    except RuleFault as fault:
        raise RuleFault(f"rule {name!r}: {fault}") from None


def read_elimination(data: Any) -> RewriteRule:
    """A rule that forwards the first input of a node, in its short form: `op`, `inputs`, `where`, `outputs`."""
    op = data.get("op") if isinstance(data, Mapping) else None
    if not op or not isinstance(op, str | list):
        raise RuleFault(f"an elimination needs an 'op': {data!r:.80}")
    node = {"id": "n", "op": op, "inputs": data.get("inputs", ["x", "..."]), "outputs": ["y", "..."]}
    label = op if isinstance(op, str) else op[0]
    return read_rule(
        {
            "name": data.get("name", f"no-op {label}"),
            "why": data.get("why", ""),
            "source": data.get("source", ""),
            "match": [node],
            "where": [*items(data, "where"), ["le", ["results", "n"], 1]],
            "forward": {"y": "x"},
            "outputs": data.get("outputs", False),
        }
    )


def named(data: Any, key: str, label: str) -> str:
    """A text that must be there."""
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str) or not value:
        raise RuleFault(f"{label}: needs a {key!r}")
    return value


def items(data: Mapping[str, Any], key: str, default: tuple[Any, ...] | None = ()) -> tuple[Any, ...]:
    """The items of a list, which may be left out if there is a default."""
    value = data.get(key, default)
    if not isinstance(value, (list, tuple)):
        raise RuleFault(f"needs a list {key!r}" if value is None else f"{key!r} is {value!r:.60}, not a list")
    return tuple(value)


def _words(data: Mapping[str, Any], key: str, default: tuple[str, ...] | None = ()) -> tuple[str, ...]:
    value = items(data, key, default)
    for item in value:
        if not isinstance(item, str):
            raise RuleFault(f"{key!r} has {item!r:.60}, not a name")
    return value


def _flag(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise RuleFault(f"{key!r} is {value!r:.60}, not true or false")
    return value


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise RuleFault(f"{key!r} is {value!r:.60}, not a text")
    return value


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise RuleFault(f"{key!r} is {value!r:.60}, not an object")
    return value


def _read(data: Mapping[str, Any], name: str) -> RewriteRule:
    forward = _object(data, "forward")
    if not all(isinstance(new, str) for new in forward.values()):
        raise RuleFault(f"'forward' is {dict(forward)!r:.80}, not an object of outputs and the inputs read for them")
    return RewriteRule(
        name,
        _pattern(data),
        items(data, "where"),
        tuple([_template(item) for item in items(data, "replace")]),
        tuple([_new_tensor(key, value) for key, value in _object(data, "tensors").items()]),
        dict(forward),
        _flag(data, "outputs"),
        tuple([_surroundings(item) for item in items(data, "unless")]),
        _text(data, "why"),
        _text(data, "source"),
    )


def _pattern(data: Mapping[str, Any]) -> tuple[PatternNode, ...]:
    nodes = tuple([_pattern_node(item) for item in items(data, "match", None)])
    if not 0 < len(nodes) <= MAX_PATTERN:
        raise RuleFault(f"a pattern of {len(nodes)} nodes, none or more than {MAX_PATTERN}")
    return nodes


def _pattern_node(data: Any) -> PatternNode:
    ops = data.get("op") if isinstance(data, Mapping) else None
    if isinstance(ops, str):
        ops = [ops]
    if not ops or not isinstance(ops, (list, tuple)) or not all(isinstance(op, str) and op for op in ops):
        raise RuleFault("a pattern node needs an 'op'")
    inputs, outputs = _words(data, "inputs", ("...",)), _words(data, "outputs", ("...",))
    for names in (inputs, outputs):
        if "..." in names[:-1]:
            raise RuleFault("'...' stands at the end of inputs or outputs only")
    if any(name in ("", "?") for name in (*inputs, *outputs)) or any(name.endswith("?") for name in outputs):
        raise RuleFault("every input and output of a pattern node has a name, and no output is optional")
    return PatternNode(
        named(data, "id", "a pattern node"),
        tuple(ops),
        inputs,
        outputs,
        _flag(data, "commutative"),
        _flag(data, "shared"),
    )


def _surroundings(data: Any) -> Surroundings:
    if not isinstance(data, Mapping):
        raise RuleFault(f"'unless' has {data!r:.60}, not a pattern")
    return Surroundings(_pattern(data), items(data, "where"))


def _template(data: Any) -> Template:
    if not isinstance(data, Mapping) or not {"op", "inputs", "outputs"} <= set(data):
        raise RuleFault("a node to create needs 'op', 'inputs' and 'outputs'")
    attributes = _object(data, "attributes")
    return Template(
        data["op"],
        _words(data, "inputs"),
        _words(data, "outputs"),
        _text(attributes, "from"),
        _words(attributes, "drop"),
        dict(_object(attributes, "set")),
        _flag(data, "main"),
    )


def _new_tensor(name: str, data: Any) -> NewTensor:
    if not isinstance(data, Mapping) or not ("like" in data or {"dtype", "shape"} <= set(data) or "value" in data):
        raise RuleFault(f"tensor {name!r} needs 'like', 'dtype' and 'shape', or 'value'")
    return NewTensor(
        name,
        _text(data, "like"),
        data.get("dtype"),
        data.get("shape"),
        _flag(data, "constant"),
        data.get("value"),
    )


class _Names:
    """Names that a pattern has bound so far."""

    def __init__(self, tensors: set[str], nodes: set[str]) -> None:
        self.tensors = tensors
        self.nodes = nodes

    def bind(self, pattern: tuple[PatternNode, ...]) -> _Names:
        """These names and those of a pattern around them, each node of which must be connected."""
        known = _Names(set(self.tensors), set(self.nodes))
        for node in pattern:
            names = {name.rstrip("?") for name in (*node.inputs, *node.outputs)} - _FREE
            if known.nodes and not names & known.tensors:
                raise RuleFault(f"pattern node {node.id!r} shares no tensor with the nodes before it")
            if node.id in known.nodes or node.id in known.tensors | names or names & known.nodes:
                raise RuleFault(f"two pattern nodes, or a node and a tensor, are called {node.id!r}")
            known.tensors |= names
            known.nodes.add(node.id)
        return known

    def check(self, expression: Expression) -> None:
        """Whether an expression is well formed and refers to what is bound, nodes and tensors where each belongs."""
        check_expression(expression)
        for function, name in references(expression):
            if name not in self.tensors and name not in self.nodes:
                raise RuleFault(f"{name!r} is not bound by the pattern")
            if (name in self.nodes) != (function in ON_NODES):
                raise RuleFault(f"{function!r} takes a {'node' if function in ON_NODES else 'tensor'}, not {name!r}")


def check_rule(rule: RewriteRule) -> None:
    """Whether the names, expressions and results of a rule go together.

    Raises:
        RuleFault: what does not.
    """
    try:
        _check(rule)
    except RuleFault as fault:
        raise RuleFault(f"rule {rule.name!r}: {fault}") from None


def _check(rule: RewriteRule) -> None:
    known = _Names(set(), set()).bind(rule.match)
    for expression in rule.where:
        known.check(expression)
    for around in rule.unless:
        names = known.bind(around.match)
        for expression in around.where:
            names.check(expression)
    if all(node.shared for node in rule.match):
        raise RuleFault("a pattern needs a node that is not shared")
    own = {name for node in rule.match if not node.shared for name in node.outputs} - _FREE
    bound = set(known.tensors)
    known.tensors |= {tensor.name for tensor in rule.tensors}
    if known.tensors & known.nodes or bound & {tensor.name for tensor in rule.tensors}:
        raise RuleFault("a new tensor has a name that the pattern binds")
    _check_result(rule, known, bound, own)


def _check_result(rule: RewriteRule, known: _Names, bound: set[str], own: set[str]) -> None:
    """What a rule makes of a match; `own` are the outputs of nodes that go away."""
    if not rule.replace and not rule.forward:
        raise RuleFault("needs 'replace' or 'forward'")
    new = {tensor.name for tensor in rule.tensors}
    for tensor in rule.tensors:
        for expression in (tensor.dtype, tensor.shape, tensor.value):
            known.check(expression)
        if tensor.like and tensor.like not in bound:
            raise RuleFault(f"{tensor.like!r} is not bound by the pattern")
    written: set[str] = set()
    for template in rule.replace:
        for expression in (template.op, *template.attributes_set.values()):
            known.check(expression)
        if template.attributes_from and template.attributes_from not in known.nodes:
            raise RuleFault(f"attributes come from {template.attributes_from!r}, which is no node of the pattern")
        for name in (*template.inputs, *template.outputs):
            if name and name.rstrip("?") not in known.tensors:
                raise RuleFault(f"{name!r} is not bound by the pattern")
        early = {name for name in template.inputs if name.rstrip("?") in own - written}
        if early:
            raise RuleFault(f"{min(early)!r} goes away, so that no new node can read it before another has written it")
        for name in filter(None, template.outputs):
            if name.rstrip("?") not in own | new or name.rstrip("?") in written:
                raise RuleFault(f"{name!r} is written by another node, or twice")
            written.add(name.rstrip("?"))
    for old, target in rule.forward.items():
        if old not in own or target not in bound or target in own:
            raise RuleFault(f"'forward' of {old!r} to {target!r}: the one is not an output, or the other not an input")
