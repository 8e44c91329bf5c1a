"""What a calibration found, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.lab.transfer.curve import CurvePoint
    from nnmeter.lab.transfer.plan import Suggestion

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CalibrationReport:
    """What a calibration found.

    Attributes:
        device, prior: ids of the new pack and of the one that was calibrated.
        measurements: names of the networks and kernels that it was calibrated on.
        kernels: kernels among them that were timed one by one.
        left_out: metrics of each network predicted without its own measurement; None without networks.
        held_out: metrics of the measurements that were given but not chosen; None if all were.
        half_width: median half width of the 90 % intervals of the measured networks, per cent of the prediction.
        curve: learning curve.
        suggestions: what to measure next.
        suggested_from: where the candidates came from, in words.
        machine: what the first pack is to the machine that was measured.
    """

    device: str
    prior: str
    measurements: tuple[str, ...]
    kernels: int
    left_out: Mapping[str, Any] | None
    held_out: Mapping[str, Any] | None
    half_width: float | None
    curve: tuple[CurvePoint, ...]
    suggestions: tuple[Suggestion, ...]
    suggested_from: str
    machine: MachineMatch

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "calibrated_from": self.prior,
            "machine": self.machine.measured_to_dict(),
            "measurements": list(self.measurements),
            "kernels": self.kernels,
            "left_out": self.left_out,
            "held_out": self.held_out,
            "interval_half_width": self.half_width,
            "learning_curve": [point.to_dict() for point in self.curve],
            "measure_next": [suggestion.to_dict() for suggestion in self.suggestions],
            "measure_next_from": self.suggested_from,
        }


def describe_errors(predicted_ms: np.ndarray, measured_ms: np.ndarray) -> dict[str, Any]:
    """The metrics of a report, of predictions against measurements of the same models."""
    from nnmeter.lab.evaluation.metrics import compute_metrics

    metrics = compute_metrics(predicted_ms.tolist(), measured_ms.tolist()).to_dict()
    return {key: metrics[key] for key in ("models", "within_5", "within_10", "mape", "median_error")}
