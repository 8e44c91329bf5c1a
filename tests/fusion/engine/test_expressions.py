"""Expressions of fusion rules, evaluated against a match in a small graph."""

from __future__ import annotations

from typing import Any

import pytest

from nnmeter.fusion.engine.expressions import ExpressionFault, compile_expression, names_in
from nnmeter.fusion.engine.functions import Match
from nnmeter.fusion.engine.rewriting import WorkingGraph
from tests.fusion.models import f32, make_graph


@pytest.fixture
def match() -> Match:
    """`Mul` of x [2,3,4] by a scalar constant c, bound to the names of its tensors and of its node."""
    graph = WorkingGraph(
        make_graph("agraph (float[2,3,4] x) => (float[2,3,4] y) { y=Mul(x,c) }", c=f32(0.5)), {"block": 16}
    )
    return Match(graph, {"mul": graph.nodes()[0]}, {"x": "x", "c": "c", "y": "y", "absent": ""})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (7, 7),
        (["shape", "x"], (2, 3, 4)),
        (["rank", "x"], 3),
        (["dim", "x", -1], 4),
        (["dim", "x", 5], None),
        (["elements", "x"], 24),
        (["dtype", "x"], "float32"),
        (["dtype_code", "x"], 1),
        (["constant", "c"], True),
        (["constant", "x"], False),
        (["scalar", "c"], 0.5),
        (["scalar", "x"], None),
        (["present", "absent"], False),
        (["shape", "absent"], None),
        (["uses", "y"], 1),
        (["output", "y"], True),
        (["kind", "mul"], "Mul"),
        (["attr", "mul", "axis", 3], 3),
        (["opset", ""], 18),
        (["param", "block"], 16),
        (["eq", ["list", 2, 3], ["slice", ["shape", "x"], 0, -1]], True),
        (["near", ["scalar", "c"], 0.500001], True),
        (["near", ["scalar", "c"], 0.501], False),
        (["in", ["rank", "x"], 3, 4], True),
        (["and", ["constant", "c"], ["gt", ["rank", "x"], 2]], True),
        (["or", ["constant", "x"], ["lt", ["rank", "x"], 2]], False),
        (["not", ["constant", "x"]], True),
        (["where", ["constant", "c"], "yes", "no"], "yes"),
        (["prod", ["shape", "x"]], 24),
        (["permute", ["shape", "x"], ["list", 2, 0, 1]], (4, 2, 3)),
        (["inverse", ["list", 2, 0, 1]], (1, 2, 0)),
        (["round_up", 20, ["param", "block"]], 32),
        (["broadcast", ["list", 3, 1], ["list", 2, 1, 4]], (2, 3, 4)),
        (["plus", ["list", 1, 2], ["list", 3, 4]], (4, 6)),
        (["one_at", ["shape", "x"], -1], (2, 3, 1)),
        (["div", 6, 4], 1.5),
        (["div", 6, 0], None),
    ],
)
def test_value(match: Match, expression: Any, expected: Any) -> None:
    assert compile_expression(expression)(match) == expected


def test_condition_on_something_unknown_does_not_hold(match: Match) -> None:
    assert not compile_expression(["eq", ["scalar", "x"], ["dim", "x", 9]])(match)


def test_names_are_those_of_tensors_and_nodes_only() -> None:
    assert names_in(["and", ["eq", ["attr", "n", "axis"], ["dim", "x", 0]], ["same", "a", "b"], ["opset", ""]]) == {
        "n",
        "x",
        "a",
        "b",
    }


@pytest.mark.parametrize("expression", [["nonsense", 1], [], [1, 2], ["eq", 1], ["rank"], ["where", 1, 2]])
def test_malformed_expressions_are_refused(expression: Any) -> None:
    with pytest.raises(ExpressionFault):
        compile_expression(expression)
