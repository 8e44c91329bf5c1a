"""Where of a negated condition."""

from nnmeter.fusion.rulesets.onnxruntime.not_where import RULES
from tests.fusion.rulesets.applying import applied, rewritten

INPUTS = "bool[4] c, float[4] a, float[4] b"


def test_the_tensors_are_swapped() -> None:
    (where,) = rewritten(RULES, f"agraph ({INPUTS}) => (float[4] y) {{ n=Not(c) y=Where(n,a,b) }}").ordered()
    assert list(where.inputs) == ["c", "b", "a"]


def test_a_negation_that_is_returned_stays() -> None:
    assert applied(RULES, INPUTS, "float[4] y, bool[4] n", "n=Not(c) y=Where(n,a,b)") == "Not Where"
