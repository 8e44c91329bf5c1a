"""nn-Meter's interface: names, types of models, weights as inputs, and the command."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import onnx
import pytest
from nn_meter import (
    list_latency_predictors,
    load_latency_predictor,
    load_predictor_config,
    model_file_to_graph,
    nnMeterPredictor,
)
from nn_meter.cli import main

import nnmeter
from nnmeter.errors import NnmeterError
from nnmeter.formats.parameters import find_parameters, with_parameters
from tests.conftest import make_small_model

CPU = "cortexA76cpu_tflite21"


@pytest.fixture(scope="module")
def predictor() -> nnMeterPredictor:
    return load_latency_predictor(CPU)


def without_parameters(model: onnx.ModelProto) -> onnx.ModelProto:
    """As `torch.onnx.export(export_params=False)` leaves a model: weights are inputs."""
    for weight in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    del model.graph.initializer[:]
    return model


def test_its_four_predictors_come_first_and_every_pack_has_one() -> None:
    names = [predictor["name"] for predictor in list_latency_predictors()]
    assert names[:4] == [CPU, "adreno640gpu_tflite21", "adreno630gpu_tflite21", "myriadvpu_openvino2019r2"]
    assert set(names) >= {device.id for device in nnmeter.list_devices()}
    assert load_predictor_config(CPU, 1.0) == {"name": CPU, "version": 1.0, "category": "cpu"}


@pytest.mark.parametrize(("name", "version"), [("no such predictor", None), (CPU, 2.0)])
def test_a_predictor_that_is_not_there(name: str, version: float | None) -> None:
    with pytest.raises(NotImplementedError):
        load_latency_predictor(name, version)
    with pytest.raises(NnmeterError):
        load_latency_predictor(name, version)


def test_all_forms_of_a_model_take_the_same_time(
    small_model: Path, predictor: nnMeterPredictor, tmp_path: Path
) -> None:
    expected = nnmeter.predict(small_model, CPU).latency_ms
    assert predictor.predict(str(small_model), "onnx") == expected
    assert predictor.predict(onnx.load(small_model), model_type="onnx") == expected
    assert predictor.predict(without_parameters(make_small_model()), "onnx") == expected
    graph = model_file_to_graph(str(small_model), "onnx")
    place = tmp_path / "graph.json"
    place.write_text(json.dumps(graph))
    assert predictor.predict(graph, "nnmeter-ir") == pytest.approx(expected, rel=1e-9)
    assert predictor.predict(str(place), "nnmeter-ir") == pytest.approx(expected, rel=1e-9)


def test_the_graph_says_what_reads_what(small_model: Path) -> None:
    graph = model_file_to_graph(str(small_model), "onnx")
    assert list(graph) == ["input", "conv", "relu", "pool", "flatten", "fc"]
    conv = graph["conv"]
    assert (conv["inbounds"], conv["outbounds"]) == (["input"], ["relu"])
    assert conv["attr"]["type"] == "Conv"
    assert conv["attr"]["input_shape"] == [[1, 16, 14, 14]]
    assert conv["attr"]["output_shape"] == [[1, 32, 14, 14]]
    assert conv["attr"]["attr"]["pads"] == [1, 1, 1, 1]


def test_a_model_of_nothing_takes_nothing(predictor: nnMeterPredictor) -> None:
    value = onnx.helper.make_tensor_value_info("x", 1, [1, 3])
    nothing = onnx.helper.make_model(onnx.helper.make_graph([], "nothing", [value], [value]))
    assert predictor.predict(nothing, "onnx") == 0.0


def test_a_free_shape_is_the_one_that_is_given(predictor: nnMeterPredictor) -> None:
    free = make_small_model(batch="batch")
    shape = (1, 16, 14, 14)
    assert predictor.predict(free, "onnx", shape) == predictor.predict(make_small_model(), "onnx")


@pytest.mark.parametrize("kind", ["tflite", ""])
def test_a_type_that_is_none(kind: str, predictor: nnMeterPredictor) -> None:
    with pytest.raises(NnmeterError, match="give one of onnx, torch, nnmeter-ir, nni-ir, pb"):
        predictor.predict("model", kind)


def test_parameters_are_found_by_name_and_by_who_reads_them() -> None:
    model = nnmeter.read_model(without_parameters(make_small_model()))
    assert find_parameters(model) == ("conv.weight", "conv.bias", "fc.weight", "fc.bias")
    renamed = without_parameters(make_small_model())
    for node in renamed.graph.node:
        node.input[:] = [name.replace(".", "_") if name == "conv.weight" else name for name in node.input]
    next(value for value in renamed.graph.input if value.name == "conv.weight").name = "onnx::Conv_7"
    for node in renamed.graph.node:
        node.input[:] = ["onnx::Conv_7" if name == "conv_weight" else name for name in node.input]
    assert "onnx::Conv_7" in find_parameters(nnmeter.read_model(renamed))
    assert with_parameters(model, ["conv.weight"]).constants.keys() == {"conv.weight"}
    with pytest.raises(NnmeterError, match="'nowhere' is no input"):
        with_parameters(model, ["nowhere"])


def test_two_inputs_that_are_multiplied_stay_inputs() -> None:
    values = [onnx.helper.make_tensor_value_info(name, 1, [4, 4]) for name in ("a", "b", "c")]
    node = onnx.helper.make_node("MatMul", ["a", "b"], ["c"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "product", values[:2], values[2:]))
    assert find_parameters(nnmeter.read_model(model)) == ()


@pytest.mark.filterwarnings("ignore")
def test_modules_of_torch_and_graphs_of_nni(predictor: nnMeterPredictor) -> None:
    torch = pytest.importorskip("torch")
    shape = (1, 16, 14, 14)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 10),
    )
    expected = predictor.predict(make_small_model(), "onnx")
    assert predictor.predict(module, "torch", shape) == pytest.approx(expected, rel=1e-9)
    assert module.training
    layers = {
        "conv": ("__torch__.torch.nn.modules.conv.Conv2d",
                 {"in_channels": 16, "out_channels": 32, "kernel_size": 3, "padding": 1}),
        "relu": ("aten::relu", {}),
        "pool": ("__torch__.nni.retiarii.nn.pytorch.nn.AdaptiveAvgPool2d", {"output_size": 1}),
        "flat": ("__torch__.torch.nn.modules.flatten.Flatten", {}),
        "fc": ("__torch__.torch.nn.modules.linear.Linear", {"in_features": 32, "out_features": 10}),
    }  # fmt: skip
    names = ["_inputs", *layers, "_outputs"]
    graph = {
        "inputs": ["x"],
        "outputs": ["y"],
        "nodes": {name: {"operation": {"type": kind, "parameters": given}} for name, (kind, given) in layers.items()},
        "edges": [{"head": [a, 0], "tail": [b, 0]} for a, b in pairwise(names)],
    }
    assert predictor.predict({"_model": graph}, "nni-ir", shape) == pytest.approx(expected, rel=1e-9)
    graph["nodes"]["relu"]["operation"]["type"] = "__torch__.os.system"  # type: ignore[index]
    with pytest.raises(NnmeterError, match="neither a class of"):
        predictor.predict({"_model": graph}, "nni-ir", shape)


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


def test_the_command(small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--list-predictors"]) == 0
    assert f"[Predictor] {CPU}: version=1.0" in capsys.readouterr().out
    expected = nnmeter.predict(small_model, CPU).latency_ms
    for arguments in (["predict", "--onnx", str(small_model)], ["lat_pred", "--onnx", str(small_model.parent)]):
        assert run([*arguments, "--predictor", CPU]) == 0
        assert capsys.readouterr().out == f"[RESULT] predict latency for {small_model.name}: {expected} ms\n"
    place = tmp_path / "graph.json"
    assert run(["get_ir", "--onnx", str(small_model), "-o", str(place)]) == 0
    capsys.readouterr()
    assert run(["predict", "--nn-meter-ir", str(place), "--predictor", CPU]) == 0
    assert "predict latency for graph.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "--predictor", "none", "--onnx", "model.onnx"], "none"),
        (["predict", "--predictor", CPU, "--onnx", "nowhere.onnx"], "nowhere.onnx"),
        (["create", "--tflite-workspace", "x"], "nnmeter profile"),
    ],
)
def test_the_command_fails_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
