"""Every kernel in a table that sorts and filters; without a script it is the same table, in the order of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.numbers import format_bytes, format_count, format_ms, format_share
from nnmeter.report.outside import reason_of
from nnmeter.report.page.markup import escape
from nnmeter.wording import shorten

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.report.page.content import Subject
    from nnmeter.report.page.operators import Colours

_LONGEST = 120  # of a name
_MEASURED, _RATIO = "measured ms", "predicted / measured"
_HEADINGS = (
    ("#", True), ("kernel", False), ("type", False), ("module", False), ("ms", True), (_MEASURED, True), (_RATIO, True),
    ("share", True), ("FLOPs", True), ("bytes", True), ("GFLOP/s", True), ("live memory", True), ("range", False),
)  # fmt: skip


def kernel_table(subject: Subject, number: int, colours: Colours) -> str:
    """The table of one prediction, with what sorts and filters it.

    Args:
        subject: the prediction.
        number: what tells its elements from those of others on the page.
        colours: of operators.
    """
    prediction = subject.prediction
    live = {} if subject.memory is None else {step.kernel: step.live_bytes for step in subject.memory.steps}
    measured = () if subject.measured is None else subject.measured.kernel_ms
    has_modules = any(kernel.module for kernel in prediction.kernels)
    absent = {
        *(() if live else ("live memory",)),
        *(() if measured else (_MEASURED, _RATIO)),
        *(() if has_modules else ("module",)),
    }
    columns = [heading for heading in _HEADINGS if heading[0] not in absent]
    head = "".join(
        f'<th scope="col"{_right(numeric)} aria-sort="{"ascending" if name == "#" else "none"}">'
        f'<button type="button">{escape(name)}</button></th>'
        for name, numeric in columns
    )
    rows = "".join(
        _row(
            place,
            kernel,
            prediction.latency_ms,
            has_modules,
            live,
            colours.of(kernel),
            measured[place - 1] if measured else None,
        )
        for place, kernel in enumerate(prediction.kernels, 1)
    )
    caption = f"Kernels of {subject.name}"
    return (
        f'<form class="filter" role="search"><label for="f{number}">'
        "Filter kernels by name, type, module or range</label> "
        f'<input id="f{number}" type="search" autocomplete="off" spellcheck="false"> '
        f'<output for="f{number}" aria-live="polite"></output></form>\n'
        f'<div class="scroll tall" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="kernels"><caption>{escape(caption)}; headings sort</caption><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def _right(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _row(
    place: int,
    kernel: PricedKernel,
    total_ms: float,
    has_modules: bool,
    live: dict[str, int],
    colour: str,
    measured_ms: float | None,
) -> str:
    share = kernel.latency_ms / total_ms if total_ms else 0.0
    speed = kernel.flops / kernel.latency_ms / 1e6 if kernel.latency_ms > 0 else 0.0
    cells = [
        _number(place, str(place)),
        f"<td>{escape(shorten(kernel.name, _LONGEST))}</td>",
        f'<td><i class="{colour}"></i>{escape(shorten(kernel.type, _LONGEST))}</td>',
        *([f"<td>{escape(shorten(kernel.module, _LONGEST))}</td>"] if has_modules else []),
        _number(kernel.latency_ms, format_ms(kernel.latency_ms)),
        *_beside(kernel.latency_ms, measured_ms),
        _number(share, format_share(share)),
        _number(kernel.flops, format_count(kernel.flops)),
        _number(kernel.bytes, format_count(kernel.bytes)),
        _number(speed, f"{speed:.3g}"),
    ]
    if live:
        held = live.get(kernel.name)
        cells.append(_number(held or 0, "" if held is None else format_bytes(held)))
    cells.append(f"<td>{escape(reason_of(kernel)) if kernel.gaps else ''}</td>")
    return f"<tr>{''.join(cells)}</tr>\n"


def _beside(latency_ms: float, measured_ms: float | None) -> list[str]:
    """Cells of what was measured of a kernel; none where nothing was."""
    if measured_ms is None:
        return []
    ratio = latency_ms / measured_ms if measured_ms > 0 else 0.0
    return [_number(measured_ms, format_ms(measured_ms)), _number(ratio, f"{ratio:.2f}")]


def _number(value: float, text: str) -> str:
    """A cell; its value is written apart where the text does not say it."""
    plain = f"{value:.5g}"
    attribute = "" if plain == text else f' data-v="{plain}"'
    return f'<td class="n"{attribute}>{escape(text)}</td>'
