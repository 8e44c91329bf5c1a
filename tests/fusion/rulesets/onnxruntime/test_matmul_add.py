"""A product with a matrix and the bias behind it."""

from nnmeter.fusion.rulesets.onnxruntime.matmul_add import MATMUL_AND_ADD, MATMUL_AND_ADD_OF_ATTENTION
from tests.fusion.rulesets.applying import applied

BODY = "a=MatMul(x,w) y=Add(a,b)"


def test_matrices_become_a_gemm() -> None:
    assert applied(MATMUL_AND_ADD, "float[4,8] x", "float[4,6] y", BODY, w=(8, 6), b=(6,)) == "Gemm"


def test_more_dimensions_are_reshaped_to_a_matrix() -> None:
    kinds = applied(MATMUL_AND_ADD, "float[2,4,8] x", "float[2,4,6] y", BODY, w=(8, 6), b=(6,))
    assert kinds == "Reshape Gemm Reshape"


def test_a_bias_that_gemm_cannot_broadcast_stays() -> None:
    kinds = applied(MATMUL_AND_ADD, "float[2,4,8] x", "float[2,4,6] y", BODY, w=(8, 6), b=(4, 6))
    assert kinds == "MatMul Add"


def test_the_products_of_an_attention_are_left_for_later() -> None:
    body = (
        "n=LayerNormalization(x,g) a=MatMul(n,w) q=Add(a,b) k=MatMul(n,w) v=MatMul(n,w) s=Add(q,k) t=Add(s,v) "
        "p=Add(t,b) y=Add(n,p)"
    )
    weights = {"w": (8, 8), "b": (8,), "g": (8,)}
    early = applied(MATMUL_AND_ADD, "float[2,4,8] x", "float[2,4,8] y", body, **weights)
    late = applied(MATMUL_AND_ADD_OF_ATTENTION, "float[2,4,8] x", "float[2,4,8] y", body, **weights)
    assert "Gemm" not in early
    assert late.split().count("Gemm") == 1
