"""The model without its zeros computes the same, by brute force, and is as small as it can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnmeter.formats import read_model
from nnmeter.graph.unbound import UnboundModel
from nnmeter.sparsity.analysis import analyse
from nnmeter.sparsity.removal import Removed, _Needed, remove_slices
from nnmeter.sparsity.slices import Axis, Mask
from nnmeter.sparsity.weights import weigh
from nnmeter.transforms.channels.resizing import DependencyGraph
from nnmeter.transforms.channels.rules import Shapes
from nnmeter.transforms.draft import Draft
from tests.sparsity.test_rules import CASES, SEEDS, Case


def kept(case: Case, model: UnboundModel) -> dict[Axis, Mask]:
    graph = DependencyGraph(model)
    needed = _Needed(graph, case.known, Shapes(Draft(model)))
    needed.spread()
    return needed.masks


def without(value: np.ndarray, name: str, masks: dict[Axis, Mask]) -> np.ndarray:
    for axis in range(value.ndim):
        mask = masks.get((name, axis))
        if mask is not None:
            value = np.compress(mask, value, axis)
    return value


def run_smaller(case: Case, smaller: UnboundModel, masks: dict[Axis, Mask], x: np.ndarray) -> Any:
    """What the smaller model gives, its weights cut as the masks say, with what constants add put into biases."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    values: dict[str, Any] = {"x": x, "": None}
    whole = case.run(x)
    for name, kind in smaller.constants.items():
        stored = smaller.values.get(name)
        values[name] = without(case.weights[name], name, masks) if name in case.weights else stored
        if stored is not None and name not in case.weights:
            values[name] = stored
        assert values[name].shape == kind.shape
    for node in smaller.nodes:
        proto = onnx.helper.make_node(node.op_type, list(node.inputs), list(node.outputs), **node.attributes)
        found = ReferenceEvaluator(proto).run(None, {n: values[n] for n in node.inputs if n})
        if node.op_type in ("Conv", "Gemm"):
            found[0] = found[0] + folded(case, node, whole, masks)
        values.update(zip(node.outputs, found, strict=True))
    return values["y"]


def folded(case: Case, node: Any, whole: dict[str, Any], masks: dict[Axis, Mask]) -> Any:
    """What channels that were constant and went add to each output: this is what goes into its bias."""
    data, weight = node.inputs[:2]
    mask = masks.get((data, 1))
    if mask is None or mask.all() or node.attributes.get("group", 1) > 1 or data not in whole:
        return 0
    gone = np.flatnonzero(~mask & case.known.constants(data, 1))
    matrix = without(case.weights[weight], weight, {k: v for k, v in masks.items() if k[1] == 0})
    if node.op_type == "Gemm":
        return whole[data][:1, gone] @ matrix[:, gone].T
    constant = np.take(whole[data], gone, 1)[0, :, 0, 0]
    return np.einsum("oikl,i->o", matrix[:, gone], constant)[None, :, None, None]


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("a perceptron", "heads")])
def test_the_smaller_model_computes_the_same(name: str) -> None:
    nodes, shapes, fixed, shape = CASES[name]
    for seed in SEEDS:
        case = Case(nodes, shapes, fixed, shape, seed)
        model = read_model(case.model)
        smaller, removed = remove_slices(model, case.known)
        if smaller is None:
            continue
        assert removed
        x = case.data()
        expected = case.run(x)["y"]
        np.testing.assert_allclose(run_smaller(case, smaller, kept(case, model), x), expected, rtol=1e-4, atol=1e-5)


def chain(zero_rows: list[int], zero_columns: list[int], bias: float = 0.0) -> tuple[Case, UnboundModel]:
    nodes, shapes, fixed, shape = CASES["two convolutions"]
    case = Case(nodes, shapes, fixed, shape)
    case.weights = {
        "v": np.ones((5, 4, 3, 3), np.float32),
        "b": np.full(5, bias, np.float32),
        "w": np.ones((3, 5, 1, 1), np.float32),
    }
    case.weights["v"][zero_rows] = 0
    case.weights["w"][:, zero_columns] = 0
    model = read_model(case.model)
    case.known = analyse(model, weigh(case.weights, model.nodes))
    return case, model


@pytest.mark.parametrize(
    ("rows", "columns", "bias", "gone"),
    [
        ([1, 3], [], 0.0, 2),  # zero channels
        ([], [0, 4], 1.0, 2),  # channels that nothing reads
        ([1], [4], 0.0, 2),
        ([1], [1], 0.0, 1),
        ([2], [], 1.0, 1),  # a constant channel, which goes into the bias of what reads it
        ([0, 1, 2, 3, 4], [], 0.0, 4),  # one stays
    ],
)
def test_channels_that_go(rows: list[int], columns: list[int], bias: float, gone: int) -> None:
    case, model = chain(rows, columns, bias)
    smaller, removed = remove_slices(model, case.known)
    assert smaller is not None
    assert removed[0].channels == gone
    assert removed[0].of == 5
    assert smaller.constants["v"].shape == (5 - gone, 4, 3, 3)
    assert smaller.constants["w"].shape == (3, 5 - gone, 1, 1)


def test_nothing_goes_where_nothing_is_zero() -> None:
    case, model = chain([], [])
    assert remove_slices(model, case.known) == (None, ())


def test_a_residual_sum_keeps_what_one_side_needs() -> None:
    nodes, shapes, fixed, shape = CASES["a residual sum"]
    case = Case(nodes, shapes, fixed, shape)
    ones = {name: np.ones(size, np.float32) for name, size in shapes.items()}
    ones["v"][[0, 1, 2]], ones["u"][[1, 2, 4]], ones["b"][:] = 0, 0, 0
    model = read_model(case.model)
    known = analyse(model, weigh(ones, model.nodes))
    _, removed = remove_slices(model, known)
    names = [node.name for node in model.nodes if node.op_type == "Conv"]
    assert removed == (Removed(names[0], 2, 5), Removed(names[1], 2, 5))
