"""What runtimes run element by element takes as long as it was measured to, whatever bytes and operations say."""

from typing import Any

import pytest

from nnmeter.graph.ir import TensorType
from nnmeter.operators.broadcasts import BROADCASTING, is_by_element
from nnmeter.operators.loops import LOOPS, loop_ns
from nnmeter.operators.table import OPERATORS
from nnmeter.operators.worst import worst_case_ns


def of(dtype: str, *shape: int) -> TensorType:
    return TensorType(dtype, shape)


def f32(*shape: int) -> TensorType:
    return of("float32", *shape)


# Milliseconds of ONNX Runtime 1.32 with one thread of a Zen 3 server (benchmarks/fallback_operators.py).
MEASURED: list[tuple[str, dict[str, Any], list[TensorType], list[TensorType], float]] = [
    ("NonMaxSuppression", {"max_output_boxes": 20}, [f32(1, 500, 4), f32(1, 90, 500)], [of("int64", 1800, 3)], 0.80),
    ("NonMaxSuppression", {"max_output_boxes": 100}, [f32(1, 2000, 4), f32(1, 80, 2000)], [of("int64", 8000, 3)], 4.94),
    ("CumSum", {"axes": (0,)}, [f32(128, 4096), of("int64")], [f32(128, 4096)], 0.092),
    ("CumSum", {"axes": (1,)}, [f32(128, 4096), of("int64")], [f32(128, 4096)], 2.1),
    ("CumSum", {"axes": (-1,)}, [of("float64", 128, 1024), of("int64")], [of("float64", 128, 1024)], 0.50),
    ("Unique", {}, [of("int64", 20000)], [of("int64", 20000)], 1.29),
    ("NonZero", {}, [f32(512, 512)], [of("int64", 2, 262144)], 2.88),
    ("Mod", {"fmod": 1}, [f32(256, 1024), f32(256, 1024)], [f32(256, 1024)], 1.73),
    ("Pow", {}, [of("int64", 256, 256)] * 2, [of("int64", 256, 256)], 1.11),
    ("MaxPool", {"kernel_shape": (3, 3)}, [of("int8", 1, 16, 56, 56)], [of("int8", 1, 16, 54, 54)], 0.87),
    ("MaxRoiPool", {"pooled_shape": (7, 7)}, [f32(1, 64, 50, 50), f32(64, 5)], [f32(64, 64, 7, 7)], 1.65),
    ("CropAndResize", {}, [f32(1, 64, 50, 50), f32(64, 4)], [f32(64, 64, 14, 14)], 3.27),
    ("DFT", {"axis": 2}, [f32(4, 16, 100, 1)], [f32(4, 16, 100, 2)], 0.69),
    ("StringConcat", {}, [of("string", 2000)] * 2, [of("string", 2000)], 0.32),
    ("Normalizer", {}, [f32(256, 512)], [f32(256, 512)], 0.91),
    ("UnfoldTensor", {"dim": -1, "size": 16, "step": 4}, [f32(64, 1024)], [f32(64, 253, 16)], 1.71),
    ("Einsum", {"equation": "ij->ji"}, [f32(512, 512)], [f32(512, 512)], 0.20),
    ("Einsum", {"equation": "ij,ij->ij"}, [f32(512, 512)] * 2, [f32(512, 512)], 35.0),
    ("Sigmoid", {}, [of("float64", 256, 512)], [of("float64", 256, 512)], 1.45),
]

