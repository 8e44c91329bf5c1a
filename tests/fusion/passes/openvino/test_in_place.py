"""Work that costs nothing, and the copies that it takes."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, kinds

FIELDS: dict[str, Any] = {
    "views": ["Reshape"], "concats": ["Concat"], "splits": ["Split"], "gathers": ["Gather"], "overwriting": ["Add"],
    "copied_after": [], "copy": "Copy", "moved": ["layout"],
}  # fmt: skip


def test_a_view_is_free() -> None:
    text = "agraph (float[2,3] x) => (float[6] y) { a=Exp(x) b=Reshape(a,s) y=Neg(b) }"
    assert kinds(apply_pass("in_place", FIELDS, text, s=i64(6))) == ["Exp", "Neg"]


def test_a_split_is_free_along_the_outermost_dimension_only() -> None:
    text = "agraph (float[4,4] x) => (float[2,4] y, float[2,4] z) { a=Exp(x) b,c=Split<axis=0,num_outputs=2>(a) "
    text += "y=Neg(b) z=Neg(c) }"
    assert kinds(apply_pass("in_place", FIELDS, text)) == ["Exp", "Neg", "Neg"]
    inner = text.replace("axis=0", "axis=1").replace("[2,4]", "[4,2]")
    assert "Split" in kinds(apply_pass("in_place", FIELDS, inner))


def test_a_concatenation_is_free_and_what_others_read_is_copied() -> None:
    text = "agraph (float[2,4] x) => (float[4,4] y, float[2,4] z) { a=Exp(x) b=Neg(x) c=Concat<axis=0>(a,b) y=Abs(c) "
    assert sorted(kinds(apply_pass("in_place", FIELDS, text + "z=Sin(x) }"))) == ["Abs", "Exp", "Neg", "Sin"]
    assert "Copy" in kinds(apply_pass("in_place", FIELDS, text + "z=Sin(a) }"))


def test_a_view_of_what_others_read_is_copied_before_it_is_written_over() -> None:
    text = "agraph (float[2,3] x) => (float[6] y, float[2,3] z) { a=Exp(x) b=Reshape(a,s) y=Add(b,c) z=Neg(a) }"
    assert "Copy" in kinds(apply_pass("in_place", FIELDS, text, s=i64(6), c=(6,)))
