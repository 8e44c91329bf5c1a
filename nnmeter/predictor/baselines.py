"""What a predictor must beat: estimates from FLOPs and bytes alone, fitted to the same training networks.

1. `flops`: `latency = a x FLOPs`.
2. `flops_and_bytes`: `latency = a x FLOPs + b x bytes + c x kernels`, coefficients not negative.
3. `roofline`: the sum of the device's roofline over the kernels, scaled by one factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.operators.cost import Cost
from nnmeter.predictor.checks import member, number, numbers
from nnmeter.predictor.roofline import Roofline

BASELINES = ("flops", "flops_and_bytes", "roofline")
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Baselines:
    """Coefficients of the baselines, milliseconds a unit (module docstring, 1 to 3)."""

    flops: float
    flops_and_bytes: tuple[float, float, float]
    roofline: float

    def predict_ms(self, costs: Sequence[Cost], item_bits: Sequence[int], roofline: Roofline) -> dict[str, float]:
        """Each baseline's latency of a network with these kernels."""
        totals = np.array([network_totals(costs, item_bits, roofline)])
        return {name: float(ms[0]) for name, ms in self.of_totals(totals).items()}

    def of_totals(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Each baseline's milliseconds [n] of networks with these `network_totals` [n, 4]."""
        return {
            "flops": self.flops * totals[:, 0],
            "flops_and_bytes": totals[:, :3] @ np.array(self.flops_and_bytes),
            "roofline": self.roofline * totals[:, 3],
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "flops": self.flops,
            "flops_and_bytes": list(self.flops_and_bytes),
            "roofline": self.roofline,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Baselines:
        """The baselines that `to_dict` described; DeviceError if a coefficient is negative or not finite."""
        a, b, c = numbers(member(data, "flops_and_bytes"), "flops_and_bytes", 3, 0.0, _LARGEST)
        flops, roofline = (number(member(data, name), name, 0.0, _LARGEST) for name in ("flops", "roofline"))
        return cls(flops, (a, b, c), roofline)


def network_totals(costs: Sequence[Cost], item_bits: Sequence[int], roofline: Roofline) -> tuple[float, ...]:
    """FLOPs, bytes, number of kernels and roofline milliseconds of a network."""
    return (
        float(sum(c.flops for c in costs)),
        float(sum(c.bytes_read + c.bytes_written for c in costs)),
        float(len(costs)),
        sum(roofline.latency_ms(c, b) for c, b in zip(costs, item_bits, strict=True)),
    )


def fit_baselines(totals: np.ndarray, wall_ms: np.ndarray) -> Baselines:
    """Fit all baselines, relative errors counting.

    Args:
        totals: `network_totals` of each training network [n, 4].
        wall_ms: their measured latency [n].
    """
    design = totals[:, :3] / wall_ms[:, None]
    columns = [0, 1, 2]
    solution = np.zeros(3)
    while columns:
        part, *_ = np.linalg.lstsq(design[:, columns], np.ones(len(wall_ms)), rcond=None)
        solution[:] = 0.0
        solution[columns] = part
        if (part >= 0).all():
            break
        columns.remove(columns[int(np.argmin(part))])
    return Baselines(
        float(np.median(wall_ms / np.maximum(totals[:, 0], 1.0))),
        (float(solution[0]), float(solution[1]), float(solution[2])),
        float(np.median(wall_ms / totals[:, 3])),
    )
