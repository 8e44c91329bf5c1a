"""What the reader refuses, each in one line, and that nothing else happens with damaged bytes."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import NEWEST_OPSET, OLDEST_OPSET, read_model
from nnmeter.formats.wire import WireError, fields, varint
from nnmeter.graph.input_sizes import InputSizes
from tests.conftest import ZOO, make_small_model
from tests.formats.making import encoded_varint, fault_of, model_of, relu_model, two_level_functions, value

# --- Bad input


def test_not_a_file_a_directory_and_an_empty_file(tmp_path: Path) -> None:
    assert "no such file" in fault_of(tmp_path / "none.onnx")
    assert "is a directory" in fault_of(tmp_path)
    (tmp_path / "empty.onnx").touch()
    message = fault_of(tmp_path / "empty.onnx")
    assert message.startswith(str(tmp_path / "empty.onnx"))
    assert "is empty" in message
    assert "is empty" in fault_of(b"")


# Not st.floats: it refuses to work in a process in which denormal numbers count as zero, as they do behind a runtime.
SHARES = st.integers(0, 10_000).map(lambda number: number / 10_000)


@pytest.mark.parametrize(
    "data",
    [b"no model at all, just text\n" * 40, bytes(4096), b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b"\x08\x08", b"{}"],
    ids=["text", "zeros", "image", "no graph", "json"],
)
def test_other_files_are_refused(data: bytes) -> None:
    fault_of(data)


def test_every_truncation_of_a_model_is_refused_or_a_smaller_model() -> None:
    data = make_small_model().SerializeToString()
    for length in (*range(0, 200), *range(200, len(data) - 1, 997)):
        with pytest.raises(ModelError):
            read_model(data[:length])


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (onnx.AttributeProto.UNDEFINED, "has a value without a kind"),
        (onnx.AttributeProto.FLOATS, "has a value of another kind than it states"),
        (onnx.AttributeProto.TENSOR, "has a value of another kind than it states"),
        (onnx.AttributeProto.INTS, ""),
    ],
)
def test_an_attribute_is_of_the_kind_that_it_states(kind: int, said: str, as_bytes: bool) -> None:
    model = make_small_model()
    (attribute,) = model.graph.node[0].attribute
    attribute.type = kind  # type: ignore[assignment]
    source = model.SerializeToString() if as_bytes else model
    if said:
        assert f"the attribute 'pads' {said}" in fault_of(source)
    else:
        read_model(source)


@pytest.mark.parametrize("version", [OLDEST_OPSET - 1, NEWEST_OPSET + 1, 9999, -5, 0])
def test_an_unknown_opset_is_refused(version: int) -> None:
    message = fault_of(relu_model(opset=version))
    assert f"operator set {version}" in message
    assert str(NEWEST_OPSET) in message


@pytest.mark.parametrize("version", [6, 1 << 62, -1])
def test_an_unknown_set_of_machine_learning_operators_is_refused(version: int) -> None:
    model = relu_model()
    model.opset_import.add(domain="ai.onnx.ml", version=version)
    assert f"operator set {version} of ai.onnx.ml is unknown" in fault_of(model)


@pytest.mark.parametrize("version", [OLDEST_OPSET, 13, NEWEST_OPSET])
def test_all_known_opsets_are_read(version: int) -> None:
    assert read_model(relu_model(opset=version)).opsets == {"": version}


def cyclic() -> onnx.ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], "one"), helper.make_node("Relu", ["a"], ["b"], "two")]
    return model_of(nodes, [value("x", [1])], ["b"])


def written_twice() -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", ["x"], ["y"], "one"), helper.make_node("Neg", ["x"], ["y"], "two")]
    return model_of(nodes, [value("x", [1])], ["y"])


def input_written() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["x"], "one")], [value("x", [1])], ["x"])


def initializer_twice() -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones(1, np.float32), "w")
    return model_of([helper.make_node("Relu", ["w"], ["y"], "one")], [], ["y"], [weight, weight])


def nothing_writes() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["absent"], ["y"], "one")], [value("x", [1])], ["y"])


def nested_reads_nothing() -> onnx.ModelProto:
    branch = helper.make_graph([helper.make_node("Relu", ["absent"], ["b"])], "branch", [], [value("b", [1])])
    node = helper.make_node("If", ["c"], ["y"], "if", then_branch=branch, else_branch=branch)
    return model_of([node], [value("c", [], TensorProto.BOOL)], ["y"])


def output_missing() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"], "one")], [value("x", [1])], ["absent"])


def no_outputs() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"], "one")], [value("x", [1])], [])


def no_opset() -> onnx.ModelProto:
    model = relu_model()
    del model.opset_import[:]
    return model


def unknown_type() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"], "one")], [value("x", [1], 77)], ["y"])


def unknown_weight_type() -> onnx.ModelProto:
    return model_of(
        [helper.make_node("Relu", ["w"], ["y"])], [], ["y"], [TensorProto(name="w", data_type=99, dims=[1])]
    )


def overflowing_weight() -> onnx.ModelProto:
    huge = TensorProto(name="w", data_type=1, dims=[2**40, 2**40])
    return model_of([helper.make_node("Relu", ["w"], ["y"])], [], ["y"], [huge])


def negative_weight() -> onnx.ModelProto:
    return model_of(
        [helper.make_node("Relu", ["w"], ["y"])], [], ["y"], [TensorProto(name="w", data_type=1, dims=[-4])]
    )


def rank_too_high() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [1] * 100)], ["y"])


def wrong_payload() -> onnx.ModelProto:
    short = TensorProto(name="w", data_type=1, dims=[4], raw_data=b"1234")
    return model_of([helper.make_node("Relu", ["w"], ["y"])], [], ["y"], [short])


def long_name() -> onnx.ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"], "n" * 70_000)], [value("x", [1])], ["y"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (cyclic, "cycle through node 'one'"),
        (written_twice, "'y' is written twice"),
        (input_written, "'x' is written twice"),
        (initializer_twice, "'w' is written twice"),
        (nothing_writes, "reads the tensor 'absent', which nothing writes"),
        (nested_reads_nothing, "'absent', which nothing writes"),
        (output_missing, "output 'absent' is written by no node"),
        (no_outputs, "no outputs"),
        (no_opset, "names no operator set"),
        (unknown_type, "unknown element type 77"),
        (unknown_weight_type, "unknown element type 99"),
        (overflowing_weight, "impossible shape"),
        (negative_weight, "impossible shape"),
        (rank_too_high, "100 dimensions"),
        (wrong_payload, "stores 4 bytes"),
        (long_name, "more than 65536 characters"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_broken_graph_is_refused_in_one_line(make: Callable[[], onnx.ModelProto], words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(make().SerializeToString())
    message = fault_of(tmp_path / "bad.onnx")
    assert message.startswith(str(tmp_path / "bad.onnx"))
    assert words in message


def test_graphs_nested_too_deep_are_refused() -> None:
    data = b""
    for number in [*([6, 5, 1] * 40), 7]:  # AttributeProto.g, NodeProto.attribute, GraphProto.node
        data = field(number, data)
    opset = helper.make_opsetid("", 17).SerializeToString()
    assert "nested more than 32" in fault_of(data + field(8, opset))


def field(number: int, data: bytes) -> bytes:
    return encoded_varint(number << 3 | 2) + encoded_varint(len(data)) + data


def test_a_name_with_line_breaks_does_not_break_the_message() -> None:
    node = helper.make_node("Relu", ["a\nb\tc"], ["y"], "line\nbreak")
    assert "\n" not in fault_of(model_of([node], [value("x", [1])], ["y"]))


# --- Damaged bytes


SEED_MODELS = [
    make_small_model().SerializeToString(),
    (ZOO / "resnet10-224.onnx").read_bytes(),
    model_of(
        [helper.make_node("Outer", ["x"], ["y"], "one", domain="f")],
        [value("x", ["n", 2])],
        ["y"],
        functions=two_level_functions(),
        domains=["f"],
    ).SerializeToString(),
]


@settings(max_examples=300, deadline=None)
@given(
    which=st.integers(0, len(SEED_MODELS) - 1),
    changes=st.lists(st.tuples(SHARES, st.integers(0, 255), st.sampled_from(["set", "cut", "add"])), max_size=8),
    end=SHARES,
)
def test_damaged_bytes_raise_nothing_but_model_errors(which: int, changes: list, end: float) -> None:
    data = bytearray(SEED_MODELS[which])
    for place, byte, kind in changes:
        at = int(place * (len(data) - 1))
        data[at : at + {"set": 1, "cut": byte, "add": 0}[kind]] = b"" if kind == "cut" else bytes([byte])
        if not data:
            break
    if end < 0.3:
        del data[int(len(data) * end * 3) :]
    with contextlib.suppress(ModelError):
        bind_shapes(read_model(bytes(data)), InputSizes({"n": 2}))


@given(st.binary(max_size=200))
def test_random_bytes_are_read_as_fields_or_refused(data: bytes) -> None:
    with contextlib.suppress(WireError, IndexError):
        for _, _, _, stop in fields(data, 0, len(data)):
            assert 0 < stop <= len(data)


def test_a_varint_of_more_than_ten_bytes_is_refused() -> None:
    assert varint(b"\xac\x02", 0) == (300, 2)
    with pytest.raises(WireError):
        varint(b"\xff" * 11, 0)


@pytest.mark.parametrize("version", [15, 2**40, -1])
def test_an_unknown_version_of_the_file_format_is_refused(version: int) -> None:
    model = relu_model()
    model.ir_version = version
    assert f"version {version} of the file format is unknown; export the model with one up to 14" in fault_of(model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: setattr(model, "ir_version", 2), "its file format is of version 2, in which operator sets have"),
        (
            lambda model: setattr(model.opset_import[0], "domain", "other"),
            "it names no operator set of ai.onnx; taken as",
        ),
        (
            lambda model: (
                setattr(model, "ir_version", 3),
                model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])),
            ),
            "initializer 'w' is no input, as version 3 of the file format demands; ONNX's checker refuses it",
        ),
    ],
)
def test_what_only_the_checker_objects_to_is_a_note(change: Callable[[onnx.ModelProto], None], said: str) -> None:
    model = relu_model()
    change(model)
    (note,) = bind_shapes(read_model(model)).warnings
    assert note.startswith(said)
    assert note.code == "declared"


def test_an_attribute_with_values_of_two_kinds_is_refused() -> None:
    model = relu_model()
    model.graph.node[0].attribute.append(onnx.AttributeProto(name="alpha", type=1, f=0.5, i=1))
    assert "the attribute 'alpha' has values of two kinds" in fault_of(model)
