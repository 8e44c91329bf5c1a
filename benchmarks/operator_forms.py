"""More forms of operators that training did not have, and loops of a model, for `benchmarks/fallback_operators.py`.

Most were not seen while the rules of `nnmeter/operators/loops.py` were made; they are other sizes and attributes of the
same kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from fallback_operators import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT8,
    INT32,
    INT64,
    WORDS,
    Input,
    Maker,
    below,
    boxes,
    einsum,
    form,
    one,
    regions,
    selection,
    sums,
    uniform,
)
from onnx import helper

_RNG = np.random.default_rng(1)
_MS, _ML = "com.microsoft", "ai.onnx.ml"
_Form = tuple[onnx.ModelProto, dict[str, Input]]
_NO_ROI = np.array([], "f4")


def _value(name: str, dtype: int, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def _chain(count: int) -> list[onnx.NodeProto]:
    return [helper.make_node("Tanh", [f"t{i}"], [f"t{i + 1}"]) for i in range(count)]


def scan(steps: int, width: int, count: int) -> _Form:
    """A Scan whose steps add a row to the state and take so many Tanh of it."""
    last = f"t{count}"
    nodes = [helper.make_node("Add", ["s", "x"], ["t0"]), *_chain(count), helper.make_node("Identity", [last], ["y"])]
    rows = [_value("s", FLOAT, (width,)), _value("x", FLOAT, (width,))]
    body = helper.make_graph(nodes, "body", rows, [_value(last, FLOAT, (width,)), _value("y", FLOAT, (width,))])
    return form("Scan", Input((width,)), Input((steps, width)), outputs=2, opset=16, body=body, num_scan_inputs=1)


def loop(steps: int, width: int, count: int) -> _Form:
    """A Loop whose steps double the state and take so many Tanh of it."""
    nodes = [helper.make_node("Identity", ["c"], ["go"]), helper.make_node("Add", ["s", "s"], ["t0"]), *_chain(count)]
    given = [_value("i", INT64, ()), _value("c", BOOL, ()), _value("s", FLOAT, (width,))]
    body = helper.make_graph(nodes, "body", given, [_value("go", BOOL, ()), _value(f"t{count}", FLOAT, (width,))])
    return form("Loop", np.array(steps), np.array(True), Input((width,)), opset=16, body=body)


def trees(count: int, depth: int, rows: int, columns: int) -> _Form:
    """A forest of whole trees."""
    total, inner = 2 ** (depth + 1) - 1, 2**depth - 1
    nodes = [(tree, node) for tree in range(count) for node in range(total)]
    leaves = [(tree, node) for tree, node in nodes if node >= inner]
    return form(
        "TreeEnsembleRegressor", Input((rows, columns)), domain=_ML, n_targets=1,
        nodes_treeids=[tree for tree, _ in nodes], nodes_nodeids=[node for _, node in nodes],
        nodes_featureids=[int(f) for f in _RNG.integers(columns, size=len(nodes))],
        nodes_values=[float(v) for v in _RNG.standard_normal(len(nodes))],
        nodes_modes=["LEAF" if node >= inner else "BRANCH_LEQ" for _, node in nodes],
        nodes_truenodeids=[0 if node >= inner else 2 * node + 1 for _, node in nodes],
        nodes_falsenodeids=[0 if node >= inner else 2 * node + 2 for _, node in nodes],
        target_treeids=[tree for tree, _ in leaves], target_nodeids=[node for _, node in leaves],
        target_ids=[0] * len(leaves), target_weights=[0.1] * len(leaves),
    )  # fmt: skip


def scattered(rows: int, width: int, count: int, reduction: str) -> _Form:
    """A ScatterND of whole rows."""
    given = Input((rows, width)), Input((count, 1), INT64, below(rows)), Input((count, width))
    return form("ScatterND", *given, reduction=reduction)


def placed(rows: int, width: int, count: int, reduction: str) -> _Form:
    """A ScatterElements along the first axis."""
    given = Input((rows, width)), Input((count, width), INT64, below(rows)), Input((count, width))
    return form("ScatterElements", *given, axis=0, reduction=reduction)


def one_hot(shape: tuple[int, ...], depth: int, axis: int = -1) -> _Form:
    """A OneHot of float32."""
    return form("OneHot", Input(shape, INT64, below(depth)), np.array(depth), np.array([0, 1], "f4"), axis=axis)


def taken(shape: tuple[int, ...], count: int, axis: int, dtype: int = FLOAT) -> _Form:
    """A Gather of so many."""
    return form("Gather", Input(shape, dtype), Input((count,), INT64, below(shape[axis])), axis=axis)


def reduced(op: str, shape: tuple[int, ...], axis: int, dtype: int = FLOAT, made: Maker | None = None) -> _Form:
    """A reduction along one axis."""
    return form(op, Input(shape, dtype, made), np.array([axis]))


def aligned(count: int, size: int, sampling: int) -> _Form:
    """A RoiAlign of regions of a picture of 50 x 50."""
    given = Input((1, 24, 50, 50)), Input((count, 4), FLOAT, lambda shape: boxes(shape) / 8), np.zeros(count, "i8")
    return form("RoiAlign", *given, output_height=size, output_width=size, sampling_ratio=sampling)


def resized(shape: tuple[int, ...], scale: float, **attributes: Any) -> _Form:
    """A Resize of the axes of space."""
    scales = np.array([1, 1] + [scale] * (len(shape) - 2), "f4")
    return form("Resize", Input(shape), _NO_ROI, scales, **attributes)


def largest(shape: tuple[int, ...], count: int, dtype: int, axis: int = -1) -> _Form:
    """A TopK."""
    return form("TopK", Input(shape, dtype, below(10000)), np.array([count]), outputs=2, axis=axis)


def pair(op: str, shape: tuple[int, ...], dtype: int = FLOAT, made: Maker | None = None) -> _Form:
    """An operator of two inputs of one shape."""
    return form(op, Input(shape, dtype, made), Input(shape, dtype, made))


def likely(share: float) -> Maker:
    """Numbers of which this share is not zero."""
    return lambda shape: _RNG.random(shape) < share


MORE_FORMS: dict[str, Callable[[], _Form]] = {
    "a scan of 64 steps of 512": lambda: scan(64, 512, 2),
    "a scan of 300 steps of 8": lambda: scan(300, 8, 6),
    "a loop of 1000 steps of 32": lambda: loop(1000, 32, 2),
    "a loop of 10 steps of 65536": lambda: loop(10, 65536, 1),
    "one of 50": lambda: one_hot((2048,), 50),
    "one of 100 along an outer axis": lambda: one_hot((32, 256), 100, 1),
    "rows written": lambda: scattered(8192, 32, 500, "none"),
    "rows of which the largest stays": lambda: scattered(2048, 128, 2000, "max"),
    "rows multiplied": lambda: scattered(256, 256, 100, "mul"),
    "elements of which the largest stays": lambda: placed(256, 128, 1000, "max"),
    "elements added": lambda: placed(1024, 64, 512, "add"),
    "elements gathered": lambda: form("GatherElements", Input((200, 500)), Input((200, 700), INT64, below(500)),
                                      axis=1),
    "columns gathered": lambda: taken((300, 400), 150, 1, INT32),
    "parts gathered": lambda: form("GatherND", Input((64, 64, 16), INT64), Input((1000, 2), INT64, below(64))),
    "words gathered": lambda: taken((500,), 3000, 0, WORDS),
    "words sliced": lambda: form("Slice", Input((3000,), WORDS), np.array([100]), np.array([2500])),
    "words of numbers": lambda: one("Cast", (700,), to=WORDS),
    "words of integers": lambda: one("Cast", (3000,), INT64, to=WORDS),
    "half precision of int32": lambda: one("Cast", (200, 300), INT32, to=onnx.TensorProto.FLOAT16),
    "a choice of int8": lambda: form("Where", Input((500, 300), BOOL), *[Input((500, 300), INT8)] * 2),
    "quotients of int64": lambda: pair("Div", (70, 900), INT64),
    "powers of each": lambda: pair("Pow", (200, 400), FLOAT, uniform),
    **{op: (lambda op=op: one(op, (50, 1400), FLOAT, lambda shape: uniform(shape) * 0.9))  # type: ignore[misc]
       for op in ("Sinh", "Cosh", "Tan", "Atanh", "Asin", "Selu", "Shrink", "Sign")},
    "products along an outer axis": lambda: reduced("ReduceProd", (400, 256), 0),
    "sums of int64 along rows": lambda: reduced("ReduceSum", (32, 50, 20), 2, INT64),
    "logarithms of sums": lambda: reduced("ReduceLogSumExp", (8, 1000, 30), 2),
    "squares of float64": lambda: reduced("ReduceSumSquare", (128, 700), 1, DOUBLE),
    "least of int32": lambda: reduced("ReduceMin", (20, 30, 200), 1, INT32),
    "the place of the least": lambda: one("ArgMin", (8, 100, 64), axis=1),
    "products so far": lambda: form("CumProd", Input((60, 800), DOUBLE), np.array(1), opset=26),
    "sums of int64 so far": lambda: sums((300, 700), 1, INT64),
    "pools of norms": lambda: one("LpPool", (2, 8, 40, 40), kernel_shape=[5, 5], strides=[2, 2], p=1),
    "norms of maps": lambda: one("GlobalLpPool", (4, 32, 15, 15), p=3),
    "norms along an outer axis": lambda: one("LpNormalization", (16, 64, 80), axis=1, p=1),
    "regions of 14 x 14": lambda: aligned(20, 14, 2),
    "regions with adaptive sampling": lambda: aligned(40, 5, 0),
    "samples, nearest": lambda: form("GridSample", Input((2, 16, 50, 50)), Input((2, 30, 80, 2), FLOAT, uniform),
                                     opset=16, mode="nearest"),
    "samples, cubic": lambda: form("GridSample", Input((1, 4, 100, 100)), Input((1, 50, 50, 2), FLOAT, uniform),
                                   opset=16, mode="bicubic", padding_mode="border"),
    "more regions": lambda: form("MaxRoiPool", Input((1, 16, 80, 80)), Input((100, 5), FLOAT, regions),
                                 pooled_shape=[5, 5]),
    "einsum of 1000 rows": lambda: einsum("bn,bn->b", (1000, 100), (1000, 100)),
    "einsum of heads": lambda: einsum("bqhd,bkhd->bhqk", (2, 64, 4, 32), (2, 64, 4, 32)),
    "einsum of outer products": lambda: einsum("bi,bj->bij", (64, 100), (64, 100)),
    "einsum that turns a picture": lambda: einsum("chw->hwc", (3, 100, 100)),
    "determinants of 3 x 3": lambda: one("Det", (3000, 3, 3)),
    "a determinant of 200 x 200": lambda: one("Det", (1, 200, 200)),
    "inverses of 100 x 100": lambda: one("Inverse", (2, 100, 100), domain=_MS),
    "5 of 2000": lambda: largest((30, 2000), 5, INT64),
    "20 of 500 along an outer axis": lambda: largest((500, 40), 20, INT32, 0),
    "unique of 10,000, all different": lambda: one("Unique", (10000,)),
    "unique of 50,000, ten different": lambda: one("Unique", (50000,), INT64, below(10)),
    "a tenth not zero": lambda: one("NonZero", (100, 1000), FLOAT, likely(0.1)),
    "none zero": lambda: one("NonZero", (40000,), INT64),
    "selection of 20 x 1000 boxes": lambda: selection(20, 1000, 50),
    "selection of 5 x 3000 boxes": lambda: selection(5, 3000, 100, 0.3),
    "a matrix of float64 turned": lambda: one("Transpose", (300, 256), DOUBLE),
    "matrices of int64 turned": lambda: one("Transpose", (32, 64, 64), INT64, perm=[2, 0, 1]),
    "every third": lambda: form("Slice", Input((300, 300), INT64), np.array([0]), np.array([300]), np.array([1]),
                                np.array([3])),
    "a product of int64": lambda: form("MatMul", Input((50, 200), INT64), Input((200, 30), INT64)),
    "a product of int8": lambda: form("MatMulInteger", Input((16, 512), INT8), np.ones((512, 128), "i1")),
    "a volume resized": lambda: resized((1, 4, 10, 20, 20), 2, mode="linear"),
    "a volume resized, nearest": lambda: resized((1, 6, 12, 14, 16), 2, mode="nearest"),
    "a picture made small": lambda: resized((1, 3, 224, 224), 0.25, mode="linear", antialias=1),
    "10 trees of 1024 leaves": lambda: trees(10, 10, 500, 50),
    "80 trees of 128 leaves": lambda: trees(80, 7, 100, 40),
    "classes of words": lambda: one("LabelEncoder", (600,), WORDS, keys_strings=[f"v{i}" for i in range(50)],
                                    values_int64s=list(range(50)), domain=_ML),
    "hashes of words": lambda: one("MurmurHash3", (5000,), WORDS, domain=_MS),
    "a transform of 300": lambda: one("DFT", (8, 300, 1), opset=17, axis=1),
    "sums of int32": lambda: pair("Add", (50, 700), INT32),
}  # fmt: skip
