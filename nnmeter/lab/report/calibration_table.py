"""A calibration for a person at a terminal: its learning curve, and what to measure next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.report.machine import measured_machine_words, warn_of_measured_machine
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text


def render(report: Mapping[str, Any], layout: Layout) -> str:
    """What was fitted, the learning curve, and what to measure next."""
    text = Text(layout.width, layout.colour)
    warning = warn_of_measured_machine(
        report["machine"], "The new pack is of the measured machine, its prior of the first"
    )
    if warning:
        text.add_wrapped(warning)
    text.add(f"{text.bold(report['device'])}, calibrated from {report['calibrated_from']}")
    text.add_wrapped(f"Measured on {measured_machine_words(report['machine'])}.")
    text.add_wrapped(_summary(report))
    if report["learning_curve"]:
        rows = [
            (
                str(point["measurements"]) if point["measurements"] else "0, not calibrated",
                str(point["tested"]),
                *(_mean_and_error(point[key]) for key in ("within_5", "within_10", "mape")),
            )
            for point in report["learning_curve"]
        ]
        text.add_table(("measurements", "tested on", "±5 %", "±10 %", "MAPE"), "rrrrr", [rows])
        draws = max(point["repeats"] for point in report["learning_curve"])
        text.add_wrapped(
            f"Learning curve: mean and standard error over {draws} random choices of the measurements, each tested on "
            "those that were not chosen."
        )
    if report["measure_next"]:
        rows = [
            (str(i + 1), s["name"], f"{s['sigma']:.1f} %", f"{s['mean_sigma']:.1f} %")
            for i, s in enumerate(report["measure_next"])
        ]
        kind = report["measure_next"][0]["kind"]
        text.add_table(("", f"{kind} to measure next", "its error", "mean error then"), "rnrr", [rows])
        text.add_wrapped(
            f"Chosen from {report['measure_next_from']}, so that the expected error of the correction over all of them "
            "falls fastest; standard deviations, noise of measuring excluded."
        )
    return str(text)


def _summary(report: Mapping[str, Any]) -> str:
    count, kernels = len(report["measurements"]), report["kernels"]
    parts = [f"{count} measurement{'s' if count != 1 else ''}, {kernels} kernels timed one by one."]
    if report["left_out"]:
        parts.append(f"Each left out in turn: {_metrics(report['left_out'])}.")
    if report["held_out"]:
        parts.append(f"The {report['held_out']['models']} that were not used: {_metrics(report['held_out'])}.")
    if report["interval_half_width"] is not None:
        parts.append(f"90 % intervals have a median half width of {report['interval_half_width']:.1f} %.")
    return " ".join(parts)


def _metrics(metrics: Mapping[str, Any]) -> str:
    return (
        f"{metrics['within_5']:.1f} % within ±5 %, {metrics['within_10']:.1f} % within ±10 %, "
        f"MAPE {metrics['mape']:.1f} %"
    )


def _mean_and_error(pair: Any) -> str:
    mean, error = pair
    return f"{mean:.1f} ± {error:.1f} %" if error else f"{mean:.1f} %"
