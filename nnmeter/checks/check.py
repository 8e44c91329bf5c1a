"""Whether models stay within their budgets.

Rules:

1. Every budget gives a finding for each of its models, devices, combinations of sizes and limits, in that order,
   whatever fails: the report is whole.
2. `max_ms` alone is about the prediction; with `probability` it is about what would be measured, by the interval of the
   device.
3. Growth is that of the prediction against the kernels of the baseline, both by the present device pack. A model that
   the baseline lacks fails.
4. Numbers are rounded to six digits before they are compared and reported, so that the last bit of another machine's
   arithmetic changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter.checks.baseline import UPDATE, Entry, Key
from nnmeter.comparison.comparison import Comparison, compare_predictions
from nnmeter.devices import find_devices, load_pack
from nnmeter.errors import BudgetError, ModelError, brief
from nnmeter.memory.memory import predict_memory_on
from nnmeter.prediction.predict import LatencyPredictor, predict_on
from nnmeter.wording import format_bytes, format_ms, format_probability

if TYPE_CHECKING:
    from nnmeter.checks.budgets import Budget, Budgets
    from nnmeter.prediction.prediction import Prediction

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit, for one model on one device.

    Attributes:
        budget: name of the budget.
        key: model, device and sizes.
        limit: what is limited: "max_ms", "probability", "max_growth_percent", "max_peak_mib" or "min_coverage_percent".
        value: what it is; None where it cannot be known.
        bound: what it may be.
        holds: whether it is.
        value_words: the value, for people.
        bound_words: the bound.
        why: what makes it fail, a line each; nothing where that is not known.
    """

    budget: str
    key: Key
    limit: str
    value: float | None
    bound: float
    holds: bool
    value_words: str
    bound_words: str
    why: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Value and bound."""
        return f"{self.value_words}, {self.bound_words}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was checked.

    Attributes:
        findings: in the order of rule 1.
        predictions: of each model, device and combination of sizes, in the order of their first budget.
    """

    findings: tuple[Finding, ...]
    predictions: Mapping[Key, Prediction]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that do not hold."""
        return tuple(finding for finding in self.findings if not finding.holds)

    @property
    def summary(self) -> str:
        """A line: how many limits were checked, and how many are exceeded."""
        count = len(self.findings)
        models = len({key.model for key in self.predictions})
        said = f"{count} limit{'s' if count != 1 else ''} on {models} model{'s' if models != 1 else ''}"
        return f"{said}: {f'{len(self.failed)} exceeded' if self.failed else 'all hold'}"


class Checker:
    """Predicts the models of budgets, each once for a device and combination of sizes."""

    def __init__(self, budgets: Budgets, progress: Callable[[int, int], None] | None = None) -> None:
        """Prepare a check.

        Args:
            budgets: what is to be checked.
            progress: told how many models are done, and how many there are.
        """
        self._budgets = budgets
        self._progress = progress or (lambda done, total: None)
        self._packs: dict[Path, LatencyPredictor] = {}
        self._chosen: dict[tuple[str, ...], list[LatencyPredictor]] = {}
        self._known: dict[tuple[str, str, str], list[tuple[Key, Prediction]]] = {}

    def predict(self) -> dict[Key, Prediction]:
        """The predictions that the budgets are about."""
        pairs = [(budget, model) for budget in self._budgets.budgets for model in budget.models]
        found: dict[Key, Prediction] = {}
        for done, (budget, model) in enumerate(pairs):
            self._progress(done, len(pairs))
            found.update(self._of(budget, model))
        return found

    def check(self, baseline: Mapping[Key, Entry]) -> CheckResult:
        """Check every limit (rule 1)."""
        predictions = self.predict()
        findings = []
        for budget in self._budgets.budgets:
            for model in budget.models:
                for key, prediction in self._of(budget, model):
                    findings += self._findings(budget, key, prediction, baseline)
        return CheckResult(tuple(findings), predictions)

    def _of(self, budget: Budget, model: str) -> list[tuple[Key, Prediction]]:
        found: list[tuple[Key, Prediction]] = []
        predictors = self._predictors_of(budget.devices)
        memo = (model, "|".join(p.device for p in predictors), repr(budget.sizes))
        if memo not in self._known:
            path = self._budgets.folder / model
            for prediction in self._predict(budget, predictors, path, model):
                sizes = [f"{name}={size}" for name, size in prediction.dims.items()]
                sizes += [f"{name}={'x'.join(map(str, shape))}" for name, shape in budget.sizes.shapes.items()]
                found.append((Key(model, prediction.device, " ".join(sizes)), prediction))
            self._known[memo] = found
        return self._known[memo]

    def _predict(self, budget: Budget, predictors: list[LatencyPredictor], path: Path, model: str) -> list[Prediction]:
        try:
            return list(predict_on(predictors, path, budget.sizes, name=model))
        except ModelError as fault:
            remedy = "; here, --dim batch=1 is dims = { batch = 1 }" if "--dim" in str(fault) else ""
            raise ModelError(f"{budget.name}: {fault}{remedy}") from None

    def _predictors_of(self, devices: tuple[str, ...]) -> list[LatencyPredictor]:
        """Predictors of ids, patterns and paths; a path may be relative to the folder of the budgets."""
        if devices not in self._chosen:
            folder = self._budgets.folder
            named = [folder / device if (folder / device).is_dir() else device for device in devices]
            paths = [info.path for info in find_devices(named)]
            self._packs.update((path, LatencyPredictor(load_pack(path))) for path in paths if path not in self._packs)
            self._chosen[devices] = [self._packs[path] for path in paths]
        return self._chosen[devices]

    def _findings(
        self, budget: Budget, key: Key, prediction: Prediction, baseline: Mapping[Key, Entry]
    ) -> list[Finding]:
        found = []
        if budget.max_ms is not None:
            found.append(_time(budget, key, prediction, budget.max_ms))
        if budget.max_growth_percent is not None:
            found.append(self._growth(budget, key, prediction, baseline.get(key), budget.max_growth_percent))
        if budget.max_peak_mib is not None:
            found.append(self._memory(budget, key, prediction, budget.max_peak_mib))
        if budget.min_coverage_percent is not None:
            share = _rounded(100 * prediction.coverage.trained)
            bound = budget.min_coverage_percent
            words = f"{share:.1f} % trained", f"at least {bound:g} %"
            outside = sorted({kernel.type for kernel in prediction.kernels if kernel.source != "trained"})
            why = (f"priced by the fallback: {', '.join(outside)}",) if share < bound else ()
            found.append(Finding(budget.name, key, "min_coverage_percent", share, bound, share >= bound, *words, why))
        return found

    def _memory(self, budget: Budget, key: Key, prediction: Prediction, bound: float) -> Finding:
        """The memory of the model at the sizes of its prediction."""
        predictor = next(p for p in self._packs.values() if p.device == prediction.device)
        sizes = replace(budget.sizes, dims={**budget.sizes.dims, **prediction.dims})
        path = self._budgets.folder / key.model
        memory = next(predict_memory_on(predictor.pack, path, sizes, name=key.model))
        peak = _rounded(memory.peak_mib)
        words = f"{peak:.1f} MiB while it runs", f"at most {bound:g}"
        holds = peak <= bound
        why = () if holds else tuple(f"{h.kernel} holds {format_bytes(h.bytes)}" for h in memory.at_peak[:3])
        weights = () if holds else (f"weights: {format_bytes(memory.weights_bytes)}",)
        return Finding(budget.name, key, "max_peak_mib", peak, bound, holds, *words, (*weights, *why))

    def _growth(self, budget: Budget, key: Key, prediction: Prediction, entry: Entry | None, bound: float) -> Finding:
        """Rule 3."""
        limit = "max_growth_percent"
        if entry is None:
            words = "not in the baseline", f"`{UPDATE}` adds it"
            return Finding(budget.name, key, limit, None, bound, False, *words)
        predictor = next(p for p in self._packs.values() if p.device == prediction.device)
        before = _priced(predictor, key, entry)
        comparison = compare_predictions(before, prediction)
        growth = _rounded(100 * (comparison.ratio - 1))
        times = f"{format_ms(before.latency_ms)} -> {format_ms(prediction.latency_ms)} ms"
        words = f"{growth:+.1f} % ({times})", f"at most {bound:+g} %"
        holds = growth <= bound
        return Finding(budget.name, key, limit, growth, bound, holds, *words, () if holds else _causes(comparison))


def _time(budget: Budget, key: Key, prediction: Prediction, bound: float) -> Finding:
    """Rule 2."""
    latency_ms = _rounded(prediction.latency_ms)
    if budget.probability is None:
        words = f"{format_ms(latency_ms)} ms", f"at most {bound:g} ms"
        return Finding(budget.name, key, "max_ms", latency_ms, bound, latency_ms <= bound, *words)
    probability = _rounded(prediction.probability_within(bound))
    within = f"{format_ms(latency_ms)} ms, within {bound:g} ms: {format_probability(probability)}"
    words = within, f"at least {100 * budget.probability:g} %"
    holds = probability >= budget.probability
    return Finding(budget.name, key, "probability", probability, budget.probability, holds, *words)


def _priced(predictor: LatencyPredictor, key: Key, entry: Entry) -> Prediction:
    """The prediction for the kernels of a baseline, which may say anything of them."""
    try:
        return predictor.price(key.model, entry.kernels, places=entry.places)
    except Exception as fault:
        raise BudgetError(
            f"the baseline is damaged: kernels of {key} cannot be priced ({brief(fault, 200)}); make it anew with "
            f"`{UPDATE}`"
        ) from fault


def _causes(comparison: Comparison) -> tuple[str, ...]:
    """The changes that make most of a growth."""
    changes = sorted(comparison.changes, key=lambda change: -change.difference_ms)
    return tuple(
        f"{change.kind}: {change.kernel.name} ({change.kernel.type}) +{format_ms(change.difference_ms)} ms"
        f"{f', {change.detail}' if change.detail else ''}"
        for change in changes[:3]
        if change.difference_ms > 0
    )


def _rounded(value: float) -> float:
    """Rule 4."""
    return float(f"{value:.{_DIGITS}g}")
