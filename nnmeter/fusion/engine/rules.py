"""Fusion rules: the data that says, for one device, which operators become which kernels.

A rule set is a JSON object. It is data only: no code, no model names, and the engine that applies it knows no runtime.

1. `schema_version` is 1; `name`, `runtime` and `runtime_version` say whose rules these are; `parameters` are numbers
   that expressions and passes refer to (`["param", "block"]`): the block size of a layout is one, so that AVX2 and
   AVX-512 machines differ in one number.
2. `stages` are applied in order. The passes of a stage are applied in order, `repeat` times at most or until none
   changes the graph, as optimizers of runtimes do.
3. A pass has a `name` and a `kind`, is left out unless the graph has an operator of `only_with` and the parameter
   `only_if` is true, where given, and is applied `repeat` times at most (once, where not given) before the next one.
   Kinds (with the rule here, or the module of `nnmeter/fusion`, that tells their fields): `rewrite` (4-8),
   `fold_constants` (9), `deduplicate` (10), `eliminate` (11), `layout` (layout.py), `push_transposes` (transposes.py),
   `split_slices` (splitting.py), `slices_to_blocks` (blocks.py), `quantized_groups`, `unshare` and
   `unsigned_activations` (quantization.py), `insert_casts` (casts.py), `plain_attributes` (plain_attributes.py), `link`
   (linking.py), `free_operators` (free_operators.py), `post_operators` (post_operators.py), `group_elementwise`
   (elementwise.py), `group_attention` (attention.py), `memory_layout` (memory_layout.py), `in_place` (in_place.py),
   `retype` (retyping.py), `settings` (settings.py), `shared_biases` (biases.py), `merge_concats` (concats.py),
   `chain_products` (perceptrons.py).
4. A `rewrite` pass has `rules`. Nodes are visited in the order of the graph; the first rule that fits at a node is
   applied. A rule has a `name`, a pattern `match`, conditions `where`, and what it becomes: `replace` or `forward`.
5. `match` is a list of pattern nodes; the first is the anchor, each other one reads or writes a tensor of an earlier
   one. A pattern node has an `id`, `op` (an operator or a list of them, with their domain: `com.microsoft.FusedConv`),
   `inputs` and `outputs`. Inputs are names to bind; a name that is bound already must be the same tensor; `name?` may
   be absent; `_` is any; `...` at the end stands for any more. `commutative` nodes match with two inputs either way.
6. Nodes of a match are replaced, so what they compute must not be needed elsewhere, except outputs that `replace`
   writes. A `shared` node is taken into the kernel but stays in the graph for as long as others read it.
7. `where` is a list of expressions (`nnmeter/fusion/engine/expressions.py`) that must all hold. `unless` is a list of
   patterns around the match, each `{"match": [...], "where": [...]}`; the rule does not apply where one of them is
   found.
8. `replace` is a list of nodes: `op` (text or expression), `inputs` and `outputs` (bound names; `name?` is left out
   where it is not bound), `attributes`: `from` (pattern node to copy them from), `drop` (names not copied), `set` (name
   to expression). The node marked `main`, or the only one, is the heir of the operators matched. New tensors are named
   in `tensors`: `{"like": name}` or `{"dtype": expression, "shape": expression}`, with `"constant": true` for a
   repacked weight or `"value": expression` for a small constant. `forward` maps outputs of the match to the tensors to
   read in their place; `"outputs": true` lets it rename a graph output.
9. `fold_constants` removes what can be computed before the run: nodes all of whose inputs are constants, except the
   kinds in `except`; and the kinds in `of_shapes`, which depend on static shapes only. `limit` (elements) spares
   operators in `generators` that would turn a small constant into a large one.
10. `deduplicate` merges nodes of one kind with equal attributes and inputs (`except` lists the kinds that it spares,
    `only` those that it merges); constants of one element are equal if their values are.
11. `eliminate` is short for rewrite rules that forward the first input: `operators`: a list of
    `{"op", "inputs", "where", "outputs"}`; the input is called `x`, the output `y`, the node `n`.
12. Rules, and passes that are no rewrite rules, may have a `why` (what the runtime does, and when) and a `source` (its
    file and version that shows it). They change nothing.
13. `{"include": name}` in place of a stage stands for the stages of a rule set of the package, so that devices share
    what they have in common. It is resolved when rules are read: a pack's own copy holds all of its rules.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnmeter.errors import DeviceError
from nnmeter.files import parse_json, read_limited
from nnmeter.fusion.engine.expressions import Expression, ExpressionFault, compile_expression, names_in
from nnmeter.limits import MAX_JSON_BYTES

SCHEMA_VERSION = 1
MAX_REPEAT = 1000
MAX_PATTERN = 64
RULESETS = Path(__file__).parents[1] / "rulesets" / "compiled"


class RuleFault(Exception):
    """A fault in a rule; the loader adds the file."""


@dataclass(frozen=True)
class PatternNode:
    """One node of a pattern (rules 5 and 6)."""

    id: str
    op: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    commutative: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Template:
    """One node that a rule creates (rule 8)."""

    op: Expression
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes_from: str = ""
    attributes_drop: tuple[str, ...] = ()
    attributes_set: Mapping[str, Expression] = field(default_factory=dict)
    main: bool = False


@dataclass(frozen=True)
class NewTensor:
    """A tensor that a rule creates (rule 8)."""

    name: str
    like: str = ""
    dtype: Expression = None
    shape: Expression = None
    constant: bool = False
    value: Expression = None


@dataclass(frozen=True)
class Surroundings:
    """A pattern around a match that forbids it (rule 7)."""

    match: tuple[PatternNode, ...]
    where: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class RewriteRule:
    """A pattern and what it becomes."""

    name: str
    match: tuple[PatternNode, ...]
    where: tuple[Expression, ...] = ()
    replace: tuple[Template, ...] = ()
    tensors: tuple[NewTensor, ...] = ()
    forward: Mapping[str, str] = field(default_factory=dict)
    outputs: bool = False
    unless: tuple[Surroundings, ...] = ()
    why: str = ""
    source: str = ""


@dataclass(frozen=True)
class Pass:
    """One pass: rewrite rules, or a procedure with its fields (rule 3)."""

    name: str
    kind: str
    rules: tuple[RewriteRule, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    only_with: tuple[str, ...] = ()
    repeat: int = 1
    only_if: str = ""
    why: str = ""
    source: str = ""


@dataclass(frozen=True)
class Stage:
    """Passes that are applied in order, repeatedly (rule 2)."""

    name: str
    repeat: int
    passes: tuple[Pass, ...]


@dataclass(frozen=True)
class FusionRules:
    """The fusion rules of one device; `source` is the JSON object that they were read from."""

    name: str
    runtime: str
    runtime_version: str
    parameters: Mapping[str, Any]
    stages: tuple[Stage, ...]
    source: Mapping[str, Any] = field(repr=False, compare=False)
    prepared: dict[str, Any] = field(
        default_factory=dict, repr=False, compare=False
    )  # compiled passes, by the detector


def load_rules(source: str | os.PathLike[str] | Mapping[str, Any], where: str = "fusion rules") -> FusionRules:
    """The fusion rules in a file, or in a JSON object already read.

    Args:
        source: path of a rules file, the name of a rule set of the package (`onnxruntime_cpu`), or a mapping.
        where: what errors call a mapping.

    Raises:
        DeviceError: the file, the rule and the fault, in one line.
    """
    if isinstance(source, Mapping):
        return _parse(source, where)
    path = Path(source)
    if path.suffix == "" and (RULESETS / f"{path.name}.json").is_file() and not path.is_file():
        path = RULESETS / f"{path.name}.json"
    try:
        data = parse_json(read_limited(path, MAX_JSON_BYTES))
    except OSError as error:
        raise DeviceError(f"{path}: cannot read fusion rules ({error.strerror or error}); check the path") from None
    except ValueError as error:
        raise DeviceError(f"{path}: fusion rules are not valid JSON ({error}); restore the file") from None
    return _parse(data, str(path))


def rules_to_dict(rules: FusionRules) -> dict[str, Any]:
    """The JSON object of a rule set; `load_rules` reads it back."""
    return dict(rules.source)


def with_parameters(rules: FusionRules, **parameters: Any) -> FusionRules:
    """The same rules with other parameters (`block=8` for a machine without AVX-512)."""
    unknown = sorted(set(parameters) - set(rules.parameters))
    if unknown:
        raise DeviceError(f"{rules.name}: no parameter {', '.join(unknown)}; there are {', '.join(rules.parameters)}")
    source = dict(rules.source)
    source["parameters"] = {**rules.parameters, **parameters}
    return load_rules(source)


def _parse(data: Any, where: str) -> FusionRules:
    try:
        if not isinstance(data, Mapping):
            raise RuleFault("not a JSON object")
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise RuleFault(
                f"schema_version {version!r:.40}, this nnmeter reads {SCHEMA_VERSION}; update nnmeter or the pack"
            )
        data = {**data, "stages": _with_included(_listed(data, "stages", "rule set"))}
        stages = tuple(_stage(item) for item in data["stages"])
        return FusionRules(
            name=_text(data, "name", "rule set"),
            runtime=_text(data, "runtime", "rule set"),
            runtime_version=str(data.get("runtime_version", "")),
            parameters=dict(data.get("parameters", {})),
            stages=stages,
            source=data,
        )
    except RuleFault as fault:
        raise DeviceError(f"{where}: {fault}; restore the rules") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as fault:
        raise DeviceError(f"{where}: the fusion rules are malformed ({fault!r:.200}); restore the rules") from fault


def _with_included(stages: Sequence[Any]) -> list[Any]:
    """Stages, those of other rule sets of the package in the places that name them (rule 13)."""
    found: list[Any] = []
    for stage in stages:
        name = stage.get("include") if isinstance(stage, Mapping) else None
        if name is None:
            found.append(stage)
        elif isinstance(name, str) and name.isidentifier() and (RULESETS / f"{name}.json").is_file():
            found += json.loads((RULESETS / f"{name}.json").read_text(encoding="utf-8"))["stages"]
        else:
            raise RuleFault(f"there is no rule set {name!r:.80} to include; see {RULESETS.name}")
    return found


def _stage(data: Any) -> Stage:
    name = _text(data, "name", "stage")
    passes = tuple(_pass(item, name) for item in _listed(data, "passes", f"stage {name!r}"))
    return Stage(name, _repeat(data, f"stage {name!r}"), passes)


def _pass(data: Any, stage: str) -> Pass:
    name = _text(data, "name", f"pass of stage {stage!r}")
    kind = _text(data, "kind", f"pass {name!r}")
    if kind not in PASS_KINDS:
        raise RuleFault(f"pass {name!r}: unknown kind {kind!r}; known are {', '.join(PASS_KINDS)}")
    only_with = tuple(data.get("only_with", ()))
    only_if = str(data.get("only_if", ""))
    repeat = _repeat(data, f"pass {name!r}")
    if kind == "rewrite":
        rules = tuple(_rule(item, name) for item in _listed(data, "rules", f"pass {name!r}"))
        return Pass(name, kind, rules, {}, only_with, repeat, only_if)
    if kind == "eliminate":
        items = _listed(data, "operators", f"pass {name!r}")
        rules = tuple(_rule(_elimination(item), name) for item in items)
        return Pass(name, "rewrite", rules, {}, only_with, repeat, only_if)
    fields = {key: value for key, value in data.items() if key not in _PASS_FIELDS}
    why, source = str(data.get("why", "")), str(data.get("source", ""))
    return Pass(name, kind, (), fields, only_with, repeat, only_if, why, source)


_PASS_FIELDS = frozenset({"name", "kind", "only_with", "only_if", "repeat", "why", "source"})


def _repeat(data: Mapping[str, Any], where: str) -> int:
    repeat = data.get("repeat", 1)
    if not isinstance(repeat, int) or not 1 <= repeat <= MAX_REPEAT:
        raise RuleFault(f"{where}: repeat is {repeat!r:.40}, not a whole number from 1 to {MAX_REPEAT}")
    return repeat


PASS_KINDS = (
    "rewrite",
    "eliminate",
    "fold_constants",
    "deduplicate",
    "layout",
    "push_transposes",
    "split_slices",
    "slices_to_blocks",
    "quantized_groups",
    "unshare",
    "unsigned_activations",
    "insert_casts",
    "plain_attributes",
    "link",
    "free_operators",
    "post_operators",
    "group_elementwise",
    "group_attention",
    "memory_layout",
    "in_place",
    "retype",
    "settings",
    "shared_biases",
    "merge_concats",
    "chain_products",
)


def _elimination(data: Any) -> dict[str, Any]:
    op = data.get("op") if isinstance(data, Mapping) else None
    if not op:
        raise RuleFault(f"an elimination needs an 'op': {data!r}")
    node = {"id": "n", "op": op, "inputs": data.get("inputs", ["x", "..."]), "outputs": ["y", "..."]}
    label = op if isinstance(op, str) else op[0]
    return {
        "name": data.get("name", f"no-op {label}"),
        "match": [node],
        "where": [*data.get("where", []), ["le", ["results", "n"], 1]],
        "forward": {"y": "x"},
        "outputs": data.get("outputs", False),
    }


def _rule(data: Any, owner: str) -> RewriteRule:
    name = _text(data, "name", f"rule of pass {owner!r}")
    label = f"rule {name!r}"
    nodes = tuple(_pattern_node(item, label) for item in _listed(data, "match", label))
    if len(nodes) > MAX_PATTERN:
        raise RuleFault(f"{label}: a pattern of {len(nodes)} nodes, more than {MAX_PATTERN}")
    forward = data.get("forward", {})
    if not isinstance(forward, Mapping):
        raise RuleFault(f"{label}: forward is {forward!r}, not an object of outputs and the inputs read in their place")
    templates = tuple(_template(item, label) for item in data.get("replace", ()))
    tensors = tuple(_new_tensor(key, value, label) for key, value in data.get("tensors", {}).items())
    rule = RewriteRule(
        name,
        nodes,
        tuple(data.get("where", ())),
        templates,
        tensors,
        dict(forward),
        bool(data.get("outputs", False)),
        tuple(
            Surroundings(
                tuple(_pattern_node(n, label) for n in _listed(item, "match", label)), tuple(item.get("where", ()))
            )
            for item in data.get("unless", ())
        ),
        str(data.get("why", "")),
        str(data.get("source", "")),
    )
    _check_names(rule, label)
    return rule


def _pattern_node(data: Any, label: str) -> PatternNode:
    ops = data.get("op") if isinstance(data, Mapping) else None
    if isinstance(ops, str):
        ops = [ops]
    if not ops or not all(isinstance(op, str) for op in ops):
        raise RuleFault(f"{label}: a pattern node needs an 'op'")
    return PatternNode(
        _text(data, "id", label),
        tuple(ops),
        tuple(data.get("inputs", ("...",))),
        tuple(data.get("outputs", ("...",))),
        bool(data.get("commutative", False)),
        bool(data.get("shared", False)),
    )


def _template(data: Any, label: str) -> Template:
    if not isinstance(data, Mapping) or not {"op", "inputs", "outputs"} <= set(data):
        raise RuleFault(f"{label}: a node to create needs 'op', 'inputs' and 'outputs'")
    attributes = data.get("attributes", {})
    return Template(
        data["op"],
        tuple(data["inputs"]),
        tuple(data["outputs"]),
        attributes.get("from", ""),
        tuple(attributes.get("drop", ())),
        dict(attributes.get("set", {})),
        bool(data.get("main", False)),
    )


def _new_tensor(name: str, data: Any, label: str) -> NewTensor:
    if not isinstance(data, Mapping) or not ("like" in data or {"dtype", "shape"} <= set(data) or "value" in data):
        raise RuleFault(f"{label}: tensor {name!r} needs 'like', 'dtype' and 'shape', or 'value'")
    return NewTensor(
        name,
        data.get("like", ""),
        data.get("dtype"),
        data.get("shape"),
        bool(data.get("constant", False)),
        data.get("value"),
    )


def _check_names(rule: RewriteRule, label: str) -> None:
    """Every name that conditions and results use is bound by the pattern, and every pattern node is connected."""
    known = _check_pattern(rule.match, set(), label)
    for expression in rule.where:
        _check_expression(expression, known, label)
    for around in rule.unless:
        names = _check_pattern(around.match, set(known), label)
        for expression in around.where:
            _check_expression(expression, names, label)
    known |= {tensor.name for tensor in rule.tensors}
    expressions = [e for t in rule.replace for e in (t.op, *t.attributes_set.values())]
    expressions += [e for t in rule.tensors for e in (t.dtype, t.shape, t.value)]
    for expression in expressions:
        _check_expression(expression, known, label)
    used = [name for t in rule.replace for name in (*t.inputs, *t.outputs)]
    used += [*rule.forward, *rule.forward.values(), *(t.like for t in rule.tensors if t.like)]
    for name in used:
        if name and name.rstrip("?") not in known:
            raise RuleFault(f"{label}: {name!r} is not bound by the pattern")
    if not rule.replace and not rule.forward:
        raise RuleFault(f"{label}: needs 'replace' or 'forward'")


def _check_pattern(nodes: tuple[PatternNode, ...], bound: set[str], label: str) -> set[str]:
    """All names that are bound once the nodes of a pattern are, given those that were before."""
    for node in nodes:
        names = {name.rstrip("?") for name in (*node.inputs, *node.outputs)} - {"_", "...", ""}
        if bound and not names & bound:
            raise RuleFault(f"{label}: pattern node {node.id!r} shares no tensor with the nodes before it")
        if node.id in bound:
            raise RuleFault(f"{label}: two pattern nodes, or a node and a tensor, are called {node.id!r}")
        bound |= names | {node.id}
    return bound


def _check_expression(expression: Expression, known: set[str], label: str) -> None:
    try:
        compile_expression(expression)
    except ExpressionFault as fault:
        raise RuleFault(f"{label}: {fault}") from None
    unknown = names_in(expression) - known
    if unknown:
        raise RuleFault(f"{label}: {sorted(unknown)[0]!r} is not bound by the pattern")


def _text(data: Any, key: str, label: str) -> str:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str) or not value:
        raise RuleFault(f"{label}: needs a {key!r}")
    return value


def _listed(data: Any, key: str, label: str) -> list[Any]:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, list):
        raise RuleFault(f"{label}: needs a list {key!r}")
    return value
