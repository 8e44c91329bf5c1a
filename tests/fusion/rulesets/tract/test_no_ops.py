"""Operators that do nothing are left out."""

import pytest

from nnmeter.fusion.rulesets.tract.no_ops import NO_OPS
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied

INPUT, OUTPUT = "float[2,3] x", "float[2,3] y"


@pytest.mark.parametrize("operator", ["Identity(a)", "Cast<to=1>(a)", "Reshape(a,s)", "Add(a,zero)", "Div(a,one)"])
def test_what_does_nothing_goes(operator: str) -> None:
    values = {"s": i64(2, 3), "zero": f32(0), "one": f32(1)}
    used = {name: value for name, value in values.items() if f",{name})" in operator}
    assert applied(NO_OPS, INPUT, OUTPUT, f"a=Exp(x) b={operator} y=Neg(b)", **used) == "Exp Neg"


def test_what_does_something_stays() -> None:
    assert applied(NO_OPS, INPUT, "float[6] y", "a=Exp(x) b=Reshape(a,s) y=Neg(b)", s=i64(6)) == "Exp Reshape Neg"
    assert applied(NO_OPS, INPUT, OUTPUT, "a=Exp(x) b=Div(a,two) y=Neg(b)", two=f32(2)) == "Exp Div Neg"
