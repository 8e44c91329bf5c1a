"""NNI 3.0: search a model space within a latency budget, as its documents have it, with nn_meter answered by nnmeter.

Profiler, filter, penalty and strategy are NNI's own. `--whole` takes a profiler of whole candidates in place of
`NnMeterProfiler`, which adds up modules as if nothing were fused.

    pip install . ./compat/nn_meter nni==3.0 'setuptools<81' 'pytorch-lightning<2.1' onnxsim onnxscript torch==2.13.0
    python examples/search/nni_space.py --device ./my-cpu --budget 0.3 --measure
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nni
import torch
from common import SIDE, SURE, digits, export, finish, options, train
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableConv2d, MutableLinear
from nni.nas.oneshot.pytorch.profiler import ExpectationProfilerPenalty, RangeProfilerFilter
from nni.nas.profiler.pytorch.nn_meter import NnMeterProfiler
from nni.nas.strategy import RegularizedEvolution
from nni.nas.strategy.middleware import Chain, Filter
from torch import nn

from nnmeter import load_predictor
from nnmeter.search.budget import LatencyBudget


class Space(ModelSpace):
    """Two convolutions with a choice of kernels and widths, and a last one."""

    def __init__(self) -> None:
        super().__init__()
        width = nni.choice("width", [16, 32, 64])
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.block = LayerChoice(
            {f"k{kernel}": nn.Conv2d(16, 32, kernel, padding=kernel // 2) for kernel in (1, 3, 5)}, label="kernel"
        )
        self.relu2 = nn.ReLU()
        self.down = nn.MaxPool2d(2)
        self.last = MutableConv2d(32, width, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = MutableLinear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classes of pictures."""
        x = self.down(self.relu2(self.block(self.relu1(self.stem(x)))))
        x = self.pool(self.relu3(self.last(x)))
        return self.head(x.view(x.size(0), -1))


DATA: list[Any] = []
STEPS = [100]


def evaluate(model: nn.Module) -> None:
    """Train a candidate and report how much of the test pictures is right."""
    torch.manual_seed(0)
    nni.report_final_result(train(model, tuple(DATA), STEPS[0]))


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = options(__doc__.splitlines()[0], budget_ms=0.3, trials=6)
    parser.add_argument("--whole", action="store_true", help="price whole candidates, not modules one by one")
    given = parser.parse_args(arguments)
    DATA[:], STEPS[0] = digits(), given.steps
    space, inputs = Space(), torch.zeros(1, 1, SIDE, SIDE)
    device = given.device or load_predictor().device
    if given.whole:
        from nn_meter.nni import space_profiler

        profiler = space_profiler(space, inputs, device)
    else:
        profiler = NnMeterProfiler(space, inputs, device)
    within = RangeProfilerFilter(profiler, max=given.budget)
    penalty = ExpectationProfilerPenalty(profiler, baseline=given.budget, scale=1.0, nonlinear="positive")
    choices = space.simplify()
    even = {label: {value: 1 / len(choice.values) for value in choice.values} for label, choice in choices.items()}
    loss, details = penalty(torch.tensor(1.0), even)
    print(f"expected latency of the space: {float(details['penalty']):.4g} ms, penalized loss {float(loss):.4g}")

    strategy = Chain(
        RegularizedEvolution(population_size=4, sample_size=2, mutation_prob=0.5, seed=0),
        Filter(lambda candidate: within(candidate.sample)),
    )
    config = NasExperimentConfig(execution_engine="sequential", model_format="raw", training_service="local")
    config.max_trial_number = given.trials
    config.experiment_working_directory = str(given.out.resolve().parent / "nni-experiments")
    experiment = NasExperiment(space, FunctionalEvaluator(evaluate), strategy, config)
    experiment.run(port=8080)
    budget = LatencyBudget(given.budget, device, probability=SURE)
    for sample in experiment.export_top_models(top_k=given.trials, formatter="dict"):
        module = space.freeze(sample)
        cost = budget.cost(export(module, given.out))
        if cost.within:
            break
    else:
        raise SystemExit(f"no candidate keeps {given.budget:g} ms; give a larger --budget")
    torch.manual_seed(0)
    accuracy = train(module, tuple(DATA), given.steps)
    export(module, given.out)
    predicted = cost.latency_ms
    print(f"{sample}: accuracy {accuracy:.3f}, {profiler.profile(sample):.4g} ms by the profiler")
    result = finish(Path(given.out), predicted, given.budget, given.measure)
    return {**result, "profiled_ms": profiler.profile(sample), "accuracy": accuracy, "sample": sample}


if __name__ == "__main__":
    main()
