"""Networks cut out of a model hold its kernels, run, and come at other sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, ModelError
from nnmeter.formats import read_model
from nnmeter.lab.campaign.cuts import CutNetworks, ModelCuts, cut_networks
from tests.conftest import make_small_model

pytest.importorskip("pyarrow")
SEEDS = range(40)


@pytest.fixture
def cuts(small_model: Path) -> ModelCuts:
    return ModelCuts(small_model)


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    graph = bind_shapes(read_model(model.SerializeToString()))
    return {name: graph.types[name].shape for name in graph.inputs}


def test_every_cut_is_a_model_whose_operators_fit(cuts: ModelCuts) -> None:
    networks = CutNetworks([cuts])
    found = [networks(seed) for seed in SEEDS]
    for model in found:
        onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for model in found for node in model.graph.node} == {
        "Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    }  # fmt: skip
    assert len({len(model.graph.node) for model in found}) > 2


def test_every_tenth_network_is_the_whole_model(cuts: ModelCuts) -> None:
    whole = CutNetworks([cuts])(10)
    assert [node.op_type for node in whole.graph.node] == ["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]
    assert shapes_of(whole) == {"input": (1, 16, 14, 14)}
    assert [entry.value for entry in whole.metadata_props] == ["like:small"]


def test_a_seed_always_gives_the_same_network(cuts: ModelCuts) -> None:
    networks = CutNetworks([cuts])
    assert networks(7).SerializeToString() == networks(7).SerializeToString()


def test_sizes_are_changed_where_the_operators_fit(cuts: ModelCuts) -> None:
    networks = CutNetworks([cuts], [[0]])  # around the convolution
    shapes = {shapes_of(networks(seed))["input"] for seed in SEEDS}
    assert (1, 16, 14, 14) in shapes
    assert any(shape[0] > 1 for shape in shapes)
    assert any(shape[2] != 14 for shape in shapes)


def test_a_cut_whose_shape_is_fixed_stays_as_it_was(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"], "reshape")]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 4])],
        [onnx.numpy_helper.from_array(np.array([3, 4]), "shape")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "r.onnx")
    networks = cut_networks([tmp_path / "r.onnx"])
    assert {shapes_of(networks(seed))["x"] for seed in SEEDS} == {(2, 6)}


def test_operators_outside_of_a_pack_are_sought(small_model: Path, small_pack: Path) -> None:
    networks = cut_networks([small_model], device=small_pack)
    found = [networks(seed) for seed in range(1, 10)]  # the pack was trained on convolutions and products only
    assert all("GlobalAveragePool" in [node.op_type for node in model.graph.node] for model in found)


def test_free_dimensions_are_bound(tmp_path: Path) -> None:
    onnx.save(make_small_model("batch"), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="--dim batch="):
        cut_networks([tmp_path / "m.onnx"])
    assert shapes_of(cut_networks([tmp_path / "m.onnx"], {"batch": 3})(0))["input"][0] == 3


def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no model"):
        cut_networks([])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "i.onnx")
    with pytest.raises(MeasurementError, match="no operator to measure"):
        cut_networks([tmp_path / "i.onnx"])


def test_weights_are_not_held() -> None:
    cuts = ModelCuts(Path(__file__).parents[3] / "data" / "zoo" / "bert-tiny.onnx")
    stored = sum(len(tensor.raw_data) for tensor in CutNetworks([cuts])(0).graph.initializer)
    assert stored > 10_000_000, "the network that is measured has them"
    assert len(cuts._model.SerializeToString()) < 200_000


def test_a_shape_that_depends_on_data_is_assumed_in_the_cuts_too(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "target"], ["y"], "r"), helper.make_node("Exp", ["y"], ["z"], "e")]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6]),
         helper.make_tensor_value_info("target", TensorProto.INT64, [2])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "r.onnx")
    with pytest.raises(ModelError, match="--assume y="):
        cut_networks([tmp_path / "r.onnx"])
    networks = cut_networks([tmp_path / "r.onnx"], assume={"y": (3, 4)})
    assert [value.name for value in networks(0).graph.output] == ["z"]
