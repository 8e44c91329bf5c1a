"""Moving a device pack to the present fusion rules of its runtime, and what that changes: `nnmeter devices refresh`.

1. The rules are the rule set that ships under the name of the pack's rules. Rules that no rule set is called like (what
   `nnmeter fusion` found) are the pack's own, and stay.
2. Parameters keep the pack's values. Those that the pack's rules did not have yet follow from the processor that its
   card names (`nnmeter/fusion/for_machine.py`), or have the rule set's default.
3. Card, predictor and scorecard stay as they are, and so does what the pack says it was trained with: the predictor has
   seen the kernels of those rules and no others. What the new ones mean for it is shown over models: their kernels by
   type, the share of the time that trained prices make up, and the prediction, before and after.
4. A pack that ships refers to the rule set; any other holds a copy of it.
5. A pack that refers to a rule set that was changed since does not have its former rules. What it predicted with them
   can be shown if they are given (`before`, a file from the history of the rule set); else only what it predicts now.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.devices.catalog import is_shipped
from nnmeter.devices.pack import DevicePack, save_rules
from nnmeter.devices.pack_rules import embedded_rules, referenced_rules
from nnmeter.errors import DeviceError
from nnmeter.fusion.for_machine import machine_parameters
from nnmeter.fusion.ruleset_hash import rules_hash
from nnmeter.fusion.ruleset_index import RuleSetInfo, rule_set_named

if TYPE_CHECKING:
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.graph.ir import Graph
    from nnmeter.kernels.kernel import Kernel
    from nnmeter.prediction.prediction import Prediction


@dataclass(frozen=True)
class Outlook:
    """What a pack predicts of a model by one set of rules.

    Attributes:
        kernels: how many of each type.
        latency_ms: the prediction.
        trained: share of the kernels' time that trained prices make up.
    """

    kernels: Mapping[str, int]
    latency_ms: float
    trained: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"kernels": dict(sorted(self.kernels.items())), "latency_ms": self.latency_ms, "trained": self.trained}


@dataclass(frozen=True)
class ModelChange:
    """What other rules change of one model; `before` is None where the former rules are not known."""

    model: str
    before: Outlook | None
    after: Outlook

    @property
    def changed(self) -> bool:
        """Whether anything that the pack says of the model is another."""
        return self.before is not None and self.before != self.after


@dataclass(frozen=True)
class Refresh:
    """What moving a pack to the present rules changed.

    Attributes:
        device: id of the pack.
        rule_set: the rule set.
        parameters: its parameters.
        trained_with: hash of the rules that the predictor was trained with.
        before: hash of the rules before; "" where they are not known.
        after: hash of the rules now.
        added: rules and passes that came, as `stage / pass / rule`.
        removed: those that went.
        edited: those of the same name that say something else.
        models: what changed of each model.
    """

    device: str
    rule_set: str
    parameters: Mapping[str, Any]
    trained_with: str
    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    edited: tuple[str, ...]
    models: tuple[ModelChange, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "schema_version": 1,
            "device": self.device,
            "rule_set": self.rule_set,
            "parameters": dict(self.parameters),
            "trained_with": self.trained_with,
            "before": self.before,
            "after": self.after,
            "rules": {"added": list(self.added), "removed": list(self.removed), "edited": list(self.edited)},
            "models": [
                {
                    "model": item.model,
                    "changed": item.changed,
                    "before": None if item.before is None else item.before.to_dict(),
                    "after": item.after.to_dict(),
                }
                for item in self.models
            ],
        }


def refresh_pack(
    pack: DevicePack,
    models: Sequence[str],
    directory: str | os.PathLike[str] | None = None,
    before: str | os.PathLike[str] | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[DevicePack, Refresh]:
    """Move a pack to the present rules of its runtime; the models show what that changes.

    Args:
        pack: the pack.
        models: paths of models.
        directory: where the refreshed pack goes; the pack's own place if not given.
        before: the rules to compare with, a file; the pack's own if not given (rule 5).
        dims: values of the dimensions that the models leave free.
        shapes: whole shapes of their inputs.
        progress: told how many models are done, and how many there are.

    Raises:
        DeviceError: the pack's rules are its own, or `directory` is something else than a pack.
        ModelError: a model cannot be read, or keeps free dimensions.
    """
    from nnmeter.fusion.loading import load_rules, rules_to_dict

    source = pack.rules_source
    rule_set = _rule_set_of(pack)
    parameters = _parameters(pack, rule_set)
    after = load_rules(rule_set.id)
    after = load_rules({**rules_to_dict(after), "parameters": parameters}, rule_set.id)
    former = load_rules(before) if before is not None else None if source.changed else pack.rules
    trained_with = source.trained_with or (rules_hash(source.content) if source.content is not None else "")
    changes = _compare_models(pack, models, former, after, dims, shapes, progress)
    added, removed, edited = _compare_rules(former, after)
    refers = source.is_reference or is_shipped(pack.path)
    content = (
        referenced_rules(rule_set.id, parameters, trained_with)
        if refers
        else embedded_rules(rules_to_dict(after), trained_with)
    )
    saved = save_rules(pack, content, pack.path if directory is None else directory)
    return saved, Refresh(
        pack.id,
        rule_set.id,
        parameters,
        trained_with,
        "" if former is None else rules_hash(rules_to_dict(former)),
        saved.rules_source.runs_with,
        added,
        removed,
        edited,
        changes,
    )


def _rule_set_of(pack: DevicePack) -> RuleSetInfo:
    """The rule set that ships under the name of the pack's rules (rule 1)."""
    named = rule_set_named(pack.rules_source.name)
    if named is None or named.runtime != pack.card.runtime:
        raise DeviceError(
            f"{pack.id}: its fusion rules {pack.rules_source.name!r:.80} are its own, no rule set of "
            f"{pack.card.runtime} is called so; nothing to refresh"
        )
    return named


