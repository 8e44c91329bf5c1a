"""Olive: onnxruntime's own optimizer for models, judged by the latency of a device that is not at hand.

Olive runs its passes over an ONNX model (here transformations of graphs, and dynamic quantization) and keeps the
outputs that its evaluator says are fast enough; the evaluator is a prediction.

    python examples/search/olive_search.py --device ./my-cpu --budget 0.3 --measure
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import SURE, export, finish, options
from torch import nn

from nnmeter.prediction.predict import load_predictor
from nnmeter.search.budget import LatencyBudget
from nnmeter.search.olive_metric import evaluator

SHAPE = (1, 128)


def build() -> nn.Module:
    """Wide products: where integers pay."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(128, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    import olive

    given = options(__doc__.splitlines()[0], budget_ms=0.3, trials=1).parse_args(arguments)
    device = str(Path(given.device).resolve()) if given.device and Path(given.device).exists() else given.device
    predictor = load_predictor(device)
    transform, quantize = {"type": "OnnxPeepholeOptimizer"}, {"type": "OnnxDynamicQuantization"}
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        before = export(build(), Path(folder) / "model.onnx", SHAPE)
        for name, passes in (("plain", [transform]), ("int8", [transform, quantize])):
            # One run each: the search strategy of olive-ai 0.13.0 fails where two candidates share a pass.
            output = olive.run({
                "input_model": {"type": "OnnxModel", "model_path": str(before)},
                "systems": {"local": {"type": "LocalSystem", "accelerators": [
                    {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}]}},
                "evaluators": {"predicted": evaluator(device, given.budget)},
                "passes": {one["type"]: one for one in passes},
                "evaluator": "predicted", "host": "local", "target": "local",
                "cache_dir": str(Path(folder) / "cache"), "output_dir": str(Path(folder) / name),
            })  # fmt: skip
            model = output.get_output_models()[0]
            found[model.model_path] = model.metrics_value["latency-avg"]["value"]
            print(f"{name}: {found[model.model_path]:.4g} ms")
        budget = LatencyBudget(given.budget, predictor, probability=SURE)
        kept = [path for path in found if budget.cost(path).within]
        if not kept:
            raise SystemExit(f"no model that Olive made keeps {given.budget:g} ms; give a larger --budget")
        shutil.copy(kept[0], given.out)  # the first keeps most of the precision
        before_ms = predictor.predict(before).latency_ms
    after = predictor.predict(given.out).latency_ms
    result = finish(given.out, after, given.budget, given.measure)
    return {**result, "before_ms": before_ms, "outputs": len(found)}


if __name__ == "__main__":
    main()
