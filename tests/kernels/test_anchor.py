"""Anchors and kinds are keys that survive JSON, whatever an operator is called."""

from __future__ import annotations

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.kernels.anchor import Anchor, Kind, anchor_of
from nnmeter.kernels.kernel import KernelSignature


def _product(kind: str, dtype: str = "float32", weight: str = "float32") -> KernelSignature:
    inputs = (TensorType(dtype, (4, 8)), TensorType(weight, (8, 2)))
    return KernelSignature(kind, kind.partition("+")[0], "", inputs, (False, True), (TensorType(dtype, (4, 2)),))


@pytest.mark.parametrize("operator", ["Conv", "nchwc.Conv", "acme:v2.Mat|Mul", "x"])
def test_an_anchor_is_read_as_it_was_written(operator: str) -> None:
    anchor = Anchor(operator, "uint8*uint8")
    assert Anchor.parse(str(anchor)) == anchor
    assert Kind.parse(str(Kind("matmul", anchor))) == Kind("matmul", anchor)


@pytest.mark.parametrize("text", ["", "Conv", "|float32", "Conv|"])
def test_half_an_anchor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no operator and element type"):
        Anchor.parse(text)


@pytest.mark.parametrize("text", ["Conv|float32", ":Conv|float32"])
def test_a_kind_without_a_family_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has no family"):
        Kind.parse(text)


def test_what_is_fused_behind_an_operator_does_not_make_another_anchor() -> None:
    assert anchor_of(_product("Gemm+Relu")) == anchor_of(_product("Gemm")) == Anchor("Gemm", "float32")


def test_unsigned_weights_make_another_anchor() -> None:
    assert anchor_of(_product("MatMulInteger", "uint8", "int8")) == Anchor("MatMulInteger", "uint8")
    assert anchor_of(_product("MatMulInteger", "uint8", "uint8")) == Anchor("MatMulInteger", "uint8*uint8")


def test_a_kernel_that_reads_nothing_has_an_anchor() -> None:
    signature = KernelSignature("Range", "Range", "", (), (), (TensorType("int64", (3,)),))
    assert anchor_of(signature) == Anchor("Range", "none")
