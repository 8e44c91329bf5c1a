"""Compiling rules to the JSON objects that `nnmeter/fusion/engine/rules.py` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import EllipsisType
from typing import Any

from nnmeter.fusion.engine.rules import SCHEMA_VERSION
from nnmeter.fusion.rulesets.builder.expressions import Expr
from nnmeter.fusion.rulesets.builder.patterns import ANY, Node, Op, Optional, Tensor
from nnmeter.fusion.rulesets.builder.rules import Create, Include, Made, Procedure, Rewrite, Rule, RuleSet, Stage


def compile_rule_set(rules: RuleSet) -> dict[str, Any]:
    """The JSON object of a rule set."""
    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": rules.name,
        "runtime": rules.runtime,
        "runtime_version": rules.runtime_version,
    }
    if rules.device:
        data["device"] = _plain(rules.device)
    if rules.machine:
        data["machine"] = [_plain(vars(parameter)) for parameter in rules.machine]
    return data | {"parameters": dict(rules.parameters), "stages": [_stage(stage) for stage in rules.stages]}


def _stage(stage: Stage | Include) -> dict[str, Any]:
    if isinstance(stage, Include):
        return {"include": stage.name}
    return {"name": stage.name, "repeat": stage.repeat, "passes": [_pass(item) for item in stage.passes]}


def _pass(item: Rewrite | Procedure) -> dict[str, Any]:
    data: dict[str, Any] = {"name": item.name}
    if isinstance(item, Procedure):
        data |= {"kind": item.kind, "why": item.why, "source": item.source}
    else:
        data |= {"kind": "rewrite"}
        if item.repeat != 1:
            data["repeat"] = item.repeat
    if item.only_with:
        data["only_with"] = list(item.only_with)
    if item.only_if:
        data["only_if"] = item.only_if
    if isinstance(item, Procedure):
        return data | _plain(item.fields)
    return data | {"rules": [compile_rule(rule) for rule in item.rules]}


def compile_rule(rule: Rule) -> dict[str, Any]:
    """The JSON object of a rule."""
    created = [rule.replace] if isinstance(rule.replace, Create) else list(rule.replace)
    names = _Names(rule, created)
    data: dict[str, Any] = {"name": rule.name, "why": rule.why, "source": rule.source}
    data["match"] = [names.pattern(op) for op in rule.match]
    if rule.where:
        data["where"] = [names.expression(condition) for condition in rule.where]
    if rule.unless:
        data["unless"] = [
            {"match": [names.pattern(op) for op in around.match]}
            | ({"where": [names.expression(condition) for condition in around.where]} if around.where else {})
            for around in rule.unless
        ]
    if created:
        data["replace"] = [names.template(op) for op in created]
        if specs := {names.of(made): names.spec(made) for made in _made(created)}:
            data["tensors"] = specs
    if rule.forward:
        data["forward"] = {names.of(old): names.of(new) for old, new in rule.forward.items()}
    if rule.renames_outputs:
        data["outputs"] = True
    return data


def _made(created: Sequence[Create]) -> list[Made]:
    """The new tensors of a rule, each once, as they come up."""
    found: list[Made] = []
    for op in created:
        for item in (*op.inputs, op.output):
            used = item.tensor if isinstance(item, Optional) else item
            if isinstance(used, Create) and used.output is not used:
                continue
            if isinstance(used, Made) and used not in found:
                found.append(used)
    return found


class _Names:
    """The names of the operators and tensors of one rule."""

    def __init__(self, rule: Rule, created: Sequence[Create]) -> None:
        self._rule = rule.name
        self._taken: set[str] = set()
        self._of_ops: dict[Op, str] = {}
        self._of_tensors: dict[Tensor, str] = {}
        ops = [*rule.match, *(op for around in rule.unless for op in around.match)]
        written = [t.tensor if isinstance(t, Optional) else t for op in ops for t in (*op.inputs, *op.outputs)]
        for item in [t for t in written if not isinstance(t, EllipsisType)]:
            if item.given_name and item is not ANY and self._of_tensors.get(item) is None:
                self._of_tensors[item] = self._new(item.given_name, exact=True)
        for op in ops:
            self._of_ops[op] = self._new(op.op_name or op.kinds[0].rpartition(".")[2].lower())
            if op in op.outputs:
                self._of_tensors[op] = self._new(f"{self._of_ops[op]}_out")
        for made in _made(created):
            self._of_tensors[made] = self._new(made.given_name or made.stem)

    def _new(self, stem: str, exact: bool = False) -> str:
        if exact and stem in self._taken:
            raise ValueError(f"rule {self._rule!r}: two things are called {stem!r}; give one another name")
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}{count}"
        self._taken.add(name)
        return name

    def of(self, item: Tensor) -> str:
        """The name of a tensor."""
        if item is ANY:
            return "_"
        if isinstance(item, Create) and item.output is not item:
            return self.of(item.output)
        if item not in self._of_tensors:
            raise ValueError(f"rule {self._rule!r}: {item!r} is not in the pattern; list its operator in `match`")
        return self._of_tensors[item]

    def _wanted(self, items: Iterable[Tensor | Optional | EllipsisType | None]) -> list[str]:
        found = []
        for item in items:
            if item is None:
                found.append("")
            elif isinstance(item, Optional):
                found.append(f"{self.of(item.tensor)}?")
            else:
                found.append("..." if isinstance(item, EllipsisType) else self.of(item))
        return found

    def expression(self, value: Any) -> Any:
        """A value as JSON: a call, a literal, or the list of some values."""
        if isinstance(value, Expr):
            about = [] if value.of is None else [self._named(value.of)]
            return [value.function, *about, *map(self.expression, value.arguments)]
        if isinstance(value, (list, tuple)):
            return ["list", *(self.expression(item) for item in value)]
        if isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"rule {self._rule!r}: {value!r} is no value of a rule; did you mean one of its properties?")

    def _named(self, value: Tensor | Node) -> str:
        if isinstance(value, Tensor):
            return self.of(value)
        if value.op not in self._of_ops:
            raise ValueError(f"rule {self._rule!r}: an operator {value.op.kinds} is not in `match`")
        return self._of_ops[value.op]

    def pattern(self, op: Op) -> dict[str, Any]:
        """An operator of the pattern."""
        data: dict[str, Any] = {"id": self._of_ops[op], "op": op.kinds[0] if len(op.kinds) == 1 else list(op.kinds)}
        data |= {"inputs": self._wanted(op.inputs), "outputs": self._wanted(op.outputs)}
        if op.commutative:
            data["commutative"] = True
        if op.shared:
            data["shared"] = True
        return data

    def template(self, op: Create) -> dict[str, Any]:
        """An operator that the match becomes."""
        data: dict[str, Any] = {"op": self.expression(op.kind)}
        data |= {"inputs": self._wanted(op.inputs), "outputs": [self.of(op.output)]}
        attributes: dict[str, Any] = {}
        if op.attributes.source is not None:
            attributes["from"] = self._named(op.attributes.source)
        if op.attributes.drop:
            attributes["drop"] = list(op.attributes.drop)
        if op.attributes.set:
            attributes["set"] = {name: self.expression(value) for name, value in op.attributes.set.items()}
        if attributes:
            data["attributes"] = attributes
        if op.main:
            data["main"] = True
        return data

    def spec(self, made: Made) -> dict[str, Any]:
        """Type, shape and value of a new tensor."""
        spec, data = made.spec, dict[str, Any]()
        if spec.like is not None:
            data["like"] = self.of(spec.like)
        for key in ("dtype", "shape", "value"):
            if (value := getattr(spec, key)) is not None:
                data[key] = self.expression(value)
        if spec.constant:
            data["constant"] = True
        if not data:
            raise ValueError(f"rule {self._rule!r}: a new tensor needs `like`, `dtype` and `shape`, a value, or `into`")
        return data


def _plain(value: Any) -> Any:
    """Fields of a procedure as JSON has them: lists and objects."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
