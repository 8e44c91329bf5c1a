"""One way to write each operator."""

from __future__ import annotations

from tests.fusion.models import f32, i64
from tests.fusion.passes.applying import apply_pass, only

WINDOWS = {"windows": ["Conv", "MaxPool"]}


def test_a_window_has_all_of_its_attributes_and_auto_pad_becomes_padding() -> None:
    text = 'agraph (float[1,4,8,8] x) => (float[1,8,4,4] y) { y=Conv<strides=[2,2],auto_pad="SAME_UPPER">(x,w) }'
    conv = only(apply_pass("plain_attributes", WINDOWS, text, w=(8, 4, 3, 3)), "Conv")
    assert conv.attributes == {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0, 0, 1, 1), "group": 1}


def test_padding_is_told_by_its_effect_where_the_pass_says_so() -> None:
    text = "agraph (float[1,4,8,8] x) => (float[1,8,4,4] y) { y=Conv<strides=[2,2],pads=[1,1,1,1]>(x,w) }"
    fields = {**WINDOWS, "same_padding": True}
    assert only(apply_pass("plain_attributes", fields, text, w=(8, 4, 3, 3)), "Conv").attributes["pads"] == (0, 0, 1, 1)
    assert only(apply_pass("plain_attributes", WINDOWS, text, w=(8, 4, 3, 3)), "Conv").attributes["pads"] == (1,) * 4


def test_attributes_that_do_not_matter_go_and_axes_count_from_the_front() -> None:
    text = "agraph (float[2,3] x) => (float[2,3] y) { y=Softmax<axis=-1>(x) }"
    assert only(apply_pass("plain_attributes", {"windows": [], "axes": ["Softmax"]}, text), "Softmax").attributes == {
        "axis": 1
    }
    fields = {"windows": [], "drop": {"Softmax": ["axis"]}}
    assert only(apply_pass("plain_attributes", fields, text), "Softmax").attributes == {}


def test_settings_go_bounds_become_attributes_and_inputs_are_sorted() -> None:
    text = "agraph (float[2,3] x) => (float[6] y) { y=Reshape(x,s) }"
    graph = apply_pass("plain_attributes", {"windows": [], "data_inputs": {"Reshape": 1}}, text, s=i64(6))
    assert only(graph, "Reshape").inputs == ["x"]
    text = "agraph (float[2,3] x) => (float[2,3] y) { y=Clip(x,a,b) }"
    graph = apply_pass("plain_attributes", {"windows": [], "bounds": ["Clip"]}, text, a=f32(0.0), b=f32(6.0))
    assert only(graph, "Clip").attributes == {"min": 0.0, "max": 6.0}
    text = "agraph (float[2,3] x) => (float[2,3] y) { y=Add(c,x) }"
    graph = apply_pass("plain_attributes", {"windows": [], "sorted_inputs": ["Add"]}, text, c=(3,))
    assert only(graph, "Add").inputs == ["x", "c"]
