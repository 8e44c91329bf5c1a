"""The fusion rules of a device pack: `rules.json`, which holds them or says which rule set of nnmeter they are.

1. A pack that somebody made holds its rules whole, as `nnmeter/fusion/engine/rules.py` reads them, and `trained_with`:
   the hash (`nnmeter/fusion/ruleset_hash.py`) of the rules whose kernels it was trained on.
2. A pack that ships names its rules: `rule_set` (the id of a rule set that ships), `parameters`, `trained_with`, and
   `runs_with`, the hash of the rule set that the pack was last seen to work with.
3. Rules that were changed since then may detect kernels that the pack was not trained on. That is not hidden: it is a
   warning of every prediction, `nnmeter devices show` says it, and `nnmeter devices refresh` finds out what it means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from nnmeter.errors import DeviceError
from nnmeter.fusion.ruleset_hash import rules_hash
from nnmeter.fusion.ruleset_index import RuleSetInfo, rule_sets

if TYPE_CHECKING:
    from nnmeter.fusion.engine.rules import FusionRules

REFERENCE = "rule_set"
TRAINED_WITH = "trained_with"
RUNS_WITH = "runs_with"
SHORT_HASH = 12  # digits that people are shown

_HASH = re.compile(r"[0-9a-f]{64}")
_FIELDS = {"schema_version", REFERENCE, "parameters", TRAINED_WITH, RUNS_WITH}


@dataclass(frozen=True)
class PackRules:
    """What `rules.json` says.

    Attributes:
        name: the rule set: its id where it is a reference, else what the rules call themselves.
        parameters: its parameters, where it is a reference.
        trained_with: hash of the rules that the predictor was trained with; "" of packs that do not say it.
        seen_with: hash of the rule set that the pack was last seen to work with; "" of a pack that holds its rules.
        content: the rules themselves, where the pack holds them.
        where: name of the pack and file, for messages.
    """

    name: str
    parameters: Mapping[str, Any]
    trained_with: str
    seen_with: str = ""
    content: Mapping[str, Any] | None = field(default=None, repr=False)
    where: str = "rules.json"

    @property
    def is_reference(self) -> bool:
        """Whether the rules are a rule set of nnmeter, rather than the pack's own."""
        return self.content is None

    @property
    def runs_with(self) -> str:
        """Hash of the rules that kernels are detected with now."""
        if self.content is not None:
            return rules_hash(self.content)
        return self._rule_set().hash_of(self.parameters)

    @property
    def changed(self) -> bool:
        """Whether the rule set has changed since the pack was last seen to work with it (rule 3)."""
        return self.is_reference and self.runs_with != self.seen_with

    def load(self) -> FusionRules:
        """The rules, ready to be applied; packs of one rule set and parameters share them."""
        from nnmeter.fusion.loading import load_rules

        if self.content is not None:
            return load_rules({k: v for k, v in self.content.items() if k != TRAINED_WITH}, self.where)
        return _load_reference(self._rule_set().id, tuple(sorted(self.parameters.items())))

    def _rule_set(self) -> RuleSetInfo:
        found = rule_sets().get(self.name)
        if found is None:
            raise DeviceError(
                f"{self.where}: there is no rule set {self.name!r:.80}; update nnmeter or restore the pack"
            )
        unknown = sorted(set(self.parameters) - set(found.parameters))
        if unknown:
            raise DeviceError(
                f"{self.where}: the rule set {self.name!r} has no parameter {unknown[0]!r:.80}; "
                "`nnmeter devices refresh` moves the pack to the present rules"
            )
        return found


@cache
def _load_reference(name: str, parameters: tuple[tuple[str, Any], ...]) -> FusionRules:
    from nnmeter.fusion.loading import RULESETS, load_rules

    path = RULESETS / f"{name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    return load_rules({**content, "parameters": {**content["parameters"], **dict(parameters)}}, str(path))


def parse_pack_rules(content: object, where: str) -> PackRules:
    """What the content of `rules.json` says.

    Raises:
        DeviceError: it is no JSON object, or a reference that is malformed or names no rule set that ships.
    """
    if not isinstance(content, dict):  # a text would be taken for the path of a file
        raise DeviceError(f"{where}: must be a JSON object; reinstall or rebuild the pack")
    trained_with = content.get(TRAINED_WITH, "")
    if REFERENCE not in content:
        name = content.get("name")
        _check(where, TRAINED_WITH, trained_with, trained_with == "" or _is_hash(trained_with))
        return PackRules(name if isinstance(name, str) else "", {}, trained_with, content=content, where=where)
    unknown = sorted(set(content) - _FIELDS)
    if unknown:
        raise DeviceError(f"{where}: unknown field {unknown[0]!r:.80}; remove it, or use a newer nnmeter")
    name, parameters, seen_with = content[REFERENCE], content.get("parameters", {}), content.get(RUNS_WITH, "")
    _check(where, "schema_version", content.get("schema_version"), content.get("schema_version") == 1)
    _check(where, REFERENCE, name, isinstance(name, str))
    _check(where, TRAINED_WITH, trained_with, _is_hash(trained_with))
    _check(where, RUNS_WITH, seen_with, _is_hash(seen_with))
    valid = isinstance(parameters, dict) and all(isinstance(v, bool | int | float | str) for v in parameters.values())
    _check(where, "parameters", parameters, valid)
    return PackRules(name, parameters, trained_with, seen_with, where=where)


def embedded_rules(rules: Mapping[str, Any], trained_with: str = "") -> dict[str, Any]:
    """What `rules.json` of a pack that holds its rules contains (rule 1); trained with themselves if not given."""
    return {**rules, TRAINED_WITH: trained_with or rules_hash(rules)}


def referenced_rules(name: str, parameters: Mapping[str, Any], trained_with: str) -> dict[str, Any]:
    """What `rules.json` of a pack contains that refers to the rule set `name` as it is now (rule 2)."""
    info = rule_sets()[name]
    return {
        "schema_version": 1,
        REFERENCE: name,
        "parameters": dict(parameters),
        TRAINED_WITH: trained_with,
        RUNS_WITH: info.hash_of(parameters),
    }


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _check(where: str, name: str, value: object, valid: bool) -> None:
    if not valid:
        raise DeviceError(f"{where}: field {name!r} is {value!r:.80}; reinstall or rebuild the pack")
