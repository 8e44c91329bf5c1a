"""Latency budgets for search engines. What needs an engine is skipped where it is not installed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nnmeter.errors import NnmeterError
from nnmeter.prediction.predict import LatencyPredictor, load_predictor
from nnmeter.search.budget import LatencyBudget
from nnmeter.search.torch_pruning import masks_of, pruner_arguments, round_to
from tests.conftest import make_small_model


@pytest.fixture(scope="module")
def predictor(small_pack: Path) -> LatencyPredictor:
    return load_predictor(small_pack)


def test_a_budget_counts_the_predicted_time_or_a_sure_one(predictor: LatencyPredictor) -> None:
    model = make_small_model()
    latency = predictor.predict(model).latency_ms
    cost = LatencyBudget(2 * latency, predictor).cost(model)
    assert cost.within
    assert cost.latency_ms == cost.counted_ms == latency
    assert cost.metrics() == {"latency_ms": latency, "over_ms": -latency}
    sure = LatencyBudget(2 * latency, predictor, probability=0.9).cost(model)
    assert sure.counted_ms > latency
    assert sure.prediction.probability_within(sure.counted_ms) == pytest.approx(0.9, abs=1e-6)
    assert not LatencyBudget(0.5 * latency, predictor).cost(model).within
    for given in ({"max_ms": 0}, {"max_ms": 1, "probability": 1.0}):
        with pytest.raises(NnmeterError):
            LatencyBudget(device=predictor, **given)  # type: ignore[arg-type]


def test_the_multiple_of_channels_at_which_stairs_are() -> None:
    def stair(block: int, own: int) -> list[tuple[int, float]]:
        return [(width, float(-(-width // block))) for width in range(own // 2, own + 1)]

    assert round_to([stair(8, 64), stair(8, 96)], 100.0) == 8
    assert round_to([stair(16, 128)], 100.0) == 16
    assert round_to([[(width, float(width)) for width in range(32, 65)]], 100.0) == 1


def test_ratios_keep_exactly_the_widths_that_were_chosen() -> None:
    """Torch-Pruning removes int(channels * ratio) channels."""

    class Layer:
        def __init__(self, channels: int) -> None:
            self.out_channels, self.weight = channels, SimpleNamespace(shape=(channels,))

    layers = {"a": Layer(64), "b": Layer(96), "c": Layer(10)}
    module = SimpleNamespace(named_modules=layers.items, get_submodule=layers.get)

    def removal(names: tuple[str, ...], channels: int, width: int) -> Any:
        return SimpleNamespace(group=SimpleNamespace(names=names, channels=channels), removed=channels - width)

    pruned = SimpleNamespace(model="m.onnx", removals=[removal(("a",), 64, 40), removal(("b",), 96, 72)])
    given = pruner_arguments(pruned, module)  # type: ignore[arg-type]
    kept = {layer: layer.out_channels - int(layer.out_channels * ratio)
            for layer, ratio in given["pruning_ratio_dict"].items()}  # fmt: skip
    assert kept == {layers["a"]: 40, layers["b"]: 72}
    assert given["ignored_layers"] == [layers["c"]]
    assert masks_of({"c": [1, 3]}, module)["c"].tolist() == [1, 0, 1, 0, 1, 1, 1, 1, 1, 1]
    pruned.removals.append(removal(("nowhere",), 8, 4))
    with pytest.raises(NnmeterError, match="has no 'nowhere'"):
        pruner_arguments(pruned, module)  # type: ignore[arg-type]


def test_optuna_learns_what_is_over_the_budget(predictor: LatencyPredictor) -> None:
    optuna = pytest.importorskip("optuna")
    from nnmeter.search.optuna import LATENCY, LatencyConstraint, best_within, over_of

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    models = {batch: make_small_model(batch) for batch in (1, 2, 4, 8)}
    latency = {batch: predictor.predict(model).latency_ms for batch, model in models.items()}
    constraint = LatencyConstraint((latency[2] + latency[4]) / 2, predictor)
    for kind in (optuna.samplers.NSGAIISampler, optuna.samplers.TPESampler):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=constraint.sampler(kind, seed=0))

        def objective(trial: Any) -> tuple[float, float]:
            batch = trial.suggest_categorical("batch", [1, 2, 4, 8])
            return batch, constraint.check(trial, models[batch]).latency_ms

        study.optimize(objective, n_trials=20)
        front = best_within(study)
        assert {trial.params["batch"] for trial in front} == {1, 2}
        assert {trial.params["batch"] for trial in study.best_trials} == {1, 2}
        for trial in front:
            assert trial.user_attrs[LATENCY] == latency[trial.params["batch"]]
            assert over_of(trial)[0] <= 0

    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: constraint.check(trial, models[8], prune=True).latency_ms, n_trials=1)
    assert study.trials[0].state.name == "PRUNED"
    assert best_within(study) == []
