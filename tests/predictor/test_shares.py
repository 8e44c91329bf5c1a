"""A predictor that rests on several machines prices by the geometric mean of what they say, and is stored whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnmeter.errors import DeviceError
from nnmeter.predictor import KernelPredictor, read_predictor_of, write_predictor
from nnmeter.predictor.kernel_predictor import FALLBACK, Share
from nnmeter.predictor.roofline import Roofline
from nnmeter.predictor.shares import mix_predictors
from tests.conftest import make_small_predictor
from tests.predictor.conftest import addition, convolution

KERNELS = [convolution(16, 32, 14), convolution(64, 64, 28, 1), addition(1, 64, 28, 28)]


def machine(speed: float, scale: float = 1.0, per_kernel_ms: float = 0.0) -> KernelPredictor:
    """The small predictor with another roofline, and a profiler that adds to what it shows."""
    small = make_small_predictor()
    peaks = {name: speed * peak for name, peak in small.roofline.peak_gflops.items()}
    ensembles = {name: replace(e, bias=e.bias + 0.1 * speed) for name, e in small.ensembles.items()}
    return replace(
        small, roofline=Roofline(peaks, 10.0 / speed, 0.001), ensembles=ensembles, scale=scale,
        per_kernel_ms=per_kernel_ms,
    )  # fmt: skip


def milliseconds(predictor: KernelPredictor) -> np.ndarray:
    return np.array([price.latency_ms for price in predictor.price(KERNELS)])


def test_a_mixture_prices_by_the_geometric_mean() -> None:
    machines = [machine(1.0), machine(3.0), machine(0.5)]
    mixed = mix_predictors(machines)
    expected = np.exp(np.mean([np.log(milliseconds(m)) for m in machines], axis=0))
    assert milliseconds(mixed) == pytest.approx(expected, rel=1e-6)
    assert [price.source for price in mixed.price(KERNELS)] == [p.source for p in machines[0].price(KERNELS)]


def test_kernels_are_mixed_as_a_profiler_shows_them() -> None:
    plain, profiled = machine(1.0), machine(1.0, 0.9, -0.0001)
    assert milliseconds(mix_predictors([plain, profiled])) == pytest.approx(milliseconds(plain), rel=1e-6)


def test_a_mixture_of_one_is_that_one_and_a_mixture_can_be_mixed_on() -> None:
    one, other, third = machine(1.0), machine(3.0), machine(0.5)
    assert milliseconds(mix_predictors([one])) == pytest.approx(milliseconds(one))
    both = mix_predictors([one, other])
    expected = np.sqrt(milliseconds(both) * milliseconds(third))
    assert milliseconds(mix_predictors([both, third])) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="rest on others"):
        mix_predictors([third, both])


def test_it_is_stored_with_those_that_it_rests_on(tmp_path: Path) -> None:
    mixed = mix_predictors([machine(1.0), machine(3.0)])
    write_predictor(mixed, tmp_path)
    read = read_predictor_of(tmp_path)
    assert [share.weight for share in read.shares] == [0.5]
    assert milliseconds(read) == pytest.approx(milliseconds(mixed), rel=1e-9)


def too_heavy(document: dict[str, Any]) -> None:
    document["shares"] = [{**document["shares"][0], "weight": 0.6}] * 2


def nested(document: dict[str, Any]) -> None:
    document["shares"][0]["predictor"]["shares"] = [{"weight": 0.5}]


def without_trees(document: dict[str, Any]) -> None:
    del document["shares"][0]["predictor"]["ensembles"][FALLBACK]


def of_other_features(document: dict[str, Any]) -> None:
    document["shares"][0]["predictor"]["common_features"] = ["anchor"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (too_heavy, "more than all"),
        (nested, "rests on further predictors"),
        (without_trees, "an ensemble is missing"),
        (of_other_features, "trained on other features"),
        (lambda document: document.update(shares=[{"weight": 0.5}]), "predictor"),
        (lambda document: document.update(shares=7), "shares"),
    ],
)
def test_damaged_shares_are_refused(tmp_path: Path, damage: Callable[[dict[str, Any]], None], words: str) -> None:
    write_predictor(mix_predictors([machine(1.0), machine(3.0)]), tmp_path)
    path = tmp_path / "predictor.json"
    document = json.loads(path.read_text())
    damage(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DeviceError, match=words):
        read_predictor_of(tmp_path)


def test_a_share_without_a_launch_or_scale_gives_no_infinite_price() -> None:
    odd = replace(machine(1.0), scale=0.0)
    found = milliseconds(replace(machine(1.0), shares=(Share(odd, 1.0),)))
    assert np.isfinite(found).all()
