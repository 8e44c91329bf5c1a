"""One device pack for a person at a terminal: card and scorecard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.devices.identity import match_this_machine
from nnmeter.devices.pack import DevicePack
from nnmeter.predictor.element_types import operators_by_type
from nnmeter.report import scorecard_table
from nnmeter.report.devices import checked_scorecard, describe_hashes, describe_rules
from nnmeter.report.registry import Layout
from nnmeter.report.scorecard import METRICS
from nnmeter.report.text import Text

_METRIC_LABELS = {key: name for name, key in METRICS.items()}


def render(pack: DevicePack, layout: Layout) -> str:
    """A line a fact of the card, then the scorecard."""
    text = Text(layout.width, layout.colour)
    text.add(text.bold(pack.id))
    machine = match_this_machine(pack.card, named=True)
    text.add_facts(
        [("machine", machine.words)]
        + [(key.replace("_", " "), fact) for key, value in pack.card.to_dict().items() for fact in _describe(value)]
        + [("trained in", said) for said in _trained(pack)]
        + [("fusion rules", said) for said in _rules(pack)]
    )
    if pack.scorecard is None:
        return f"{text}\nno scorecard: make one with `nnmeter evaluate`\n"
    with checked_scorecard(pack.id):
        return f"{text}\n{scorecard_table.render(pack.scorecard, layout)}"


def _trained(pack: DevicePack) -> list[str]:
    """A line an element type that kernels were trained in, as the predictor says."""
    return [
        f"{name}: {len(operators)} operator{'s' if len(operators) > 1 else ''}: {', '.join(operators)}"
        for name, operators in operators_by_type(kind.anchor for kind in pack.predictor.vocabulary).items()
    ]


def _rules(pack: DevicePack) -> list[str]:
    rules = pack.rules_source
    held = rules.name if rules.is_reference else f"{pack.rules.name}, the pack's own copy"
    said = [describe_rules(held, pack.rules.parameters), describe_hashes(rules.trained_with, rules.runs_with)]
    return [*said, *pack.warnings]


def _describe(value: Any) -> list[str]:
    """A card's value as lines: one a member of a list or object."""
    if isinstance(value, Mapping):
        return [f"{_label(key)}: {_inline(item)}" for key, item in value.items() if item is not None]
    if isinstance(value, list | tuple):
        return [_inline(item) for item in value]
    return [] if value is None else [_inline(value)]


def _label(key: str) -> str:
    return _METRIC_LABELS.get(key) or key.replace("_", " ")


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(key)} {_inline(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(_inline, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
