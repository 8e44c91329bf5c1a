"""Casts around operators without a kernel of half precision."""

from nnmeter.fusion.rulesets.onnxruntime.half_precision_casts import HALF_PRECISION_CASTS
from tests.fusion.rulesets.applying import applied

X, Y = "float16[4] x", "float16[4] y"


def test_an_operator_without_a_kernel_runs_between_casts() -> None:
    assert applied(HALF_PRECISION_CASTS, X, Y, "y=Erf(x)") == "Cast Erf Cast"


def test_an_operator_with_a_kernel_stays() -> None:
    assert applied(HALF_PRECISION_CASTS, X, Y, "y=Clip(x)") == "Clip"
