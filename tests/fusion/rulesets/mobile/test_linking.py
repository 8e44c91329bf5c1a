"""What joins the kernel before it, by runtime; parameters decide what published measurements decided."""

import pytest

from nnmeter.fusion.rulesets.builder import RuleSet
from nnmeter.fusion.rulesets.mobile import openvino_myriad, tensorrt, tflite
from tests.fusion.rulesets.applying import applied

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
RELU = "a=Conv(x,w) y=Relu(a)"
SUM = "a=Conv(x,w) y=Add(x,a)"


def kernels(rules: RuleSet, body: str, **parameters: bool) -> str:
    stage = rules.stages[-1]
    return applied(stage.passes, X, Y, body, parameters={**rules.parameters, **parameters}, w=(8, 8, 1, 1))


@pytest.mark.parametrize("rules", [tflite.CPU, tflite.GPU_21, tflite.GPU, openvino_myriad.RULE_SET, tensorrt.RULE_SET])
def test_a_rectifier_runs_inside_of_a_convolution(rules: RuleSet) -> None:
    assert kernels(rules, RELU) == "Conv"


@pytest.mark.parametrize("rules", [tflite.GPU_21, tflite.GPU, tensorrt.RULE_SET, openvino_myriad.RULE_SET])
def test_a_residual_sum_joins_where_the_parameter_says_so(rules: RuleSet) -> None:
    assert kernels(rules, SUM, sums_join=True) == "Conv"
    assert kernels(rules, SUM, sums_join=False) == "Conv Add"


def test_a_sum_does_not_join_on_a_cpu() -> None:
    assert kernels(tflite.CPU, SUM) == "Conv Add"
    assert kernels(tflite.CPU, f"{SUM.replace('y=', 'b=')} y=Relu(b)") == "Conv Add"


@pytest.mark.parametrize("free", [True, False])
def test_views_are_free_unless_the_parameter_says_otherwise(free: bool) -> None:
    body = "a=Conv(x,w) s=Shape(x) y=Reshape(a,s)"
    assert ("Reshape" in kernels(tflite.CPU, body, free_views=free)) != free
