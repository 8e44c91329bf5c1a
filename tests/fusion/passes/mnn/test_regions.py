"""What is moved, and when."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import CONV, i64
from tests.fusion.passes.applying import apply_pass, kinds

FIELDS: dict[str, Any] = {
    "blocked": ["Conv", "MaxPool"], "products": ["Gemm"], "following": ["Relu", "Neg", "Transpose", "Reshape"],
    "joining": ["Add", "Concat"], "moving": ["Transpose", "Reshape", "Concat", "Gather"], "gathers": ["Gather"],
    "grouped": ["Conv"], "passing": ["Neg"], "decomposed": ["PRelu"],
}  # fmt: skip
MAP = "float[1,8,4,4]"
W = {"w": (8, 8, 3, 3)}


def moved(text: str, **weights: Any) -> list[str]:
    return kinds(apply_pass("regions", FIELDS, f"agraph {text}", **weights))


def test_convolutions_work_in_blocks_and_what_follows_stays_in_them() -> None:
    text = f"({MAP} x) => ({MAP} y) {{ a={CONV}(x,w) b=Relu(a) y={CONV}(b,w) }}"
    assert moved(text, **W) == ["ReorderInput", "Conv", "Relu", "Conv", "ReorderOutput"]


def test_a_chain_that_moves_is_one_kernel_before_its_reader() -> None:
    text = "(float[2,3,4] x) => (float[12,2] y) { a=Transpose<perm=[1,2,0]>(x) b=Reshape(a,s) y=Exp(b) }"
    assert moved(text, s=i64(12, 2)) == ["Transpose", "Exp"]


def test_what_two_read_is_moved_once() -> None:
    text = "(float[2,3] x) => (float[3,2] y, float[3,2] z) { a=Transpose(x) y=Exp(a) z=Abs(a) }"
    assert moved(text) == ["Transpose", "Exp", "Abs"]


def test_a_result_that_is_a_region_is_moved() -> None:
    text = "(float[2,3] x) => (float[3,2] y) { a=Exp(x) y=Transpose(a) }"
    assert moved(text) == ["Exp", "Transpose"]


def test_a_product_reads_blocks_and_gives_a_view() -> None:
    text = "(float[4,8] x) => (float[4,8] y) { a=Gemm<transB=1>(x,w,b) y=Exp(a) }"
    assert moved(text, w=(8, 8), b=(8,)) == ["ReorderInput", "Gemm", "ReorderOutput", "Exp"]


def test_an_operator_of_single_elements_runs_before_the_view_of_a_product() -> None:
    text = "(float[4,8] x) => (float[4,8] y) { a=Gemm<transB=1>(x,w,b) y=Neg(a) }"
    assert moved(text, w=(8, 8), b=(8,)) == ["ReorderInput", "Gemm", "Neg", "ReorderOutput"]


def test_sums_work_in_blocks_where_most_of_what_they_read_lies_so() -> None:
    text = f"({MAP} x) => ({MAP} y) {{ a={CONV}(x,w) b=Add(a,c) y=Exp(b) }}"
    assert moved(text, c=(), **W) == ["ReorderInput", "Conv", "Add", "ReorderOutput", "Exp"]
    assert moved(text, c=(8, 1, 1), **W) == ["ReorderInput", "Conv", "ReorderOutput", "Add", "Exp"]


def test_groups_take_their_data_apart_themselves() -> None:
    text = f"({MAP} x) => ({MAP} y) {{ a=Exp(x) b=Conv<kernel_shape=[1,1],group=2>(a,w) y=Exp(b) }}"
    assert moved(text, w=(8, 4, 1, 1)) == ["Exp", "Conv", "ReorderOutput", "Exp"]
    assert moved(text.replace("group=2", "group=8"), w=(8, 1, 1, 1)) == [
        "Exp", "ReorderInput", "Conv", "ReorderOutput", "Exp",
    ]  # fmt: skip


def test_a_gather_with_an_index_that_is_computed_is_an_operator() -> None:
    text = "(float[4,8] x, int64[2] i) => (float[2,8] y) { a=Gather(x,i) y=Exp(a) }"
    assert moved(text) == ["Gather", "Exp"]
    known = text.replace(", int64[2] i", "")
    assert moved(known, i=i64(0, 1)) == ["Gather", "Exp"]


def test_what_is_taken_apart_reads_any_layout() -> None:
    text = f"({MAP} x) => ({MAP} y) {{ a={CONV}(x,w) b=PRelu(a,s) y=Exp(b) }}"
    assert moved(text, s=(8, 1, 1), **W) == ["ReorderInput", "Conv", "PRelu", "Exp"]
