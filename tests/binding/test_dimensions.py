"""Free dimensions that follow from others: by their names, and by what the graph demands."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.binding.dimensions import expressions, with_derived
from nnmeter.binding.relations import implied_relations, words
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.unbound import UnboundModel


@pytest.mark.parametrize(
    ("names", "given", "found"),
    [
        (["past", "past + 1"], {"past": 0}, {"past + 1": 1}),
        (["past", "past + 1"], {"past + 1": 128}, {"past": 127}),
        (["s0", "s1", "s0 + s1", "2*s0", "(s0 + s1)//2"], {"s0": 5, "s1": 3},
         {"s0 + s1": 8, "2*s0": 10, "(s0 + s1)//2": 4}),
        (["a", "b", "a + b", "a + b - 1"], {"a + b - 1": 9, "a": 4}, {"b": 6, "a + b": 10}),
        (["batch size", "seq-len", "past + 1"], {"batch size": 2}, {}),
    ],
)  # fmt: skip
def test_a_name_that_is_an_expression_follows(names: list[str], given: dict[str, int], found: dict[str, int]) -> None:
    assert with_derived("m", names, given) == {**given, **found}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"past": 128, "past + 1": 128}, "'past \\+ 1' is given as 128, but is 129 with past = 128"),
        ({"past": 1, "past - 2": 4}, "'past - 2' cannot be made of past = 1"),
    ],
)
def test_sizes_that_contradict_are_an_error(given: dict[str, int], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        with_derived("m", list(given), given)


def decoder(mask: Sequence[int | str], tokens: Sequence[int | str], past: Sequence[int | str]) -> UnboundModel:
    """Queries of the tokens over cached and new keys, with a mask on top."""
    nodes = [
        helper.make_node("Gather", ["embedding", "ids"], ["x"], "embed"),
        helper.make_node("Reshape", ["x", "split"], ["r"], "heads"),
        helper.make_node("Transpose", ["r"], ["q"], "queries", perm=[0, 2, 1, 3]),
        helper.make_node("Concat", ["past", "q"], ["k"], "keys", axis=2),
        helper.make_node("Transpose", ["k"], ["kt"], "turned", perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "kt"], ["s"], "scores"),
        helper.make_node("Unsqueeze", ["mask", "axes"], ["m"], "widen"),
        helper.make_node("Add", ["s", "m"], ["y"], "masked"),
    ]
    graph = helper.make_graph(
        nodes,
        "decoder",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, tokens),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, mask),
            helper.make_tensor_value_info("past", TensorProto.FLOAT, past),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.zeros((100, 16), np.float32), "embedding"),
            numpy_helper.from_array(np.array([0, 0, 2, 8]), "split"),
            numpy_helper.from_array(np.array([1, 2]), "axes"),
        ],
    )
    return read_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


@pytest.mark.parametrize("past", [0, 1, 128])
def test_the_first_step_of_a_decoder_has_no_past(past: int) -> None:
    model = decoder(["batch", "past + 1"], ["batch", "seq"], ["batch", 2, "past", 8])
    graph = bind_shapes(model, InputSizes({"batch": 1, "seq": 1, "past": past}))
    assert graph.types["y"].shape == (1, 2, 1, past + 1)


def test_what_the_graph_demands_of_names_without_a_relation_is_found() -> None:
    model = decoder(["s0", "s1"], ["s2", "s3"], ["s4", 2, "s5", 8])
    relations = implied_relations(bind_shapes, model, InputSizes(), ["s0", "s1", "s2", "s3", "s4", "s5"])
    assert {name: words(linear) for name, linear in relations.items()} == {
        "s4": "s0", "s2": "s0", "s1": "s3 + s5",
    }  # fmt: skip


@pytest.mark.parametrize(
    "given", [{"s0": 2, "s3": 4, "s5": 7}, {"s2": 2, "s1": 11, "s5": 7}, {"s4": 2, "s1": 11, "s3": 4}]
)
def test_dimensions_that_are_not_given_follow_either_way(given: dict[str, int]) -> None:
    model = decoder(["s0", "s1"], ["s2", "s3"], ["s4", 2, "s5", 8])
    graph = bind_shapes(model, InputSizes(given))
    assert graph.types["y"].shape == (2, 2, 4, 11)
    assert any("s1 = s3 + s5" in warning for warning in graph.warnings)


@pytest.mark.parametrize("cached", [0, 5, 63, 500])
def test_a_cache_of_fixed_length_is_part_of_what_the_graph_demands(cached: int) -> None:
    model = decoder(["s0", "s1"], ["s2", "s3"], ["s4", 2, cached, 8])
    relations = implied_relations(bind_shapes, model, InputSizes(), ["s0", "s1", "s2", "s3", "s4"])
    if cached:  # or else either is the other
        assert words(relations["s1"]) == f"s3 + {cached}"
    graph = bind_shapes(model, InputSizes({"s2": 1, "s3": 4}))
    assert graph.types["y"].shape == (1, 2, 4, 4 + cached)


@pytest.mark.parametrize("length", [4, 64, 700])
def test_a_mask_of_fixed_length_is_no_sum(length: int) -> None:
    model = decoder(["s0", length], ["s2", "s3"], ["s4", 2, "s5", 8])
    graph = bind_shapes(model, InputSizes({"s2": 1, "s3": 1}))
    assert graph.types["past"].shape == (1, 2, length - 1, 8)


def test_what_follows_from_the_shape_of_one_input_is_found() -> None:
    model = decoder(["s0", "s1"], ["s2", "s3"], ["s4", 2, "s5", 8])
    graph = bind_shapes(model, InputSizes({"s3": 1}, {"past": (3, 2, 40, 8)}))
    assert (graph.types["ids"].shape, graph.types["mask"].shape) == ((3, 1), (3, 41))


def test_the_proposed_command_is_one_that_runs() -> None:
    model = decoder(["s0", "s1"], ["s2", "s3"], ["s4", 2, "s5", 8])
    with pytest.raises(ModelError) as caught:
        bind_shapes(model)
    said = str(caught.value)
    proposed = dict(option.split("=") for option in said.split("give them with ")[1].split() if "=" in option[1:4])
    assert set(proposed) == {"s2", "s3", "s5"}
    assert "(the graph gives the rest: " in said
    bind_shapes(model, InputSizes({name: int(size) for name, size in proposed.items()}))


def test_a_contradiction_is_an_error() -> None:
    model = decoder(["s0", "s1"], ["s2", "s3"], ["s4", 2, "s5", 8])
    with pytest.raises(ModelError, match="do not broadcast"):
        bind_shapes(model, InputSizes({"s0": 1, "s1": 128, "s2": 1, "s3": 128, "s4": 1, "s5": 128}))


def overridable(ir_version: int, listed: bool) -> onnx.ModelProto:
    """A convolution, a normalization and an activation; its weights are inputs, too, or not."""
    weights = {"w": (32, 16, 3, 3), "scale": (32,), "bias": (32,), "mean": (32,), "var": (32,)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["n"], "norm"),
        helper.make_node("Relu", ["n"], ["y"], "relu"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 16, 28, 28))]
    if listed:
        inputs += [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in weights.items()]
    graph = helper.make_graph(
        nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(shape, np.float32), n) for n, shape in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=ir_version)


@pytest.mark.parametrize(("ir_version", "listed", "constant"), [(8, True, False), (3, True, True), (8, False, True)])
def test_an_initializer_that_may_be_overridden_is_no_constant(ir_version: int, listed: bool, constant: bool) -> None:
    from nnmeter.fusion.detect import detect_kernels
    from nnmeter.fusion.loading import load_rules

    graph = bind_shapes(read_model(overridable(ir_version, listed)))
    kernels = [kernel.type for kernel in detect_kernels(graph, load_rules("onnxruntime_cpu"))]
    if constant:
        assert "w" in graph.initializers
        assert "scale" in graph.values
        assert "BatchNormalization" not in kernels
        assert any(kernel.startswith("nchwc.Conv") for kernel in kernels)
    else:
        assert not graph.initializers
        assert not graph.values
        assert kernels == ["Conv", "BatchNormalization", "Relu"]


def test_names_are_gone_through_once_and_not_for_each_of_them() -> None:
    class Counted(dict[str, None]):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    names = Counted.fromkeys(["a", *(f"a + {i}" for i in range(200))])
    assert len(expressions(names)) == 200
    assert names.passes < 5


def test_sizes_follow_from_one_another_in_any_order() -> None:
    names = [f"d{i} - d{i + 1}" for i in range(50)]
    given = {"d50": 1, **dict.fromkeys(names, 2)}
    found = with_derived("m", [*names, *(f"d{i}" for i in range(51))], given)
    assert found["d0"] == 101
