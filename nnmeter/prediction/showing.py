"""How a prediction shows itself where Python prints it: one line, and a small table in a notebook.

Names come from files of strangers: what a terminal or a browser would act on is taken out or escaped. Colours are those
of the page around, so that the table suits light and dark notebooks.
"""

from __future__ import annotations

from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING

from nnmeter.wording import format_count, format_ms, format_share, printable, shorten

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction

_KERNELS = 10
_WIDTH = 80  # characters of a name


def one_line(prediction: Prediction) -> str:
    """The prediction in a line: `resnet50.onnx on epyc-1t: 75.6 ms (67.6 to 84.5), 58 kernels, 100.0 % trained`."""
    low, high = prediction.interval_ms
    count = len(prediction.kernels)
    return (
        f"{_subject(prediction)}: {format_ms(prediction.latency_ms)} ms ({format_ms(low)} to {format_ms(high)}), "
        f"{count} kernel{'' if count == 1 else 's'}, {format_share(prediction.coverage.trained)} trained"
    )


def _subject(prediction: Prediction) -> str:
    name = shorten(PurePath(prediction.model).name or prediction.model, _WIDTH)
    sizes = " ".join(f"{dim}={size}" for dim, size in prediction.dims.items())
    return printable(f"{name}{f' ({sizes})' if sizes else ''} on {prediction.device}")


def as_html(prediction: Prediction) -> str:
    """A table of the most expensive kernels for a notebook, under a line that sums up."""
    low, high = prediction.interval_ms
    ranked = sorted(prediction.kernels, key=lambda kernel: -kernel.latency_ms)
    shown, rest = ranked[:_KERNELS], ranked[_KERNELS:]
    rows = [
        _row(k.name, k.type, k.latency_ms, prediction, "" if k.source == "trained" else k.source, k.flops)
        for k in shown
    ]
    if rest:
        hidden_ms, hidden_flops = sum(k.latency_ms for k in rest), sum(k.flops for k in rest)
        rows.append(_row(f"{len(rest)} more", "", hidden_ms, prediction, "", hidden_flops))
    if prediction.overhead_ms > 0:
        rows.append(_row("overhead", "", prediction.overhead_ms, prediction, "", 0))
    heads = "".join(f'<th style="text-align:{side}">{name}</th>' for name, side in _COLUMNS)
    notes = "".join(f"<li>{_safe(note)}</li>" for note in prediction.warnings[:_KERNELS])
    return (
        f"<div><p>{_safe(_subject(prediction))}: <b>{format_ms(prediction.latency_ms)} ms</b>, "
        f"{round(100 * prediction.confidence)} % interval {format_ms(low)} to {format_ms(high)} ms, "
        f"{format_share(prediction.coverage.trained)} by trained predictors</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


_COLUMNS = (
    ("kernel", "left"), ("type", "left"), ("ms", "right"), ("share", "right"), ("FLOPs", "right"), ("", "left"),
)  # fmt: skip


def _row(name: str, kind: str, latency_ms: float, prediction: Prediction, source: str, flops: int) -> str:
    total_ms = prediction.latency_ms
    cells = (
        _safe(shorten(name, _WIDTH)),
        _safe(kind),
        format_ms(latency_ms),
        format_share(latency_ms / total_ms if total_ms else 0.0),
        format_count(flops),
        _safe(source),
    )
    return (
        "<tr>"
        + "".join(f'<td style="text-align:{side}">{cell}</td>' for cell, (_, side) in zip(cells, _COLUMNS, strict=True))
        + "</tr>"
    )


def _safe(text: str) -> str:
    return escape(printable(text), quote=True)
