"""A scorecard: how good a device's predictions are, overall, beside baselines and the noise floor, and by family.

What its renderers share: facts and tables of the object that `Scorecard.to_dict` made and `scorecard.json` holds. What
an older scorecard lacks is left out, or shown as `-`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nnmeter.report.machine import measured_machine_words

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

# Column -> what it shows of a kernel that is far off.
FAR_OFF: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "kernel": lambda kernel: str(kernel["kernel"]),
    "count": lambda kernel: str(kernel["count"]),
    "share": lambda kernel: f"{kernel['share']:.1f} %",
    "price ms": lambda kernel: f"{kernel['price_ms']:.4g}",
    "measured ms": lambda kernel: f"{kernel['kernel_ms']:.4g}",
}

BASELINE_NAMES: dict[str, str] = {
    "flops": "FLOPs only",
    "flops_and_bytes": "FLOPs + bytes, linear",
    "nearest_kernel": "nearest profiled kernel",
    "roofline": "roofline",
}
_COUNTS = ("models", "kernels")
_SIGNED = ("bias",)


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
    families = _families(scorecard)
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


def _families(scorecard: Mapping[str, Any]) -> dict[str, Any]:
    """What the scorecard has of families; nothing where no model is said to be of one."""
    families = dict(scorecard.get("families") or {})
    return {} if set(families) == {""} else families


def _models(metrics: Mapping[str, Any]) -> str:
    return f"{metrics['models']} model{'' if metrics['models'] == 1 else 's'}"


_Table = tuple[str, Sequence[str], list[Sequence[str]]]


def scorecard_tables(scorecard: Mapping[str, Any]) -> list[_Table]:
    """Heading of the first column, the other columns, and the rows of each table."""
    tables: list[_Table] = [("", tuple(METRICS), _rows(_overall(scorecard), METRICS))]
    families = _by_error(_families(scorecard))
    if families:
        tables.append(("family", tuple(FAMILY_METRICS), _rows(families, FAMILY_METRICS)))
    kernels = scorecard.get("kernels")
    if kernels:
        rows = [*kernels["families"].items(), ("all kernels", kernels["overall"])]
        tables.append(("kernel family", tuple(KERNEL_METRICS), _rows(rows, KERNEL_METRICS)))
        worst = list(kernels["worst_types"].items())
        tables.append(("worst kernel types", tuple(KERNEL_METRICS), _rows(worst, KERNEL_METRICS)))
        if kernels.get("far_off"):
            rows = [(k["model"], *(show(k) for show in FAR_OFF.values())) for k in kernels["far_off"]]
            tables.append(("kernels far off, in", tuple(FAR_OFF), rows))
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
