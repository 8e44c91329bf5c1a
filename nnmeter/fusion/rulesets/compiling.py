"""Compiling the rule sets of the package to the JSON that predictions read.

The JSON is compact and has one rule, or one pass that is no list of rules, a line: a change of a rule is a change of
one line.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.rulesets import RULE_SETS
from nnmeter.fusion.rulesets.builder import RuleSet, compile_rule_set

COMPILED = Path(__file__).parent / "compiled"


def rule_set(name: str) -> RuleSet:
    """A rule set of the package, as its modules state it."""
    module, _, attribute = RULE_SETS[name].module.partition(":")
    stated = getattr(import_module(module), attribute)
    if not isinstance(stated, RuleSet):
        raise TypeError(f"{RULE_SETS[name].module} is {type(stated).__name__}, not a RuleSet")
    return stated


def compiled_text(rules: RuleSet) -> str:
    """The JSON text of a rule set, checked by the engine.

    Raises:
        DeviceError: the rule and its fault, in one line.
    """
    data = compile_rule_set(rules)
    load_rules(data, rules.name)
    head = {key: value for key, value in data.items() if key != "stages"}
    stages = ",\n".join(_stage(stage) for stage in data["stages"])
    return f'{_line(head)[:-1]},"stages":[\n{stages}\n]}}\n'


def _stage(stage: dict[str, Any]) -> str:
    if "passes" not in stage:
        return _line(stage)
    head = {key: value for key, value in stage.items() if key != "passes"}
    passes = ",\n".join(_pass(item) for item in stage["passes"])
    return f'{_line(head)[:-1]},"passes":[\n{passes}\n]}}'


def _pass(item: dict[str, Any]) -> str:
    if "rules" not in item:
        return _line(item)
    head = {key: value for key, value in item.items() if key != "rules"}
    rules = ",\n".join(map(_line, item["rules"]))
    return f'{_line(head)[:-1]},"rules":[\n{rules}\n]}}'


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def compile_all(folder: Path = COMPILED) -> list[Path]:
    """Write the JSON of all rule sets of the package; the files that changed."""
    changed = []
    folder.mkdir(exist_ok=True)
    for name in RULE_SETS:
        path, text = folder / f"{name}.json", compiled_text(rule_set(name))
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
