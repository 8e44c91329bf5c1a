"""Costs that follow from the values of small inputs, and from inputs that a rule could forget."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

from nnmeter.errors import ModelError
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.operators.cost import Cost, graph_cost
from nnmeter.operators.flops_signal import transform_flops
from nnmeter.operators.table import OPERATORS
from nnmeter.operators.worst import worst_case_ns
from tests.binding.making import MICROSOFT, graph_of


def f32(*shape: int) -> TensorType:
    return TensorType("float32", shape)


def cost_of(graph: Graph) -> Cost:
    return graph_cost(graph)


def lstm(lengths: Any, layout: int = 0) -> Graph:
    """Two directions, 128 hidden, 80 wide, 4 sequences padded to 100."""
    node = helper.make_node(
        "LSTM",
        ["x", "w", "r", "b", "lengths"],
        ["y"],
        "lstm",
        direction="bidirectional",
        hidden_size=128,
        layout=layout,
    )
    weights: dict[str, Any] = {"w": f32(2, 512, 80), "r": f32(2, 512, 128), "b": f32(2, 1024)}
    inputs: dict[str, Any] = {"x": (4, 100, 80) if layout else (100, 4, 80)}
    if lengths is None:
        inputs["lengths"] = TensorType("int32", (4,))
    else:
        weights["lengths"] = np.array(lengths, np.int32)
    return graph_of([node], inputs, ["y"], weights, opset=14)


@pytest.mark.parametrize("layout", [0, 1])
def test_a_recurrent_layer_runs_as_many_steps_as_its_longest_sequence(layout: int) -> None:
    whole = cost_of(lstm([100, 3, 1, 1], layout)).flops
    assert whole == 100 * 4 * 2 * 4 * 128 * (2 * (80 + 128) + 10)
    assert cost_of(lstm([10, 10, 2, 1], layout)).flops == whole / 10
    assert cost_of(lstm([1000] * 4, layout)).flops == whole


def test_lengths_that_the_run_decides_are_told() -> None:
    graph = lstm(None)
    assert cost_of(graph).flops == cost_of(lstm([100] * 4)).flops
    assert any("counted as 100 steps each" in warning for warning in graph.warnings)


def grouped_attention(total: int) -> Graph:
    """One query of 16 heads over a cache of 2,048 keys of 4 heads, whose filled length is the mask's."""
    nodes = [
        helper.make_node("Shape", ["mask"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Cast", ["length"], ["total"], to=6),
        helper.make_node(
            "GroupQueryAttention", ["q", "k", "v", "pk", "pv", "seqlens", "total"], ["y", "nk", "nv"], "attention",
            domain=MICROSOFT, num_heads=16, kv_num_heads=4,
        ),
    ]  # fmt: skip
    past = (1, 4, 2048, 64)
    inputs: dict[str, Any] = {
        "mask": TensorType("int64", (1, total)), "q": (1, 1, 1024), "k": (1, 1, 256), "v": (1, 1, 256), "pk": past,
        "pv": past, "seqlens": TensorType("int32", (1, 1)),
    }  # fmt: skip
    return graph_of(nodes, inputs, ["y", "nk", "nv"], {"one": np.array(1)})


def test_a_cache_of_fixed_size_costs_as_far_as_it_is_filled() -> None:
    short, full = grouped_attention(129), grouped_attention(2048)
    assert short.types["nk"].shape == full.types["nk"].shape == (1, 4, 2048, 64)
    node = 4 * 1024 + 13 * 16
    assert cost_of(short).flops - cost_of(full).flops == node * (129 - 2048)
    assert cost_of(full).bytes_read - cost_of(short).bytes_read == 2 * 4 * 64 * 4 * (2048 - 129)
    assert grouped_attention(2049).types["nk"].shape == (1, 4, 2049, 64)


def test_past_keys_count_where_they_are_not_returned_and_values_have_their_own_width() -> None:
    node = helper.make_node("Attention", ["q", "k", "v", "", "pk", "pv"], ["y"], "attention")

    def flops(width: int) -> int:
        inputs: dict[str, Any] = {
            "q": (1, 16, 1, 64), "k": (1, 4, 1, 64), "v": (1, 4, 1, width), "pk": (1, 4, 511, 64),
            "pv": (1, 4, 511, width),
        }  # fmt: skip
        return cost_of(graph_of([node], inputs, ["y"], opset=23)).flops

    assert flops(64) == 2_203_648
    assert flops(32) == 16 * 512 * (2 * 64 + 2 * 32 + 13)


@pytest.mark.parametrize(("rows", "share"), [(1, 2 / 32), (8, 1 - (30 / 32) ** 8)])
def test_a_mixture_reads_the_experts_that_its_rows_choose(rows: int, share: float) -> None:
    node = helper.make_node("MoE", ["x", "probs", "fc1", "", "fc2"], ["y"], "moe", domain=MICROSOFT, k=2)
    weights: dict[str, Any] = {"fc1": f32(32, 1024, 512), "fc2": f32(32, 512, 1024)}
    graph = graph_of([node], {"x": (rows, 512), "probs": (rows, 32)}, ["y"], weights)
    assert cost_of(graph).bytes_read == pytest.approx(share * 134_217_728 + 4 * rows * (512 + 32), abs=2)


@pytest.mark.parametrize(
    ("length", "flops"),
    [(16, 5 * 16 * 4), (512, 5 * 512 * 9), (400, 15 * 1024 * 10 + 20 * 400), (17, 15 * 64 * 6 + 20 * 17), (1, 1)],
)
def test_a_transform_of_another_length_than_a_power_of_two_is_a_convolution(length: int, flops: float) -> None:
    assert transform_flops(length) == flops


def test_a_transform_counts_along_its_axis() -> None:
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"], "dft", onesided=1)
    short = graph_of([node], {"x": (1, 4096, 16, 1)}, ["y"], {"axis": np.array(2)}, opset=20)
    assert cost_of(short).flops == 4096 * transform_flops(16)
    long = graph_of([node], {"x": (1, 4096, 16, 1)}, ["y"], {"axis": np.array(1)}, opset=20)
    assert cost_of(long).flops == 16 * transform_flops(4096)
    padded = helper.make_node("DFT", ["x", "length", "axis"], ["y"], "dft")
    graph = graph_of([padded], {"x": (2, 400, 1)}, ["y"], {"length": np.array(512), "axis": np.array(1)}, opset=20)
    assert cost_of(graph).flops == 2 * transform_flops(512)


@pytest.mark.parametrize(("parts", "inverse", "allowed"), [(1, 0, True), (2, 0, False), (2, 1, True)])
def test_a_one_sided_transform_is_of_real_numbers(parts: int, inverse: int, allowed: bool) -> None:
    node = helper.make_node("DFT", ["x"], ["y"], "dft", onesided=1, inverse=inverse)
    if allowed:
        assert graph_of([node], {"x": (1, 16, parts)}, ["y"]).types["y"].shape[0] == 1
    else:
        with pytest.raises(ModelError, match="a one-sided transform is of real numbers"):
            graph_of([node], {"x": (1, 16, parts)}, ["y"])


def test_frames_of_400_samples_are_no_power_of_two() -> None:
    node = helper.make_node("STFT", ["x", "step", "window"], ["y"], "stft", onesided=1)
    constants = {"step": np.array(160), "window": np.ones(400, np.float32)}
    graph = graph_of([node], {"x": (1, 16000, 1)}, ["y"], constants)
    frames = graph.types["y"].shape[1]
    assert cost_of(graph).flops == frames * (400 + transform_flops(400))


@pytest.mark.parametrize(
    ("equation", "shapes", "flops"),
    [
        ("bij,bjk,bkl->bil", [(4, 64, 64)] * 3, 2 * 2 * 4 * 64**3),
        ("ij,jk->ik", [(3, 5), (5, 7)], 2 * 3 * 5 * 7),
        ("ij,jk,kl,lm->im", [(2, 3), (3, 4), (4, 5), (5, 6)], 2 * (2 * 3 * 4 + 2 * 4 * 5 + 2 * 5 * 6)),
        ("...ij,...jk->...ik", [(8, 3, 5), (8, 5, 7)], 2 * 8 * 3 * 5 * 7),
        ("ij->ji", [(3, 5)], 15),
    ],
)
def test_products_of_several_operands_are_contracted_in_pairs(equation: str, shapes: list, flops: int) -> None:
    names = [f"x{i}" for i in range(len(shapes))]
    node = helper.make_node("Einsum", names, ["y"], "einsum", equation=equation)
    assert cost_of(graph_of([node], dict(zip(names, shapes, strict=True)), ["y"])).flops == flops


@pytest.mark.parametrize(
    ("equation", "shapes", "elements"),
    [
        ("ii->i", [(512, 512)], 512),
        ("bii->b", [(4, 64, 64)], 4 * 64),
        ("...ii,ij->...j", [(4, 64, 64), (64, 8)], 4 * 64 + 64 * 8),
        ("ij->ji", [(64, 8)], 64 * 8),
        ("ij,jk->ik", [(64, 8), (8, 16)], 64 * 8 + 8 * 16),
    ],
)
def test_of_a_diagonal_only_that_is_read(equation: str, shapes: list, elements: int) -> None:
    """The diagonal of a matrix of 512 x 512 takes ONNX Runtime 12 microseconds, its transpose 0.3 ms."""
    names = [f"x{i}" for i in range(len(shapes))]
    node = helper.make_node("Einsum", names, ["y"], "einsum", equation=equation)
    assert cost_of(graph_of([node], dict(zip(names, shapes, strict=True)), ["y"])).bytes_read == 4 * elements


def selection(classes: int, boxes: int, most: int) -> Graph:
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", "most"], ["y"], "nms")
    inputs: dict[str, Any] = {"boxes": (1, boxes, 4), "scores": (1, classes, boxes)}
    return graph_of([node], inputs, ["y"], {"most": np.array([most])}, opset=13)


def test_scores_of_all_classes_count() -> None:
    one, eighty = cost_of(selection(1, 8400, 100)).flops, cost_of(selection(80, 8400, 100)).flops
    assert eighty == pytest.approx(80 * one, abs=80)
    assert cost_of(selection(1, 8400, 10)).flops < one / 4


@pytest.mark.parametrize(("classes", "boxes", "most", "ms"), [(80, 8400, 100, 403.2), (91, 27000, 27000, 398_034)])
def test_the_worst_data_compare_every_box_with_every_selected_one(
    classes: int, boxes: int, most: int, ms: float
) -> None:
    graph = selection(classes, boxes, most)
    node = graph.nodes[0]
    inputs = [graph.types[name] for name in node.inputs]
    worst = worst_case_ns(node.op_type, node.domain, node.attributes, inputs, [graph.types["y"]])
    assert worst == pytest.approx(ms * 1e6, rel=1e-3)


def test_an_unknown_operator_may_cost_much_and_a_known_one_costs_what_it_costs() -> None:
    x = f32(1000)
    assert worst_case_ns("Anything", "acme", {}, [x], [x]) == 2000 * 100
    assert worst_case_ns("Relu", "", {}, [x], [x]) == 0
    assert {name for name, operator in OPERATORS.items() if operator.worst_ns} == {
        "NonMaxSuppression", "NonZero", "TopK", "Unique", "Dropout", "Multinomial",
        "Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("op_type", "attributes", "ns"),
    [("RandomUniformLike", {}, 20), ("RandomNormal", {}, 60), ("Dropout", {"training": 1}, 25), ("Dropout", {}, 0)],
)
def test_random_numbers_may_take_long(op_type: str, attributes: dict[str, Any], ns: int) -> None:
    """65,536 of them took 0.3 to 0.8 ms, of which operations and bytes tell a tenth."""
    x = f32(64, 1024)
    assert worst_case_ns(op_type, "", attributes, [x], [x]) == ns * 65_536


@pytest.mark.parametrize(("training", "flops"), [(True, 102 * 64 * 1024), (False, 0)])
def test_dropout_draws_in_training_mode_and_copies_else(training: bool, flops: int) -> None:
    node = helper.make_node("Dropout", ["x", "ratio", "mode"], ["y"], "dropout")
    constants = {"ratio": np.array(0.5, np.float32), "mode": np.array(training)}
    graph = graph_of([node], {"x": (64, 1024)}, ["y"], constants, opset=13)
    assert cost_of(graph) == (flops, 4 * 64 * 1024, 4 * 64 * 1024)
    assert any("training mode" in warning for warning in graph.warnings) == training


def test_a_transposed_convolution_that_would_pad_below_zero_tells_what_runtimes_do() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], "up", auto_pad="SAME_UPPER", strides=[4, 4])
    graph = graph_of([node], {"x": (1, 2, 5, 5)}, ["y"], {"w": f32(2, 1, 2, 2)}, opset=11)
    assert graph.types["y"].shape == (1, 1, 20, 20)
    assert any("is 20x20 by the standard" in w and "makes it 18x18" in w for w in graph.warnings)
    wide = graph_of([node], {"x": (1, 2, 5, 5)}, ["y"], {"w": f32(2, 1, 5, 5)}, opset=11)
    assert not wide.warnings
