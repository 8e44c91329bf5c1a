"""Kernels out of the commands that MNN runs, without MNN."""

from __future__ import annotations

import pytest

from nnmeter.errors import MeasurementError
from nnmeter.lab.runtimes.mnn_file import CONSTANT, CONVERT, INPUT, MnnOperator
from nnmeter.lab.runtimes.mnn_kernels import Command, executed_kernels
from tests.fusion.models import CONV, i64, make_graph

CONVOLUTION, CONCAT, RESHAPE, SLICE, UNARY, BINARY = 12, 10, 73, 83, 101, 7
MAP = "float[1,8,4,4]"


def op(code: int, name: str, read: str, written: str, activation: str = "", packs: bool = False) -> MnnOperator:
    return MnnOperator(name, code, tuple(read.split()), tuple(written.split()), activation, packs)


def commands(*named: str) -> list[Command]:
    return [Command(*text.split()) for text in named]


def test_a_raster_before_a_convolution_is_a_reorder() -> None:
    graph = make_graph(f"agraph ({MAP} x) => ({MAP} y) {{ a={CONV}(x,w) y=Relu(a) }}", w=(8, 8, 3, 3))
    operators = [
        op(INPUT, "x", "", "x"),
        op(CONVERT, "x___tr4a", "x", "x___tr4a", packs=True),
        op(CONVOLUTION, "a", "x___tr4a", "y__before_tr", "Relu"),
        op(CONVERT, "y__before_tr", "y__before_tr", "y"),
    ]
    ran = commands("a_raster_0 Raster", "a Convolution", "y__before_tr_raster_0 Raster")
    found = executed_kernels(operators, ran, graph)
    assert [kernel.type for kernel in found.kernels] == ["ReorderInput", "Conv+Relu", "ReorderOutput"]
    assert found.of_command == [0, 1, 2]
    assert len(found.kernels[1].nodes) == 2


def test_commands_of_one_operator_are_one_kernel() -> None:
    graph = make_graph("agraph (float[4,6] x) => (float[4,1] y) { y=ReduceMean<keepdims=1>(x,k) }", k=i64(1))
    operators = [op(INPUT, "x", "", "x"), op(68, "y", "x", "y")]
    found = executed_kernels(operators, commands("y_raster_0 Raster", "y_raster_1 Reduction"), graph)
    assert [kernel.type for kernel in found.kernels] == ["ReduceMean"]
    assert found.of_command == [0, 0]


def test_a_convolution_in_groups_is_one_kernel() -> None:
    body = "a=Exp(x) b=Conv<kernel_shape=[1,1],group=2>(a,w) y=Neg(b)"
    graph = make_graph(f"agraph ({MAP} x) => ({MAP} y) {{ {body} }}", w=(8, 4, 1, 1))
    operators = [
        op(INPUT, "x", "", "x"),
        op(UNARY, "a", "x", "a"),
        op(SLICE, "b_slice", "a", "i0 i1"),
        op(CONVOLUTION, "b__0", "i0", "o0"),
        op(CONVOLUTION, "b__1", "i1", "o1"),
        op(CONCAT, "b", "o0 o1", "b"),
        op(UNARY, "y", "b", "y"),
    ]
    ran = commands(
        *("a UnaryOp", "b__0_raster_0 Raster", "b__0 Convolution", "b__1_raster_0 Raster", "b__1 Convolution"),
        *("y_raster_0 Raster", "y UnaryOp"),
    )
    found = executed_kernels(operators, ran, graph)
    assert [kernel.type for kernel in found.kernels] == ["Exp", "Conv", "Reshape", "Neg"]
    assert found.of_command == [0, 1, 1, 1, 1, 2, 3]


def test_a_product_is_one_with_turned_weights_and_a_bias() -> None:
    graph = make_graph("agraph (float[2,3,8] x) => (float[2,3,5] y) { a=MatMul(x,w) y=Add(a,b) }", w=(8, 5), b=(5,))
    operators = [
        op(INPUT, "x", "", "x"),
        op(RESHAPE, "r", "x", "r"),
        op(CONVERT, "r4", "r", "r4", packs=True),
        op(CONVOLUTION, "y__matmul_converted", "r4", "c"),
        op(CONVERT, "c4", "c", "c4"),
        op(RESHAPE, "y", "c4", "y"),
    ]
    ran = commands("y__matmul_converted_raster_0 Raster", "y__matmul_converted Convolution", "y_raster_0 Raster")
    found = executed_kernels(operators, ran, graph)
    assert [kernel.type for kernel in found.kernels] == ["ReorderInput", "Gemm", "ReorderOutput"]
    assert [tensor.shape for tensor in found.kernels[1].signature.inputs] == [(2, 3, 8), (5, 8), (5,)]
    assert len(found.kernels[1].nodes) == 2


def test_an_operator_that_was_moved_before_a_view_keeps_its_name() -> None:
    graph = make_graph("agraph (float[2,3] x) => (float[6] y) { a=Reshape(x,s) y=Neg(a) }", s=i64(6))
    operators = [
        op(INPUT, "x", "", "x"),
        op(CONSTANT, "s", "", "s"),
        op(UNARY, "y", "x", "a"),  # its result has the name of the view that it was moved before
        op(RESHAPE, "a", "a s", "y"),
    ]
    found = executed_kernels(operators, commands("y UnaryOp", "a_raster_0 Raster"), graph)
    assert [kernel.type for kernel in found.kernels] == ["Neg", "Reshape"]


def test_a_command_of_no_operator_is_an_error() -> None:
    graph = make_graph("agraph (float[2] x) => (float[2] y) { y=Neg(x) }")
    with pytest.raises(MeasurementError, match=r"ran 'z' \(BinaryOp\), which its model does not have"):
        executed_kernels([op(INPUT, "x", "", "x"), op(BINARY, "y", "x", "y")], commands("z BinaryOp"), graph)
