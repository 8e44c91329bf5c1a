"""A prediction by module as text: a tree with the time, share, FLOPs and parameters of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.prediction.groups import KernelGroup, module_tree
from nnmeter.wording import format_count, format_ms, format_share, printable

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction

NO_MODULE = "(no module)"
_HEADINGS = ("module", "ms", "share", "FLOPs", "parameters")
_GAP = "   "
_LONGEST = 60  # characters of a name


def module_text(prediction: Prediction, depth: int) -> str:
    """The prediction in a line, and a line for each module down to `depth` levels, the most expensive first."""
    rows = [
        _row(f"{'  ' * level}{printable(group.name)[:_LONGEST] or NO_MODULE}", group)
        for level, group in module_tree(prediction.kernels, prediction.latency_ms, depth)
    ]
    if prediction.overhead_ms > 0:
        share = prediction.overhead_ms / prediction.latency_ms
        rows.append(("overhead", format_ms(prediction.overhead_ms), format_share(share), "", ""))
    rows.append(_row("total", prediction.total()))
    widths = [max(len(row[at]) for row in (_HEADINGS, *rows)) for at in range(len(_HEADINGS))]
    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    lines = [_line(row, widths) for row in rows]
    return "\n".join([str(prediction), "", _line(_HEADINGS, widths), rule, *lines[:-1], rule, lines[-1]])


def _row(name: str, group: KernelGroup) -> tuple[str, ...]:
    return (
        name,
        format_ms(group.latency_ms),
        format_share(group.share),
        format_count(group.flops),
        format_count(group.parameters),
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first, *rest = [cell.ljust(width) if not at else cell.rjust(width)
                    for at, (cell, width) in enumerate(zip(cells, widths, strict=True))]  # fmt: skip
    return _GAP.join([first, *rest]).rstrip()
