"""What another version of a pack changes: its files, its card, its rules, and how good it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnmeter.devices.registry.contents import PackContents

# Numbers of a scorecard that say how good a pack is.
METRICS = ("models", "within_5", "within_10", "mape")
_CARD_FIELDS = ("hardware", "runtime", "version", "threads", "precision", "date", "protocol", "reference_ms")


@dataclass(frozen=True)
class PackChange:
    """What differs between two versions of a pack.

    Attributes:
        files: names of the files that differ, are new or are gone.
        card: facts of the card that differ, before and after.
        scorecard: numbers of the scorecard that differ, before and after; None where there is none.
        rules: whether the fusion rules are others.
        predictor: whether kernels are priced in another way.
    """

    files: tuple[str, ...]
    card: Mapping[str, tuple[Any, Any]]
    scorecard: Mapping[str, tuple[float | None, float | None]]
    rules: bool
    predictor: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "files": list(self.files),
            "card": {name: list(pair) for name, pair in self.card.items()},
            "scorecard": {name: list(pair) for name, pair in self.scorecard.items()},
            "rules": self.rules,
            "predictor": self.predictor,
        }


def compare_packs(before: PackContents, after: PackContents) -> PackChange:
    """What differs between two versions of a pack."""
    names = sorted({*before.hashes, *after.hashes})
    changed = tuple(name for name in names if before.hashes.get(name) != after.hashes.get(name))
    old, new = before.card.to_dict(), after.card.to_dict()
    card = {name: (old[name], new[name]) for name in _CARD_FIELDS if old[name] != new[name]}
    one, other = _metrics(before), _metrics(after)
    scores = {name: (one.get(name), other.get(name)) for name in METRICS if one.get(name) != other.get(name)}
    return PackChange(
        changed, card, scores, "rules.json" in changed, "predictor.json" in changed or "trees.npz" in changed
    )


def _metrics(contents: PackContents) -> dict[str, float]:
    """The overall numbers of a scorecard: they stand at its top, or under `overall`."""
    data = contents.files.get("scorecard.json")
    if data is None:
        return {}
    scorecard = json.loads(data)
    overall = scorecard.get("overall", scorecard) if isinstance(scorecard, dict) else {}
    found = {name: overall.get(name) for name in METRICS} if isinstance(overall, dict) else {}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}
