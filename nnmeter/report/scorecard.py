"""A scorecard: how good a device's predictions are, overall, beside baselines and the noise floor, and by family."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nnmeter.report.render import Layout
from nnmeter.report.text import Text

# Column -> key of a metrics object; all but the count and the rank correlation are percentages.
METRICS: dict[str, str] = {
    "models": "models",
    "±5 %": "within_5",
    "±10 %": "within_10",
    "MAPE": "mape",
    "median": "median_error",
    "RMSPE": "rmspe",
    "tau": "kendall_tau",
}


# Families are small: ranks and squares of two models say nothing.
FAMILY_METRICS = {name: key for name, key in METRICS.items() if name not in ("RMSPE", "tau")}


def render_scorecard(scorecard: Mapping[str, Any], report_format: str, layout: Layout) -> str:
    """The scorecard that `Scorecard.to_dict` made, in one of `SCORECARD_FORMATS`."""
    return SCORECARD_FORMATS[report_format](scorecard, layout)


def _json(scorecard: Mapping[str, Any], layout: Layout) -> str:
    return json.dumps(scorecard, indent=2, ensure_ascii=False) + "\n"


def _csv(scorecard: Mapping[str, Any], layout: Layout) -> str:
    """A row a model."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    baselines = sorted(scorecard.get("baselines", {}))
    columns = ["model", "family", "measured_ms", "predicted_ms", "low_ms", "high_ms", "fallback"]
    writer.writerow([*columns, *(f"{name}_ms" for name in baselines)])
    for model in scorecard.get("models", ()):
        priced = model.get("baselines_ms", {})
        writer.writerow([*(model.get(column, "") for column in columns), *(priced.get(name, "") for name in baselines)])
    return stream.getvalue()


def _markdown(scorecard: Mapping[str, Any], layout: Layout) -> str:
    from nnmeter.report.markdown import markdown_table

    align = "l" + "r" * len(METRICS)
    lines = [f"## Scorecard of {scorecard.get('device', '')}", "", _summary(scorecard), ""]
    lines += markdown_table(("", *METRICS), align, [(name, *_cells(metrics)) for name, metrics in _overall(scorecard)])
    families = scorecard.get("families", {})
    if families:
        rows = [(name, *_cells(metrics, FAMILY_METRICS)) for name, metrics in _by_error(families)]
        align = "l" + "r" * len(FAMILY_METRICS)
        lines += ["", *markdown_table(("family", *FAMILY_METRICS), align, rows)]
    return "\n".join(lines) + "\n"


def _table(scorecard: Mapping[str, Any], layout: Layout) -> str:
    text = Text(layout.width, layout.colour)
    text.add(f"scorecard of {text.bold(str(scorecard.get('device', '')))}")
    text.add_wrapped(_summary(scorecard))
    rows = [(name, *_cells(metrics)) for name, metrics in _overall(scorecard)]
    text.add_table(("", *METRICS), "n" + "r" * len(METRICS), [rows])
    families = scorecard.get("families", {})
    if families:
        rows = [(name, *_cells(metrics, FAMILY_METRICS)) for name, metrics in _by_error(families)]
        text.add_table(("family", *FAMILY_METRICS), "n" + "r" * len(FAMILY_METRICS), [rows])
    return str(text)


SCORECARD_FORMATS: dict[str, Callable[[Mapping[str, Any], Layout], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "md": _markdown,
}


def _summary(scorecard: Mapping[str, Any]) -> str:
    parts = [f"Split: {scorecard['split']}."] if scorecard.get("split") else []
    if "interval_coverage" in scorecard:
        confidence = round(100 * scorecard.get("confidence", 0.9))
        parts.append(
            f"{confidence} % intervals hold {scorecard['interval_coverage']:.1f} % of the models, "
            f"mean half width {scorecard.get('interval_half_width', 0):.1f} %."
        )
    if "fallback" in scorecard:
        parts.append(f"Priced by the fallback: {scorecard['fallback']:.1f} % of the time.")
    if scorecard.get("kernels_from"):
        parts.append(f"Kernels from {scorecard['kernels_from']}.")
    return " ".join(parts)


def _overall(scorecard: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    rows = [("nnmeter", scorecard.get("overall") or {})]
    rows += list((scorecard.get("baselines") or {}).items())
    if scorecard.get("noise_floor"):
        rows.append(("noise floor", scorecard["noise_floor"]))
    return rows


def _by_error(families: Mapping[str, Mapping[str, Any]]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Families, the worst first."""
    return sorted(families.items(), key=lambda item: -item[1].get("mape", 0.0))


def _cells(metrics: Mapping[str, Any], columns: Mapping[str, str] = METRICS) -> list[str]:
    return [_cell(key, metrics.get(key)) for key in columns.values()]


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "models":
        return str(value)
    return f"{value:.3f}" if key == "kendall_tau" else f"{value:.1f} %"
