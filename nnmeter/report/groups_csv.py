"""The time of predictions by group as CSV: a row a group."""

from __future__ import annotations

import csv
import io

from nnmeter.report.columns import format_dims
from nnmeter.report.csv import as_text
from nnmeter.report.groups import GroupReport
from nnmeter.report.render import Layout

COLUMNS = ("model", "device", "dims", "name", "kernels", "latency_ms", "share", "flops", "bytes")


def render(report: GroupReport, layout: Layout) -> str:
    """A header and a row for each group of each prediction; the group without a module has no name."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for prediction in report.predictions:
        about = (as_text(prediction.model), prediction.device, format_dims(prediction.dims))
        writer.writerows(
            (*about, as_text(g.name), g.kernels, f"{g.latency_ms:.6g}", f"{g.share:.6g}", g.flops, g.bytes)
            for g in report.groups(prediction)
        )
    return stream.getvalue()
