"""GroupNormalization runs as the operators of its body."""

from nnmeter.fusion.rulesets.onnxruntime.group_normalization import RULES
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[2,8,4,4] x", "float[2,8,4,4] y"
BODY = "y=GroupNormalization<num_groups=2>(x,s,b)"


def test_scale_and_offset_by_group() -> None:
    graph = rewritten(RULES, f"agraph ({X}) => ({Y}) {{ {BODY} }}", 18, s=(2,), b=(2,))
    kinds = [node.kind for node in graph.ordered()]
    assert (kinds.count("ReduceMean"), kinds.count("Reshape"), kinds[-1]) == (2, 5, "Reshape")
    assert "GroupNormalization" not in kinds


def test_scale_and_offset_by_channel() -> None:
    kinds = applied(RULES, X, Y, BODY, 21, s=(8,), b=(8,)).split()
    assert (kinds.count("ReduceMean"), kinds.count("Reshape"), kinds.count("Cast")) == (2, 7, 5)


def test_an_instance_normalization_has_a_kernel() -> None:
    assert applied(RULES, X, Y, "y=InstanceNormalization(x,s,b)", s=(8,), b=(8,)) == "InstanceNormalization"
