"""A prediction by module as text: a tree with the time, share, FLOPs and parameters of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.prediction.groups import KernelGroup, module_tree
from nnmeter.wording import format_count, format_ms, format_share, printable

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel

NO_MODULE = "(no module)"
_HEADINGS = ("module", "ms", "share", "FLOPs", "parameters")
_GAP = "   "
_LONGEST = 60  # characters of a name


def module_text(
    heading: str, kernels: Sequence[PricedKernel], total: KernelGroup, overhead_ms: float, depth: int
) -> str:
    """A heading, and a line for each module, the most expensive first.

    Args:
        heading: the prediction in a line.
        kernels: all of them.
        total: all of them as one group.
        overhead_ms: time that no kernel accounts for.
        depth: levels of modules to tell apart.
    """
    rows = [
        _row(f"{'  ' * level}{printable(group.name)[:_LONGEST] or NO_MODULE}", group)
        for level, group in module_tree(kernels, total.latency_ms, depth)
    ]
    if overhead_ms > 0:
        rows.append(("overhead", format_ms(overhead_ms), format_share(overhead_ms / total.latency_ms), "", ""))
    rows.append(_row("total", total))
    widths = [max(len(row[at]) for row in (_HEADINGS, *rows)) for at in range(len(_HEADINGS))]
    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    lines = [_line(row, widths) for row in rows]
    return "\n".join([heading, "", _line(_HEADINGS, widths), rule, *lines[:-1], rule, lines[-1]])


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
