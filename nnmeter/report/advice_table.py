"""Advice as tables for a person at a terminal."""

from __future__ import annotations

from nnmeter.report.advice import AdviceReport, added_words, advice_row, not_judged_words, stair_words
from nnmeter.report.machine import warn_of_another_machine
from nnmeter.report.numbers import format_interval, format_ms, format_share
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

_LEAST_ADDED = 0.01  # share of the time from which work between layouts is told


def render(report: AdviceReport, layout: Layout) -> str:
    """Where the time goes, what to change, and what widths cost."""
    advised = report.advised
    prediction = advised.prediction
    text = Text(layout.width, layout.colour)
    warning = warn_of_another_machine([prediction])
    if warning:
        text.add_wrapped(warning)
    confidence = round(100 * advised.confidence)
    text.add(f"{text.bold(advised.model)} on {prediction.device}")
    text.add(
        f"{format_ms(prediction.latency_ms)} ms, {confidence} % interval {format_interval(prediction.interval_ms)} ms"
    )
    if advised.advice:
        rows = [(str(number), *advice_row(trial)) for number, trial in enumerate(report.shown, 1)]
        more = [[("", f"{report.hidden} more (--top)", "", "", "", "")]] if report.hidden else []
        headings = ("", "change", "gain ms", f"{confidence} % interval", "", "the model")
        text.add_table(headings, "rtrrrl", [rows, *more])
        for number, trial in enumerate(report.shown, 1):
            text.add_wrapped(f"{number}. {trial.why}: nnmeter what-if MODEL {trial.transform.option}")
    else:
        text.add()
        text.add("nothing that was tried makes it faster for sure")
    if advised.layers:
        rows = [
            (layer.name, layer.kernel, str(layer.channels), format_ms(layer.latency_ms), format_share(layer.share))
            for layer in advised.layers
        ]
        text.add_table(("layer", "kernel", "channels", "ms", "share"), "nnrrr", [rows])
    if advised.added.share >= _LEAST_ADDED:
        text.add_wrapped(added_words(advised.added))
    for stair in advised.stairs:
        if len(stair.widths) > 1:
            others = f" (with {len(stair.group) - 1} more)" if len(stair.group) > 1 else ""
            text.add_wrapped(f"ms of the model by channels of {stair.layer}{others}: {stair_words(stair)}")
    if advised.not_judged:
        text.add()
        text.add_wrapped(
            f"this pack cannot judge, for it was not trained on it: {not_judged_words(advised.not_judged)}"
        )
    text.add_warnings(list(dict.fromkeys(str(w) for w in prediction.warnings)))
    return str(text)
