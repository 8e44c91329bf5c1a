"""Element types that the plugin computes in."""

from nnmeter.fusion.rulesets.openvino.element_types import INTEGERS_AND_TRUTHS, NUMBERS_TO_TRUTHS
from tests.fusion.rulesets.applying import applied, rewritten


def test_an_integer_is_made_a_truth() -> None:
    assert applied(NUMBERS_TO_TRUTHS, "int64[4] x", "bool[4] y", "y=Cast<to=9>(x)") == "Abs Clip Cast"
    assert applied(NUMBERS_TO_TRUTHS, "float[4] x", "bool[4] y", "y=Cast<to=9>(x)") == "Cast"


def test_long_integers_of_the_caller_are_converted() -> None:
    graph = rewritten(INTEGERS_AND_TRUTHS, "agraph (int64[4] x) => (int64[4] y) { a=Abs(x) y=Neg(a) }")
    nodes = list(graph.ordered())
    assert [node.kind for node in nodes] == ["Cast", "Abs", "Neg", "Cast"]
    assert graph.types[nodes[1].outputs[0]].dtype == "int32"
