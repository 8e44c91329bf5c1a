"""Functions without a kernel run as their body."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.functions import RULES
from tests.fusion.rulesets.applying import applied

X, Y = "float[4] x", "float[4] y"


@pytest.mark.parametrize(
    ("body", "opset", "expected"),
    [
        ("y=HardSwish(x)", 18, "HardSigmoid Mul"),
        ("y=Mish(x)", 18, "Softplus Tanh Mul"),
        ("y=Swish(x)", 24, "Cast Mul Sigmoid Mul"),
        ("y=CastLike(x,t)", 18, "Cast"),
        ("y=Bernoulli(x)", 18, "RandomUniformLike Greater Cast"),
    ],
)
def test_the_body_takes_its_place(body: str, opset: int, expected: str) -> None:
    weights = {"t": (4,)} if "(x,t)" in body else {}
    assert applied(RULES, X, Y, body, opset, **weights) == expected


def test_an_activation_with_a_kernel_stays() -> None:
    assert applied(RULES, X, Y, "y=HardSigmoid(x)") == "HardSigmoid"
