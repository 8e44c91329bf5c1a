"""The examples of search engines, each where its engine is installed: the model in the end keeps its budget."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from nnmeter.prediction.predict import load_predictor
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "examples" / "search"

# Example -> what it imports, its arguments, and how much of what it predicts without a budget may be kept.
EXAMPLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "optuna_pareto": (("optuna", "torch", "sklearn"), ("--budget", "0.02", "--trials", "6", "--steps", "4")),
    "torch_pruning_budget": (("torch_pruning",), ("--budget", "2.5")),
    "ray_tune": (("ray.tune", "torch", "sklearn"), ("--budget", "0.05", "--trials", "3", "--steps", "4")),
    "olive_search": (("olive.engine", "torch"), ("--budget", "0.5")),
    "modelopt_prune": (("modelopt.torch.prune", "torchprofile", "sklearn"), ("--budget", "0.04", "--steps", "4")),
    "nni_space": (("nni.nas", "torch", "sklearn"), ("--budget", "0.06", "--trials", "4", "--steps", "4")),
}


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    name = request.param
    for module in EXAMPLES[name][0]:
        pytest.importorskip(module)
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.syspath_prepend(str(REPOSITORY / "compat" / "nn_meter"))
    for known in ("common", name):
        sys.modules.pop(known, None)
    return name, importlib.import_module(name)


@pytest.mark.parametrize("example", EXAMPLES, indirect=True)
@pytest.mark.filterwarnings("ignore")
def test_the_model_in_the_end_keeps_its_budget(
    example: tuple[str, Any], tmp_path: Path, small_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, module = example
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "best.onnx"
    result = module.main(["--device", str(small_pack), "--out", str(out), *EXAMPLES[name][1]])
    assert result["predicted_ms"] <= result["budget_ms"]
    assert load_predictor(small_pack).predict(out).latency_ms == pytest.approx(result["predicted_ms"], rel=1e-6)
