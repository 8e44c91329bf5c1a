"""Biases that several convolutions share."""

from __future__ import annotations

from tests.fusion.models import CONV
from tests.fusion.passes.applying import apply_pass, kinds, shape

FIELDS = {"operators": ["Conv"], "sum": "Add", "marked": "shared"}
HEAD = "agraph (float[1,8,4,4] x) => (float[1,8,4,4] y) "


def test_a_shared_bias_is_added_behind_each_convolution() -> None:
    text = HEAD + f"{{ a={CONV}(x,w,b) y={CONV}(a,v,b) }}"
    graph = apply_pass("shared_biases", FIELDS, text, w=(8, 8, 3, 3), v=(8, 8, 3, 3), b=(8,))
    assert kinds(graph) == ["Conv", "Add", "Conv", "Add"]
    first, second = graph.of_kinds(["Add"])
    assert first.inputs[1] == second.inputs[1]
    assert shape(graph, first.inputs[1]) == (8, 1, 1)
    assert first.attributes == {"shared": 1}


def test_a_bias_of_one_convolution_stays() -> None:
    text = HEAD + f"{{ y={CONV}(x,w,b) }}"
    assert kinds(apply_pass("shared_biases", FIELDS, text, w=(8, 8, 3, 3), b=(8,))) == ["Conv"]
