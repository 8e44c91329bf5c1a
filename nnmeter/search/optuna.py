"""Optuna: a latency budget as a constraint of a study, or as an objective beside others.

>>> budget = LatencyConstraint(10.0, "ID OF A DEVICE PACK")
>>> study = optuna.create_study(directions=["maximize"], sampler=budget.sampler(optuna.samplers.TPESampler, seed=0))
>>> def objective(trial):
...     model = build(trial)
...     budget.check(trial, model, prune=True)  # before anything is trained
...     return train(model)

1. Optuna 5 takes the constraint from the trial (`Trial.set_constraint`); before it the sampler asks for it
   (`constraints_func`). `check` and `sampler` do what the installed one has.
2. A constraint of a trial that was pruned counts as well where Optuna lets it: samplers of Optuna 5 learn from it. With
   `constraints_func`, Optuna 4 asks for finished trials only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.search.budget import Cost, LatencyBudget

if TYPE_CHECKING:
    import optuna

LATENCY = "nnmeter_latency_ms"
OVER = "nnmeter_over_ms"


class LatencyConstraint(LatencyBudget):
    """A latency budget for the trials of a study; see `LatencyBudget` for its arguments."""

    def check(self, trial: optuna.Trial, model: Any, *, prune: bool = False) -> Cost:
        """Predict the model of a trial and tell the trial what it costs.

        Args:
            trial: the trial.
            model: what `LatencyBudget.cost` takes.
            prune: end the trial where the budget is not kept, before it is trained.

        Returns:
            The cost; its latency serves as an objective too.

        Raises:
            optuna.TrialPruned: `prune`, and the budget is not kept.
            ModelError: the model cannot be read.
        """
        cost = self.cost(model)
        trial.set_user_attr(LATENCY, cost.latency_ms)
        trial.set_user_attr(OVER, cost.over_ms)
        if hasattr(trial, "set_constraint"):
            trial.set_constraint(OVER, cost.over_ms)
        if prune and not cost.within:
            import optuna

            raise optuna.TrialPruned(f"{cost.counted_ms:.4g} ms of {self.max_ms:g} ms")
        return cost

    def sampler(self, kind: Callable[..., Any], **arguments: Any) -> Any:
        """A sampler that respects the constraint.

        Args:
            kind: a class of sampler that knows constraints: `NSGAIISampler`, `TPESampler`, `GPSampler`.
            arguments: what else it takes.
        """
        import optuna

        by_trial = hasattr(optuna.Trial, "set_constraint")
        if not by_trial and "constraints_func" in inspect.signature(kind).parameters:
            arguments = {"constraints_func": over_of, **arguments}
        return kind(**arguments)


def over_of(trial: optuna.trial.FrozenTrial) -> Sequence[float]:
    """By how many milliseconds a finished trial is over the budget: a `constraints_func` of Optuna."""
    return (float(trial.user_attrs.get(OVER, float("inf"))),)


def best_within(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The best trials of a study that keep the budget: one, or the Pareto front of several objectives."""
    kept = [trial for trial in study.get_trials(deepcopy=False)
            if trial.values is not None and over_of(trial)[0] <= 0]  # fmt: skip
    signs = [1 if direction.name == "MAXIMIZE" else -1 for direction in study.directions]
    points = {trial.number: [sign * value for sign, value in zip(signs, trial.values, strict=True)] for trial in kept}
    front = [
        trial
        for trial in kept
        if not any(
            all(a >= b for a, b in zip(other, points[trial.number], strict=True)) and other != points[trial.number]
            for other in points.values()
        )
    ]
    return sorted(front, key=lambda trial: trial.number)
