"""Residuals of integers become numbers."""

from __future__ import annotations

from tests.fusion.passes.applying import apply_pass, kinds, only

FUSED = "com.microsoft.FusedConv"
FIELDS = {"operators": [FUSED], "retype": "Cast", "unless": "any_type"}
HEAD = "agraph (float[1,8,4,4] x, int8[1,8,4,4] r, float[1,8,4,4] f) => (float[1,8,4,4] y) "
WEIGHTS = {"w": (8, 8, 1, 1), "b": (8,)}


def test_a_residual_of_integers_becomes_numbers_before_a_convolution_that_writes_numbers() -> None:
    graph = apply_pass("retyped_residuals", FIELDS, HEAD + f"{{ y={FUSED}(x,w,b,r) }}", {}, **WEIGHTS)
    assert kinds(graph) == ["Cast", FUSED]
    residual = only(graph, FUSED).inputs[3]
    assert graph.types[residual].dtype == "float32"
    assert only(graph, "Cast").inputs == ["r"]


def test_a_residual_of_numbers_stays() -> None:
    assert kinds(apply_pass("retyped_residuals", FIELDS, HEAD + f"{{ y={FUSED}(x,w,b,f) }}", {}, **WEIGHTS)) == [FUSED]


def test_the_parameter_switches_it_off() -> None:
    graph = apply_pass("retyped_residuals", FIELDS, HEAD + f"{{ y={FUSED}(x,w,b,r) }}", {"any_type": True}, **WEIGHTS)
    assert kinds(graph) == [FUSED]
