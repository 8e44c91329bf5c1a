"""Strided slices that move blocks into depth."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS = {"concat": ["Concat"], "slice": ["Slice"], "becomes": "SpaceToDepth", "gather": "Gather"}
BOUNDS: dict[str, Any] = {
    "s00": i64(0, 0), "s01": i64(0, 1), "s10": i64(1, 0), "s11": i64(1, 1), "e": i64(8, 8), "ax": i64(2, 3),
    "st": i64(2, 2),
}  # fmt: skip


def focus(*order: str) -> str:
    slices = " ".join(f"p{s}=Slice(x,s{s},e,ax,st)" for s in ("00", "01", "10", "11"))
    return f"agraph (float[1,3,8,8] x) => (float[1,12,4,4] y) {{ {slices} y=Concat<axis=1>({','.join(order)}) }}"


def test_four_slices_by_rows_are_one_move() -> None:
    graph = apply_pass("slices_to_blocks", FIELDS, focus("p00", "p01", "p10", "p11"), **BOUNDS)
    assert kinds(graph) == ["SpaceToDepth"]
    assert only(graph, "SpaceToDepth").attributes == {"blocksize": 2}
    assert len(only(graph, "SpaceToDepth").sources) == 5


def test_another_order_of_blocks_is_gathered() -> None:
    graph = apply_pass("slices_to_blocks", FIELDS, focus("p00", "p10", "p01", "p11"), **BOUNDS)
    assert kinds(graph) == ["SpaceToDepth", "Gather"]


def test_a_block_that_is_there_twice_is_no_move() -> None:
    graph = apply_pass("slices_to_blocks", FIELDS, focus("p00", "p00", "p10", "p11"), **BOUNDS)
    assert "SpaceToDepth" not in kinds(graph)
