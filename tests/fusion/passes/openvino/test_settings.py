"""The last words on kernels: settings, axes, names."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, only

FIELDS: dict[str, Any] = {
    "data_inputs": {"ReduceMean": 1}, "names": {"Softmax": "RowSoftmax"}, "axes": ["Softmax"], "dropped": ["keepdims"],
}  # fmt: skip


def test_settings_are_dropped_with_attributes_that_types_tell() -> None:
    text = "agraph (float[2,3] x) => (float[2,1] y) { y=ReduceMean<keepdims=1>(x,ax) }"
    node = only(apply_pass("settings", FIELDS, text, ax=i64(1)), "ReduceMean")
    assert node.inputs == ["x"]
    assert node.attributes == {}


def test_axes_count_from_the_front_and_operators_are_renamed() -> None:
    text = "agraph (float[2,3] x) => (float[2,3] y) { y=Softmax<axis=-1>(x) }"
    node = only(apply_pass("settings", FIELDS, text), "RowSoftmax")
    assert node.attributes == {"axis": 1}
    assert len(node.sources) == 1
