"""Views of views."""

from nnmeter.fusion.rulesets.onnxruntime.reshapes import RESHAPES
from tests.fusion.models import i64
from tests.fusion.rulesets.applying import applied


def test_two_views_are_one() -> None:
    kinds = applied(RESHAPES, "float[4,8] x", "float[1,32] y", "a=Reshape(x,s) y=Unsqueeze(a,t)", s=i64(32), t=i64(0))
    assert kinds == "Reshape"


def test_a_computed_shape_stays() -> None:
    body = "n=Shape(x) m=ReduceProd<keepdims=1>(n) a=Reshape(x,m) y=Unsqueeze(a,t)"
    assert applied(RESHAPES, "float[4,8] x", "float[1,32] y", body, t=i64(0)) == "Shape ReduceProd Reshape Unsqueeze"


def test_a_view_that_others_read_stays() -> None:
    body = "a=Reshape(x,s) y=Unsqueeze(a,t)"
    kinds = applied(RESHAPES, "float[4,8] x", "float[1,32] y, float[32] a", body, s=i64(32), t=i64(0))
    assert kinds == "Reshape Unsqueeze"
