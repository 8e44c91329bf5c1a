"""Optuna: accuracy against latency, and accuracy within a budget.

Optuna's tutorial on several objectives trades accuracy against FLOPs, to which time is not in proportion. Here it is
the latency on a device: the Pareto front of both, by NSGA-II or TPE; or, with `--single`, the best accuracy within the
budget, where candidates over it are given up before they are trained.

    python examples/search/optuna_pareto.py --device ./my-cpu --budget 0.3 --measure
"""

from __future__ import annotations

from typing import Any

import optuna
import torch
from common import digits, export, finish, options, train
from torch import nn

from nnmeter.search.optuna import LATENCY, LatencyConstraint, best_within


def build(trial: Any) -> nn.Module:
    """One to three convolutions, each with its width and its kernel."""
    layers: list[nn.Module] = []
    channels = 1
    for number in range(trial.suggest_int("layers", 1, 3)):
        width = trial.suggest_int(f"width_{number}", 8, 64, step=4)
        kernel = trial.suggest_categorical(f"kernel_{number}", [3, 5])
        layers += [nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__.splitlines()[0], budget_ms=0.3, trials=20)
    parser.add_argument("--sampler", choices=("nsga2", "tpe"), default="nsga2")
    parser.add_argument("--single", action="store_true", help="accuracy within the budget, in place of the front")
    given = parser.parse_args(arguments)
    budget = LatencyConstraint(given.budget, given.device, probability=0.9 if given.measure else None)
    data = digits()

    def objective(trial: optuna.Trial) -> float | tuple[float, float]:
        torch.manual_seed(0)
        model = build(trial)
        cost = budget.check(trial, export(model, given.out.with_suffix(".trial.onnx")), prune=given.single)
        accuracy = train(model, data, given.steps)
        return accuracy if given.single else (accuracy, cost.latency_ms)

    kind, more = (optuna.samplers.TPESampler, {"multivariate": True}) if given.sampler == "tpe" else (
        optuna.samplers.NSGAIISampler, {"population_size": max(given.trials // 3, 4)})  # fmt: skip
    sampler = budget.sampler(kind, seed=0, **more)
    directions = ["maximize"] if given.single else ["maximize", "minimize"]
    study = optuna.create_study(directions=directions, sampler=sampler)
    study.optimize(objective, n_trials=given.trials)
    found = best_within(study)
    if not found:
        raise SystemExit(f"none of {given.trials} candidates keeps {given.budget:g} ms; give a larger --budget")
    for trial in sorted(found, key=lambda one: one.user_attrs[LATENCY]):
        print(
            f"trial {trial.number}: accuracy {trial.values[0]:.3f}, {trial.user_attrs[LATENCY]:.4g} ms, {trial.params}"
        )
    best = max(found, key=lambda one: one.values[0])
    torch.manual_seed(0)
    model = build(optuna.trial.FixedTrial(best.params))
    train(model, data, given.steps)
    export(model, given.out)
    given.out.with_suffix(".trial.onnx").unlink(missing_ok=True)
    result = finish(given.out, best.user_attrs[LATENCY], given.budget, given.measure)
    return {**result, "accuracy": best.values[0], "front": len(found), "trials": len(study.trials)}


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main()
