"""What a prediction rests on, in two small types: the interval around its time, and what priced its kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, overload


@dataclass(frozen=True, slots=True)
class Interval(Sequence[float]):
    """A range in milliseconds that holds the measured time with a known probability.

    It unpacks, iterates and indexes as the pair of its ends, and `time in interval` says whether a time lies in it.

    Attributes:
        low: lower end, in milliseconds.
        high: upper end, in milliseconds.
        confidence: probability that the measured time lies between them.
    """

    low: float
    high: float
    confidence: float

    @property
    def half_width(self) -> float:
        """Half the distance of the ends, in milliseconds."""
        return (self.high - self.low) / 2

    def contains(self, latency_ms: float) -> bool:
        """Whether a time in milliseconds lies in it, the ends included."""
        return self.low <= latency_ms <= self.high

    def scaled(self, factor: float) -> Interval:
        """The interval of times that are all multiplied."""
        return Interval(self.low * factor, self.high * factor, self.confidence)

    def __contains__(self, latency_ms: object) -> bool:
        return isinstance(latency_ms, Real) and self.contains(float(latency_ms))

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))

    @overload
    def __getitem__(self, position: int) -> float: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[float, ...]: ...
    def __getitem__(self, position: Any) -> Any:
        return (self.low, self.high)[position]

    def __len__(self) -> int:
        return 2


@dataclass(frozen=True, slots=True, eq=False)
class Coverage(Mapping[str, float]):
    """Which shares of the kernels' time trained prices and those of the analytic fallback make up.

    It reads as a mapping from the source to its share, too, and equals one.

    Attributes:
        trained: share of the time that trained predictors priced, 0 to 1.
        fallback: share of the time that the fallback priced, or that a code path takes which training did not sample,
            0 to 1.
    """

    trained: float
    fallback: float

    def _shares(self) -> dict[str, float]:
        return {"trained": self.trained, "fallback": self.fallback}

    def __getitem__(self, source: str) -> float:
        return self._shares()[source]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shares())

    def __len__(self) -> int:
        return len(self._shares())

    def __hash__(self) -> int:
        return hash((self.trained, self.fallback))
