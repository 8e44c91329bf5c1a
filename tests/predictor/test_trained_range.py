"""What training lacked for a kernel is found, and widens the interval."""

from __future__ import annotations

from dataclasses import replace
from math import inf, log
from pathlib import Path

import pytest

from nnmeter.devices import load_pack
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.features.common import log_size
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.predictor import KernelPredictor, read_predictor_of, write_predictor
from nnmeter.predictor.price_correction import Correction
from nnmeter.predictor.trained_range import find_gaps
from nnmeter.report.outside import describe_gap

GEMM = Kind.parse("matmul:Gemm|float32")


@pytest.fixture
def predictor(small_pack: Path) -> KernelPredictor:
    """Products were sampled from 1 to 64 rows of 64 numbers, by a square matrix."""
    loaded = load_pack(small_pack).predictor
    known = loaded.vocabulary[GEMM]
    sizes = [(2 * r * 64 * 64, 4 * r * 64, 4 * (64 * 64 + 64), r * 64, r) for r in (1, 64)]
    low, high = (tuple(map(log_size, row)) for row in sizes)
    return replace(loaded, vocabulary={GEMM: replace(known, low=low, high=high)})


def gemm(rows: int, dtype: str = "float32") -> KernelSignature:
    kinds = (TensorType(dtype, (rows, 64)), TensorType(dtype, (64, 64)), TensorType(dtype, (64,)))
    return KernelSignature("Gemm", "Gemm", "", kinds, (False, True, True), (TensorType(dtype, (rows, 64)),))


def softmax(rows: int) -> KernelSignature:
    kind = TensorType("float32", (rows, 64))
    return KernelSignature("Softmax", "Softmax", "", (kind,), (False,), (kind,), (("axis", 1),))


def gaps_of(predictor: KernelPredictor, signature: KernelSignature) -> tuple:
    return find_gaps(predictor, signature, predictor.price([signature])[0])


@pytest.mark.parametrize("rows", [1, 8, 64, 80])
def test_a_kernel_inside_lacks_nothing(predictor: KernelPredictor, rows: int) -> None:
    assert gaps_of(predictor, gemm(rows)) == ()


def test_a_larger_kernel_lacks_the_quantities_that_are_larger(predictor: KernelPredictor) -> None:
    gaps = gaps_of(predictor, gemm(640))
    assert [gap.what for gap in gaps] == ["flops", "data_bytes", "output_elements", "leading_size"]
    assert describe_gap(gaps[3]) == (
        "has a leading dimension of 640; of Gemm in float32, 1 to 64 were sampled (10 times the largest)"
    )
    data = gaps[1]
    assert (data.value, data.low, data.high) == (640 * 64 * 4, 64 * 4, 64 * 64 * 4)
    assert describe_gap(data) == (
        "reads 164 kB of data; of Gemm in float32, 256 B to 16.4 kB were sampled (10 times the largest)"
    )
    assert data.to_dict()["sampled_high"] == 64 * 64 * 4


def test_a_quantity_that_was_never_there_is_said_so(predictor: KernelPredictor) -> None:
    known = predictor.vocabulary[GEMM]
    no_weights = replace(known, low=(*known.low[:2], 0.0, *known.low[3:]), high=(*known.high[:2], 0.0, *known.high[3:]))
    (gap,) = gaps_of(replace(predictor, vocabulary={GEMM: no_weights}), gemm(8))
    assert describe_gap(gap) == "reads 16.6 kB of weights; Gemm in float32 was sampled only without weights"


def test_less_than_matters_is_no_gap(predictor: KernelPredictor) -> None:
    known = predictor.vocabulary[GEMM]
    large = replace(known, low=tuple(size + 6 for size in known.low), high=tuple(size + 6 for size in known.high))
    large = replace(large, low=(*large.low[:-1], 0.0))
    found = gaps_of(replace(predictor, vocabulary={GEMM: large}), gemm(1))
    assert [gap.what for gap in found] == ["flops", "data_bytes", "weight_bytes"], "64 elements are few in any case"


def test_a_larger_batch_of_small_maps_is_outside(predictor: KernelPredictor) -> None:
    known = predictor.vocabulary[GEMM]
    single = replace(known, high=(*known.high[:-1], log_size(1)))
    (gap,) = gaps_of(replace(predictor, vocabulary={GEMM: single}), gemm(8))
    assert (gap.what, gap.value, gap.high) == ("leading_size", 8, 1)


