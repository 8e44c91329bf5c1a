"""Transposes around Gemm become its attributes."""

from nnmeter.fusion.rulesets.onnxruntime.gemm_transpose import RULES
from tests.fusion.rulesets.applying import applied, rewritten


def test_a_transposed_factor_is_read_as_it_is() -> None:
    text = "agraph (float[8,4] x, float[6,8] w) => (float[4,6] y) { a=Transpose(x) v=Transpose(w) y=Gemm(a,v) }"
    (gemm,) = rewritten(RULES, text).ordered()
    assert (gemm.kind, gemm.attributes["transA"], gemm.attributes["transB"]) == ("Gemm", 1, 1)


def test_a_transposed_result_swaps_the_factors() -> None:
    text = "agraph (float[4,8] x, float[8,6] w) => (float[6,4] y) { a=Gemm(x,w) y=Transpose(a) }"
    (gemm,) = rewritten(RULES, text).ordered()
    assert list(gemm.inputs) == ["w", "x"]


def test_a_transpose_that_the_graph_returns_stays() -> None:
    kinds = applied(RULES, "float[8,4] x", "float[4,6] y, float[4,8] a", "a=Transpose(x) y=Gemm(a,w)", w=(8, 6))
    assert kinds == "Transpose Gemm"
