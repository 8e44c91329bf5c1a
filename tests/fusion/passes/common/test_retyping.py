"""Element types that a runtime does not compute in."""

from __future__ import annotations

from tests.fusion.passes.applying import apply_pass, kinds

TEXT = "agraph (float[4] x) => (float[4] y) { a=Exp(x) y=Neg(a) }"


def test_all_tensors_become_of_the_other_type() -> None:
    graph = apply_pass("retype", {"types": {"float32": "float16"}, "cast": "Cast", "given": []}, TEXT)
    assert kinds(graph) == ["Exp", "Neg"]
    assert {graph.types[name].dtype for name in ("x", "a", "y")} == {"float16"}


def test_what_the_caller_gives_and_gets_is_cast() -> None:
    graph = apply_pass("retype", {"types": {"float32": "float16"}, "cast": "Cast", "given": ["float32"]}, TEXT)
    assert kinds(graph) == ["Cast", "Exp", "Neg", "Cast"]
    assert [graph.types[name].dtype for name in ("x", "a", "y")] == ["float32", "float16", "float32"]
