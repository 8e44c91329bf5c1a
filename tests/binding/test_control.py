"""If, Loop, Scan and SequenceMap: the price of a body times its trips, whatever decides these."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnmeter
from nnmeter.binding.bind import bind_shapes
from nnmeter.cli.main import run
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph
from nnmeter.operators.cost import graph_cost
from tests.conftest import REPOSITORY

PACK = REPOSITORY / "predictors" / "xeon-icelake-onnxruntime1.32-1t"
PRODUCT = 2 * 4 * 8 * 8  # FLOPs of [4, 8] x [8, 8]


def info(name: str, dtype: int = TensorProto.FLOAT, shape: Sequence[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes: Sequence[onnx.NodeProto], inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[str]):
    weights = [numpy_helper.from_array(np.zeros((8, 8), np.float32), "w")]
    graph = helper.make_graph(
        list(nodes), "g", list(inputs), [onnx.ValueInfoProto(name=name) for name in outputs], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def body_of(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> onnx.GraphProto:
    inputs = [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("s")]
    return helper.make_graph(list(nodes), "body", inputs, [onnx.ValueInfoProto(name=name) for name in outputs])


def step(condition: str = "Identity", change: Sequence[onnx.NodeProto] = ()) -> onnx.GraphProto:
    """A body that multiplies what it carries with `w`, passes its condition on or negates it, and collects."""
    nodes = [
        helper.make_node(condition, ["c"], ["c2"], "condition"),
        helper.make_node("MatMul", ["s", "w"], ["m"], "product"),
        *(change or [helper.make_node("Relu", ["m"], ["s2"], "relu")]),
        helper.make_node("ReduceMean", ["m"], ["r"], "mean", keepdims=0),
    ]
    return body_of(nodes, ["c2", "s2", "r"])


def loop_model(body: onnx.GraphProto, limit: int | None = None, collected: int | None = None) -> onnx.ModelProto:
    inputs = [info("x", shape=[4, 8])]
    nodes = []
    if limit is None:
        inputs.append(info("n", TensorProto.INT64, []))
    else:
        nodes.append(helper.make_node("Constant", [], ["n"], value_int=limit))
    nodes.append(helper.make_node("Loop", ["n", "", "x"], ["y", "all"], "loop", body=body))
    model = model_of(nodes, inputs, ["y", "all"])
    if collected is not None:
        model.graph.output[1].CopyFrom(info("all", shape=[collected]))
    return model


def flops_of_products(graph: Graph) -> float:
    """Products that the graph's FLOPs are; a body has little else."""
    return graph_cost(graph).flops / (PRODUCT + 2 * 32)


def bind(model: onnx.ModelProto, **kwargs) -> Graph:
    return bind_shapes(read_model(model), InputSizes(**kwargs))


@pytest.mark.parametrize(
    ("limit", "collected", "condition", "given", "trips", "says"),
    [
        (6, None, "Identity", {}, 6, "counted 6 times"),
        (6, None, "Not", {}, 6, "at most 6 times; counted as these; give the number with --trips loop=N"),
        (6, None, "Not", {"trips": {"loop": 3}}, 3, "counted 3 times, as given"),
        (2**62, None, "Not", {}, 1, "counted once; give the number with --trips loop=N"),
        (2**62, 5, "Not", {}, 5, "counted 5 times, because the file declares that for 'all'"),
        (None, None, "Identity", {}, 1, "counted once; give the number with --trips loop=N"),
        (None, None, "Identity", {"values": {"n": 7}}, 7, "counted 7 times"),
        (None, None, "Identity", {"trips": {"loop": 9}}, 9, "counted 9 times, as given"),
        (0, None, "Identity", {}, 0, "counted 0 times"),
    ],
)
def test_a_loop_counts_as_often_as_is_known(limit, collected, condition, given, trips, says) -> None:
    graph = bind(loop_model(step(condition), limit, collected), **given)
    assert flops_of_products(graph) == pytest.approx(trips, rel=0.01)
    assert any(says in warning for warning in graph.warnings)
    assert graph.types["all"].shape == (trips,)
    assert graph.types["y"].shape == (4, 8)


def test_a_trip_count_that_nobody_asks_for_is_a_warning() -> None:
    graph = bind(loop_model(step(), 6), trips={"other": 3})
    assert "no Loop 'other' asks for a trip count; that given was not used" in graph.warnings


@pytest.mark.parametrize("trips", [2, 3, 4, 8, 11])
def test_a_tensor_that_grows_is_followed_to_the_last_repetition(trips: int) -> None:
    grow = [helper.make_node("Concat", ["s", "row"], ["s2"], "grow", axis=0)]
    model = loop_model(step(change=grow), trips)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((2, 8), np.float32), "row"))
    graph = bind(model)
    assert graph.types["y"].shape == (4 + trips * 2, 8)
    rows = sum(range(4, 4 + trips * 2, 2))  # 4, 6, ... rows in each repetition: what a body of each size costs, summed
    assert graph_cost(graph).flops == pytest.approx(rows * (2 * 8 * 8 + 8), rel=1e-9)


