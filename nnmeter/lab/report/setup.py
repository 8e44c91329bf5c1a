"""What `nnmeter setup` made, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnmeter.lab.transfer.setup import SetupReport

SCHEMA_VERSION = 1


def render_setup(report: SetupReport, report_format: str) -> str:
    """The report as "table" or "json"."""
    return (json.dumps(setup_to_dict(report), indent=2) if report_format == "json" else _text(report)) + "\n"


def setup_to_dict(report: SetupReport) -> dict[str, Any]:
    """The report in the stable JSON schema, version 1; errors are relative, times in seconds."""
    return {
        "schema_version": SCHEMA_VERSION,
        "id": report.pack.id,
        "path": str(report.pack.path),
        "prior": report.prior,
        "candidates": report.candidates,
        "networks": report.networks,
        "kernels": report.kernels,
        "elapsed_s": report.elapsed_s,
        "left_out": None if report.totals is None else dict(report.totals),
        "interval_coverage": report.coverage,
        "interval_half_width": report.half_width,
        "foreseen_error": {f"{seconds:g}": error for seconds, error in report.foreseen.items()},
    }


def _text(report: SetupReport) -> str:
    tried = sorted(report.candidates.items(), key=lambda item: item[1])
    lines = [
        f"{report.pack.id}: {report.pack.path}",
        f"{report.networks} random networks, {report.kernels} kernels, in {report.elapsed_s:.0f} s",
        f"started from {report.prior}" + (f", the best of {len(tried)}" if tried[1:] else ""),
    ]
    if report.totals is not None:
        lines.append(
            f"on random networks left out: mean error {report.totals['mape']:.1f} %, "
            f"{report.totals['within_10']:.0f} % within ±10 %"
        )
    if report.coverage is not None:
        lines.append(
            f"90 % intervals hold {report.coverage:.0f} % of them, ±{100 * report.half_width:.0f} % wide in the mean"
        )
    if report.foreseen:
        longer = ", ".join(f"{100 * error:.1f} % with {_minutes(s)}" for s, error in report.foreseen.items())
        lines.append(f"a longer budget would bring about: {longer} (now {100 * report.candidates[report.prior]:.1f} %)")
    lines.append("predictions take this pack from now on: nnmeter predict MODEL")
    return "\n".join(lines)


def _minutes(seconds: float) -> str:
    return f"--budget {seconds / 60:g}m"
