"""Buffers of small graphs: what shares memory, what works in place, and how long it lives."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

import nnmeter
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.memory.lifetimes import Buffer, plan_buffers


def buffers_of(*nodes: onnx.NodeProto, outputs: tuple[str, ...] = ("y",), share: bool = True) -> dict[str, Buffer]:
    """The buffers of nodes on an input `x` of 1x64 floats, fused by no rule."""
    kind = helper.make_tensor_value_info
    values = [kind(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "g", [kind("x", TensorProto.FLOAT, [1, 64])], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    work = WorkingGraph(nnmeter.load_model(model))
    return {buffer.tensor: buffer for buffer in plan_buffers(work, list(work.ordered()), share)}


def test_a_tensor_lives_until_its_last_reader() -> None:
    found = buffers_of(
        helper.make_node("Erf", ["x"], ["a"]),
        helper.make_node("Erf", ["a"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["y"], axis=0),
    )
    assert found["a"] == Buffer("a", 256, 0, 2)
    assert found["b"] == Buffer("b", 256, 1, 2)
    assert found["y"] == Buffer("y", 512, 2, 2, result=True)


def test_activations_overwrite_what_nobody_else_reads_and_arithmetic_does_not() -> None:
    found = buffers_of(
        helper.make_node("Erf", ["x"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Add", ["b", "a"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Erf", ["d"], ["y"]),
    )
    # `b` cannot overwrite `a`, which is read again; sums overwrite nothing; `d` overwrites `c`.
    assert set(found) == {"a", "b", "c", "y"}
    assert found["b"].last == 2
    assert found["c"].last == 4


def test_the_input_is_never_overwritten_and_views_take_nothing() -> None:
    found = buffers_of(
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Flatten", ["a"], ["b"], axis=0),
        helper.make_node("Erf", ["b"], ["y"]),
    )
    assert set(found) == {"a", "y"}
    assert found["a"].last == 2


def test_a_buffer_of_the_same_shape_is_taken_over() -> None:
    nodes = (
        helper.make_node("Erf", ["x"], ["a"]),
        helper.make_node("Erf", ["a"], ["b"]),
        helper.make_node("Erf", ["b"], ["c"]),
        helper.make_node("Erf", ["c"], ["y"]),
    )
    assert set(buffers_of(*nodes)) == {"a", "b", "y"}
    assert set(buffers_of(*nodes, share=False)) == {"a", "b", "c", "y"}


def test_a_result_has_memory_of_its_own_to_the_end() -> None:
    found = buffers_of(
        helper.make_node("Erf", ["x"], ["a"]),
        helper.make_node("Erf", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"]),
        outputs=("a", "y"),
    )
    assert found["a"].result
    assert found["a"].last == 2
    assert "y" in found