def test_a_tensor_that_changes_irregularly_is_told() -> None:
    double = [helper.make_node("Concat", ["s", "m"], ["s2"], "double", axis=0)]
    graph = bind(loop_model(step(change=double), 5))
    assert any("irregularly" in warning for warning in graph.warnings)
    assert graph_cost(graph).flops > 4 * PRODUCT


def test_a_sequence_grows_in_a_loop() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("SequenceInsert", ["s", "x"], ["s2"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("s")],
        [onnx.ValueInfoProto(name=n) for n in ("c2", "s2")],
    )
    nodes = [
        helper.make_node("SequenceEmpty", [], ["empty"]),
        helper.make_node("Constant", [], ["n"], value_int=5),
        helper.make_node("Loop", ["n", "", "empty"], ["all"], "loop", body=body),
        helper.make_node("ConcatFromSequence", ["all"], ["y"], axis=0),
        helper.make_node("SequenceLength", ["all"], ["length"]),
    ]
    graph = bind(model_of(nodes, [info("x", shape=[4, 8])], ["y", "length"]))
    assert graph.types["y"].shape == (20, 8)
    assert graph.values["length"] == 5


def test_the_dearer_branch_counts_with_a_warning() -> None:
    cheap = helper.make_graph([helper.make_node("Relu", ["x"], ["a"])], "then", [], [info("a")])
    dear = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["b"])], "else", [], [info("b")])
    node = helper.make_node("If", ["flag"], ["y"], "if", then_branch=cheap, else_branch=dear)
    graph = bind(model_of([node], [info("x", shape=[4, 8]), info("flag", TensorProto.BOOL, [])], ["y"]))
    assert graph_cost(graph).flops == PRODUCT
    assert any("the more expensive one" in warning for warning in graph.warnings)
    kernels = nnmeter.load_predictor(PACK).predict(graph).kernels
    assert [kernel.type for kernel in kernels] == ["If", "MatMul"]
    given = bind(model_of([node], [info("x", shape=[4, 8]), info("flag", TensorProto.BOOL, [])], ["y"]),
                 values={"flag": True})  # fmt: skip
    assert graph_cost(given).flops == 32


def test_a_branch_that_cannot_run_on_the_shapes_is_left_out_with_a_warning() -> None:
    fits = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["a"])], "then", [], [info("a")])
    strange = helper.make_graph([helper.make_node("MatMul", ["w", "x"], ["b"])], "else", [], [info("b")])
    node = helper.make_node("If", ["flag"], ["y"], "if", then_branch=fits, else_branch=strange)
    graph = bind(model_of([node], [info("x", shape=[4, 8]), info("flag", TensorProto.BOOL, [])], ["y"]))
    assert graph_cost(graph).flops == PRODUCT
    assert [("else_branch" in w, "left out" in w) for w in graph.warnings] == [(True, True)]
    node = helper.make_node("If", ["flag"], ["y"], "if", then_branch=strange, else_branch=strange)
    with pytest.raises(ModelError, match="MatMul"):
        bind(model_of([node], [info("x", shape=[4, 8]), info("flag", TensorProto.BOOL, [])], ["y"]))


def test_the_kernels_of_a_body_are_priced_as_such_and_counted() -> None:
    predictor = nnmeter.load_predictor(PACK)
    one, two, many = (predictor.predict(loop_model(step(), trips)) for trips in (1, 2, 50))
    names = [kernel.name for kernel in many.kernels]
    assert names[0] == "loop" and "loop/product" in names
    first = {kernel.name: kernel for kernel in one.kernels}
    both = {kernel.name: kernel for kernel in two.kernels}
    for kernel in many.kernels[1:]:
        once_ms = first[kernel.name].latency_ms
        again_ms = both[kernel.name].latency_ms - once_ms
        assert kernel.latency_ms == pytest.approx(once_ms + 49 * again_ms)
        assert 0 < again_ms <= once_ms  # code and data are in the caches
        assert kernel.flops == 50 * first[kernel.name].flops
    product = next(kernel for kernel in many.kernels if kernel.name == "loop/product")
    assert (product.type, product.source, product.nodes) == ("MatMul", "trained", ("loop/product",))
    assert sum(kernel.flops for kernel in many.kernels) == graph_cost(bind(loop_model(step(), 50))).flops
    (detected,) = [k for k in nnmeter.detect_kernels(loop_model(step(), 50), PACK) if k.name == "loop/product"]
    assert (detected.count, detected.signature.constants) == (50, (False, True))  # w is a weight of the graph around


