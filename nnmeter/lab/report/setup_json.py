"""What `nnmeter setup` made, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.lab.transfer.setup import SetupReport

SCHEMA_VERSION = 1


def render(report: SetupReport, layout: Layout) -> str:
    """The object of `setup_to_dict`."""
    return to_json(setup_to_dict(report))


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
        "restlessness": report.restlessness,
        "foreseen_error": {f"{seconds:g}": error for seconds, error in report.foreseen.items()},
    }
