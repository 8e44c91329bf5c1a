"""BatchNormalization behind a MatMul."""

from nnmeter.fusion.rulesets.onnxruntime.matmul_batch_normalization import RULES
from tests.fusion.rulesets.applying import applied

BODY = "a=MatMul(x,w) y=BatchNormalization(a,s,s,s,s)"


def test_a_product_of_matrices_becomes_a_gemm() -> None:
    assert applied(RULES, "float[4,8] x", "float[4,6] y", BODY, w=(8, 6), s=(6,)) == "Gemm"


def test_a_product_of_more_dimensions_stays() -> None:
    kinds = applied(RULES, "float[2,4,8] x", "float[2,4,6] y", BODY, w=(8, 6), s=(4,))
    assert kinds == "MatMul BatchNormalization"