def test_trips_and_values_on_the_command_line(tmp_path, capsys) -> None:
    path = tmp_path / "loop.onnx"
    onnx.save(loop_model(step()), path)
    outputs = {}
    for name, option in (("trips", "loop=9"), ("value", "n=9")):
        assert run(["kernels", str(path), "--device", str(PACK), "--format", "json", f"--{name}", option]) == 0
        outputs[name] = capsys.readouterr().out
    assert '"count": 9' in outputs["trips"]
    assert '"count": 9' in outputs["value"]
    assert run(["predict", str(path), "--device", str(PACK), "--trips", "loop=9", "--value", "n=3"]) == 0
    assert "counted 9 times, as given" in capsys.readouterr().out
    assert run(["predict", str(path), "--device", str(PACK), "--value", "n=three"]) == 2
    assert "'n=three' is not INPUT=V" in capsys.readouterr().err
    assert run(["predict", str(path), "--device", str(PACK), "--value", "x=1,2"]) == 2
    assert "a value of 2 numbers does not fit an input of type float32[4x8]" in capsys.readouterr().err


def nested(depth: int) -> onnx.GraphProto:
    """Loops in loops, each of which lets what it carries grow; names differ from depth to depth."""
    inputs = [info(f"i{depth}", TensorProto.INT64, []), info(f"c{depth}", TensorProto.BOOL, []), info(f"s{depth}")]
    if depth:
        grow = helper.make_node("Loop", ["n", "", f"s{depth}"], [f"o{depth}"], "deeper", body=nested(depth - 1))
    else:
        grow = helper.make_node("Concat", ["s0", "s0"], ["o0"], axis=0)
    nodes = [helper.make_node("Identity", [f"c{depth}"], [f"d{depth}"]), grow]
    return helper.make_graph(nodes, "body", inputs, [onnx.ValueInfoProto(name=n) for n in (f"d{depth}", f"o{depth}")])


def test_a_small_file_of_nested_loops_that_grow_is_refused() -> None:
    """Their bodies would be inferred 3 ** 28 times, which would not end."""
    nodes = [
        helper.make_node("Constant", [], ["n"], value_int=3),
        helper.make_node("Loop", ["n", "", "x"], ["y"], "loop", body=nested(28)),
    ]
    with pytest.raises(ModelError, match=r"nested graphs would have to be inferred|impossible shape"):
        bind(model_of(nodes, [info("x", shape=[4, 8])], ["y"]))


def test_bodies_are_bounded_by_the_nodes_that_would_have_to_be_inferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnmeter.binding.inference._MAX_BODY_NODES", 20)
    nodes = [
        helper.make_node("Constant", [], ["n"], value_int=3),
        helper.make_node("Loop", ["n", "", "x"], ["y"], "loop", body=nested(8)),
    ]
    with pytest.raises(ModelError, match=r"nested graphs would have to be inferred \d+ times, 2\d nodes in all"):
        bind(model_of(nodes, [info("x", shape=[4, 8])], ["y"]))


def test_a_list_may_be_empty_and_a_batch_may_not() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    empty = InputSizes(dims={"n": 0})
    assert bind_shapes(read_model(model_of(nodes, [info("x", shape=["n"])], ["y"])), empty).types["y"].shape == (0,)
    with pytest.raises(ModelError, match=r"a batch of 0 is none \('n'\); give 1 or more"):
        bind_shapes(read_model(model_of(nodes, [info("x", shape=["n", 3])], ["y"])), empty)


@pytest.mark.parametrize(
    ("inputs", "attributes", "said"),
    [
        (3, {"num_scan_inputs": 1}, "its nested graph takes 2 inputs, 3 are given"),
        (1, {"num_scan_inputs": 1}, "its nested graph takes 2 inputs, 1 are given"),
        (2, {"num_scan_inputs": 3}, "it scans 3 of 2 inputs"),
        (2, {"num_scan_inputs": 1, "scan_input_axes": [0, 0]}, "it names 2 axes for the 1 inputs that it scans"),
        (
            2,
            {"num_scan_inputs": 1, "scan_output_axes": [0, 0]},
            "returns 2 tensors, which do not fit 1 that it carries",
        ),
    ],
)
def test_a_scan_whose_numbers_do_not_fit_is_refused(inputs: int, attributes: dict, said: str) -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "e"], ["o"]), helper.make_node("Identity", ["o"], ["q"])],
        "body",
        [info("s", shape=[3]), info("e", shape=[3])],
        [info("o", shape=[3]), info("q", shape=[3])],
    )
    given = [info("a", shape=[3]), info("b", shape=[5, 3]), info("c", shape=[5, 3])][:inputs]
    node = helper.make_node("Scan", [one.name for one in given], ["f", "z"], "scan", body=body, **attributes)
    with pytest.raises(ModelError, match=said):
        bind_shapes(read_model(model_of([node], given, ["f", "z"])))
