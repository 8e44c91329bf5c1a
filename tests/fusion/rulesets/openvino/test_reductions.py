"""Reductions with their axes as an attribute."""

from nnmeter.fusion.rulesets.openvino.reductions import REDUCTIONS_WITH_AXES
from tests.fusion.models import i64
from tests.fusion.rulesets.applying import applied, rewritten

X = "float[1,8,4,4] x"


def test_axes_count_from_the_front() -> None:
    text = f"agraph ({X}) => (float[1,8,4,1] y) {{ y=ReduceMax(x,ax) }}"
    (node,) = rewritten(REDUCTIONS_WITH_AXES, text, ax=i64(-1)).ordered()
    assert (list(node.inputs), list(node.attributes["axes"])) == (["x"], [3])


def test_a_global_average_is_a_mean() -> None:
    text = f"agraph ({X}) => (float[1,8,1,1] y) {{ y=GlobalAveragePool(x) }}"
    (node,) = rewritten(REDUCTIONS_WITH_AXES, text).ordered()
    assert (node.kind, list(node.attributes["axes"])) == ("ReduceMean", [2, 3])


def test_a_global_maximum_stays() -> None:
    assert applied(REDUCTIONS_WITH_AXES, X, "float[1,8,1,1] y", "y=GlobalMaxPool(x)") == "GlobalMaxPool"
