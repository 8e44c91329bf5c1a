"""Kernels of a runtime's own dump."""

from __future__ import annotations

from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.lab.runtimes.executed import kernels_of_executed_graph
from tests.fusion.models import make_graph


def test_each_node_is_one_kernel_and_stored_values_are_none() -> None:
    graph = make_graph("agraph (float[4] x) => (float[4] y) { c=Constant<value_float=2.0>() a=Mul(x,c) y=Relu(a) }")
    kernels = kernels_of_executed_graph(graph)
    assert [kernel.type for kernel in kernels] == ["Mul", "Relu"]
    assert kernels[0].signature.constants == (False, True)


def test_fused_operators_get_the_names_of_the_detector() -> None:
    image, weight = TensorType("float32", (1, 32, 8, 8)), TensorType("float32", (32, 32, 3, 3))
    attributes = {"activation": "Relu", "kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "group": 1}
    nodes = [
        Node("ReorderInput", "com.microsoft.nchwc", "in", ("x",), ("a",), {"channels_last": 0}),
        Node("Conv", "com.microsoft.nchwc", "conv", ("a", "w", "", "a"), ("b",), attributes),
        Node("FusedConv", "com.microsoft", "fused", ("b", "w"), ("y",), attributes),
    ]
    types = {"x": image, "a": image, "b": image, "y": image, "w": weight}
    graph = Graph("dump", nodes, ["x"], ["y"], types, {"w"}, {}, {"": 18})
    kernels = kernels_of_executed_graph(graph)
    assert [kernel.type for kernel in kernels] == ["ReorderInput", "nchwc.Conv+Add+Relu", "Conv+Relu"]
    assert [kernel.signature.op_type for kernel in kernels] == ["ReorderInput", "Conv", "Conv"]
