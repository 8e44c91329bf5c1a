"""Trees over rates: what they learn, what they leave out, and that a pack says what was scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.training.network_work import describe_network, device_table
from nnmeter.lab.training.population import COLUMNS, DeviceRates, predict_log_ms
from nnmeter.lab.training.population_folds import leave_out
from nnmeter.lab.training.work_predictor import Errors, make_predictor
from nnmeter.lab.training.work_trees import describe_sums, fit_trees, predict_left_out


def convolution(channels: int, size: int) -> KernelSignature:
    """A pointwise convolution of as many channels out as in."""
    x = TensorType("float32", (1, channels, size, size))
    weight = TensorType("float32", (channels, channels, 1, 1))
    attributes = (("group", 1), ("kernel_shape", (1, 1)), ("strides", (1, 1)))
    return KernelSignature("Conv", "Conv", "", (x, weight), (False, True), (x,), attributes)


THETA = np.full(len(COLUMNS), np.log(1e-3))
RATES = DeviceRates(THETA, THETA, 0.01 * np.eye(len(COLUMNS)), 0.1, 3.0)


def measured(count: int = 240) -> list[Measurement]:
    """Networks on a device that takes twice as long as its rates say for more than 64 channels."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        kernels = tuple(
            convolution(int(channels), int(size))
            for channels, size in zip(generator.integers(8, 128, 6), generator.choice([7, 14, 28], 6), strict=True)
        )
        truth = sum(
            float(np.exp(predict_log_ms(THETA, describe_network((k,)).work[None])[0]) - 1e-3)
            * (2.0 if k.inputs[1].shape[0] > 64 else 1.0)  # type: ignore[union-attr]
            for k in kernels
        )
        found.append(network(number, kernels, truth + 1e-3))
    return found


def network(number: int, kernels: tuple[KernelSignature, ...], ms: float) -> Measurement:
    """A whole network of a table."""
    return Measurement(
        f"m{number}", "model", f"n{number}", "f", kernels, ms, ms, ms, ms, 1, 1.0, (ms, ms), 1, 1, "table"
    )


@pytest.fixture(scope="module")
def rows() -> list[Measurement]:
    return measured()


def test_trees_learn_what_rates_leave_and_see_nothing_of_what_is_left_out(rows: list[Measurement]) -> None:
    sums = describe_sums(rows)
    truth = np.log([m.latency_ms for m in rows])
    left = np.arange(len(rows)) % 5 == 0
    found = predict_left_out(sums, THETA, left)
    by_rates = predict_log_ms(THETA, np.array([describe_network(m.kernels).work for m in rows]))
    assert np.abs(found - truth[left]).mean() < 0.25 * np.abs(by_rates - truth)[left].mean()
    slower = [replace(m, latency_ms=100.0 * m.latency_ms) if out else m for m, out in zip(rows, left, strict=True)]
    wrong = describe_sums(slower)
    assert predict_left_out(wrong, THETA, left) == pytest.approx(found), "their times play no part"


def test_a_device_has_trees_only_where_they_help_on_networks_that_were_left_out(rows: list[Measurement]) -> None:
    works = [describe_network(m.kernels) for m in rows]
    told = np.exp(predict_log_ms(THETA, np.array([work.work for work in works])))
    generator = np.random.default_rng(1)
    as_rates = [
        replace(m, latency_ms=float(ms * np.exp(generator.normal(0.0, 0.05)))) for m, ms in zip(rows, told, strict=True)
    ]
    tables, sums = [], {}
    for name, own in (("wide is slow", rows), ("as rates say", as_rates)):
        fingerprint = {"kind": "cpu", "precision": "float32", "table": {"runtime": name, "device": name}}
        tables.append(device_table(name, fingerprint, own, works))
        sums[name] = describe_sums(own)
    found = leave_out(tables, folds=3, family_folds=1, sums=sums)
    assert list(found.sums) == ["wide is slow"]
    plain = leave_out(tables, folds=3, family_folds=1)
    assert found.by_network["as rates say"] == pytest.approx(plain.by_network["as rates say"])
    truth = np.log([m.latency_ms for m in rows])
    errors = [np.abs(one.by_network["wide is slow"] - truth).mean() for one in (found, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert not np.isnan(found.by_network["wide is slow"]).any()


def test_a_pack_has_the_prices_that_were_learned(rows: list[Measurement]) -> None:
    sums = describe_sums(rows)
    trees = fit_trees(sums, THETA)
    works = [describe_network(m.kernels) for m in rows]
    latency_ms = np.array([m.latency_ms for m in rows])
    errors = Errors(np.full(len(rows), 0.05), np.full(len(rows), np.nan))
    predictor = make_predictor(RATES, works, latency_ms, errors, "cpu", trees)
    totals = np.array(
        [sum(price.latency_ms for price in predictor.price(m.kernels)) + predictor.overhead_ms for m in rows]
    )
    assert np.abs(np.log(totals / latency_ms)).mean() < 0.05
    plain = make_predictor(RATES, works, latency_ms, errors)
    without = np.array([sum(p.latency_ms for p in plain.price(m.kernels)) + plain.overhead_ms for m in rows])
    assert np.abs(np.log(without / latency_ms)).mean() > 0.2
