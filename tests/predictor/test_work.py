"""Prices by sorts of work: what a kernel does, what it costs, and how rates are stored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nnmeter.errors import DeviceError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.predictor.kernel_predictor import KernelPredictor
from nnmeter.predictor.stored import read_predictor_of, write_predictor
from nnmeter.predictor.trees import ARRAYS, TreeEnsemble
from nnmeter.predictor.work import SORTS, WorkRates, work_of
from tests.conftest import make_small_predictor

RATES = WorkRates(np.full(len(SORTS), 0.5), np.full(len(SORTS), 0.2))


def f32(*shape: int) -> TensorType:
    return TensorType("float32", shape)


def convolution(inputs: int, outputs: int, size: int, window: int, group: int = 1, fused: str = "") -> KernelSignature:
    weight = f32(outputs, inputs // group, window, window)
    return KernelSignature(
        f"Conv{fused}", "Conv", "", (f32(1, inputs, size, size), weight), (False, True), (f32(1, outputs, size, size),),
        (("group", group), ("kernel_shape", (window, window)), ("strides", (1, 1))),
    )  # fmt: skip


def named(signature: KernelSignature) -> dict[str, float]:
    return {SORTS[place]: amount for place, amount in work_of(signature)}


@pytest.mark.parametrize(
    ("kernel", "group"),
    [
        (convolution(64, 64, 8, 1), "conv1x1"),
        (convolution(64, 64, 8, 3), "conv3x3"),
        (convolution(64, 64, 8, 5), "conv_wide"),
        (convolution(3, 64, 8, 3), "conv_first"),
        (convolution(64, 64, 8, 3, 64), "depthwise3"),
        (convolution(64, 64, 8, 5, 64), "depthwise_wide"),
        (convolution(64, 64, 8, 3, 4), "grouped"),
    ],
)
def test_flops_of_a_convolution_are_shared_out_among_the_sorts_of_its_group(
    kernel: KernelSignature, group: str
) -> None:
    work = named(kernel)
    assert {name.partition(".")[0] for name in work} == {group}
    taps = kernel.inputs[1].elements * 64  # type: ignore[union-attr]
    assert sum(v for name, v in work.items() if ".flops" in name) == pytest.approx(2 * taps / 1e6)
    assert work[f"{group}.launch"] == 1


def test_a_kernel_between_two_sizes_is_a_part_of_each() -> None:
    sizes = [named(convolution(c, c, 16, 1)) for c in (64, 96, 128)]
    shares = [w["conv1x1.flops30"] / sum(v for n, v in w.items() if ".flops" in n) if "conv1x1.flops30" in w else 0.0
              for w in sizes]  # fmt: skip
    assert shares[0] == 0 < shares[1] < shares[2]


def test_what_is_fused_is_work_too() -> None:
    assert "fused.activation" not in named(convolution(8, 8, 10, 1, fused="+Relu"))
    assert named(convolution(8, 8, 10, 1, fused="+HardSwish"))["fused.activation"] == pytest.approx(800 / 1e6)
    assert named(convolution(8, 8, 10, 1, fused="+Add+Relu"))["fused.sum"] == pytest.approx(800 / 1e6)


def test_a_view_does_no_work() -> None:
    view = KernelSignature("Reshape", "Reshape", "", (f32(2, 3), None), (False, True), (f32(6),))
    assert work_of(view) == ()


def test_a_price_is_the_sum_over_work_and_is_as_uncertain_as_its_parts() -> None:
    kernel = convolution(64, 64, 8, 3)
    price, sigma = RATES.price(kernel)
    assert price == pytest.approx(0.5 * sum(amount for _, amount in work_of(kernel)))
    assert 0 < sigma < 0.2, "parts err independently"
    known = replace(RATES, groups=frozenset({"conv3x3"}))
    assert known.price(kernel) == (pytest.approx(price), pytest.approx(sigma))
    new = replace(RATES, groups=frozenset({"conv1x1"}))
    assert new.price(kernel) == (pytest.approx(price), pytest.approx(0.2)), "what was never sampled errs together"


def by_work(**changes: object) -> KernelPredictor:
    """A predictor without trees, so that its prices are those of the rates alone."""
    nothing = TreeEnsemble(**{name: np.zeros(0, dtype) for name, dtype in ARRAYS.items()}, bias=0.0)
    plain = make_small_predictor()
    ensembles = dict.fromkeys(plain.ensembles, nothing)
    launch = replace(plain.roofline, launch_ms=1e-8)
    return replace(plain, roofline=launch, ensembles=ensembles, work=RATES, scale=1.0, per_kernel_ms=0.0, **changes)  # type: ignore[arg-type]


def test_what_was_not_sampled_is_priced_by_its_rates_and_is_a_fallback_with_their_deviation() -> None:
    kernel = convolution(16, 32, 14, 3)
    (price,) = by_work(vocabulary={}).price([kernel])
    expected, sigma = RATES.price(kernel)
    assert (price.source, price.latency_ms, price.sigma) == ("fallback", pytest.approx(expected), pytest.approx(sigma))


def test_what_was_sampled_is_priced_by_its_rates_too() -> None:
    predictor = by_work()
    (known,) = [s for s in (convolution(16, 32, 14, 3),) if predictor.sampled(predictor.describe(s).kind)]
    (price,) = predictor.price([known])
    assert (price.source, price.latency_ms) == ("trained", pytest.approx(RATES.price(known)[0]))


def test_a_kind_that_was_sampled_by_work_of_another_group_is_a_fallback() -> None:
    kernel = convolution(16, 32, 14, 3)
    for groups, source in ((("conv3x3",), "trained"), (("conv1x1",), "fallback")):
        predictor = replace(by_work(), work=replace(RATES, groups=frozenset(groups)))
        (price,) = predictor.price([kernel])
        assert (price.source, price.latency_ms) == (source, pytest.approx(RATES.price(kernel)[0]))


def test_rates_are_stored_and_read(tmp_path: Path) -> None:
    write_predictor(replace(by_work(), work=replace(RATES, groups=frozenset({"conv3x3"}))), tmp_path)
    found = read_predictor_of(tmp_path)
    assert found.work is not None
    assert found.work.groups == {"conv3x3"}
    kernel = convolution(16, 32, 14, 3)
    assert found.work.price(kernel) == pytest.approx(RATES.price(kernel), rel=1e-3)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sorts": ["conv1x1.flops00"]}, "other sorts of work"),
        ({"log_rates": [0.0]}, "log_rates has the wrong length"),
        ({"sigmas": None}, "sigmas is no list"),
        ({"groups": ["telepathy"]}, "groups of work"),
    ],
)
def test_rates_that_are_damaged_are_refused(tmp_path: Path, change: dict[str, object], fault: str) -> None:
    write_predictor(by_work(), tmp_path)
    document = json.loads((tmp_path / "predictor.json").read_text())
    document["work"] |= change
    (tmp_path / "predictor.json").write_text(json.dumps(document))
    with pytest.raises(DeviceError, match=fault):
        read_predictor_of(tmp_path)
