"""Files that are made to cost more than they should: each is refused, or read at the price of its size."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.api import load_model
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from tests.formats.making import encoded_varint, fault_of, model_of, relu_model, value

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]


def field(number: int, data: bytes) -> bytes:
    return encoded_varint(number << 3 | 2) + encoded_varint(len(data)) + data


def number(field_number: int, data: int) -> bytes:
    return encoded_varint(field_number << 3) + encoded_varint(data)


# --- Functions


def calling_functions(levels: int, calls: int, name: str = "") -> onnx.ModelProto:
    """Functions each of which calls the one before it `calls` times: `calls ** levels` operators."""
    functions = [helper.make_function("f", "F0", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"], name)], OPSETS)]
    for level in range(1, levels + 1):
        names = ["a", *(f"t{i}" for i in range(calls - 1)), "b"]
        nodes = [helper.make_node(f"F{level - 1}", [names[i]], [names[i + 1]], name, domain="f") for i in range(calls)]
        functions.append(helper.make_function("f", f"F{level}", ["a"], ["b"], nodes, OPSETS))
    call = helper.make_node(f"F{levels}", ["x"], ["y"], name, domain="f")
    return model_of([call], [value("x", [1, 8])], ["y"], functions=functions, domains=["f"])


def test_functions_that_call_functions_are_expanded() -> None:
    assert len(read_model(calling_functions(3, 10)).nodes) == 1000


@pytest.mark.parametrize(("levels", "calls"), [(30, 2), (10, 10), (2, 400)])
def test_functions_that_would_grow_exponentially_are_refused(levels: int, calls: int) -> None:
    assert "its functions expand to" in fault_of(calling_functions(levels, calls))


def test_names_that_would_grow_with_every_call_are_refused() -> None:
    message = fault_of(calling_functions(12, 3, name="n" * 30_000))
    assert "names of more than 64000000 characters" in message


def test_a_body_that_is_handed_to_a_function_counts_each_time() -> None:
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], [f"r{i}"]) for i in range(2000)], "big", [], [value("r1999", [1, 8])]
    )
    uses = []
    for i in range(100):
        use = helper.make_node("If", ["c"], [f"o{i}"])
        for branch in ("then_branch", "else_branch"):
            use.attribute.append(onnx.AttributeProto(name=branch, ref_attr_name="g", type=onnx.AttributeProto.GRAPH))
        uses.append(use)
    function = helper.make_function("f", "Many", ["c"], ["o99"], uses, OPSETS, attributes=["g"])
    call = helper.make_node("Many", ["c"], ["y"], "call", domain="f", g=body)
    model = model_of(
        [call], [value("c", [], TensorProto.BOOL), value("x", [1, 8])], ["y"], functions=[function], domains=["f"]
    )
    assert "expand to more than 100000 operators" in fault_of(model)


def test_a_function_that_calls_itself_is_refused() -> None:
    node = helper.make_node("F", ["a"], ["b"], domain="f")
    function = helper.make_function("f", "F", ["a"], ["b"], [node], OPSETS)
    model = model_of(
        [helper.make_node("F", ["x"], ["y"], domain="f")],
        [value("x", [1])],
        ["y"],
        functions=[function],
        domains=["f"],
    )
    assert "call each other in a circle" in fault_of(model)


def test_a_function_that_is_defined_twice_is_refused() -> None:
    model = calling_functions(1, 1)
    model.functions.append(model.functions[0])
    assert "the function 'F0' is defined twice" in fault_of(model)


# --- Nested graphs


def nested_ifs(depth: int, condition: str) -> onnx.ModelProto:
    """An `If` in the branch of an `If`, `depth` times, each with the same name for its result."""
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "b", [], [value("r", None)])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["r"])], "b", [], [value("r", None)])
    for _ in range(depth - 1):
        node = helper.make_node("If", [condition], ["r"], then_branch=graph, else_branch=other)
        graph = helper.make_graph([node], "b", [], [value("r", None)])
    node = helper.make_node("If", [condition], ["y"], then_branch=graph, else_branch=other)
    inputs = [value("x", [1, 8]), value("c", [], TensorProto.BOOL)]
    return model_of([node], inputs, ["y"], [numpy_helper.from_array(np.array(True), "known")])


@pytest.mark.parametrize(("condition", "left"), [("c", ["If"]), ("known", ["Relu"])])
def test_a_small_file_of_deeply_nested_branches_is_read(condition: str, left: list[str]) -> None:
    data = nested_ifs(31, condition).SerializeToString()
    assert len(data) < 4096
    assert [node.op_type for node in load_model(data).nodes] == left


def test_branches_nested_too_deep_are_refused() -> None:
    opset = helper.make_opsetid("", 17).SerializeToString()
    data = b""
    for tag in [*([6, 5, 1] * 400), 7]:  # AttributeProto.g, NodeProto.attribute, GraphProto.node
        data = field(tag, data)
    assert len(data) < 8192
    assert "graphs are nested more than 32 deep" in fault_of(data + field(8, opset))


def test_a_wide_tree_of_branches_is_read_once_each() -> None:
    def branch(level: int) -> onnx.GraphProto:
        name = f"r{level}"
        node = helper.make_node("Relu", ["x"], [name])
        if level:
            node = helper.make_node("If", ["c"], [name], then_branch=branch(level - 1), else_branch=branch(level - 1))
        return helper.make_graph([node], "b", [], [value(name, None)])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch(8), else_branch=branch(8))
    graph = load_model(model_of([node], [value("x", [1, 8]), value("c", [], TensorProto.BOOL)], ["y"]))
    assert len(graph.nodes) == 1
    assert graph.types["y"].shape == (1, 8)


def test_names_that_would_grow_with_every_branch_are_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], [f"r{i}"]) for i in range(3000)], "b", [], [value("r0", None)]
    )
    node = helper.make_node(
        "If", ["known"], ["y"], "n" * 30_000, then_branch=graph, else_branch=helper.make_graph([], "e", [], [])
    )
    model = model_of([node], [value("x", [1])], ["y"], [numpy_helper.from_array(np.array(True), "known")])
    with pytest.raises(ModelError, match="names of more than 64000000 characters"):
        load_model(model)


def test_branches_that_would_be_renamed_again_and_again_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = nested_ifs(20, "known")
    assert len(load_model(graph).nodes) == 1
    monkeypatch.setattr("nnmeter.binding.inference.MAX_EXPANDED_PARTS", 500)  # 20 levels of up to 20 graphs in a graph
    with pytest.raises(ModelError, match="would have to be renamed in more than 500 steps; simplify the model"):
        load_model(graph)


# --- Limits of what is read


def many_nodes() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], [f"y{i}"]) for i in range(12)], [value("x", [1])], ["y0"])


@pytest.mark.parametrize(
    ("limit", "most", "words"),
    [
        ("MAX_NODES", 11, "more than 11 nodes"),
        ("MAX_EDGES", 20, "more than 20 inputs, outputs and attributes"),
        ("MAX_GRAPH_BYTES", 150, "MiB without its weights"),
    ],
)
def test_a_graph_that_is_too_large_is_refused(
    limit: str, most: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = many_nodes().SerializeToString()
    assert len(read_model(data).nodes) == 12
    monkeypatch.setattr(f"nnmeter.formats.budget.{limit}", most)
    assert words in fault_of(data)


MANY_ATTRIBUTES = b"".join(field(5, field(1, f"a{i}".encode())) for i in range(100))


@pytest.mark.parametrize(
    ("limit", "most", "data", "words"),
    [
        ("MAX_GRAPH_BYTES", 40_000, field(7, field(11, b"") * 100), "MiB without its weights"),
        ("MAX_GRAPH_BYTES", 6_000, field(7, field(13, b"") * 100), "MiB without its weights"),
        ("MAX_GRAPH_BYTES", 40_000, field(7, field(1, field(5, field(10, number(2, 1)) * 100))), "without its weights"),
        ("MAX_EDGES", 99, field(25, field(4, b"a") * 100), "more than 99 inputs, outputs and attributes"),
        ("MAX_EDGES", 99, field(7, field(1, MANY_ATTRIBUTES)), "more than 99 inputs, outputs and"),
        ("MAX_EDGES", 99, field(7, field(1, field(1, b"a") * 100 + field(6, b"d" * 70_000))), "more than 99 inputs"),
        ("MAX_GRAPHS", 99, field(7, field(1, field(5, field(11, b"") * 100))), "more than 99 graphs in its operators"),
    ],
)
def test_what_takes_more_here_than_in_the_file_is_counted_as_what_it_takes(
    limit: str, most: int, data: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"nnmeter.formats.budget.{limit}", most)
    assert words in fault_of(data)


def test_the_inputs_of_a_wide_node_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.formats.budget.MAX_EDGES", 1000)
    made = []
    monkeypatch.setattr("nnmeter.formats.scan.Node", lambda *a: made.append(a))
    node = field(1, b"a") * 30_000
    assert "more than 1000 inputs" in fault_of(field(7, field(1, node)))
    assert made == []


def test_weights_do_not_count_as_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.formats.budget.MAX_GRAPH_BYTES", 2000)
    weight = numpy_helper.from_array(np.ones(100_000, np.float32), "w")
    constant = helper.make_node("Constant", [], ["k"], value=weight)
    nodes = [constant, helper.make_node("Add", ["w", "k"], ["y"])]
    assert len(read_model(model_of(nodes, [], ["y"], [weight]).SerializeToString()).nodes) == 1


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(relu_model().SerializeToString())
    monkeypatch.setattr("nnmeter.formats.onnx_reader.MAX_FILE_BYTES", 50)
    assert "keep its weights in other files" in fault_of(path)


@pytest.mark.parametrize("kind", ["v", "axes", "pads", "perm", "strides"])
def test_attributes_of_millions_of_elements_are_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.formats.budget.MAX_LISTED", 1000)
    model = model_of([helper.make_node("Relu", ["x"], ["y"], **{kind: [1] * 1001})], [value("x", [1])], ["y"])
    assert "attributes have more than 1000 elements" in fault_of(model.SerializeToString())


def test_an_attribute_with_more_axes_than_tensors_have_is_refused() -> None:
    model = model_of([helper.make_node("Unsqueeze", ["x"], ["y"], axes=[0] * 129)], [value("x", [1])], ["y"], opset=11)
    assert "'axes' has 129 elements, more than 128" in fault_of(model)


def test_too_many_operator_sets_are_refused() -> None:
    assert "more than 256 operator sets" in fault_of(relu_model(domains=[f"d{i}" for i in range(300)]))


@pytest.mark.parametrize("packed", [True, False])
def test_a_weight_of_endless_rank_is_refused(packed: bool) -> None:
    dims = field(1, bytes([1]) * 5000) if packed else number(1, 1) * 5000
    tensor = field(5, dims + number(2, 1) + field(8, b"w"))
    graph = field(1, helper.make_node("Relu", ["w"], ["y"]).SerializeToString()) + tensor
    graph += field(12, value("y", None).SerializeToString())
    data = field(7, graph) + field(8, OPSETS[0].SerializeToString())
    assert "more than 64 dimensions" in fault_of(data)


def test_a_tensor_stored_in_a_million_parts_is_no_million_parts() -> None:
    parts = b"\x25\x00\x00\x80\x3f" * 5000  # float_data, one by one
    tensor = field(5, number(1, 4) + number(2, 1) + field(8, b"w") + parts)
    graph = field(1, helper.make_node("Relu", ["w"], ["y"]).SerializeToString()) + tensor
    graph += field(12, value("y", None).SerializeToString())
    data = field(7, graph) + field(8, OPSETS[0].SerializeToString())
    assert "'w' stores 1025 elements" in fault_of(data)


def test_a_node_that_writes_nothing_is_refused() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["x"], [""], "silent")]
    assert "node 'silent' (Relu) writes no tensor" in fault_of(model_of(nodes, [value("x", [1])], ["y"]))


@pytest.mark.parametrize("version", [2**31, 2**62])
def test_an_absurd_version_of_another_domain_is_no_crash(version: int) -> None:
    """No runtime has such a set of ai.onnx.ml; of what others define, nobody knows the versions."""
    model = model_of(
        [helper.make_node("ArrayFeatureExtractor", ["x", "i"], ["y"], domain="ai.onnx.ml")],
        [value("x", [1, 8]), value("i", [2], TensorProto.INT64)],
        ["y"],
    )
    model.opset_import.append(onnx.OperatorSetIdProto(domain="com.microsoft", version=version))
    assert load_model(model.SerializeToString()).types["y"].shape == (1, 2)
    model.opset_import.append(onnx.OperatorSetIdProto(domain="ai.onnx.ml", version=version))
    assert f"operator set {version} of ai.onnx.ml is unknown" in fault_of(model)


def test_a_pipe_and_a_device_are_not_opened_for_reading(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "is no regular file" in fault_of(tmp_path / "pipe.onnx")
    assert "is no regular file" in fault_of("/dev/zero")
    assert "is no path" in fault_of("a\0b.onnx")


def test_a_long_name_does_not_hide_the_remedy() -> None:
    message = fault_of(model_of([helper.make_node("Relu", ["a" * 60_000], ["y"])], [value("x", [1])], ["y"]))
    assert "which nothing writes" in message
    assert message.endswith("export the model again")


# --- External data


def with_external(location: str) -> onnx.ModelProto:
    weight = TensorProto(name="w", data_type=1, dims=[8, 4], data_location=TensorProto.EXTERNAL)
    for key, text in (("location", location), ("offset", "0"), ("length", "128")):
        weight.external_data.add(key=key, value=text)
    return model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [value("x", [1, 8])], ["y"], [weight])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What this process opened since the last call; an audit hook sees what no monkeypatch could."""
    if not hasattr(sys, "nnmeter_opened"):
        sys.nnmeter_opened = []  # type: ignore[attr-defined]

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
                sys.nnmeter_opened.append(os.fsdecode(arguments[0]))  # type: ignore[attr-defined]

        sys.addaudithook(hook)

    def taken() -> list[str]:
        found = list(sys.nnmeter_opened)  # type: ignore[attr-defined]
        sys.nnmeter_opened.clear()  # type: ignore[attr-defined]
        return found

    taken()
    return taken


