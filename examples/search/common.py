"""What the examples share: a data set that ships with scikit-learn, a training loop, files, and the final check."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

SIDE = 16  # of the pictures

torch.set_num_threads(1)  # such small networks gain nothing from more


def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The 1,797 digits of scikit-learn, enlarged to 16 x 16: pictures and labels to train on, and to test on."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16
    pictures = nn.functional.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear")
    labels = torch.tensor(found.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    pictures, labels = pictures[order], labels[order]
    return pictures[:1200], labels[:1200], pictures[1200:], labels[1200:]


def train(model: nn.Module, data: tuple[torch.Tensor, ...], steps: int, rate: float = 5e-3, batch: int = 32) -> float:
    """Train for some steps; the share of the test pictures that is right then."""
    pictures, labels, test_pictures, test_labels = data
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    for _ in range(steps):
        chosen = torch.randint(len(labels), (batch,), generator=generator)
        loss = nn.functional.cross_entropy(model(pictures[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return float((model(test_pictures).argmax(1) == test_labels).float().mean())


def export(model: nn.Module, path: Path, shape: tuple[int, ...] = (1, 1, SIDE, SIDE)) -> Path:
    """Write a module as ONNX."""
    model.eval()
    torch.onnx.export(model, (torch.zeros(shape),), str(path), dynamo=False, verbose=False)
    return path


def options(description: str, budget_ms: float, trials: int) -> argparse.ArgumentParser:
    """The arguments of every example."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", help="id or path of a device pack; the nearest to this machine if not given")
    parser.add_argument("--budget", type=float, default=budget_ms, metavar="MS", help="latency budget, milliseconds")
    parser.add_argument("--trials", type=int, default=trials, help="candidates that the engine looks at")
    parser.add_argument("--steps", type=int, default=100, help="steps that each candidate is trained")
    parser.add_argument("--out", type=Path, default=Path("best.onnx"), help="where the model is written")
    parser.add_argument("--measure", action="store_true", help="time the model on this machine in the end")
    return parser


def finish(path: Path, predicted_ms: float, budget_ms: float, measure: bool) -> dict[str, Any]:
    """Say what the model takes, predicted and, where that is asked for, measured."""
    result: dict[str, Any] = {"predicted_ms": predicted_ms, "budget_ms": budget_ms}
    line = f"{path}: predicted {predicted_ms:.4g} ms, budget {budget_ms:g} ms"
    if measure:
        import nnmeter

        result["measured_ms"] = nnmeter.measure([path], passes=3)[0].latency_ms
        line += f", measured {result['measured_ms']:.4g} ms"
    print(line)
    return result
