"""The made-up runtime, as a fixture."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import nnmeter.lab.runtimes
from tests.lab.campaign.fakes import (
    REFERENCE_KERNELS,
    REFERENCE_S,
    FakeClock,
    FakeModel,
    FakeRuntime,
    make_signature,
)

__all__ = ["REFERENCE_KERNELS", "REFERENCE_S", "FakeClock", "FakeModel", "FakeRuntime", "make_signature"]


@pytest.fixture
def clock(monkeypatch):
    fresh = FakeClock()
    monkeypatch.setattr(FakeRuntime, "clock", fresh)
    return fresh


@pytest.fixture
def runtime(clock, monkeypatch):
    """The fake runtime, found as third parties' are: through the entry-point group."""

    class Point(EntryPoint):
        def load(self):
            return FakeRuntime

    point = Point(name="fake", value="fake:FakeRuntime", group="nnmeter.runtimes")
    monkeypatch.setattr(nnmeter.lab.runtimes, "entry_points", lambda group: [point])
    return nnmeter.lab.runtimes.load_runtime("fake")
