"""What `nnmeter measure` tells, and what its renderers share: a row a model, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.report.numbers import format_ms

if TYPE_CHECKING:
    from nnmeter.lab.measuring.measurement import Measurement

SCHEMA_VERSION = 1
COLUMNS = (
    "model", "family", "latency_ms", "min_ms", "median_ms", "p90_ms", "runs", "half_a_ms", "half_b_ms", "kernels",
    "sitting",
)  # fmt: skip

HEADINGS = ("model", "ms", "min", "median", "p90", "n", "halves")


@dataclass(frozen=True, slots=True)
class Sitting:
    """One session as it is reported.

    Attributes:
        output: the file that holds the measurements.
        device: runtime, version and threads that were measured with.
        reference_ms: nominal time of the reference kernel, which latencies are corrected to.
        own_reference_ms: the reference's own time while this session lasted.
        measurements: the models that were measured.
        refused: path and reason of each model that could not be.
        interrupted: whether the user stopped it before all passes were done.
    """

    output: str
    device: str
    reference_ms: float
    own_reference_ms: float
    measurements: Sequence[Measurement]
    refused: Sequence[tuple[str, str]] = ()
    interrupted: bool = False

    @property
    def noise_floor(self) -> dict[str, Any] | None:
        """Metrics between the two interleaved halves of each model's runs; None if nothing was measured in halves."""
        from nnmeter.lab.evaluation.metrics import compute_metrics

        halves = [m.half_ms for m in self.measurements if min(m.half_ms) > 0]
        return compute_metrics([h[0] for h in halves], [h[1] for h in halves]).to_dict() if halves else None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, schema version 1."""
        return {
            "schema_version": SCHEMA_VERSION,
            "file": self.output,
            "device": self.device,
            "reference_ms": self.reference_ms,
            "own_reference_ms": self.own_reference_ms,
            "interrupted": self.interrupted,
            "noise_floor": self.noise_floor,
            "models": [dict(zip(COLUMNS, values(m), strict=True)) for m in self.measurements],
            "refused": [{"model": path, "reason": reason} for path, reason in self.refused],
        }


def values(measurement: Measurement) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    m = measurement
    return (
        m.network, m.family, m.latency_ms, m.min_ms, m.median_ms, m.p90_ms, m.runs, *m.half_ms, len(m.kernels),
        m.sitting,
    )  # fmt: skip


def cells(measurement: Measurement) -> tuple[str, ...]:
    """In the order of `HEADINGS`."""
    m = measurement
    times = (format_ms(value) for value in (m.latency_ms, m.min_ms, m.median_ms, m.p90_ms))
    first, second = m.half_ms
    halves = f"{100 * (first / second - 1):+.1f} %" if second > 0 else "-"
    return (m.network, *times, str(m.runs), halves)


def facts(sitting: Sitting) -> list[tuple[str, str]]:
    """What is said below the table: names and sentences."""
    found = []
    floor = sitting.noise_floor
    if floor is not None:
        found.append(
            (
                "noise floor",
                f"±5 % {floor['within_5']:.1f} %, ±10 % {floor['within_10']:.1f} %, MAPE {floor['mape']:.1f} % "
                f"between two halves of the runs ({floor['models']} model{'s' if floor['models'] > 1 else ''})",
            )
        )
    found.append(
        (
            "reference",
            f"{format_ms(sitting.own_reference_ms)} ms while this was measured; "
            f"ms is for {format_ms(sitting.reference_ms)} ms, min, median and p90 are as the clock said",
        )
    )
    found += [("refused", f"{path}: {reason}") for path, reason in sitting.refused]
    if sitting.interrupted:
        found.append(("interrupted", "the passes that were done before are what counts"))
    found.append(("file", sitting.output))
    return found
