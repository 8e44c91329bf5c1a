"""What `nnmeter measure` tells: a row a model, and how far the measuring can be trusted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.report.numbers import format_ms
from nnmeter.report.render import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.lab.measuring.measurement import Measurement

SCHEMA_VERSION = 1
COLUMNS = (
    "model", "family", "latency_ms", "min_ms", "median_ms", "p90_ms", "runs", "half_a_ms", "half_b_ms", "kernels",
    "sitting",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sitting:
    """One sitting as it is reported.

    Attributes:
        output: the file that holds the measurements.
        device: runtime, version and threads that were measured with.
        reference_ms: nominal time of the reference kernel, which latencies are corrected to.
        own_reference_ms: the reference's own time while this sitting lasted.
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
            "models": [dict(zip(COLUMNS, _values(m), strict=True)) for m in self.measurements],
            "refused": [{"model": path, "reason": reason} for path, reason in self.refused],
        }


def render_sitting(sitting: Sitting, report_format: str, layout: Layout) -> str:
    """The report of a sitting, in one of `SITTING_FORMATS`."""
    return SITTING_FORMATS[report_format](sitting, layout)


def _json(sitting: Sitting, layout: Layout) -> str:
    return json.dumps(sitting.to_dict(), indent=2, ensure_ascii=False) + "\n"


def _csv(sitting: Sitting, layout: Layout) -> str:
    """A row a model; times with six significant digits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for measurement in sitting.measurements:
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in _values(measurement)])
    return stream.getvalue()


def _markdown(sitting: Sitting, layout: Layout) -> str:
    from nnmeter.report.markdown import markdown_table

    lines = [f"## Measured with {sitting.device}", ""]
    lines += markdown_table(_HEADINGS, "l" + "r" * (len(_HEADINGS) - 1), [_cells(m) for m in sitting.measurements])
    lines += ["", *(f"- **{name}**: {text}" for name, text in _facts(sitting))]
    return "\n".join(lines) + "\n"


def _table(sitting: Sitting, layout: Layout) -> str:
    text = Text(layout.width, layout.colour)
    text.add(f"measured with {text.bold(sitting.device)}")
    text.add_table(_HEADINGS, "n" + "r" * (len(_HEADINGS) - 1), [[_cells(m) for m in sitting.measurements]])
    facts = _facts(sitting)
    column = max(len(name) for name, _ in facts) + 2
    for name, fact in facts:
        text.add(text.dim(name.ljust(column)) + " ".join(fact.split()))
    return str(text)


SITTING_FORMATS: dict[str, Callable[[Sitting, Layout], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "md": _markdown,
}

_HEADINGS = ("model", "ms", "min", "median", "p90", "n", "halves")


def _values(measurement: Measurement) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    m = measurement
    return (
        m.network, m.family, m.latency_ms, m.min_ms, m.median_ms, m.p90_ms, m.runs, *m.half_ms, len(m.kernels),
        m.sitting,
    )  # fmt: skip


def _cells(measurement: Measurement) -> tuple[str, ...]:
    m = measurement
    times = (format_ms(value) for value in (m.latency_ms, m.min_ms, m.median_ms, m.p90_ms))
    first, second = m.half_ms
    halves = f"{100 * (first / second - 1):+.1f} %" if second > 0 else "-"
    return (m.network, *times, str(m.runs), halves)


def _facts(sitting: Sitting) -> list[tuple[str, str]]:
    facts = []
    floor = sitting.noise_floor
    if floor is not None:
        facts.append(
            (
                "noise floor",
                f"±5 % {floor['within_5']:.1f} %, ±10 % {floor['within_10']:.1f} %, MAPE {floor['mape']:.1f} % "
                f"between two halves of the runs ({floor['models']} model{'s' if floor['models'] > 1 else ''})",
            )
        )
    facts.append(
        (
            "reference",
            f"{format_ms(sitting.own_reference_ms)} ms while this was measured; "
            f"ms is for {format_ms(sitting.reference_ms)} ms, min, median and p90 are as the clock said",
        )
    )
    facts += [("refused", f"{path}: {reason}") for path, reason in sitting.refused]
    if sitting.interrupted:
        facts.append(("interrupted", "the passes that were done before are what counts"))
    facts.append(("file", sitting.output))
    return facts
