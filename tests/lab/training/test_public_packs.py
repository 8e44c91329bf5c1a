"""Which devices of published tables ship, and what the card says of the noise of the table."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.lab.evaluation.metrics import compute_metrics
from nnmeter.lab.importing.published import PublishedDevice, Source, published_measurement
from nnmeter.lab.training.network_work import NetworkWork
from nnmeter.lab.training.population import COLUMNS, DeviceTable
from nnmeter.lab.training.public_packs import (
    LEAST_OF_ENGINE,
    LeftOutScores,
    Outcome,
    PublicDevice,
    engine_leads,
    noise_floor,
)

SOURCE = Source("tables", "Tables", "nowhere", "MIT", 2025)
PHONE = PublishedDevice("phone", "a phone", "cpu", "ncnn", "1", "inference_engine")
SMALL, LARGE = (NetworkWork(np.full(len(COLUMNS), size), {}, (), ()) for size in (1.0, 2.0))


def device(*rows: tuple[str, NetworkWork, float]) -> PublicDevice:
    """A device of rows: name of the network, what it does, milliseconds."""
    measurements = tuple(
        published_measurement(SOURCE, PHONE, f"row{n}", "model", name, name, (), ms)
        for n, (name, _, ms) in enumerate(rows)
    )
    works = tuple(work for _, work, _ in rows)
    names = tuple(name for name, _, _ in rows)
    times = np.array([ms for _, _, ms in rows])
    table = DeviceTable("phone", "cpu", "ncnn", "phone", np.array([w.work for w in works]), times, names, names)
    return PublicDevice("phone", {}, measurements, works, table)


def test_rows_of_the_same_kernels_tell_the_noise() -> None:
    noise = noise_floor(device(("net", SMALL, 10.0), ("other", LARGE, 40.0), ("net", SMALL, 10.2)))
    assert noise["models"] == 1
    assert noise["mape"] == pytest.approx(100 * 0.2 / 10.2, rel=1e-3)


def test_one_name_at_two_sizes_is_no_repetition() -> None:
    assert noise_floor(device(("net", SMALL, 10.0), ("net", LARGE, 20.0))) == {}


def outcome(error: float, roofline: float) -> Outcome:
    """A device whose predictions, and whose roofline, are that far off."""
    own, other = (compute_metrics([1.0 + e, 1.0 - e], [1.0, 1.0]) for e in (error, roofline))
    return Outcome("device", 20, (), LeftOutScores(own, 0.0, 0.0, {"roofline": other}))


def test_an_engine_is_judged_by_the_median_of_its_devices() -> None:
    lucky = [("many", outcome(0.05, 0.1))] * 4 + [("many", outcome(0.12, 0.1))] * LEAST_OF_ENGINE
    few = [("few", outcome(0.3, 0.1))] * (LEAST_OF_ENGINE - 1)
    leads = engine_leads([*lucky, *few, ("many", Outcome("small", 5, ("5 networks are fewer than 10",)))])
    assert leads == pytest.approx({"many": 1.2}), "an engine of few devices is not judged"
