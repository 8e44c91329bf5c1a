"""Ray Tune: the latency is one more metric that a trial reports.

python examples/search/ray_tune.py --device ./my-cpu --budget 0.3 --measure
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
from common import digits, export, finish, options, train
from ray import tune
from torch import nn

from nnmeter.search.budget import LatencyBudget


def build(config: dict[str, Any]) -> nn.Module:
    """Two convolutions of some widths."""
    first, second, kernel = config["first"], config["second"], config["kernel"]
    return nn.Sequential(
        nn.Conv2d(1, first, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(first, second, kernel, padding=kernel // 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(second, 10),
    )  # fmt: skip


def trial(config: dict[str, Any]) -> None:
    """Report latency and accuracy; what is over the budget is not trained."""
    torch.manual_seed(0)
    model = build(config)
    budget = LatencyBudget(config["budget"], config["device"], probability=config["probability"])
    with tempfile.TemporaryDirectory() as folder:
        cost = budget.cost(export(model, Path(folder) / "model.onnx"))
    accuracy = train(model, digits(), config["steps"]) if cost.within else 0.0
    tune.report({"accuracy": accuracy, **cost.metrics()})


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    given = options(__doc__.splitlines()[0], budget_ms=0.3, trials=8).parse_args(arguments)
    device = str(Path(given.device).resolve()) if given.device and Path(given.device).exists() else given.device
    space = {
        "first": tune.choice([8, 16, 32, 64]),
        "second": tune.choice([8, 16, 32, 64]),
        "kernel": tune.choice([3, 5]),
        "budget": given.budget,
        "device": device,
        "probability": 0.9 if given.measure else None,
        "steps": given.steps,
    }
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"working_dir": str(Path(__file__).parent)},
    )
    try:
        tuner = tune.Tuner(trial, param_space=space, tune_config=tune.TuneConfig(num_samples=given.trials))
        results = [result for result in tuner.fit() if result.metrics and result.metrics.get("over_ms", 1.0) <= 0]
    finally:
        ray.shutdown()
    if not results:
        raise SystemExit(f"none of {given.trials} candidates keeps {given.budget:g} ms; give a larger --budget")
    best = max(results, key=lambda result: result.metrics["accuracy"])
    torch.manual_seed(0)
    model = build(best.config)
    train(model, digits(), given.steps)
    export(model, given.out)
    result = finish(given.out, best.metrics["latency_ms"], given.budget, given.measure)
    return {**result, "accuracy": best.metrics["accuracy"], "within": len(results)}


if __name__ == "__main__":
    main()
