"""Kernels take longer in long networks, by a call and by their weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter.errors import DeviceError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.predictor import read_predictor_of, write_predictor
from nnmeter.predictor.coldness import KNOTS_MS, LEAST_SHARE, Coldness, weights_mib
from nnmeter.predictor.kernel_predictor import LEAST_LAUNCH, KernelPredictor
from nnmeter.predictor.network_factors import NetworkFactors
from nnmeter.predictor.price_columns import columns_of
from nnmeter.predictor.reuse import DISTANCE_KNOTS_MS, PRICE_KNOTS_MS, Reuse
from tests.conftest import make_small_predictor
from tests.predictor.conftest import convolution

COLDNESS = Coldness(
    (0.0, 0.0, 0.1, 0.5, 0.9, 1.0, 1.0), (0.0, 0.2, 0.4, 0.7, 0.9, 1.0, 1.0), (0.5, 0.6), {"convolution": (0.004, 0.02)}
)
EVEN = Reuse(tuple((0.0,) * len(DISTANCE_KNOTS_MS) for _ in PRICE_KNOTS_MS))
FACTORS = NetworkFactors((0.0,) * len(KNOTS_MS), EVEN, COLDNESS)


@pytest.fixture
def predictor() -> KernelPredictor:
    small = make_small_predictor()
    least_ms = LEAST_LAUNCH * small.roofline.launch_ms
    return replace(small, factors=FACTORS.unobserved(small.scale, small.per_kernel_ms, least_ms))


def test_shares_are_linear_between_knots_and_constant_beyond() -> None:
    call, weights = COLDNESS.above_means(np.array([KNOTS_MS[3], (KNOTS_MS[3] * KNOTS_MS[4]) ** 0.5, 1e-6, 1e6]))
    assert call == pytest.approx([0.0, 0.2, -0.5, 0.5])
    assert weights == pytest.approx([0.1, 0.2, -0.6, 0.4])


def test_weights_are_constants_and_axes_are_none() -> None:
    layer = convolution(16, 32, 14)
    size = sum(kind.bytes for kind, constant in zip(layer.inputs, layer.constants, strict=True) if constant and kind)
    assert weights_mib(layer) == pytest.approx(size / 2**20)
    data, axes = TensorType("float32", (4, 4)), TensorType("int64", (2,))
    assert weights_mib(KernelSignature("Squeeze", "Squeeze", "", (data, axes), (False, True), (data,))) == 0.0


def test_a_price_knows_what_a_kernel_costs_in_cold_caches(predictor: KernelPredictor) -> None:
    price = predictor.price([convolution(64, 64, 14)])[0]
    assert price.cold_call_ms == 0.004
    assert price.cold_weights_ms == pytest.approx(0.02 * weights_mib(convolution(64, 64, 14)))
    assert price.times(5).cold_call_ms == 0.004, "the first of several runs finds nothing, the others do"
    columns = columns_of([price])
    assert (columns.cold_call_ms[0], columns.cold_weights_ms[0]) == (price.cold_call_ms, price.cold_weights_ms)
    assert replace(predictor, factors=None).price([convolution(64, 64, 14)])[0].cold_call_ms == 0.0


def test_a_kernel_takes_the_difference_to_the_mean_network(predictor: KernelPredictor) -> None:
    kernels = [convolution(64, 64, 56)] * 3
    alone, together = predictor.price(kernels), predictor.price_network(kernels)
    total_ms = sum(price.latency_ms for price in together)
    call, weights = COLDNESS.above_means(total_ms)
    added_ms = float(call * alone[0].cold_call_ms + weights * alone[0].cold_weights_ms)
    assert abs(added_ms) > 1e-4
    expected = alone[0].latency_ms + predictor.scale * added_ms
    assert together[0].latency_ms == pytest.approx(expected, rel=0.02), "the network's own time decides"


def test_a_kernel_takes_less_in_a_short_network_than_in_a_long_one(predictor: KernelPredictor) -> None:
    small, large = convolution(8, 8, 7), convolution(256, 256, 56)
    short = predictor.price_network([small] * 3)
    long = predictor.price_network([small] * 3 + [large] * 60)
    assert sum(p.latency_ms for p in long) > 10 * sum(p.latency_ms for p in short)
    assert long[0].latency_ms > short[0].latency_ms


def test_no_kernel_takes_less_than_a_part_of_its_price(predictor: KernelPredictor) -> None:
    assert predictor.factors is not None
    dear = replace(predictor.factors, coldness=replace(COLDNESS, costs={"convolution": (5.0, 0.0)}))
    kernels = [convolution(8, 8, 7)] * 3
    cheap = replace(predictor, factors=dear)
    for before, after in zip(cheap.price(kernels), cheap.price_network(kernels), strict=True):
        profiled_ms = (before.latency_ms - predictor.per_kernel_ms) / predictor.scale
        least_ms = predictor.scale * LEAST_SHARE * profiled_ms + predictor.per_kernel_ms
        assert after.latency_ms == pytest.approx(max(least_ms, EVEN.least_ms))


def test_coldness_is_stored(predictor: KernelPredictor, tmp_path: Path) -> None:
    write_predictor(predictor, tmp_path)
    assert read_predictor_of(tmp_path).factors == predictor.factors


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"call_shares": [0.0] * 6}, "call_shares"),
        ({"weights_shares": [0.0] * 6 + [2.0]}, "weights_shares"),
        ({"means": [0.5]}, "means"),
        ({"costs": {"convolution": [-1.0, 0.0]}}, "costs"),
        ({"costs": {"convolution": [float("nan"), 0.0]}}, "costs|predictor.json"),
        ({"costs": {"no family": [0.1, 0.0]}}, "no family"),
        ({"costs": []}, "costs"),
    ],
)
def test_a_damaged_coldness_is_refused(
    predictor: KernelPredictor, tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    write_predictor(predictor, tmp_path)
    path = tmp_path / "predictor.json"
    document = json.loads(path.read_text())
    document["network_factors"]["coldness"].update(changed)
    path.write_text(json.dumps(document))
    with pytest.raises(DeviceError, match=words):
        read_predictor_of(tmp_path)


def test_coldness_without_reuse_is_refused(predictor: KernelPredictor, tmp_path: Path) -> None:
    write_predictor(predictor, tmp_path)
    path = tmp_path / "predictor.json"
    document = json.loads(path.read_text())
    del document["network_factors"]["reuse"]
    path.write_text(json.dumps(document))
    with pytest.raises(DeviceError, match="coldness without reuse"):
        read_predictor_of(tmp_path)
