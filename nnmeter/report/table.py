"""Predictions as tables for a person at a terminal; the same layout without colour in a pipe."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nnmeter.report.numbers import (
    fallback_types,
    format_interval,
    format_ms,
    format_share,
    most_expensive,
    shorten,
)
from nnmeter.report.render import Layout

if TYPE_CHECKING:
    from nnmeter.predictor.latency import Prediction


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """A summary with the most expensive kernels for one model, a row a model for several."""
    console = make_console(layout)
    if layout.several:
        _print_several(console, predictions)
    else:
        _print_single(console, predictions[0])
    return rendered(console)


def make_console(layout: Layout) -> Console:
    """A console that keeps what is printed, for `rendered`; colour only where the layout asks for it."""
    return Console(
        file=io.StringIO(),
        width=layout.width,
        force_terminal=layout.colour,
        color_system="auto" if layout.colour else None,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )


def rendered(console: Console) -> str:
    """What was printed to a console of `make_console`, without blanks at line ends."""
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def make_table(*columns: tuple[str, str]) -> Table:
    """An empty table; each column is a heading and `left`, `right`, or `name` (left, cut rather than wrapped)."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading, kind in columns:
        if kind == "right":
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            table.add_column(heading, overflow="ellipsis", no_wrap=kind == "name")
    return table


def _print_single(console: Console, prediction: Prediction) -> None:
    console.print(f"[bold]{escape(prediction.model)}[/] on {escape(prediction.device)}", soft_wrap=True)
    console.print(
        f"[bold]{format_ms(prediction.latency_ms)} ms[/], "
        f"{round(100 * prediction.confidence)} % interval {format_interval(prediction.interval_ms)} ms"
    )
    trained, fallback = prediction.coverage["trained"], prediction.coverage["fallback"]
    console.print(
        f"coverage: {format_share(trained)} of the time by trained predictors, {format_share(fallback)} by the fallback"
    )
    kernels = most_expensive(prediction.kernels)
    table = make_table(("kernel", "name"), ("type", "name"), ("ms", "right"), ("share", "right"), ("", "left"))
    for kernel in kernels:
        table.add_row(
            escape(shorten(kernel.name, max(24, console.width - 56))),
            escape(kernel.type),
            format_ms(kernel.latency_ms),
            format_share(kernel.latency_ms / prediction.latency_ms if prediction.latency_ms else 0.0),
            "" if kernel.source == "trained" else kernel.source,
        )
    rest = sorted(prediction.kernels, key=lambda kernel: -kernel.latency_ms)[len(kernels) :]
    remainder = {f"{len(rest)} more": sum(kernel.latency_ms for kernel in rest), "overhead": prediction.overhead_ms}
    table.add_section()
    for label, latency_ms in remainder.items():
        if latency_ms > 0:
            table.add_row(label, "", format_ms(latency_ms), format_share(latency_ms / prediction.latency_ms), "")
    console.print(table)
    groups = fallback_types(prediction.kernels)
    if groups:
        parts = (f"{escape(kind)} x{count} ({format_ms(total)} ms)" for kind, count, total in groups)
        console.print("priced by the fallback: " + ", ".join(parts), soft_wrap=True)
    _print_warnings(console, prediction.warnings)


def _print_several(console: Console, predictions: Sequence[Prediction]) -> None:
    for device in dict.fromkeys(prediction.device for prediction in predictions):
        console.print(f"on [bold]{escape(device)}[/]", soft_wrap=True)
    confidence = round(100 * predictions[0].confidence) if predictions else 90
    columns = [("model", "name"), ("ms", "right"), (f"{confidence} % interval", "right")]
    table = make_table(*columns, ("trained", "right"), ("kernels", "right"), ("by the fallback", "left"))
    for prediction in predictions:
        groups = fallback_types(prediction.kernels)
        table.add_row(
            escape(shorten(prediction.model, max(24, console.width - 50))),
            format_ms(prediction.latency_ms),
            format_interval(prediction.interval_ms),
            format_share(prediction.coverage["trained"]),
            str(len(prediction.kernels)),
            escape(", ".join(kind for kind, _, _ in groups)),
        )
    console.print(table)
    _print_warnings(console, [f"{p.model}: {warning}" for p in predictions for warning in p.warnings])


def _print_warnings(console: Console, warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
