"""The trace as a document and as text."""

from __future__ import annotations

from nnmeter.fusion.trace import Firing, Refusal, Trace, TracedNode, TracedRule
from nnmeter.report.registry import CORE, Layout
from nnmeter.report.trace import trace_to_dict

TRACE = Trace(
    (
        Firing(
            "only", "loops", "Mul and Add", (TracedNode("Mul", "m"), TracedNode("Add", "n")), (TracedNode("S", "n"),)
        ),
    ),
    (Refusal("only", "loops", "Mul and Add", TracedNode("Mul", "k"), "rank(x) == 2: rank(x) is 3"),),
    (TracedRule("Mul and Add", "one loop reads both", ""),),
    (("late", "parameter wide is not true"),),
)


def test_the_document_has_what_fired_and_what_did_not() -> None:
    document = trace_to_dict(TRACE)
    assert document["fired"][0]["consumed"] == [{"type": "Mul", "name": "m"}, {"type": "Add", "name": "n"}]
    assert document["rules"] == [{"name": "Mul and Add", "why": "one loop reads both", "source": None}]
    assert document["not_fired"][0]["reason"] == "rank(x) == 2: rank(x) is 3"
    assert document["idle"] == [{"pass": "late", "reason": "parameter wide is not true"}]


def test_the_text_has_a_line_a_change_and_a_line_a_refusal() -> None:
    document = {"model": "m.onnx", "device": "d", "trace": trace_to_dict(TRACE)}
    assert CORE.render("trace", document, "table", Layout(width=100)).splitlines() == [
        "m.onnx on d: what the fusion rules did",
        "only / loops",
        "  Mul and Add: Mul 'm', Add 'n' -> S 'n'",
        "",
        "rule Mul and Add",
        "  why: one loop reads both",
        "  fired 1 times",
        "  not at Mul 'k' (loops): rank(x) == 2: rank(x) is 3",
        "pass late never ran: parameter wide is not true",
    ]
