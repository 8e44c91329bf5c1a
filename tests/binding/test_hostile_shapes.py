"""Shapes and values that would fill the memory if they were made: they are only counted, or refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.api import load_model
from nnmeter.binding.layers import Layer
from nnmeter.errors import ModelError
from tests.formats.making import model_of, value

INT = TensorProto.INT64


def stored(**values: object) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.array(v), name) for name, v in values.items()]


def refused(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(model)
    return str(caught.value)


def test_a_rank_that_doubles_with_every_operator_is_refused() -> None:
    nodes = [helper.make_node("Gather", [f"t{i}", f"t{i}"], [f"t{i + 1}"]) for i in range(40)]
    assert "65 dimensions, more than 64" in refused(model_of(nodes, [value("t0", [1, 1], INT)], ["t40"]))


def test_a_reshape_to_a_thousand_dimensions_is_refused() -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    assert "1024 dimensions" in refused(model_of([node], [value("x", [1])], ["y"], stored(shape=[1] * 1024)))


@pytest.mark.parametrize("sizes", [[2**40, 2**20], [2**62], [1] * 60])
def test_a_huge_constant_is_a_type_and_no_value(sizes: list[int]) -> None:
    node = helper.make_node("ConstantOfShape", ["s"], ["y"])
    graph = load_model(model_of([node], [], ["y"], stored(s=sizes)))
    assert graph.types["y"].shape == tuple(sizes)


@pytest.mark.parametrize("sizes", [[2**40, 2**40], [2**63 - 1, 2], [-1], [2**62, 0, 2**62, 4]])
def test_impossible_sizes(sizes: list[int]) -> None:
    node = helper.make_node("ConstantOfShape", ["s"], ["y"])
    if 0 in sizes:  # nothing of such sizes is something that can be
        assert load_model(model_of([node], [], ["y"], stored(s=sizes))).types["y"].elements == 0
    else:
        assert "impossible shape" in refused(model_of([node], [], ["y"], stored(s=sizes)))


def test_an_empty_tensor_of_a_size_beyond_64_bits_is_refused() -> None:
    nodes = [helper.make_node("Concat", ["q", "q"], ["r"], axis=1), helper.make_node("Shape", ["r"], ["y"])]
    assert "impossible shape" in refused(model_of(nodes, [value("q", [0, 2**62])], ["y"]))


def test_an_empty_tensor_that_is_expanded_is_not_made() -> None:
    nodes = [helper.make_node("ConstantOfShape", ["none"], ["e"]), helper.make_node("Expand", ["e", "s"], ["y"])]
    graph = load_model(model_of(nodes, [], ["y"], stored(none=[0], s=[2**40, 1])))
    assert graph.types["y"].shape == (2**40, 0)
    assert "y" not in graph.values


@pytest.mark.parametrize(
    ("op_type", "inputs", "constants"),
    [
        ("Tile", ["s", "s"], {"s": [2**62]}),
        ("Range", ["a", "b", "c"], {"a": 0, "b": 2**62, "c": 1}),
        ("Expand", ["a", "s"], {"a": 1, "s": [2**20, 2**20]}),
    ],
)
def test_huge_results_of_known_values_stay_unknown(op_type: str, inputs: list[str], constants: dict) -> None:
    graph = load_model(model_of([helper.make_node(op_type, inputs, ["y"])], [], ["y"], stored(**constants)))
    assert graph.types["y"].elements >= 2**40
    assert "y" not in graph.values


def test_a_graph_in_the_place_of_a_number_is_refused() -> None:
    body = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "b", [], [value("r", None)])
    node = helper.make_node("MaxPool", ["x"], ["y"])
    node.attribute.append(helper.make_attribute("kernel_shape", body))
    assert "attribute kernel_shape is" in refused(model_of([node], [value("x", [1, 2])], ["y"]))


def test_attributes_of_shape_operators_that_are_no_numbers_are_refused() -> None:
    node = helper.make_node("Shape", ["x"], ["y"], start="first")
    assert "attribute start is 'first', not a whole number" in refused(model_of([node], [value("x", [1, 2])], ["y"]))


@pytest.mark.parametrize("count", [2, 0, -1, 2**40])
def test_a_scan_of_inputs_that_are_not_there_is_refused(count: int) -> None:
    body = helper.make_graph([helper.make_node("Relu", ["q"], ["r"])], "b", [value("q", None)], [value("r", None)])
    node = helper.make_node("Scan", ["x"], ["y"], num_scan_inputs=count, body=body)
    assert f"it scans {count} of 1 inputs" in refused(model_of([node], [value("x", [1, 8])], ["y"]))


def loops(depth: int, trips: int) -> onnx.ModelProto:
    infos = [value("i", [], INT), value("ok", [], TensorProto.BOOL), value("v", None)]
    results = [value("ok2", [], TensorProto.BOOL), value("w", None)]
    same = helper.make_node("Identity", ["ok"], ["ok2"])
    node = helper.make_node("Relu", ["v"], ["w"])
    for _ in range(depth):
        node = helper.make_node(
            "Loop", ["T", "", "v"], ["w"], body=helper.make_graph([node, same], "b", infos, results)
        )
    node.input[2], node.output[0] = "x", "y"
    return model_of([node], [value("x", [1, 8])], ["y"], stored(T=trips))


def test_repetitions_of_repetitions_beyond_all_numbers_are_refused() -> None:
    assert load_model(loops(3, 100)).types["y"].shape == (1, 8)
    assert "its repetitions come to more than 1e+30" in refused(loops(12, 2**62))


def test_sequences_of_millions_of_tensors_are_refused() -> None:
    node = helper.make_node("SplitToSequence", ["x"], ["y"], axis=1)
    assert "1000000 tensors, more than 10000" in refused(model_of([node], [value("x", [1, 10**6])], ["y"]))


def test_sequences_that_grow_by_one_are_refused_before_they_are_quadratic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.operators.shape_rules.sequences.MAX_SEQUENCES", 1000)
    nodes = [helper.make_node("SequenceConstruct", ["x"], ["q0"])]
    nodes += [helper.make_node("SequenceInsert", [f"q{i}", "x"], [f"q{i + 1}"]) for i in range(60)]
    nodes.append(helper.make_node("ConcatFromSequence", ["q60"], ["y"], axis=0))
    assert "more than 1000 tensors in all" in refused(model_of(nodes, [value("x", [1, 8])], ["y"]))


def test_each_type_that_the_file_declares_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    from nnmeter.formats import build

    scan = build.scan_declared
    monkeypatch.setattr(build, "scan_declared", lambda *a: calls.append(1) or scan(*a))
    nodes = [helper.make_node("Own", [f"t{i}"], [f"t{i + 1}"], domain="own") for i in range(20)]
    nodes.append(helper.make_node("Relu", ["t20"], ["y"]))
    model = model_of(nodes, [value("t0", [1, 8])], ["y"], domains=["own"])
    model.graph.value_info.extend(value(f"t{i + 1}", [1, 8]) for i in range(20))
    assert load_model(model).types["t20"].shape == (1, 8)
    assert len(calls) == 1


def test_a_layer_shows_its_own_entries_before_those_around_it() -> None:
    outer = Layer({"a": 1, "b": 2}, {"c": 3})
    inner = Layer({"a": 10, "b": None}, outer)
    assert (inner["a"], inner["c"], inner.get("b"), inner.get("d", 7)) == (10, 3, None, 7)
    assert "a" in inner
    assert "c" in inner
    assert "b" not in inner
    assert "d" not in inner
    with pytest.raises(KeyError):
        inner["d"]
    inner["c"] = 30
    assert (inner["c"], outer["c"]) == (30, 3)


def test_a_branch_may_name_its_result_like_the_operator_around_it() -> None:
    then = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "t", [], [value("y", None)])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "e", [], [value("y", None)])
    node = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    graph = load_model(model_of([node], [value("c", [], TensorProto.BOOL), value("x", [3])], ["y"]))
    assert graph.types["y"].shape == (3,)
