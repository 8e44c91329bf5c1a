"""Predictions as tables for a person at a terminal; the same layout without colour in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.numbers import (
    TOP_KERNELS,
    fallback_types,
    format_interval,
    format_ms,
    format_share,
    most_expensive,
)
from nnmeter.report.render import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.predictor.latency import Prediction


def render(predictions: Sequence[Prediction], layout: Layout) -> str:
    """A summary with the most expensive kernels for one model, a row a model for several."""
    text = Text(layout.width, layout.colour)
    if layout.several:
        _add_several(text, predictions)
    else:
        _add_single(text, predictions[0])
    return str(text)


def _add_single(text: Text, prediction: Prediction) -> None:
    total = prediction.latency_ms
    text.add(f"{text.bold(prediction.model)} on {prediction.device}")
    text.add(
        f"{text.bold(format_ms(total) + ' ms')}, "
        f"{round(100 * prediction.confidence)} % interval {format_interval(prediction.interval_ms)} ms"
    )
    trained, fallback = prediction.coverage["trained"], prediction.coverage["fallback"]
    text.add(
        f"coverage: {format_share(trained)} of the time by trained predictors, {format_share(fallback)} by the fallback"
    )
    kernels = most_expensive(prediction.kernels, len(prediction.kernels))
    shown, rest = kernels[:TOP_KERNELS], kernels[TOP_KERNELS:]
    rows = [
        (
            k.name,
            k.type,
            format_ms(k.latency_ms),
            format_share(k.latency_ms / total),
            "" if k.source == "trained" else k.source,
        )
        for k in shown
    ]
    remainder = {f"{len(rest)} more": sum(k.latency_ms for k in rest), "overhead": prediction.overhead_ms}
    others = [(name, "", format_ms(ms), format_share(ms / total), "") for name, ms in remainder.items() if ms > 0]
    text.add_table(("kernel", "type", "ms", "share", ""), "nnrrl", [rows, others] if others else [rows])
    groups = fallback_types(prediction.kernels)
    if groups:
        parts = (f"{kind} x{count} ({format_ms(ms)} ms)" for kind, count, ms in groups)
        text.add("priced by the fallback: " + ", ".join(parts))
    text.add_warnings(_unsaid(prediction.warnings))


def _add_several(text: Text, predictions: Sequence[Prediction]) -> None:
    for device in dict.fromkeys(prediction.device for prediction in predictions):
        text.add(f"on {text.bold(device)}")
    rows = [
        (
            prediction.model,
            format_ms(prediction.latency_ms),
            format_interval(prediction.interval_ms),
            format_share(prediction.coverage["trained"]),
            str(len(prediction.kernels)),
            ", ".join(kind for kind, _, _ in fallback_types(prediction.kernels)),
        )
        for prediction in predictions
    ]
    confidence = f"{round(100 * predictions[0].confidence)} % interval"
    text.add_table(("model", "ms", confidence, "trained", "kernels", "by the fallback"), "nrrrrt", [rows])
    models: dict[str, list[str]] = {}
    for prediction in predictions:
        for warning in _unsaid(prediction.warnings):
            models.setdefault(warning, []).append(prediction.model)
    text.add_warnings(
        [
            f"{warning} ({names[0]}{f' and {len(names) - 1} more' if names[1:] else ''})"
            for warning, names in models.items()
        ]
    )


def _unsaid(warnings: Sequence[str]) -> list[str]:
    """The warnings but the one that the tables say in more detail: which kernels the fallback priced."""
    return [warning for warning in warnings if not warning.startswith("priced by the fallback")]
