"""Prices of kernels are compared with their times, weighed by the share of the model's time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.features import kernel_features
from nnmeter.lab.evaluation.kernel_scores import score_kernels
from tests.predictor.conftest import addition, convolution, true_latency_ms


@dataclass
class Price:
    latency_ms: float
    kind: Kind
    source: str = "trained"
    distance: float = 0.0
    path: str = ""


class WrongBy:
    """A predictor whose prices are the true times, times a factor by operator."""

    def __init__(self, source: str = "trained", **factors: float) -> None:
        self.factors, self.source = factors, source

    def price_network(self, signatures):
        return [
            Price(self.factors.get(s.op_type, 1.0) * true_latency_ms(s), kernel_features(s).kind, self.source)
            for s in signatures
        ]


NETS = [
    [convolution(64, 64, 28), addition(1, 64, 28, 28)],
    [convolution(16, 16, 14), addition(1, 16, 14, 14), addition(1, 16, 14, 14)],
]


def test_error_bias_and_share_by_family(measure: Callable) -> None:
    rows = [measure(f"net{i}", kernels) for i, kernels in enumerate(NETS)]
    scores = score_kernels(WrongBy(Add=0.8), rows)
    assert scores is not None
    wrong, right = scores.families["elementwise"], scores.families["convolution"]
    assert (wrong.error, wrong.bias) == pytest.approx((20.0, -20.0))
    assert (right.error, right.bias, right.points) == pytest.approx((0.0, 0.0, 0.0))
    assert (wrong.kernels, wrong.models, right.kernels) == (3, 2, 2)
    shares = [sum(true_latency_ms(k) for k in n if k.op_type == "Add") / sum(map(true_latency_ms, n)) for n in NETS]
    assert wrong.share == pytest.approx(100 * sum(shares) / 2)
    assert wrong.points == pytest.approx(wrong.share * 0.2)
    assert scores.overall.share == pytest.approx(100.0)
    assert list(scores.families) == ["elementwise", "convolution"], "the worst first"
    assert list(scores.types) == ["Add", "Conv+Relu"]


def test_errors_that_cancel_count_but_have_no_bias(measure: Callable) -> None:
    kernel = convolution(64, 64, 28)
    rows = [measure("a", [kernel], slowness=1.1), measure("b", [kernel], slowness=0.9)]
    scores = score_kernels(WrongBy(), rows)
    assert scores is not None
    assert scores.overall.error == pytest.approx(10.1, abs=0.1)
    assert abs(scores.overall.bias) < 1.1


def test_without_times_of_kernels_there_is_nothing_to_compare(measure: Callable) -> None:
    assert score_kernels(WrongBy(), [replace(measure("net", NETS[0]), kernel_ms=(), kernel_spread=())]) is None


@pytest.mark.parametrize("source", ["trained", "fallback"])
def test_trained_kernels_that_take_much_time_and_are_far_off_are_named(measure: Callable, source: str) -> None:
    large, small = convolution(64, 64, 28), addition(1, 2, 2, 2)
    scores = score_kernels(WrongBy(source, Conv=1.6, Add=9.0), [measure("net", [large, large, small])])
    assert scores is not None
    if source == "fallback":
        assert not scores.far_off, "it is not called trained"
        return
    (found,) = scores.far_off
    assert (found.model, found.kernel, found.count) == ("net", "Conv+Relu", 2), "the small one takes next to nothing"
    assert found.price_ms / found.kernel_ms == pytest.approx(1.6, rel=0.01)
    assert found.share == pytest.approx(50.0, abs=1.0)
    close = score_kernels(WrongBy(Conv=1.4), [measure("net", [large])])
    assert close is not None and not close.far_off
