"""A scorecard: how good a device's predictions are, overall, beside baselines and the noise floor, and by family.

The renderers read the object that `Scorecard.to_dict` made and `scorecard.json` holds. What an older scorecard lacks is
left out, or shown as `-`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nnmeter.report.machine import measured_machine_words, warn_of_measured_machine
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
    "bias": "bias",
    "tau": "kendall_tau",
}

# Families are small: ranks and squares of two models say nothing.
FAMILY_METRICS = {name: key for name, key in METRICS.items() if name not in ("RMSPE", "tau")}

# Column -> key of a kernel score (`nnmeter.lab.evaluation.kernel_scores`).
KERNEL_METRICS: dict[str, str] = {
    "kernels": "kernels",
    "models": "models",
    "share": "share",
    "error": "error",
    "bias": "bias",
    "points": "points",
}

BASELINE_NAMES: dict[str, str] = {
    "flops": "FLOPs only",
    "flops_and_bytes": "FLOPs + bytes, linear",
    "nearest_kernel": "nearest profiled kernel",
    "roofline": "roofline",
}
_COUNTS = ("models", "kernels")
_SIGNED = ("bias",)


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
    verdict = (scorecard.get("machine") or {}).get("verdict", "")
    behind = ["half_a_ms", "half_b_ms", *(f"{name}_ms" for name in baselines), "state_ms", "machine"]
    writer.writerow([*columns, *behind])
    for model in scorecard.get("models", ()):
        priced = model.get("baselines_ms", {})
        halves = model.get("halves_ms") or ("", "")
        writer.writerow(
            [
                *(model.get(column, "") for column in columns),
                *halves,
                *(priced.get(name, "") for name in baselines),
                model.get("state_ms") or "",
                verdict,
            ]
        )
    return stream.getvalue()


def _markdown(scorecard: Mapping[str, Any], layout: Layout) -> str:
    from nnmeter.report.markdown import markdown_table

    warning = warn_of_measured_machine(scorecard.get("machine"))
    lines = [*([f"> {warning}", ""] if warning else []), f"## Scorecard of {scorecard.get('device', '')}", ""]
    lines += [f"- **{name}**: {text}" for name, text in scorecard_facts(scorecard)]
    for heading, columns, rows in _tables(scorecard):
        lines += ["", *markdown_table((heading, *columns), "l" + "r" * len(columns), rows)]
    return "\n".join(lines) + "\n"


def _table(scorecard: Mapping[str, Any], layout: Layout) -> str:
    import textwrap

    text = Text(layout.width, layout.colour)
    warning = warn_of_measured_machine(scorecard.get("machine"))
    if warning:
        text.add_wrapped(warning)
    text.add(f"scorecard of {text.bold(str(scorecard.get('device', '')))}")
    text.add()
    facts = scorecard_facts(scorecard)
    column = max((len(name) for name, _ in facts), default=0) + 2
    for name, fact in facts:
        for number, line in enumerate(textwrap.wrap(fact, max(layout.width - column, 30))):
            text.add(text.dim(("" if number else name).ljust(column)) + line)
    for heading, columns, rows in _tables(scorecard):
        text.add_table((heading, *columns), ("n" if heading else "l") + "r" * len(columns), [rows])
    return str(text)


SCORECARD_FORMATS: dict[str, Callable[[Mapping[str, Any], Layout], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "md": _markdown,
}


def scorecard_facts(scorecard: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a scorecard says besides its tables: names and sentences, in the order in which they are read."""
    facts = [("measured on", measured_machine_words(scorecard["machine"]))] if scorecard.get("machine") else []
    if scorecard.get("split"):
        facts.append(("split", str(scorecard["split"])))
    if scorecard.get("kernels_from"):
        facts.append(("kernels", _KERNELS_FROM.get(scorecard["kernels_from"], str(scorecard["kernels_from"]))))
    if "interval_coverage" in scorecard:
        confidence = round(100 * scorecard.get("confidence", 0.9))
        facts.append(
            (
                "intervals",
                f"{confidence} % intervals hold {scorecard['interval_coverage']:.1f} % of the models; "
                f"mean half width {scorecard.get('interval_half_width', 0):.1f} % of the prediction",
            )
        )
    if "fallback" in scorecard:
        trained = scorecard.get("trained", 100.0 - scorecard["fallback"])
        facts.append(
            (
                "coverage",
                f"{trained:.1f} % of the time by trained predictors, {scorecard['fallback']:.1f} % by the fallback",
            )
        )
    facts += [("worst family", text) for text in _worst_families(scorecard)]
    if not scorecard.get("noise_floor"):
        facts.append(("noise floor", "not known: the models were not measured in two halves"))
    return facts + [("note", str(note)) for note in scorecard.get("notes") or ()]


_KERNELS_FROM = {
    "rules": "detected from the model files by the pack's fusion rules, as `nnmeter predict` does",
    "runtime": "those that the runtime executed; errors of detection are left out",
}


def _worst_families(scorecard: Mapping[str, Any]) -> list[str]:
    families = scorecard.get("families") or {}
    worst, large = scorecard.get("worst_family"), scorecard.get("worst_large_family")
    lines = []
    if worst in families:
        metrics = families[worst]
        lines.append(f"by MAPE: {worst}, {metrics['mape']:.1f} % ({_models(metrics)})")
    if large in families:
        metrics = families[large]
        lines.append(
            f"by share within ±10 %, of those with three models or more: {large}, "
            f"{metrics['within_10']:.1f} % of {_models(metrics)}"
        )
    return lines


def _models(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['models']} model{'' if metrics['models'] == 1 else 's'}"


_Table = tuple[str, Sequence[str], list[Sequence[str]]]


def _tables(scorecard: Mapping[str, Any]) -> list[_Table]:
    """Heading of the first column, the other columns, and the rows of each table."""
    tables: list[_Table] = [("", tuple(METRICS), _rows(_overall(scorecard), METRICS))]
    families = _by_error(scorecard.get("families") or {})
    if families:
        tables.append(("family", tuple(FAMILY_METRICS), _rows(families, FAMILY_METRICS)))
    kernels = scorecard.get("kernels")
    if kernels:
        rows = [*kernels["families"].items(), ("all kernels", kernels["overall"])]
        tables.append(("kernel family", tuple(KERNEL_METRICS), _rows(rows, KERNEL_METRICS)))
        worst = list(kernels["worst_types"].items())
        tables.append(("worst kernel types", tuple(KERNEL_METRICS), _rows(worst, KERNEL_METRICS)))
    return tables


def _rows(items: Sequence[tuple[str, Mapping[str, Any]]], columns: Mapping[str, str]) -> list[Sequence[str]]:
    return [(name, *(_cell(key, metrics.get(key)) for key in columns.values())) for name, metrics in items]


def _overall(scorecard: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The predictor, the baselines from weak to strong, and the noise floor."""
    baselines = sorted((scorecard.get("baselines") or {}).items(), key=lambda item: -item[1].get("mape", 0.0))
    rows = [("nnmeter", scorecard.get("overall") or {})]
    rows += [(BASELINE_NAMES.get(name, name), metrics) for name, metrics in baselines]
    if scorecard.get("noise_floor"):
        rows.append(("noise floor", scorecard["noise_floor"]))
    return rows


def _by_error(families: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Families, the worst first."""
    return sorted(families.items(), key=lambda item: -item[1].get("mape", 0.0))


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key in _COUNTS:
        return str(value)
    if key == "points":
        return f"{value:.2f}"
    sign = "+" if key in _SIGNED else ""
    return f"{value:.3f}" if key == "kendall_tau" else f"{value:{sign}.1f} %"
