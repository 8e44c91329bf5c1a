"""The load that a network puts on the reference run behind it, as a pack stores it (`nnmeter.profiling.steady`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any


@dataclass(frozen=True, slots=True)
class ReferenceLoad:
    """How a network slows the reference run behind it (rule 2), and the median state of a campaign.

    Attributes:
        coefficients: of log(1 + raw ms), log(1 + largest result in MB), log(1 + constants in MB).
        state: logarithm of the reference's milliseconds in the campaign's median state, behind an empty network.
    """

    coefficients: tuple[float, float, float]
    state: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"coefficients": list(self.coefficients), "state": self.state}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ReferenceLoad:
        """The load that `to_dict` described; ValueError if a number is not finite."""
        a, b, c = (float(v) for v in data["coefficients"])
        state = float(data["state"])
        if not all(map(isfinite, (a, b, c, state))):
            raise ValueError("a coefficient of the reference load is not finite")
        return cls((a, b, c), state)


NO_LOAD = ReferenceLoad((0.0, 0.0, 0.0), 0.0)
"""Networks do not slow the reference, which takes one millisecond."""
