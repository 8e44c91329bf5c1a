"""One device pack as JSON: card, fusion rules and scorecard."""

from __future__ import annotations

from typing import Any

from nnmeter.devices.identity import match_this_machine
from nnmeter.devices.pack import DevicePack
from nnmeter.predictor.element_types import operators_by_type
from nnmeter.report.devices import SCHEMA_VERSION
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(pack: DevicePack, layout: Layout) -> str:
    """The card, and the whole scorecard."""
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "id": pack.id,
        "path": str(pack.path),
        "card": pack.card.to_dict(),
    }
    document["machine"] = match_this_machine(pack.card, named=True).to_dict()
    document["trained_operators"] = {
        name: list(operators)
        for name, operators in operators_by_type(kind.anchor for kind in pack.predictor.vocabulary).items()
    }
    return to_json({**document, "fusion_rules": _rules(pack), "scorecard": pack.scorecard})


def _rules(pack: DevicePack) -> dict[str, Any]:
    rules = pack.rules_source
    return {
        "rule_set": rules.name if rules.is_reference else None,
        "name": pack.rules.name,
        "parameters": dict(pack.rules.parameters),
        "trained_with": rules.trained_with or None,
        "runs_with": rules.runs_with,
        "changed": rules.changed,
    }
