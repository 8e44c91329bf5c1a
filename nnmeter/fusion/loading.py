"""Loading rule sets: all that a stranger may have written is checked here, once, and named where it is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnmeter.errors import DeviceError
from nnmeter.files import parse_json, read_limited
from nnmeter.fusion.engine.faults import RuleFault
from nnmeter.fusion.engine.passes import Prepared
from nnmeter.fusion.engine.reading import items, named
from nnmeter.fusion.engine.rules import SCHEMA_VERSION, FusionRules, Pass, Stage
from nnmeter.fusion.passes.registry import PASS_KINDS
from nnmeter.limits import MAX_JSON_BYTES

MAX_REPEAT = 1000
MAX_PARAMETER = 2**31
RULESETS = Path(__file__).parent / "rulesets" / "compiled"

# What any pass may have, besides the fields of its kind.
_COMMON = frozenset({"name", "kind", "only_with", "only_if", "repeat", "why", "source"})


def load_rules(source: str | os.PathLike[str] | Mapping[str, Any], where: str = "fusion rules") -> FusionRules:
    """The fusion rules in a file, or in a JSON object already read.

    Args:
        source: path of a rules file, the name of a rule set of the package (`onnxruntime_cpu`), or a mapping.
        where: what errors call a mapping.

    Raises:
        DeviceError: the file, the pass or rule, and the fault, in one line.
    """
    if isinstance(source, Mapping):
        return _read(source, where)
    path = Path(source)
    ours = path.suffix == "" and (RULESETS / f"{path.name}.json").is_file() and not path.is_file()
    if ours:
        path = RULESETS / f"{path.name}.json"
    try:
        data = parse_json(read_limited(path, MAX_JSON_BYTES))
    except OSError as error:
        raise DeviceError(f"{path}: cannot read fusion rules ({error.strerror or error}); check the path") from None
    except ValueError as error:
        raise DeviceError(f"{path}: fusion rules are not valid JSON ({error}); restore the file") from None
    return _read(data, str(path), checked=ours)


def rules_to_dict(rules: FusionRules) -> dict[str, Any]:
    """The JSON object of a rule set; `load_rules` reads it back."""
    return dict(rules.source)


def with_parameters(rules: FusionRules, /, **parameters: Any) -> FusionRules:
    """The same rules with other parameters (`block=8` for a machine without AVX-512).

    Raises:
        DeviceError: a parameter that the rules do not have, or a value that is no number.
    """
    unknown = sorted(set(parameters) - set(rules.parameters))
    if unknown:
        raise DeviceError(f"{rules.name}: no parameter {', '.join(unknown)}; there are {', '.join(rules.parameters)}")
    try:
        changed = _parameters({**rules.parameters, **parameters})
    except RuleFault as fault:
        raise DeviceError(f"{rules.name}: {fault}; give a number, true or false") from None
    return replace(rules, parameters=changed, source={**rules.source, "parameters": changed})


def check_rules(rules: FusionRules) -> None:
    """What `load_rules` leaves out for the rule sets of the package, because tests ask for it: see `check_rule`.

    Raises:
        DeviceError: the pass or rule, and the fault.
    """
    _read(rules.source, rules.name)


def _read(data: Any, where: str, checked: bool = False) -> FusionRules:
    """Rules of strangers are checked in depth; `checked` ones were, which saves a cold prediction 20 to 30 ms."""
    try:
        if not isinstance(data, Mapping):
            raise RuleFault("not a JSON object")
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise RuleFault(
                f"schema_version {version!r:.40}, this nnmeter reads {SCHEMA_VERSION}; update nnmeter or the pack"
            )
        data = {**data, "stages": _with_included(items(data, "stages", None))}
        known: dict[str, Prepared] = {}
        return FusionRules(
            name=named(data, "name", "rule set"),
            runtime=named(data, "runtime", "rule set"),
            runtime_version=str(data.get("runtime_version", ""))[:100],
            parameters=_parameters(data.get("parameters", {})),
            stages=tuple([_stage(item, known, checked) for item in data["stages"]]),
            source=data,
        )
    except RuleFault as fault:
        raise DeviceError(f"{where}: {fault}; restore the rules") from None


def _parameters(data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise RuleFault(f"'parameters' is {data!r:.60}, not an object")
    for name, value in data.items():
        if not isinstance(value, int | float) or not -MAX_PARAMETER <= value <= MAX_PARAMETER:
            raise RuleFault(f"parameter {name!r:.60} is {value!r:.60}, not a number up to {MAX_PARAMETER}")
    return dict(data)


def _with_included(stages: Sequence[Any]) -> list[Any]:
    """Stages, those of other rule sets of the package in the places that name them (rule 10 of `engine.rules`)."""
    found: list[Any] = []
    for stage in stages:
        name = stage.get("include") if isinstance(stage, Mapping) else None
        if name is None:
            found.append(stage)
        elif isinstance(name, str) and name.isidentifier() and (RULESETS / f"{name}.json").is_file():
            included = parse_json(read_limited(RULESETS / f"{name}.json", MAX_JSON_BYTES))
            found += _with_included(included["stages"])
        else:
            raise RuleFault(f"there is no rule set {name!r:.80} to include; see {RULESETS.name}")
    return found


def _stage(data: Any, known: dict[str, Prepared], checked: bool) -> Stage:
    name = named(data, "name", "stage")
    try:
        passes = tuple([_pass(item, known, checked) for item in items(data, "passes", None)])
        return Stage(name, _repeat(data), passes)
    except RuleFault as fault:
        raise RuleFault(f"stage {name!r}: {fault}") from None


def _pass(data: Any, known: dict[str, Prepared], checked: bool) -> Pass:
    """One pass; passes of one content get one preparation, which `known` keeps."""
    name = named(data, "name", "a pass")
    try:
        kind = named(data, "kind", "a pass")
        if kind not in PASS_KINDS:
            raise RuleFault(f"unknown kind {kind!r:.60}; known are {', '.join(PASS_KINDS)}")
        declared = PASS_KINDS[kind]
        fields = declared.read_fields({key: value for key, value in data.items() if key not in _COMMON})
        if not checked:
            declared.check(fields)
        only_with, only_if, repeat = items(data, "only_with"), data.get("only_if", ""), _repeat(data)
        if not isinstance(only_if, str) or not all(isinstance(operator, str) for operator in only_with):
            raise RuleFault("'only_with' is a list of operators, 'only_if' the name of a parameter")
        why, source = str(data.get("why", "")), str(data.get("source", ""))
        content = repr((kind, sorted(fields.items()), only_with, only_if, repeat))
        if content not in known:
            known[content] = declared.prepare(fields)
        return Pass(name, kind, fields, only_with, repeat, only_if, why, source, prepared=known[content])
    except RuleFault as fault:
        raise RuleFault(f"pass {name!r}: {fault}") from None


def _repeat(data: Mapping[str, Any]) -> int:
    repeat = data.get("repeat", 1)
    if not isinstance(repeat, int) or isinstance(repeat, bool) or not 1 <= repeat <= MAX_REPEAT:
        raise RuleFault(f"repeat is {repeat!r:.40}, not a whole number from 1 to {MAX_REPEAT}")
    return repeat
