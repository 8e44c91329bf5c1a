"""The time of predictions by group as Markdown."""

from __future__ import annotations

from nnmeter.report.columns import format_dims
from nnmeter.report.groups import GroupReport
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.numbers import format_count, format_ms, format_share
from nnmeter.report.registry import Layout


def render(report: GroupReport, layout: Layout) -> str:
    """A section with a table for each prediction."""
    lines: list[str] = []
    for prediction in report.predictions:
        sizes = f" ({format_dims(prediction.dims)})" if prediction.dims else ""
        lines += [f"## {escape(prediction.model + sizes)} on {escape(prediction.device)}", ""]
        lines += [f"**{format_ms(prediction.latency_ms)} ms** by {report.by}:", ""]
        rows = [
            (
                report.label(group),
                str(group.kernels),
                format_ms(group.latency_ms),
                format_share(group.share),
                format_count(group.flops),
                format_count(group.bytes),
                format_count(group.parameters),
            )
            for group in report.shown(prediction, layout)
        ]
        lines += [
            *markdown_table((report.by, "kernels", "ms", "share", "FLOPs", "bytes", "parameters"), "lrrrrrr", rows),
            "",
        ]
    return "\n".join(lines)
