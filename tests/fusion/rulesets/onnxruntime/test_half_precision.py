"""Functions of half precision run as their body; those of single precision have a kernel."""

import numpy as np
import pytest

from nnmeter.fusion.rulesets.onnxruntime.half_precision import RULES
from tests.fusion.rulesets.applying import applied

SOFTMAX = "ReduceMax Sub Exp ReduceSum"


@pytest.mark.parametrize(
    ("body", "opset", "expected"),
    [
        ("y=Softmax(x)", 17, f"{SOFTMAX} Div"),
        ("y=Softmax(x)", 18, f"{SOFTMAX} Div"),
        ("y=LogSoftmax(x)", 13, f"{SOFTMAX} Log Sub"),
        ("y=LogSoftmax(x)", 18, f"{SOFTMAX} Log Sub"),
        ("y=Relu(x)", 18, "Cast Max"),
        ("y=HardSigmoid(x)", 18, "Cast Cast Cast Cast Mul Add Min Max"),
        ("y=Elu(x)", 18, "Cast Cast Cast Less Exp Sub Mul Where"),
        ("y=PRelu(x,s)", 18, "Cast Less Mul Where"),
        ("y=Softplus(x)", 18, "Cast Exp Add Log"),
        ("y=Softsign(x)", 18, "Cast Abs Add Div"),
        ("y=Gelu(x)", 20, "Cast Cast Cast Mul Sqrt Div Erf Sum Mul"),
        ('y=Gelu<approximate="tanh">(x)', 20, "Cast Cast Cast Cast Cast Mul Pow Mul Sum Sqrt Mul Tanh Sum Mul"),
        ("y=LeakyRelu(x)", 18, "Mul Less Where"),
    ],
)
def test_the_body_takes_its_place(body: str, opset: int, expected: str) -> None:
    weights = {"s": np.zeros(4, np.float16)} if "(x,s)" in body else {}
    found = applied(RULES, "float16[2,4] x", "float16[2,4] y", body, opset, **weights)
    assert sorted(found.split()) == sorted(expected.split())
    assert found.split()[-1] == expected.split()[-1]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ReduceL1", "Abs ReduceSum"),
        ("ReduceSumSquare", "Mul ReduceSum"),
        ("ReduceL2", "Mul ReduceSum Sqrt"),
    ],
)
def test_reductions_of_squares_and_sizes(kind: str, expected: str) -> None:
    assert applied(RULES, "float16[2,4] x", "float16[1,1] y", f"y={kind}(x)") == expected


def test_single_precision_stays() -> None:
    assert applied(RULES, "float[2,4] x", "float[2,4] y", "a=Softmax(x) y=Relu(a)") == "Softmax Relu"


def test_relu_of_opset_20_has_no_body_of_half_precision() -> None:
    assert applied(RULES, "float16[2,4] x", "float16[2,4] y", "y=Relu(x)", 20) == "Relu"