# Of Zen 4. What bytes and operations say is a tenth of the most of them.
MEASURED += [
    ("Sinh", {}, [f32(256, 512)], [f32(256, 512)], 1.9),
    ("Asinh", {}, [f32(256, 512)], [f32(256, 512)], 2.8),
    ("Shrink", {}, [f32(256, 512)], [f32(256, 512)], 0.91),
    ("Div", {}, [of("int64", 256, 512)] * 2, [of("int64", 256, 512)], 0.32),
    ("Pow", {}, [f32(256, 512)] * 2, [f32(256, 512)], 1.10),
    ("ReduceSum", {"axes": (1,)}, [of("int64", 256, 512)], [of("int64", 256, 1)], 0.43),
    ("ReduceProd", {"axes": (1,)}, [f32(256, 512)], [f32(256, 1)], 0.11),
    ("ReduceProd", {"axes": (0,)}, [f32(256, 512)], [f32(1, 512)], 0.31),
    ("ReduceProd", {"axes": (0, 1)}, [f32(256, 512)], [f32(1, 1)], 0.021),
    ("ReduceLogSumExp", {"axes": (1,)}, [f32(256, 512)], [f32(256, 1)], 0.53),
    ("ArgMin", {"axis": 0}, [f32(256, 512)], [of("int64", 1, 512)], 0.26),
    ("ArgMin", {"axis": 1}, [f32(256, 512)], [of("int64", 256, 1)], 0.11),
    ("CumProd", {"axes": (1,)}, [f32(256, 512)], [f32(256, 512)], 0.44),
    ("CumSum", {"axes": (1,)}, [of("int32", 256, 512)], [of("int32", 256, 512)], 0.12),
    ("LpPool", {"kernel_shape": (3, 3)}, [f32(1, 32, 56, 56)], [f32(1, 32, 54, 54)], 21.9),
    ("GlobalLpPool", {}, [f32(1, 256, 28, 28)], [f32(1, 256, 1, 1)], 5.1),
    ("RoiAlign", {"sampling_ratio": 2}, [f32(1, 64, 50, 50), f32(64, 4)], [f32(64, 64, 7, 7)], 3.2),
    ("GridSample", {"mode": "bicubic"}, [f32(1, 16, 32, 32)], [f32(1, 16, 32, 32)], 0.94),
    ("Gather", {"axis": 1}, [of("int64", 256, 512), of("int64", 512)], [of("int64", 256, 512)], 1.05),
    ("ScatterElements", {"axis": 0}, [f32(256, 512), of("int64", 256, 512)], [f32(256, 512)], 0.59),
    ("OneHot", {"axis": -1}, [of("int64", 512)], [f32(512, 1000)], 1.23),
    ("OneHot", {"axis": 0}, [of("int64", 128)], [f32(512, 128)], 0.042),
    ("Transpose", {"perm": (1, 0)}, [of("float64", 256, 512)], [of("float64", 512, 256)], 0.28),
    ("Transpose", {"perm": (0, 2, 1)}, [of("float64", 20, 100, 80)], [of("float64", 20, 80, 100)], 0.065),
    ("TopK", {"axis": -1}, [of("int64", 16, 1000)], [of("int64", 16, 10)], 0.057),
    ("TopK", {"axis": -1}, [of("int64", 16, 1000)], [of("int64", 16, 500)], 0.53),
    ("Cast", {}, [f32(2000)], [of("string", 2000)], 0.36),
    ("Cast", {}, [of("int64", 3000)], [of("string", 3000)], 0.074),
    ("Concat", {}, [of("string", 40, 50)] * 2, [of("string", 40, 100)], 0.24),
    ("MatMul", {}, [of("int64", 64, 128), of("int64", 128, 96)], [of("int64", 64, 96)], 0.31),
    ("MatMulInteger", {}, [of("int8", 64, 256), of("int8", 256, 256)], [of("int32", 64, 256)], 0.27),
    ("Det", {}, [f32(1, 128, 128)], [f32(1)], 0.092),
    ("Inverse", {}, [f32(16, 32, 32)], [f32(16, 32, 32)], 0.13),
    ("Einsum", {"equation": "ij->i"}, [f32(512, 512)], [f32(512)], 0.047),
    ("Einsum", {"equation": "bi,bi->b"}, [f32(256, 1024)] * 2, [f32(256)], 0.70),
    ("Einsum", {"equation": "bij,bjk->bik"}, [f32(64, 64, 64)] * 2, [f32(64, 64, 64)], 0.51),
    ("Einsum", {"equation": "bi,bj->bij"}, [f32(64, 100)] * 2, [f32(64, 100, 100)], 0.12),
    ("TreeEnsembleRegressor", {"nested_flops": 2 * 500 * 10 * 11}, [f32(500, 50)], [f32(500, 1)], 0.066),
]


