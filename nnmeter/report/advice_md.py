"""Advice as Markdown, for an issue or a pull request."""

from __future__ import annotations

from nnmeter.report.advice import AdviceReport, advice_row, not_judged_words, stair_words
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.numbers import format_ms
from nnmeter.report.registry import Layout


def render(report: AdviceReport, layout: Layout) -> str:
    """A heading, the table of changes with how to make each, and the widths."""
    advised = report.advised
    confidence = round(100 * advised.confidence)
    latency = format_ms(advised.prediction.latency_ms)
    lines = [f"**{escape(advised.model)}** on {escape(advised.prediction.device)}: {latency} ms", ""]
    if advised.advice:
        rows = [(*advice_row(trial), f"`{trial.transform.option}`") for trial in report.shown]
        headings = ("change", "gain ms", f"{confidence} % interval", "", "the model", "`nnmeter what-if`")
        lines += [*markdown_table(headings, "lrrrll", rows), ""]
    else:
        lines += ["Nothing that was tried makes it faster for sure.", ""]
    for stair in advised.stairs:
        if len(stair.widths) > 1:
            lines.append(f"- ms of the model by channels of `{escape(stair.layer)}`: {stair_words(stair)}")
    if advised.not_judged:
        lines += ["", f"Not judged, because not trained on: {escape(not_judged_words(advised.not_judged))}"]
    return "\n".join(lines).rstrip("\n") + "\n"
