"""What zeros bring, as a table for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.numbers import TOP_KERNELS, format_count, format_ms, format_share
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.sparsity.sparsity import KernelZeros, SparsityPrediction


def render(found: Sequence[SparsityPrediction], layout: Layout) -> str:
    """Before and after, the kernels with weights, and what can be removed; a row a prediction for several."""
    text = Text(layout.width, layout.colour)
    if layout.several:
        rows = [
            (p.model, p.device, _zeros(p), format_ms(p.before.latency_ms), _after(p), format_share(p.gain))
            for p in found
        ]
        text.add_table(("model", "device", "zeros", "ms", "removed, ms", "gained"), "nlrrrr", [rows])
    else:
        _add_one(text, found[0], layout.top or TOP_KERNELS)
    text.add_warnings(list(dict.fromkeys(warning for p in found for warning in p.before.warnings)))
    return str(text)


def _add_one(text: Text, found: SparsityPrediction, top: int) -> None:
    from nnmeter.sparsity.sparsity import summary_of

    text.add(f"{text.bold(found.model)} on {found.device}")
    if found.read:
        text.add(f"{format_count(found.weights)} weights, {_zeros(found)} of them zero")
    if found.after is None:
        text.add(f"{text.bold(format_ms(found.before.latency_ms) + ' ms')}, nothing gained: {summary_of(found)}")
    else:
        low, high = found.comparison.difference_interval_ms if found.comparison else (0.0, 0.0)
        text.add(
            f"{text.bold(format_ms(found.before.latency_ms) + ' ms')}, {format_ms(found.after.latency_ms)} ms without "
            f"what can be removed: {format_share(found.gain)} gained ({_signed(low)} to {_signed(high)} ms)"
        )
        text.add(summary_of(found))
    kernels = sorted(found.kernels, key=lambda k: -k.latency_ms)
    headings, layout = ["kernel", "type", "ms", "weight", "zeros", "this runtime"], "ntrllt"
    rows: list[tuple[str, ...]] = [
        (k.name, k.type, format_ms(k.latency_ms), k.precision, str(k.pattern), k.implementation) for k in kernels
    ]
    if found.sparse_runtime:
        headings, layout = [*headings, found.sparse_runtime], layout + "l"
        rows = [(*row, _sparse(k)) for row, k in zip(rows, kernels, strict=True)]
    rest = [(f"{len(rows) - top} more", *[""] * (len(headings) - 1))] if len(rows) > top else []
    text.add_table(headings, layout, [rows[:top], rest] if rest else [rows])
    if found.removed:
        gone = sorted(found.removed, key=lambda r: -r.channels)
        more = [(f"{len(gone) - top} more", "", "")] if len(gone) > top else []
        lines = [(r.layer, str(r.channels), str(r.of)) for r in gone[:top]]
        text.add_table(("layer", "channels removed", "of"), "nrr", [lines, more] if more else [lines])


def _sparse(kernel: KernelZeros) -> str:
    """What another runtime's kernel for sparse weights brings."""
    choice = kernel.sparse
    if choice is None:
        return "not measured" if kernel.pattern.zeros else ""
    dense = f"dense {format_ms(choice.dense_ms)} ms"
    if choice.kernel == "dense":
        return f"{dense} is the fastest"
    return f"{choice.kernel} {format_ms(choice.latency_ms)} ms, {dense}: {format_share(choice.gain)} gained"


def _signed(difference_ms: float) -> str:
    return f"{'-' if difference_ms < 0 else '+'}{format_ms(abs(difference_ms))}"


def _zeros(found: SparsityPrediction) -> str:
    return format_share(found.zeros / found.weights) if found.weights else "assumed"


def _after(found: SparsityPrediction) -> str:
    return "-" if found.after is None else format_ms(found.after.latency_ms)
