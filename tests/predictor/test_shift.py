"""Networks unlike those of training get wider intervals; those alike stay as they are."""

from __future__ import annotations

import json
import pickle
from itertools import count
from typing import Any

import numpy as np
import pytest

from nnmeter.errors import DeviceError
from nnmeter.kernels.anchor import Kind
from nnmeter.predictor import price_columns
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.price import KernelPrice
from nnmeter.predictor.shift import FEATURES, GROWTH, RAMP, Cluster, Nearest, Shift, describe_networks, growth

CONV, GEMM = Kind.parse("convolution:Conv|float32"), Kind.parse("matmul:Gemm|float32")


def price(latency_ms: float, flops: int = 2**25, size: int = 2**18, kind: Kind = CONV) -> KernelPrice:
    return KernelPrice(latency_ms, "trained", 0.1, 0.0, kind, flops, size)


USUAL = [price(3.0), price(1.0, kind=GEMM)]


@pytest.fixture
def shift() -> Shift:
    blank = Shift((CONV, GEMM), (), 1.0, {}, 0)
    mean = blank.describe(USUAL)
    assert mean is not None
    axis = np.eye(2 * FEATURES)[:1]
    return Shift((CONV, GEMM), (Cluster(mean, axis, np.array([0.3])),), 0.5, {0.5: 0.1, 0.9: 0.3}, 7)


def test_a_network_is_described_by_shares_and_sizes_of_its_kernels() -> None:
    described = describe_networks(
        np.array([0, 0, 1]),
        np.array([0.5, 0.25, 0.25]),
        np.array([2.0**25 - 1, 2.0**29 - 1, 2.0**21 - 1]),
        np.array([2.0**18 - 1, 2.0**18 - 1, 2.0**22 - 1]),
        np.zeros(3, dtype=int),
        (1, 2),
    )
    assert described[0] == pytest.approx([0.75, 0.25, 0.0, 0.5, 0.0, 0.25, -0.25, 0.25, -1.0, 1.0])


def test_what_takes_no_time_does_not_count(shift: Shift) -> None:
    little = [price(3.0), price(1.0), price(1e-5, 2**5, 2**5, GEMM)]
    described, without = shift.describe(little), shift.describe(little[:2])
    assert described is not None
    assert without is not None
    assert described == pytest.approx(without, abs=0.01)


def test_alike_networks_keep_their_interval_and_others_do_not(shift: Shift) -> None:
    plain = IntervalModel(0.02, {0.5: 0.7, 0.9: 1.7}, 100)
    wide = IntervalModel(0.02, {0.5: 0.7, 0.9: 1.7}, 100, shift=shift)
    assert wide.interval_ms(4.0, USUAL, 0.9) == plain.interval_ms(4.0, USUAL, 0.9)
    unlike = [price(3.0, 2**15, 2**12), price(1.0, kind=GEMM)]
    assert shift.distance(unlike) > 2
    low, high = wide.interval_ms(4.0, unlike, 0.9)
    assert low < 4.0 * np.exp(-0.3)
    assert high > 4.0 * np.exp(0.3)
    assert plain.interval_ms(4.0, unlike, 0.9)[0] > low


def test_another_process_that_numbers_kinds_otherwise_says_the_same(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlike = [price(3.0, 2**15, 2**12), price(1.0, kind=GEMM)]
    expected = shift.distance(unlike)
    sent = pickle.dumps(shift)
    monkeypatch.setattr(price_columns, "_numbers", {GEMM: 0, Kind.parse("softmax:Softmax|float32"): 3})
    monkeypatch.setattr(price_columns, "_counter", count(4))
    process = object()
    monkeypatch.setattr(price_columns, "PROCESS", process)
    monkeypatch.setattr("nnmeter.predictor.shift.PROCESS", process)
    assert pickle.loads(sent).distance(unlike) == expected


def test_the_interval_grows_with_the_distance() -> None:
    grown = growth(np.array([0.0, 1.0, (1 + RAMP) / 2, RAMP, 10.0]))
    assert grown[:2].tolist() == [0.0, 0.0]
    assert 0 < grown[2] < grown[3] == pytest.approx(RAMP**GROWTH)
    assert grown[4] == pytest.approx(10.0**GROWTH)


def test_a_network_of_nothing_that_was_sampled_is_not_judged(shift: Shift) -> None:
    assert shift.distance([price(1.0, kind=Kind.parse("softmax:Softmax|float32"))]) == 0.0
    assert shift.distance([]) == 0.0
    assert shift.distance([*USUAL, price(4.5, kind=Kind.parse("softmax:Softmax|float32"))]) == 0.0


def test_a_direction_in_which_a_cluster_varies_counts_less(shift: Shift) -> None:
    (cluster,) = shift.clusters
    step = 0.5 * np.eye(2 * FEATURES)[:2]
    along, across = cluster.distances(cluster.mean + step)
    assert along < across / 5


def test_a_shift_is_stored_and_read(shift: Shift) -> None:
    model = IntervalModel(0.02, {0.5: 0.7, 0.9: 1.7}, 100, shift=shift)
    stored = json.loads(json.dumps(model.to_dict()))
    again = IntervalModel.from_dict(stored)
    assert again.shift is not None
    unlike = [price(3.0, 2**15, 2**12), price(1.0, kind=GEMM)]
    assert again.interval_ms(4.0, unlike, 0.9) == pytest.approx(model.interval_ms(4.0, unlike, 0.9), rel=1e-3)
    assert again.to_dict() == model.to_dict()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["near"], 0),
        (["kinds"], ["no kind", "no kind"]),
        (["kinds"], []),
        (["clusters"], []),
        (["clusters", 0, "mean"], [1.0]),
        (["clusters", 0, "mean"], ["a"] * 10),
        (["clusters", 0, "axes"], [[1.0], [2.0, 3.0]]),
        (["clusters", 0, "deviations"], [-1.0]),
        (["clusters", 0, "deviations"], [float("nan")]),
        (["spreads"], {"0.5": 0.1}),
    ],
)
def test_a_damaged_shift_is_refused(shift: Shift, path: list[Any], value: Any) -> None:
    stored = IntervalModel(0.02, {0.5: 0.7, 0.9: 1.7}, 100, shift=shift).to_dict()
    target = stored["shift"]
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(DeviceError, match="damaged"):
        IntervalModel.from_dict(stored)


def test_the_nearest_of_all_clusters_at_once_is_the_nearest_of_each() -> None:
    random = np.random.default_rng(0)
    clusters = []
    for axes in (0, 1, 4):
        rows = np.linalg.qr(random.standard_normal((12, 12)))[0][:axes]
        clusters.append(Cluster(random.standard_normal(12), rows, random.random(axes)))
    for _ in range(20):
        described = random.standard_normal(12)
        expected = min(cluster.distances(described[None])[0] for cluster in clusters)
        assert Nearest(clusters).distance(described) == pytest.approx(expected, rel=1e-9)
