"""Transposes before a MatMul."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.matmul_transpose import MATMUL_AND_TRANSPOSE
from tests.fusion.rulesets.applying import applied, rewritten


def test_a_transposed_factor_is_read_as_it_is() -> None:
    inputs = "float[2,4,8] a, float[2,6,8] b"
    text = f"agraph ({inputs}) => (float[2,4,6] y) {{ t=Transpose<perm=[0,2,1]>(b) y=MatMul(a,t) }}"
    (product,) = rewritten(MATMUL_AND_TRANSPOSE, text).ordered()
    assert product.kind == "com.microsoft.FusedMatMul"
    assert (product.attributes["transA"], product.attributes["transB"]) == (0, 1)


@pytest.mark.parametrize(("shape", "perm", "turned"), [("4,2,8", "1,0,2", 0), ("8,2,4", "1,2,0", 1)])
def test_batches_inside_of_matrices(shape: str, perm: str, turned: int) -> None:
    inputs = f"float[{shape}] a, float[2,8,6] b"
    text = f"agraph ({inputs}) => (float[2,4,6] y) {{ t=Transpose<perm=[{perm}]>(a) y=MatMul(t,b) }}"
    (product,) = rewritten(MATMUL_AND_TRANSPOSE, text).ordered()
    assert (product.attributes["transBatchA"], product.attributes["transA"]) == (1, turned)


def test_integers_stay() -> None:
    inputs = "int32[2,4,8] a, int32[2,6,8] b"
    body = "t=Transpose<perm=[0,2,1]>(b) y=MatMul(a,t)"
    assert applied(MATMUL_AND_TRANSPOSE, inputs, "int32[2,4,6] y", body) == "Transpose MatMul"
