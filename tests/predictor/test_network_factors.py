"""Kernels that wait for their weights take more in long networks, whatever sums these up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter import load_predictor
from nnmeter.devices.pack import save_pack
from nnmeter.errors import DeviceError
from nnmeter.fusion.loading import rules_to_dict
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.predictor import read_predictor_of, write_predictor
from nnmeter.predictor.kernel_predictor import LEAST_LAUNCH, KernelPredictor
from nnmeter.predictor.network_factors import FEW_BYTES, KNOTS_MS, MANY_BYTES, NetworkFactors
from nnmeter.predictor.price_columns import columns_of
from nnmeter.predictor.reuse import DISTANCE_KNOTS_MS, PRICE_KNOTS_MS, Reuse
from tests.conftest import make_small_predictor
from tests.predictor.conftest import convolution

FACTORS = NetworkFactors((-0.7, -0.6, -0.5, -0.2, 0.0, 0.1, 0.1))


GRID = tuple(tuple(0.1 * column - 0.05 * row for column in range(12)) for row in range(7))
REUSE = Reuse(GRID, scale=1.02, per_kernel_ms=-0.002, least_ms=0.0005)


def gemm(rows: int, size: int) -> KernelSignature:
    """A product with a square matrix of weights."""
    data, weights = TensorType("float32", (rows, size)), TensorType("float32", (size, size))
    return KernelSignature("Gemm", "Gemm", "", (data, weights), (False, True), (data,))


@pytest.fixture
def predictor() -> KernelPredictor:
    return replace(make_small_predictor(), factors=FACTORS)


def test_a_factor_is_linear_between_knots_and_constant_beyond() -> None:
    small = np.array([FEW_BYTES])
    assert FACTORS.log_factor(KNOTS_MS[2], small) == pytest.approx([-0.5])
    assert FACTORS.log_factor((KNOTS_MS[2] * KNOTS_MS[3]) ** 0.5, small) == pytest.approx([-0.35])
    assert FACTORS.log_factor(1e-3, small) == pytest.approx([-0.7])
    assert FACTORS.log_factor(1e6, small) == pytest.approx([0.1])


def test_the_more_bytes_the_more_it_is_the_factor_of_many() -> None:
    both = replace(FACTORS, many_log_factors=(-0.3, -0.1, 0.0, 0.0, 0.0, 0.0, 0.0))
    sizes = np.array([FEW_BYTES / 2, FEW_BYTES, (FEW_BYTES * MANY_BYTES) ** 0.5, MANY_BYTES, 2.0 * MANY_BYTES])
    assert both.log_factor(0.5, sizes) == pytest.approx([-0.7, -0.7, -0.5, -0.3, -0.3])
    assert both.log_factor(32.0, sizes) == pytest.approx([0.1, 0.1, 0.05, 0.0, 0.0])
    assert FACTORS.log_factor(0.5, sizes) == pytest.approx([-0.7] * 5), "one curve is that of all sizes"
    assert NetworkFactors.from_dict(both.to_dict()) == both


def test_kernels_that_wait_for_their_weights_have_the_factor_of_their_network(predictor: KernelPredictor) -> None:
    kernels = [convolution(16, 16, 14), gemm(1, 1024), gemm(256, 1024), gemm(1, 64)]
    alone, together = predictor.price(kernels), predictor.price_network(kernels)
    total_ms = sum(price.latency_ms for price in alone)
    changes = [b.latency_ms / a.latency_ms for a, b in zip(alone, together, strict=True)]
    factor = float(np.exp(FACTORS.log_factor(total_ms, np.array(1 << 20))))
    assert abs(factor - 1) > 0.03
    assert changes == pytest.approx([1.0, factor, 1.0, 1.0])


def test_a_prediction_sums_up_what_kernels_take_in_their_network(small_pack: Path, tmp_path: Path) -> None:
    pack = load_predictor(small_pack).pack
    predictor = replace(pack.predictor, factors=FACTORS)
    with_factors = LatencyPredictor(save_pack(tmp_path / pack.id, pack.card, rules_to_dict(pack.rules), predictor))
    kernels = [Kernel(str(i), s, ()) for i, s in enumerate([convolution(16, 16, 14), gemm(1, 1024)])]
    found = with_factors.price("model", kernels)
    prices = with_factors.pack.predictor.price_network([k.signature for k in kernels])
    assert [k.latency_ms for k in found.kernels] == pytest.approx([p.latency_ms for p in prices])
    assert found.latency_ms == pytest.approx(sum(p.latency_ms for p in prices) + pack.predictor.overhead_ms)
    assert [k.price.latency_ms for k in found.kernels if k.price] == pytest.approx([p.latency_ms for p in prices])
    assert found.latency_ms < LatencyPredictor(pack).price("model", kernels).latency_ms


def test_a_factor_of_reuse_is_bilinear_between_knots_and_constant_beyond() -> None:
    at = REUSE.log_factor(np.array([PRICE_KNOTS_MS[2], 1e-6, 1e6]), np.array([DISTANCE_KNOTS_MS[3], 1e-6, 1e6]))
    assert at == pytest.approx([GRID[2][3], GRID[0][0], GRID[6][11]])
    between = [(knots[1] * knots[2]) ** 0.5 for knots in (PRICE_KNOTS_MS, DISTANCE_KNOTS_MS)]
    corners = [GRID[row][column] for row in (1, 2) for column in (1, 2)]
    assert REUSE.log_factor(*(np.array([value]) for value in between)) == pytest.approx([sum(corners) / 4])


def test_kernels_take_less_the_more_of_their_kind_there_are(predictor: KernelPredictor) -> None:
    known = replace(predictor, factors=replace(FACTORS, reuse=REUSE))
    few, many = [convolution(16, 16, 14), gemm(4, 64)], [convolution(16, 16, 14)] * 9 + [gemm(4, 64)]
    alone = known.price(many)
    together = known.price_network(many)
    total_ms = sum(price.latency_ms for price in together)
    for price, found, count in ((alone[0], together[0], 9), (alone[-1], together[-1], 1)):
        profiled_ms = (price.latency_ms - REUSE.per_kernel_ms) / REUSE.scale
        factor = float(np.exp(REUSE.log_factor(np.array([profiled_ms]), np.array([total_ms / count]))[0]))
        expected = max(REUSE.scale * profiled_ms * factor + REUSE.per_kernel_ms, REUSE.least_ms)
        assert found.latency_ms == pytest.approx(expected, rel=1e-3), "the time that it has in the network decides"
    assert together[0].latency_ms / alone[0].latency_ms < together[-1].latency_ms / alone[-1].latency_ms
    assert known.price_network(few)[0].latency_ms != pytest.approx(together[0].latency_ms)


def test_a_price_of_zero_stays_zero(predictor: KernelPredictor) -> None:
    free = [replace(price, latency_ms=0.0) for price in predictor.price([gemm(4, 64)])]
    factors = replace(FACTORS, reuse=REUSE).factors(columns_of(free))
    assert factors is not None
    assert factors.tolist() == [1.0]


def test_factors_of_reuse_are_stored(predictor: KernelPredictor, tmp_path: Path) -> None:
    factors = replace(FACTORS, reuse=REUSE)
    write_predictor(replace(predictor, factors=factors), tmp_path)
    least_ms = LEAST_LAUNCH * predictor.roofline.launch_ms
    expected = factors.unobserved(predictor.scale, predictor.per_kernel_ms, least_ms)
    assert read_predictor_of(tmp_path).factors == expected, "what is the predictor's own stands once"


def test_a_kernel_at_the_least_price_keeps_it(predictor: KernelPredictor) -> None:
    least = [replace(price, latency_ms=REUSE.least_ms) for price in predictor.price([gemm(4, 64)])]
    long = predictor.price([convolution(64, 64, 56)] * 40)
    assert replace(FACTORS, reuse=REUSE).of_network([*least, *long])[0] == least[0]


def test_factors_are_stored(predictor: KernelPredictor, tmp_path: Path) -> None:
    write_predictor(predictor, tmp_path)
    assert read_predictor_of(tmp_path).factors == FACTORS
    write_predictor(replace(predictor, factors=None), tmp_path)
    assert read_predictor_of(tmp_path).factors is None


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"log_factors": [0.0] * 6}, "log_factors"),
        ({"log_factors": [0.0] * 6 + [50.0]}, "log_factors"),
        ({"log_factors": [0.0] * 6 + ["much"]}, "log_factors"),
        ({}, "log_factors"),
        ({**FACTORS.to_dict(), "many_log_factors": [0.0] * 8}, "many_log_factors"),
        ([1], "network_factors"),
        ({**FACTORS.to_dict(), "reuse": []}, "reuse"),
        ({**FACTORS.to_dict(), "reuse": {}}, "log_factors"),
        ({**FACTORS.to_dict(), "reuse": {**REUSE.to_dict(), "log_factors": [[0.0] * 12] * 6}}, "reuse"),
        ({**FACTORS.to_dict(), "reuse": {**REUSE.to_dict(), "log_factors": [[0.0] * 11] * 7}}, "reuse"),
        ({**FACTORS.to_dict(), "reuse": {**REUSE.to_dict(), "log_factors": [[9.0] * 12] * 7}}, "reuse"),
    ],
)
def test_damaged_factors_are_refused(predictor: KernelPredictor, tmp_path: Path, stored: object, words: str) -> None:
    write_predictor(predictor, tmp_path)
    path = tmp_path / "predictor.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "network_factors": stored}))
    with pytest.raises(DeviceError, match=words):
        read_predictor_of(tmp_path)
