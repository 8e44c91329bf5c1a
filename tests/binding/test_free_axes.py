"""Axes whose sizes a session does not know that keeps free dimensions."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import parser

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes, Session
from nnmeter.graph.ir import Graph


def bound(
    text: str, session: Session = "free", declared: dict[str, list[int | str]] | None = None, **dims: int
) -> Graph:
    graph = parser.parse_graph(text)
    for name, shape in (declared or {}).items():
        graph.value_info.append(onnx.helper.make_tensor_value_info(name, 1, shape))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    return bind_shapes(read_model(model.SerializeToString()), InputSizes(dims, session=session))


CHAIN = (
    "agraph (float[batch,seq,8] x) => (float[?,?,?] y) <float[8,6] w = {" + ",".join("0" for _ in range(48)) + "}> "
    "{ m=MatMul(x,w) t=Transpose<perm=[0,2,1]>(m) y=Relu(t) }"
)


def test_axes_follow_the_dimensions_of_the_inputs() -> None:
    graph = bound(CHAIN, batch=2, seq=5)
    assert graph.free == {"x": {0, 1}, "m": {0, 1}, "t": {0, 2}, "y": {0, 2}}


def test_a_session_that_knows_them_has_none() -> None:
    assert bound(CHAIN, "bound", batch=2, seq=5).free == {}


def test_a_model_without_free_dimensions_has_none() -> None:
    assert bound("agraph (float[2,3] x) => (float[2,3] y) { y=Relu(x) }").free == {}


def test_dimensions_that_follow_from_others_are_changed_with_them() -> None:
    text = "agraph (float[n,4] x, float[m,4] z) => (float[?,4] y) { y=Concat<axis=0>(x,z) }"
    assert bound(text, n=1, m=0).free == {"x": {0}, "z": {0}, "y": {0}}


def reshaped(first: str, second: str) -> str:
    """A reshape to sizes that the run computes, in the given order."""
    return (
        "agraph (float[batch,seq,8] x) => (float[?,?,?,?] y) <int64 zero = {0}, int64 one = {1}, int64[1] ax = {0}, "
        "int64[2] rest = {1,8}> "
        "{ s=Shape(x) b=Gather(s,zero) c=Gather(s,one) bb=Unsqueeze(b,ax) cc=Unsqueeze(c,ax) "
        f"target=Concat<axis=0>({first},{second},rest) r=Reshape(x,target) y=Transpose<perm=[2,0,1,3]>(r) }}"
    )


def test_nothing_is_known_of_a_shape_that_the_run_computes() -> None:
    graph = bound(reshaped("cc", "bb"), batch=2, seq=5)
    assert graph.types["r"].shape == (5, 2, 1, 8)
    assert graph.free["r"] == {0, 1, 2, 3}
    assert graph.free["y"] == {0, 1, 2, 3}
    assert np.array_equal(graph.values["target"], [5, 2, 1, 8])


def test_but_what_the_file_declares() -> None:
    graph = bound(reshaped("cc", "bb"), declared={"r": ["seq", "batch", 1, 8]}, batch=2, seq=5)
    assert graph.free["r"] == {0, 1}
    assert graph.free["y"] == {1, 2}


def test_and_what_is_constant_beside_sizes_that_stay_in_their_places() -> None:
    graph = bound(reshaped("bb", "cc"), batch=2, seq=5)
    assert graph.free["r"] == {0, 1}
    assert graph.free["y"] == {1, 2}