def _parameters(pack: DevicePack, rule_set: RuleSetInfo) -> dict[str, Any]:
    """The parameters of the refreshed rules (rule 2)."""
    source = pack.rules_source
    own = source.parameters if source.content is None else source.content.get("parameters") or {}
    by_machine = machine_parameters({"machine": list(rule_set.machine)}, str(pack.card.fingerprint.get("isa", "")))
    return {name: own.get(name, by_machine.get(name, value)) for name, value in rule_set.parameters.items()}


def _compare_models(
    pack: DevicePack,
    models: Sequence[str],
    before: FusionRules | None,
    after: FusionRules,
    dims: Mapping[str, int] | None,
    shapes: Mapping[str, Sequence[int]] | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[ModelChange, ...]:
    from nnmeter.fusion.detect import detect_kernels
    from nnmeter.prediction.predict import LatencyPredictor

    predictor = LatencyPredictor(pack)
    found = []
    for done, model in enumerate(models):
        if progress is not None:
            progress(done, len(models))
        former: list[Kernel] = []

        def detect(graph: Graph, former: list[Kernel] = former) -> list[Kernel]:
            if before is not None:
                former += detect_kernels(graph, before)
            return detect_kernels(graph, after)

        now = _outlook(predictor.predict(model, dims, shapes, detect=detect))
        then = None if before is None else _outlook(predictor.price(model, former))
        found.append(ModelChange(os.path.basename(model), then, now))
    return tuple(found)


def _outlook(prediction: Prediction) -> Outlook:
    total = sum(kernel.latency_ms for kernel in prediction.kernels)
    trained = sum(kernel.latency_ms for kernel in prediction.kernels if kernel.source == "trained")
    types = Counter(kernel.type for kernel in prediction.kernels)
    return Outlook(types, prediction.latency_ms, trained / total if total else 1.0)


def _compare_rules(
    before: FusionRules | None, after: FusionRules
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names of the rules and passes that came, went, and say something else."""
    if before is None:
        return (), (), ()
    old, new = (_rules_by_name(rules) for rules in (before, after))
    return (
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple(name for name in new if name in old and new[name] != old[name]),
    )


def _rules_by_name(rules: FusionRules) -> dict[str, str]:
    found: dict[str, str] = {}
    for stage in rules.source["stages"]:
        for item in stage["passes"]:
            owner = f"{stage['name']} / {item['name']}"
            listed = item.get("rules") if item["kind"] == "rewrite" else None
            if listed is None:
                found[owner] = _meaning(item)
            for rule in listed or ():
                found[f"{owner} / {rule['name']}"] = _meaning(rule)
    return found


def _meaning(item: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in item.items() if k not in ("why", "source")}, sort_keys=True)