@pytest.mark.parametrize("kind", ["beside", "absolute", "above", "link", "missing", "pipe"])
def test_external_data_is_never_opened(kind: str, tmp_path: Path, opened: Callable[[], list[str]]) -> None:
    place = tmp_path / "model"
    place.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(128))
    (place / "beside.bin").write_bytes(bytes(128))
    (place / "link.bin").symlink_to(secret)
    os.mkfifo(place / "pipe.bin")  # to open it would wait for ever
    locations = {
        "beside": "beside.bin", "absolute": str(secret), "above": "../secret.bin", "link": "link.bin",
        "missing": "nowhere.bin", "pipe": "pipe.bin",
    }  # fmt: skip
    model = place / "model.onnx"
    model.write_bytes(with_external(locations[kind]).SerializeToString())
    load_model(model)  # whatever is imported for the first time is opened here
    opened()
    graph = load_model(model)
    assert graph.types["w"].shape == (8, 4)
    assert set(opened()) == {str(model)}


def test_reading_runs_and_writes_nothing(tmp_path: Path) -> None:
    events: list[str] = []
    active = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if active[0] and event.split(".")[0] in {"exec", "compile", "subprocess", "os", "socket", "pickle", "ctypes"}:
            events.append(event)

    path = tmp_path / "model.onnx"
    path.write_bytes(calling_functions(2, 3).SerializeToString())
    load_model(path)
    sys.addaudithook(hook)
    try:
        load_model(path)
    finally:
        active[0] = False
    assert events == []
    assert os.listdir(tmp_path) == ["model.onnx"]