@pytest.mark.parametrize(("op", "attributes", "inputs", "outputs", "ms"), MEASURED)
def test_a_loop_takes_what_was_measured_within_a_factor_of_three(
    op: str, attributes: dict[str, Any], inputs: list[TensorType], outputs: list[TensorType], ms: float
) -> None:
    told = loop_ns(op, "", attributes, inputs, outputs) / 1e6
    assert ms / 3 < told < ms * 3


def test_nothing_is_told_of_other_element_types_and_of_own_operators() -> None:
    x, y = f32(256, 512), of("float64", 256, 512)
    assert loop_ns("Sigmoid", "", {}, [x], [x]) == 0
    assert loop_ns("MaxPool", "", {"kernel_shape": (3, 3)}, [x], [x]) == 0
    assert loop_ns("Relu", "", {}, [y], [y]) == 0
    assert loop_ns("Concat", "", {}, [x, x], [x]) == 0
    assert loop_ns("Resize", "", {"mode": "linear"}, [f32(1, 8, 4, 4)], [f32(1, 8, 8, 8)]) == 0
    assert loop_ns("Einsum", "", {"equation": "i,j->ij"}, [f32(8), f32(8)], [f32(8, 8)]) == 0
    assert loop_ns("Mod", "acme", {}, [x, x], [x]) == 0
    assert loop_ns("Einsum", "", {"equation": "ij,jk->ik"}, [f32(8, 8), f32(8, 8)], [f32(8, 8)]) == 0
    assert all(0 <= rule.evaluate({}, [], []) < 1e4 for rule in LOOPS.values())
    assert all(rule.evaluate({"axes": (9,), "axis": 9, "perm": (4, 4)}, [y], [y]) >= 0 for rule in LOOPS.values())


@pytest.mark.parametrize("op", ["Add", "Div", "Max", "Where", "Greater"])
def test_one_number_to_columns_is_broadcast_element_by_element(op: str) -> None:
    x, number = f32(1, 300, 400, 1), f32(1)
    inputs = [of("bool", 1, 300, 400, 1), x, number] if op == "Where" else [x, number]
    assert loop_ns(op, "", {}, inputs, [x]) / 1e6 == pytest.approx(1.6, rel=0.15)
    assert loop_ns(op, "", {}, inputs[::-1], [x]) == loop_ns(op, "", {}, inputs, [x])


@pytest.mark.parametrize(
    ("shape", "other", "slow"),
    [
        ((1, 172, 309, 1), (1,), True),
        ((1, 172, 309, 1), (), True),
        ((1, 172, 309, 1), (1, 1), False),
        ((1, 172, 309, 1), (1, 1, 1, 1), False),
        ((1, 172, 309), (1,), False),
        ((1, 172, 309), (), False),
        ((172, 309, 1, 1), (1, 1), True),
        ((1, 172, 309, 1), (309, 1), False),
        ((1, 1), (1,), False),
        ((0, 1), (1,), False),
    ],
)
def test_ranks_decide_whether_one_number_is_broadcast_element_by_element(
    shape: tuple[int, ...], other: tuple[int, ...], slow: bool
) -> None:
    assert is_by_element([f32(*shape), f32(*other)]) == slow


def test_loops_are_of_known_operators_and_no_longer_than_the_worst() -> None:
    assert LOOPS.keys() | BROADCASTING <= OPERATORS.keys()
    x, scores = f32(64, 1024), f32(1, 80, 1000)
    for name, operator in OPERATORS.items():
        if operator.worst_ns is not None and name in LOOPS:
            inputs = [f32(1, 1000, 4), scores] if name == "NonMaxSuppression" else [x]
            attributes = {"training": 1}
            usual = loop_ns(name, "", attributes, inputs, [x])
            assert 0 < usual <= worst_case_ns(name, "", attributes, inputs, [x])