def test_a_limit_that_is_not_known_is_none_and_is_kept(predictor: KernelPredictor, tmp_path: Path) -> None:
    known = predictor.vocabulary[GEMM]
    without = replace(known, low=(*known.low[:4], -inf), high=(*known.high[:4], inf))
    older = replace(predictor, vocabulary={GEMM: without})
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_predictor(older, tmp_path / name)
        older = read_predictor_of(tmp_path / name)
    assert older.vocabulary[GEMM] == without
    assert (tmp_path / "first" / "predictor.json").read_text() == (tmp_path / "second" / "predictor.json").read_text()
    assert gaps_of(older, gemm(64)) == ()


@pytest.mark.parametrize(("low", "high", "rows"), [(log_size(8), inf, 1), (-inf, log_size(8), 64)])
def test_a_range_of_which_one_limit_is_not_known_has_gaps_at_the_other(
    predictor: KernelPredictor, low: float, high: float, rows: int
) -> None:
    known = predictor.vocabulary[GEMM]
    half = replace(known, low=(*known.low[:4], low), high=(*known.high[:4], high))
    (gap,) = gaps_of(replace(predictor, vocabulary={GEMM: half}), gemm(rows))
    assert (gap.what, gap.value) == ("leading_size", rows)
    assert (gap.low, gap.high) == ((8, 2**256) if high == inf else (0, 8))


def test_another_element_type_is_told_apart_from_another_operator(predictor: KernelPredictor) -> None:
    (gap,) = gaps_of(predictor, gemm(8, "float16"))
    assert (gap.what, gap.sampled) == ("element_type", ("float32",))
    assert describe_gap(gap) == "Gemm was not sampled in float16, only in float32"
    (gap,) = gaps_of(predictor, softmax(8))
    assert gap.what == "operator"
    assert describe_gap(gap) == "no Softmax was sampled on this device, in float32 or any other type"


def test_in_another_runtime_what_was_not_measured_is_outside(predictor: KernelPredictor) -> None:
    foreign = Correction((0.0,) * 6, {}, {}, {}, 0.1, foreign=True)
    (gap,) = gaps_of(replace(predictor, corrections=(foreign,)), gemm(8))
    assert gap.what == "calibration"


def width(predictor: KernelPredictor, *signatures: KernelSignature) -> float:
    prices = predictor.price(signatures)
    low, high = predictor.intervals.interval_ms(sum(p.latency_ms for p in prices), prices, 0.9)
    return log(high / low)


def test_the_interval_widens_with_the_distance(predictor: KernelPredictor) -> None:
    widths = [width(predictor, gemm(rows)) for rows in (64, 128, 512, 4096)]
    assert widths == sorted(set(widths))


def test_the_interval_widens_with_the_share_of_the_fallback(predictor: KernelPredictor) -> None:
    widths = [width(predictor, *[gemm(64)] * (16 - n), *[softmax(64)] * n) for n in range(17)]
    assert widths == sorted(set(widths))
    assert widths[-1] >= 2 * 1.64 * predictor.fallback_sigma, "alone it is that of the fallback's own errors"


def test_what_was_not_sampled_errs_together(predictor: KernelPredictor) -> None:
    exp = KernelSignature("Exp", "Exp", "", *((s := softmax(64)).inputs, s.constants, s.outputs))
    together = width(predictor, softmax(64), softmax(64))
    assert width(predictor, softmax(64), exp) == pytest.approx(together, rel=0.01)


def test_a_code_path_that_was_not_sampled_is_a_gap(small_pack: Path) -> None:
    loaded = load_pack(small_pack).predictor
    image, weight = TensorType("float32", (1, 8, 4, 8, 8)), TensorType("float32", (8, 8, 1, 1, 1))
    attributes = (("kernel_shape", (1, 1, 1)),)
    signature = KernelSignature("Conv", "Conv", "", (image, weight), (False, True), (image,), attributes)
    (price,) = loaded.price([signature])
    gaps = find_gaps(loaded, signature, price)
    assert [(gap.what, gap.path) for gap in gaps] == [("path", "3-D")]
    assert gaps[0].to_dict()["path"] == "3-D"
    assert describe_gap(gaps[0]) == "Conv in float32 was not sampled as 3-D, which is other code"
