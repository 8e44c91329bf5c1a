"""Full predictions of candidates, each made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from nnmeter.errors import NnmeterError, brief
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.search.space import Space

Build = Callable[[dict[str, Any]], Any]


class Latencies(Protocol):
    """What tables are made from.

    Attributes:
        space: the space.
        predictions: how many candidates were asked for so far.
    """

    @property
    def space(self) -> Space: ...  # noqa: D102

    @property
    def predictions(self) -> int: ...  # noqa: D102

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Latencies in milliseconds [candidates]."""

    def knows(self, row: np.ndarray) -> bool:
        """Whether a candidate was asked for before."""


class Oracle:
    """The predicted latency of candidates of a space, by rows; remembers what it was asked.

    Attributes:
        space: the space.
        predictions: how many full predictions it made.
    """

    def __init__(
        self, space: Space, build: Build, predictor: LatencyPredictor, sizes: InputSizes = AS_DECLARED
    ) -> None:
        """Predict what `build` makes of candidates."""
        self.space = space
        self._build = build
        self._predictor = predictor
        self._sizes = sizes
        self._known: dict[bytes, float] = {}

    @property
    def predictions(self) -> int:
        """How many full predictions were made."""
        return len(self._known)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Latencies in milliseconds [candidates].

        Raises:
            NnmeterError: a candidate cannot be built or predicted, with the candidate and why.
        """
        found = np.empty(len(rows))
        for at, row in enumerate(np.ascontiguousarray(rows, np.int64)):
            key = row.tobytes()
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = self._predict(row)
            found[at] = known
        return found

    def knows(self, row: np.ndarray) -> bool:
        """Whether a candidate was predicted before."""
        return np.ascontiguousarray(row, np.int64).tobytes() in self._known

    def _predict(self, row: np.ndarray) -> float:
        candidate = self.space.candidate(row)
        try:
            latency = self._predictor.predict(self._build(dict(candidate)), sizes=self._sizes).latency_ms
        except NnmeterError as fault:
            shown = ", ".join(f"{name}={option}" for name, option in candidate.items())
            raise NnmeterError(f"candidate {shown:.300}: {brief(fault)}") from fault
        if not latency > 0:
            shown = ", ".join(f"{name}={option}" for name, option in candidate.items())
            raise NnmeterError(f"candidate {shown:.300}: its latency is {latency} ms; a model must take time")
        return latency
