"""A pack prices an operator by the family that it was trained in, wherever the table of operators has it today."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.anchor import Anchor, Kind
from nnmeter.kernels.features import kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.operators.table import OPERATORS
from nnmeter.predictor import KernelPredictor, KernelPrice, read_predictor_of
from nnmeter.predictor.price_correction import Correction, OperatorCorrection
from nnmeter.predictor.trained_range import find_gaps
from nnmeter.predictor.vocabulary import families_by_anchor
from tests.conftest import REPOSITORY
from tests.kernels.test_features import EXAMPLES

PACK = REPOSITORY / "predictors" / "xeon-icelake-onnxruntime1.32-1t"
CORTEX = REPOSITORY / "predictors" / "cortexA76cpu_tflite21"


def _conv(groups: int, dtype: str = "float32") -> KernelSignature:
    kinds = (TensorType(dtype, (1, 64, 14, 14)), TensorType(dtype, (64, 64 // groups, 3, 3)))
    attributes = (("group", groups), ("kernel_shape", (3, 3)), ("pads", (1, 1, 1, 1)))
    return KernelSignature("Conv", "Conv", "", kinds, (False, True), kinds[:1], attributes)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Products and convolutions are of another family in the table of operators."""

    def move(family: str, *names: str) -> None:
        for name in names:
            monkeypatch.setitem(OPERATORS, name, replace(OPERATORS[name], family=family))

    move("elementwise", "Gemm", "MatMul", "Conv")
    move("pooling", "Softmax")
    kernel_features.cache_clear()
    yield
    monkeypatch.undo()
    kernel_features.cache_clear()


def _priced(path: Path, signatures: list[KernelSignature]) -> list[KernelPrice]:
    return read_predictor_of(path).price(signatures)


SIGNATURES = [EXAMPLES[name] for name in ("matmul", "softmax", "elementwise")] + [_conv(g) for g in (1, 4, 64)]
AS_TRAINED = _priced(PACK, SIGNATURES)


def test_a_shipped_pack_prices_an_operator_that_the_table_moved_as_before(moved: None) -> None:
    assert kernel_features(EXAMPLES["matmul"]).family == "elementwise", "the table has it elsewhere"
    assert _priced(PACK, SIGNATURES) == AS_TRAINED
    assert {price.source for price in AS_TRAINED} == {"trained"}
    assert [price.kind.family for price in AS_TRAINED] == [
        "matmul", "softmax", "elementwise", "convolution", "grouped_convolution", "depthwise_convolution",
    ]  # fmt: skip


def test_what_a_pack_lacks_of_a_moved_operator_is_the_element_type(moved: None) -> None:
    predictor = read_predictor_of(PACK)
    signature = replace(
        EXAMPLES["softmax"], inputs=(TensorType("float64", (1, 4)),), outputs=(TensorType("float64", (1, 4)),)
    )
    (price,) = predictor.price([signature])
    (gap,) = find_gaps(predictor, signature, price)
    assert (gap.what, gap.element_type, price.source) == ("element_type", "float64", "fallback")
    assert "float32" in gap.sampled


def test_a_convolution_is_of_a_family_that_was_sampled_with_its_groups_or_of_none() -> None:
    predictor = read_predictor_of(PACK)
    dense = Kind("convolution", Anchor("Conv", "float32"))
    alone = replace(predictor, vocabulary={dense: predictor.vocabulary[dense]})
    assert [price.source for price in alone.price([_conv(1), _conv(4), _conv(64)])] == [
        "trained", "fallback", "fallback",
    ]  # fmt: skip


def test_depthwise_convolutions_that_lack_are_an_operator_that_lacks() -> None:
    predictor = read_predictor_of(PACK)
    dense = Kind("convolution", Anchor("Conv", "float32"))
    alone = replace(predictor, vocabulary={dense: predictor.vocabulary[dense]})
    (gap,) = find_gaps(alone, _conv(64), alone.price([_conv(64)])[0])
    assert gap.what == "operator"
    (gap,) = find_gaps(alone, _conv(1, "float16"), alone.price([_conv(1, "float16")])[0])
    assert (gap.what, gap.sampled) == ("element_type", ("float32",))


def test_a_calibrated_pack_corrects_a_moved_operator_as_before(moved: None) -> None:
    def calibrated() -> KernelPredictor:
        operators = {Kind("matmul", Anchor("Gemm", "float32")): OperatorCorrection(0.5, 0.1, True)}
        families = {"matmul": (0.25, 0.0, 0.0, 0.0, 0.0, 0.0)}
        correction = Correction((0.0,) * 6, families, operators, {}, 0.1)
        return replace(read_predictor_of(PACK), corrections=(correction,))

    (price,) = calibrated().price([EXAMPLES["matmul"]])
    assert price.latency_ms == pytest.approx(AS_TRAINED[0].latency_ms * 2.117, rel=1e-3)  # exp(0.75)


def test_an_operator_that_only_a_calibration_knows_keeps_its_family(moved: None) -> None:
    predictor = read_predictor_of(CORTEX)
    stranger = replace(EXAMPLES["matmul"], type="FullyConnected")
    kind = Kind("matmul", Anchor("FullyConnected", "float32"))
    stand_in = next(known.anchor for known in predictor.vocabulary if known.family == "matmul")
    correction = Correction((0.0,) * 6, {}, {kind: OperatorCorrection(0.0, 0.1, True, stand_in)}, {}, 0.1)
    assert predictor.price([stranger])[0].source == "fallback"
    (price,) = replace(predictor, corrections=(correction,)).price([stranger])
    assert (price.kind, price.source) == (kind, "trained")


def test_an_anchor_is_known_by_all_its_families() -> None:
    kinds = [Kind.parse(name) for name in ("convolution:Conv|float32", "matmul:Gemm|float32", "pooling:Conv|float32")]
    assert families_by_anchor(kinds) == {
        Anchor("Conv", "float32"): ("convolution", "pooling"),
        Anchor("Gemm", "float32"): ("matmul",),
    }
