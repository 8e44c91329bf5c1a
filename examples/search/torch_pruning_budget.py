"""Torch-Pruning: prune a module so that it keeps a latency budget.

nnmeter chooses how many channels stay in each layer, Torch-Pruning which: the least important go.

    python examples/search/torch_pruning_budget.py --device ./my-cpu --budget 4 --measure
"""

from __future__ import annotations

from typing import Any

import torch
import torch_pruning as tp
from common import export, finish, options
from torch import nn

from nnmeter.prediction.predict import load_predictor
from nnmeter.pruning import prune_to_budget
from nnmeter.search.torch_pruning import pruner_arguments

SHAPE = (1, 3, 64, 64)


class Block(nn.Module):
    """Two convolutions and what goes past them."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1)
        self.past = nn.Conv2d(channels, width, 1, stride) if stride > 1 or channels != width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both ways, added."""
        return torch.relu(self.conv2(torch.relu(self.conv1(x))) + self.past(x))


class Network(nn.Module):
    """A small residual network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, 1, 1)
        self.blocks = nn.Sequential(Block(64, 64, 1), Block(64, 128, 2), Block(128, 128, 1), Block(128, 256, 2))
        self.head = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classes of pictures."""
        return self.head(self.blocks(torch.relu(self.stem(x))).mean((2, 3)))


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    given = options(__doc__.splitlines()[0], budget_ms=4.0, trials=1).parse_args(arguments)
    torch.manual_seed(0)
    module = Network().eval()
    inputs = torch.zeros(SHAPE)
    predictor = load_predictor(given.device)
    before = export(module, given.out.with_suffix(".before.onnx"), SHAPE)
    pruned = prune_to_budget(before, predictor, given.budget, probability=0.9 if given.measure else None)
    pruner = tp.pruner.BasePruner(
        module, inputs, tp.importance.GroupMagnitudeImportance(p=2), **pruner_arguments(pruned, module)
    )
    pruner.step()
    widths = {name: part.weight.shape[0] for name, part in module.named_modules() if hasattr(part, "weight")}
    print({name: width for name, width in widths.items() if name in pruned.shares()})
    export(module, given.out, SHAPE)
    after = predictor.predict(given.out).latency_ms
    result = finish(given.out, after, given.budget, given.measure)
    return {**result, "before_ms": pruned.before.latency_ms, "chosen_ms": pruned.after.latency_ms}


if __name__ == "__main__":
    main()
