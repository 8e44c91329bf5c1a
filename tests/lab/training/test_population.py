"""One model of all devices: a device with few networks borrows from its relatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnmeter.errors import DeviceError
from nnmeter.lab.training.population import (
    COLUMNS,
    DeviceTable,
    Population,
    fit_population,
    fit_rates,
    predict_log_ms,
)
from nnmeter.lab.training.population_file import read_population, write_population
from nnmeter.lab.training.population_folds import leave_out

SORTS_USED = [
    COLUMNS.index(name) for name in ("conv1x1.flops20", "depthwise3.flops10", "conv1x1.bytes", "conv1x1.launch")
]
NETWORKS = 24


def make_devices(count: int = 12, seed: int = 0, noise: float = 0.02) -> list[DeviceTable]:
    """Devices of one engine: their speeds differ, and how fast their depthwise convolutions are beside the others."""
    generator = np.random.default_rng(seed)
    work = np.zeros((NETWORKS, len(COLUMNS)))
    work[:, SORTS_USED] = np.exp(generator.normal([5.0, 3.0, 3.0, 4.0], 0.8, (NETWORKS, 4)))
    work[:, -1] = 1.0
    base = np.zeros(len(COLUMNS))
    base[SORTS_USED] = np.log([0.05, 0.3, 0.1, 0.01])
    base[-1] = np.log(0.1)
    found = []
    for number in range(count):
        theta = base + generator.normal(0.0, 1.0)
        theta[SORTS_USED[1]] += generator.normal(0.0, 0.4)
        log_ms = predict_log_ms(theta, work) + generator.normal(0.0, noise, NETWORKS)
        names = tuple(f"net{n}" for n in range(NETWORKS))
        families = tuple(f"family{n % 5}" for n in range(NETWORKS))
        found.append(
            DeviceTable(
                f"d{number}", "cpu float32", "cpu float32 e", f"h{number}", work, np.exp(log_ms), names, families
            )
        )
    return found


@pytest.fixture(scope="module")
def devices() -> list[DeviceTable]:
    return make_devices()


@pytest.fixture(scope="module")
def population(devices: list[DeviceTable]) -> Population:
    return fit_population(devices[:-1], rounds=6)


def error_of(theta: np.ndarray, device: DeviceTable, rows: np.ndarray) -> float:
    log_error = predict_log_ms(theta, device.work[rows]) - np.log(device.latency_ms[rows])
    return float(np.mean(np.abs(np.exp(log_error) - 1.0)))


def test_a_new_device_is_known_from_two_networks_and_its_relatives(
    devices: list[DeviceTable], population: Population
) -> None:
    new = devices[-1]
    few, rest = np.arange(2), np.arange(2, NETWORKS)
    borrowed = population.fit(new.taken(few))
    alone = fit_rates(new.work[few], np.log(new.latency_ms[few]), population.usual, np.eye(len(COLUMNS)), 0.02)
    assert error_of(borrowed.theta, new, rest) < 0.08
    assert error_of(borrowed.theta, new, rest) < 0.5 * error_of(alone.theta, new, rest)


def test_more_networks_leave_less_uncertain(devices: list[DeviceTable], population: Population) -> None:
    widths = [np.trace(population.fit(devices[-1].taken(np.arange(n))).covariance) for n in (2, 8, 20)]
    assert widths[0] > widths[1] > widths[2]


def test_no_network_at_all_gives_the_usual_device_of_the_engine(
    devices: list[DeviceTable], population: Population
) -> None:
    nothing = population.fit(devices[-1].taken(np.arange(0)))
    assert nothing.theta == pytest.approx(population.engines["cpu float32 e"])


def test_a_broken_row_moves_little(devices: list[DeviceTable], population: Population) -> None:
    new = devices[-1]
    broken = new.latency_ms.copy()
    broken[3] *= 20.0
    spoiled = DeviceTable(new.id, new.sort, new.engine, new.hardware, new.work, broken, new.networks, new.families)
    rest = np.arange(4, NETWORKS)
    assert error_of(population.fit(spoiled).theta, new, rest) < 0.05


def test_networks_left_out_are_predicted_without_themselves(devices: list[DeviceTable]) -> None:
    spoiled = list(devices[:6])
    first = spoiled[0]
    odd = first.latency_ms.copy()
    odd[0] *= 3.0  # nothing but the row itself tells of this
    spoiled[0] = DeviceTable(first.id, first.sort, first.engine, first.hardware, first.work, odd, first.networks,
                             first.families)  # fmt: skip
    left_out = leave_out(spoiled, folds=3, family_folds=2)
    error = np.log(odd) - left_out.by_network["d0"]
    assert error[0] == pytest.approx(np.log(3.0), abs=0.25)
    assert np.median(np.abs(error[1:])) < 0.05
    assert not np.isnan(left_out.by_family["d0"]).any()


def test_a_population_is_stored_and_read(population: Population, devices: list[DeviceTable], tmp_path: Path) -> None:
    path = tmp_path / "population.npz"
    write_population(population, path)
    found = read_population(path)
    new = devices[-1].taken(np.arange(6))
    assert found.fit(new).theta == pytest.approx(population.fit(new).theta, abs=1e-3)


def test_a_damaged_population_is_refused(population: Population, tmp_path: Path) -> None:
    path = tmp_path / "population.npz"
    write_population(population, path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DeviceError, match=r"population\.npz: cannot be read"):
        read_population(path)
    with pytest.raises(DeviceError, match=r"none\.npz: cannot be read"):
        read_population(tmp_path / "none.npz")
