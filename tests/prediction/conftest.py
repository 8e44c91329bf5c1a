"""Predictors that are watched while they put models together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nnmeter.devices import load_pack
from nnmeter.prediction.parts import KnownParts
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.runs import KnownRuns
from tests.prediction.candidates import PACK, outcome


@pytest.fixture
def in_full() -> Callable[[Any], Any]:
    """The prediction of a model, or its error, by a predictor that has seen nothing."""
    pack = load_pack(PACK)

    def predict(model: Any) -> Any:
        pack.rules.remembered.clear()
        return outcome(LatencyPredictor(pack), model)

    return predict


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each model, whether it was put together."""
    results: list[bool] = []
    put_together = KnownParts.put_together

    def watched(self: KnownParts, *arguments: Any) -> Any:
        whole = put_together(self, *arguments)
        results.append(whole is not None)
        return whole

    monkeypatch.setattr(KnownParts, "put_together", watched)
    return results


@pytest.fixture
def by_bytes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each model, whether its parts were known by their bytes."""
    results: list[bool] = []
    find = KnownRuns.find

    def watched(self: KnownRuns, data: bytes) -> Any:
        made = find(self, data)
        results.append(made is not None)
        return made

    monkeypatch.setattr(KnownRuns, "find", watched)
    return results
