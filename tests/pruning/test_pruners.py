"""Masks of pruners that people use, where they are installed: the graph loses what they would remove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.pruning import remove_channels

SHAPE = (1, 3, 32, 32)


@pytest.fixture
def module() -> Any:
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 32, 3, padding=1)
            self.left = nn.Conv2d(32, 64, 3, padding=1)
            self.right = nn.Conv2d(32, 64, 1)
            self.depth = nn.Conv2d(64, 64, 3, padding=1, groups=64)
            self.last = nn.Conv2d(64, 48, 1)
            self.head = nn.Linear(48, 10)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.stem(x))
            x = torch.relu(self.left(x) + self.right(x))
            x = torch.relu(self.last(self.depth(x)))
            return self.head(x.mean((2, 3)))

    torch.manual_seed(0)
    return Network().eval()


def export(module: Any, place: Path) -> Path:
    import torch

    torch.onnx.export(module, (torch.zeros(SHAPE),), str(place), dynamo=False, verbose=False)
    return place


@pytest.mark.filterwarnings("ignore")
def test_torch_pruning(module: Any, predictor: LatencyPredictor, tmp_path: Path) -> None:
    tp = pytest.importorskip("torch_pruning")
    import torch

    from nnmeter.search.torch_pruning import masks_of, removed_channels

    before = export(module, tmp_path / "before.onnx")
    importance = tp.importance.GroupMagnitudeImportance(p=2)
    pruner = tp.pruner.BasePruner(
        module, torch.zeros(SHAPE), importance, pruning_ratio=0.4, ignored_layers=[module.head]
    )
    groups = list(pruner.step(interactive=True))
    removed = removed_channels(groups, module)
    assert set(removed) == {"stem", "left", "right", "depth", "last"}
    pruned = remove_channels(before, predictor, masks=masks_of(removed, module))
    for group in groups:
        group.prune()
    after = export(module, tmp_path / "after.onnx")
    assert {r.group.name: r.width for r in pruned.removals} == {
        "stem": module.stem.out_channels,
        "left": module.left.out_channels,
        "last": module.last.out_channels,
    }
    assert pruned.after.latency_ms == pytest.approx(predictor.predict(after).latency_ms, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_nni(module: Any, predictor: LatencyPredictor, tmp_path: Path) -> None:
    pruning = pytest.importorskip("nni.compression.pruning")

    before = export(module, tmp_path / "before.onnx")
    config = [
        {"op_names": ["stem", "last"], "sparse_ratio": 0.5},
        {"op_names": ["left", "right"], "sparse_ratio": 0.5, "dependency_group_id": "sum"},
    ]
    pruner = pruning.L1NormPruner(module, config)
    _, masks = pruner.compress()
    pruner.unwrap_model()
    pruned = remove_channels(before, predictor, masks=masks)
    assert {r.group.name: r.width for r in pruned.removals} == {"stem": 16, "left": 32, "last": 24}
