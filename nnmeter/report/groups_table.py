"""The time of predictions by group as tables; modules as a tree."""

from __future__ import annotations

from nnmeter.prediction.groups import KernelGroup, module_tree
from nnmeter.prediction.prediction import Prediction
from nnmeter.report.columns import format_dims
from nnmeter.report.groups import GroupReport
from nnmeter.report.numbers import format_count, format_ms, format_share
from nnmeter.report.registry import Layout
from nnmeter.report.sorting import rank_of_groups
from nnmeter.report.text import Text


def render(report: GroupReport, layout: Layout) -> str:
    """A table for each prediction: kernels, time, share, FLOPs and bytes of each group, most expensive first."""
    text = Text(layout.width, layout.colour)
    for prediction in report.predictions:
        sizes = f" ({format_dims(prediction.dims)})" if prediction.dims else ""
        text.add(f"{text.bold(prediction.model)}{sizes} on {prediction.device}")
        text.add(f"{text.bold(format_ms(prediction.latency_ms) + ' ms')} by {report.by}")
        rows: list[tuple[str, ...]] = [_row(name, group) for name, group in _lines(report, prediction, layout)]
        overhead = ("overhead", "", format_ms(prediction.overhead_ms), _share(prediction), "", "", "")
        sections = [rows]
        if prediction.overhead_ms > 0:
            sections.append([overhead])
        text.add_table((report.by, "kernels", "ms", "share", "FLOPs", "bytes", "parameters"), "trrrrrr", sections)
    return str(text)


def _lines(report: GroupReport, prediction: Prediction, layout: Layout) -> list[tuple[str, KernelGroup]]:
    if report.by != "module":
        return [(report.label(group), group) for group in report.shown(prediction, layout)]
    rank = rank_of_groups(layout)
    tree = module_tree(prediction.kernels, prediction.latency_ms, report.depth, rank=rank, most=layout.top)
    return [(f"{'· ' * level}{report.label(group)}", group) for level, group in tree]


def _row(name: str, group: KernelGroup) -> tuple[str, ...]:
    return (
        name,
        str(group.kernels),
        format_ms(group.latency_ms),
        format_share(group.share),
        format_count(group.flops),
        format_count(group.bytes),
        format_count(group.parameters),
    )


def _share(prediction: Prediction) -> str:
    return format_share(prediction.overhead_ms / prediction.latency_ms if prediction.latency_ms else 0.0)
