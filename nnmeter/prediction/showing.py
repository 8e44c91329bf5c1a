"""A prediction as a small table in a notebook.

Names come from files of strangers: what a browser would act on is escaped. Colours are those of the page around, so
that the table suits light and dark notebooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from nnmeter.wording import format_count, format_ms, format_share, printable, shorten

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel

_KERNELS = _NOTES = 10
_WIDTH = 80  # characters of a name
_COLUMNS = (
    ("kernel", "left"), ("type", "left"), ("ms", "right"), ("share", "right"), ("FLOPs", "right"), ("", "left"),
)  # fmt: skip


def as_html(
    heading: str, kernels: Sequence[PricedKernel], total_ms: float, overhead_ms: float, notes: Sequence[str]
) -> str:
    """A table of the most expensive kernels.

    Args:
        heading: the prediction in a line.
        kernels: all of them.
        total_ms: the predicted time, of which shares are.
        overhead_ms: time that no kernel accounts for.
        notes: what the reader should know, a sentence each.
    """
    ranked = sorted(kernels, key=lambda kernel: -kernel.latency_ms)
    shown, rest = ranked[:_KERNELS], ranked[_KERNELS:]
    rows = [_row(k.name, k.type, k.latency_ms, total_ms, format_count(k.flops), _source(k)) for k in shown]
    if rest:
        flops = format_count(sum(k.flops for k in rest))
        rows.append(_row(f"{len(rest)} more", "", sum(k.latency_ms for k in rest), total_ms, flops, ""))
    if overhead_ms > 0:
        rows.append(_row("overhead", "", overhead_ms, total_ms, "", ""))
    heads = "".join(f'<th style="text-align:{side}">{name}</th>' for name, side in _COLUMNS)
    items = "".join(f"<li>{_safe(note)}</li>" for note in notes[:_NOTES])
    return (
        f"<div><p>{_safe(heading)}</p><table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"{f'<ul>{items}</ul>' if items else ''}</div>"
    )


def _source(kernel: PricedKernel) -> str:
    return "" if kernel.source == "trained" else kernel.source


def _row(name: str, kind: str, latency_ms: float, total_ms: float, flops: str, source: str) -> str:
    share = format_share(latency_ms / total_ms if total_ms else 0.0)
    cells = (shorten(name, _WIDTH), shorten(kind, _WIDTH), format_ms(latency_ms), share, flops, source)
    return (
        "<tr>"
        + "".join(
            f'<td style="text-align:{side}">{_safe(cell)}</td>' for cell, (_, side) in zip(cells, _COLUMNS, strict=True)
        )
        + "</tr>"
    )


def _safe(text: str) -> str:
    return escape(printable(text), quote=True)
