"""NVIDIA ModelOpt: prune by FastNAS to a latency that is predicted for a device.

python examples/search/modelopt_prune.py --device ./my-cpu --budget 0.1 --measure
"""

from __future__ import annotations

from typing import Any

import modelopt.torch.prune as mtp
import torch
from common import SIDE, digits, export, finish, options, train
from torch import nn

from nnmeter.search.budget import LatencyBudget
from nnmeter.search.modelopt import deployment

_LESS = 0.9


def build() -> nn.Module:
    """Three convolutions with normalization, as FastNAS prunes them."""
    widths, layers, channels = (32, 64, 64), [], 1
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def space() -> dict[str, Any]:
    """FastNAS's own space, with widths by 8 channels in place of 32, where this device has stairs."""
    config = mtp.fastnas.FastNASConfig().model_dump()
    for rule in config.values():
        for given in rule.values() if isinstance(rule, dict) else ():
            if given:
                given.update({key: 8 for key in ("channel_divisor", "feature_divisor") if key in given})
    return config


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    given = options(__doc__.splitlines()[0], budget_ms=0.1, trials=1).parse_args(arguments)
    torch.manual_seed(0)
    data = digits()
    original = build()
    accuracy_before = train(original, data, given.steps)
    budget = LatencyBudget(given.budget, given.device, probability=0.9 if given.measure else None)
    before = budget.cost(export(original, given.out.with_suffix(".before.onnx"))).latency_ms
    pictures, labels, test_pictures, test_labels = data
    batches = [(pictures[at : at + 64], labels[at : at + 64]) for at in range(0, 256, 64)]

    def score(module: nn.Module) -> float:
        module.eval()
        with torch.no_grad():
            return float((module(test_pictures).argmax(1) == test_labels).float().mean())

    asked = given.budget
    while True:
        module = build()
        module.load_state_dict(original.state_dict())
        module, _ = mtp.prune(
            module,
            mode=[("fastnas", space())],
            constraints={"latency": asked},
            dummy_input=torch.zeros(1, 1, SIDE, SIDE),
            config={
                "data_loader": batches,
                "score_func": score,
                "deployment": deployment(budget.predictor),
                "collect_func": lambda batch: batch[0],
                "verbose": False,
            },
        )
        cost = budget.cost(export(module, given.out))
        if cost.within:
            break
        asked *= _LESS  # ModelOpt interpolates latency over FLOPs, and may end beyond what it was asked for
    accuracy = train(module, data, given.steps)
    export(module, given.out)
    print(f"{before:.4g} ms, accuracy {accuracy_before:.3f} -> {cost.latency_ms:.4g} ms, accuracy {accuracy:.3f}")
    result = finish(given.out, cost.latency_ms, given.budget, given.measure)
    return {**result, "before_ms": before, "accuracy": accuracy}


if __name__ == "__main__":
    main()
