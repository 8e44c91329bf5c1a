"""Rules against brute force: what is said to be zero, constant or dead is so when the model runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nnmeter.formats import read_model
from nnmeter.sparsity.analysis import analyse
from nnmeter.sparsity.slices import Slices
from nnmeter.sparsity.weights import weigh

Nodes = list[onnx.NodeProto]
Weights = dict[str, np.ndarray]
make = helper.make_node
X = (2, 4, 6, 6)


class Case:
    """A model of one input and one output, its weights made for a seed, some of their slices zero."""

    def __init__(
        self, nodes: Nodes, shapes: dict[str, tuple[int, ...]], fixed: Weights, shape=X, seed: int = 0
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.weights = {name: self._weight(size) for name, size in shapes.items()} | fixed
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes, "g", [info("x", TensorProto.FLOAT, shape)], [info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )  # fmt: skip
        self.shape = shape
        self.nodes = nodes
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        read = read_model(self.model)
        self.known: Slices = analyse(read, weigh(self.weights, read.nodes))

    def _weight(self, shape: tuple[int, ...]) -> np.ndarray:
        """Random numbers above zero, so that nothing cancels, with some slices of zeros."""
        value = self.random.uniform(0.5, 1.5, shape).astype(np.float32)
        for axis, size in enumerate(shape):
            for index in range(size):
                if self.random.random() < (0.35 if len(shape) == 1 else 0.3 if axis < 2 else 0):
                    value[(slice(None),) * axis + (index,)] = 0
        return value

    def run(
        self, x: np.ndarray, override: dict[str, Callable[[np.ndarray], np.ndarray]] | None = None
    ) -> dict[str, Any]:
        """Every tensor; `override` changes one when it has been computed."""
        values: dict[str, Any] = {"x": x, **self.weights, "": None}
        for name in ("x", *self.weights):
            if override and name in override:
                values[name] = override[name](values[name])
        for node in self.nodes:
            found = ReferenceEvaluator(node).run(None, {n: values[n] for n in node.input if n})
            values.update(zip(node.output, found, strict=True))
            for name in node.output:
                if override and name in override:
                    values[name] = override[name](values[name])
        return values

    def data(self) -> np.ndarray:
        return self.random.uniform(0.5, 1.5, self.shape).astype(np.float32)


def conv(source: str, weight: str, result: str, bias: str = "", **attributes: Any) -> onnx.NodeProto:
    return make("Conv", [source, weight, bias] if bias else [source, weight], [result], **attributes)


ints = lambda *values: np.array(values, np.int64)  # noqa: E731

CASES: dict[str, tuple[Nodes, dict[str, tuple[int, ...]], Weights, tuple[int, ...]]] = {
    "two convolutions": (
        [conv("x", "v", "a", "b"), make("Relu", ["a"], ["r"]), conv("r", "w", "y")],
        {"v": (5, 4, 3, 3), "b": (5,), "w": (3, 5, 1, 1)}, {}, X),
    "constants through padding": (
        [conv("x", "v", "a", "b"), make("Sigmoid", ["a"], ["s"]), conv("s", "w", "y", pads=[1, 1, 1, 1])],
        {"v": (5, 4, 1, 1), "b": (5,), "w": (3, 5, 3, 3)}, {}, X),
    "constants without padding": (
        [conv("x", "v", "a", "b"), make("Sigmoid", ["a"], ["s"]), conv("s", "w", "y")],
        {"v": (5, 4, 1, 1), "b": (5,), "w": (3, 5, 3, 3)}, {}, X),
    "groups and depth": (
        [conv("x", "v", "a", group=2), conv("a", "d", "e", group=6, pads=[1, 1, 1, 1]), conv("e", "w", "y", group=3)],
        {"v": (6, 2, 1, 1), "d": (6, 1, 3, 3), "w": (6, 2, 1, 1)}, {}, X),
    "a residual sum": (
        [conv("x", "v", "a"), conv("x", "u", "c", "b"), make("Add", ["a", "c"], ["s"]), make("Relu", ["s"], ["r"]),
         conv("r", "w", "y")],
        {"v": (5, 4, 1, 1), "u": (5, 4, 1, 1), "b": (5,), "w": (3, 5, 1, 1)}, {}, X),
    "a gate": (
        [conv("x", "v", "a"), make("GlobalAveragePool", ["a"], ["p"]), conv("p", "u", "g"),
         make("Mul", ["a", "g"], ["m"]), conv("m", "w", "y")],
        {"v": (5, 4, 1, 1), "u": (5, 5, 1, 1), "w": (3, 5, 1, 1)}, {}, X),
    "normalization": (
        [conv("x", "v", "a"), make("BatchNormalization", ["a", "s", "o", "m", "q"], ["n"]), make("Relu", ["n"], ["r"]),
         conv("r", "w", "y", pads=[1, 1, 1, 1])],
        {"v": (5, 4, 1, 1), "s": (5,), "o": (5,), "m": (5,), "w": (3, 5, 3, 3)},
        {"q": np.ones(5, np.float32)}, X),
    "joined and split": (
        [conv("x", "v", "a"), conv("x", "u", "c"), make("Concat", ["a", "c", "a"], ["j"], axis=1),
         make("Split", ["j", "parts"], ["d", "e", "f"], axis=1), make("Mul", ["e", "e"], ["g"]), conv("g", "w", "y")],
        {"v": (5, 4, 1, 1), "u": (3, 4, 1, 1), "w": (3, 4, 1, 1)}, {"parts": ints(4, 4, 5)}, X),
    "a shuffle of channels": (
        [conv("x", "v", "a"), make("Reshape", ["a", "apart"], ["b"]),
         make("Transpose", ["b"], ["c"], perm=[0, 2, 1, 3, 4]), make("Reshape", ["c", "back"], ["d"]),
         conv("d", "w", "y")],
        {"v": (6, 4, 1, 1), "w": (3, 6, 1, 1)}, {"apart": ints(2, 2, 3, 6, 6), "back": ints(2, 6, 6, 6)}, X),
    "pools, a pad and a slice": (
        [conv("x", "v", "a"), make("MaxPool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
         make("AveragePool", ["b"], ["c"], kernel_shape=[2, 2]), make("Pad", ["c", "pads"], ["d"]),
         make("Slice", ["d", "from", "to", "axes"], ["e"]), conv("e", "w", "y")],
        {"v": (5, 4, 1, 1), "w": (3, 3, 1, 1)},
        {"pads": ints(0, 1, 0, 0, 0, 0, 0, 0), "from": ints(0), "to": ints(3), "axes": ints(1)}, X),
    "a perceptron": (
        [make("Flatten", ["x"], ["f"]), make("Gemm", ["f", "v", "b"], ["g"], transB=1), make("Tanh", ["g"], ["e"]),
         make("MatMul", ["e", "w"], ["h"]), make("Add", ["h", "c"], ["y"])],
        {"v": (8, 12), "b": (8,), "w": (8, 5), "c": (5,)}, {}, (3, 12)),
    "attention": (
        [make("MatMul", ["x", "q"], ["a"]), make("MatMul", ["x", "k"], ["b"]), make("MatMul", ["x", "v"], ["c"]),
         make("Transpose", ["b"], ["t"], perm=[0, 2, 1]), make("MatMul", ["a", "t"], ["s"]),
         make("Softmax", ["s"], ["p"], axis=-1), make("MatMul", ["p", "c"], ["o"]), make("MatMul", ["o", "w"], ["y"])],
        {"q": (6, 4), "k": (6, 4), "v": (6, 5), "w": (5, 3)}, {}, (2, 3, 6)),
    "heads": (
        [make("MatMul", ["x", "v"], ["a"]), make("Reshape", ["a", "heads"], ["b"]),
         make("Transpose", ["b"], ["c"], perm=[0, 2, 1, 3]), make("Reshape", ["c", "back"], ["d"]),
         make("ReduceSum", ["d", "axes"], ["y"], keepdims=0)],
        {"v": (6, 8)}, {"heads": ints(2, 3, 4, 2), "back": ints(8, 3, 2), "axes": ints(1)}, (2, 3, 6)),
    "layer normalization": (
        [make("MatMul", ["x", "v"], ["a"]), make("LayerNormalization", ["a", "s", "o"], ["n"]),
         make("MatMul", ["n", "w"], ["y"])],
        {"v": (6, 5), "s": (5,), "o": (5,), "w": (5, 3)}, {}, (2, 3, 6)),
    "transposed convolution": (
        [conv("x", "v", "a"), make("ConvTranspose", ["a", "u"], ["b"], strides=[2, 2]), conv("b", "w", "y")],
        {"v": (6, 4, 1, 1), "u": (6, 4, 2, 2), "w": (3, 4, 1, 1)}, {}, X),
    "a gate of what it gates": (
        [conv("x", "v", "a"), make("Relu", ["a"], ["r"]), make("Mul", ["r", "a"], ["m"]),
         make("Mul", ["a", "m"], ["n"]), make("GlobalAveragePool", ["n"], ["p"]), make("Mul", ["n", "p"], ["o"]),
         conv("o", "w", "y")],
        {"v": (5, 4, 1, 1), "w": (3, 5, 1, 1)}, {}, X),
    "gathered and quantized": (
        [conv("x", "v", "a"), make("Gather", ["a", "chosen"], ["b"], axis=1),
         make("QuantizeLinear", ["b", "scale", "zero"], ["c"]), make("DequantizeLinear", ["c", "scale", "zero"], ["d"]),
         make("Clip", ["d", "low", "high"], ["e"]), conv("e", "w", "y")],
        {"v": (5, 4, 1, 1), "w": (3, 3, 1, 1)},
        {"chosen": ints(4, 0, 2), "scale": np.array(0.05, np.float32), "zero": np.array(0, np.int8),
         "low": np.array(-1, np.float32), "high": np.array(6, np.float32)}, X),
}  # fmt: skip

SEEDS = range(5)


def slices_of(value: np.ndarray, axis: int, mask: np.ndarray) -> np.ndarray:
    return np.compress(mask, value, axis=axis)


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_is_so(name: str) -> None:
    nodes, shapes, fixed, shape = CASES[name]
    said = {"zero": 0, "constant": 0, "dead": 0}
    for seed in SEEDS:
        case = Case(nodes, shapes, fixed, shape, seed)
        known = case.known
        first_x = case.data()
        first, second = case.run(first_x), case.run(case.data())
        for (tensor, axis), mask in known.zero.items():
            assert not slices_of(first[tensor], axis, mask).any(), (tensor, axis, mask)
            said["zero"] += int(mask.sum()) * (tensor not in case.weights)
        for (tensor, axis), mask in known.constant.items():
            for index in np.flatnonzero(mask):
                values = np.stack([np.take(run[tensor], index, axis) for run in (first, second)])
                np.testing.assert_allclose(values, values.ravel()[0], rtol=1e-5, err_msg=f"{tensor} {axis} {index}")
            said["constant"] += int(mask.sum()) * (tensor not in case.weights)
        for (tensor, axis), mask in known.dead.items():
            if tensor in case.weights and case.weights[tensor].dtype == np.int64:
                continue

            def other(value: np.ndarray, axis: int = axis, mask: np.ndarray = mask) -> np.ndarray:
                changed = value.copy()
                changed[(slice(None),) * axis + (mask,)] += np.array(1, value.dtype)
                return changed

            after = case.run(first_x, {tensor: other})
            np.testing.assert_allclose(after["y"], first["y"], rtol=1e-5, atol=1e-6, err_msg=f"{tensor} {axis}")
            said["dead"] += int(mask.sum()) * (tensor not in case.weights)
    assert sum(said.values()) > 0, "nothing was said, so nothing was tested"


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_is_so_is_said_of_two_convolutions(seed: int) -> None:
    """Of numbers above zero nothing cancels: the rules miss no channel that brute force finds."""
    nodes, shapes, fixed, shape = CASES["two convolutions"]
    case = Case(nodes, shapes, fixed, shape, seed)
    x = case.data()
    values = case.run(x)
    for tensor in ("a", "r"):
        found = ~values[tensor].any(axis=(0, 2, 3))
        assert (case.known.zeros(tensor, 1) == found).all()
    needed = []
    for channel in range(5):

        def other(value: np.ndarray, channel: int = channel) -> np.ndarray:
            changed = value.copy()
            changed[:, channel] += 1
            return changed

        needed.append(not np.array_equal(case.run(x, {"r": other})["y"], values["y"]))
    assert (case.known.unread("r", 1) == ~np.array(needed)).all()
