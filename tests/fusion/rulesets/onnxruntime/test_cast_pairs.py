"""A cast to double precision and back, and casts that lose something."""

from nnmeter.fusion.rulesets.onnxruntime.cast_pairs import RULES
from tests.fusion.rulesets.applying import applied

X, Y = "float[4] x", "float[4] y"


def test_double_precision_and_back_is_nothing() -> None:
    assert applied(RULES, X, Y, "a=Cast<to=11>(x) b=Cast<to=1>(a) y=Neg(b)") == "Neg"


def test_integers_and_back_stay() -> None:
    assert applied(RULES, X, Y, "a=Cast<to=6>(x) b=Cast<to=1>(a) y=Neg(b)") == "Cast Cast Neg"
