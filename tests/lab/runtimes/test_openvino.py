import dataclasses
import json
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

pytest.importorskip("openvino")

from onnx import TensorProto, helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.cli.main import run
from nnmeter.devices import load_pack, save_pack
from nnmeter.errors import MeasurementError
from nnmeter.formats import read_model
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.runtimes.detection import ask_runtime
from nnmeter.lab.runtimes.openvino import match_entries
from tests.conftest import ZOO
from tests.lab.runtimes.adapter_contract import AdapterContract
from tests.lab.runtimes.models import make_model, uneven_model


@pytest.fixture(scope="module")
def adapter():
    return load_runtime("openvino")


class TestOpenVino(AdapterContract):
    input_types = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.BFLOAT16, TensorProto.FLOAT16)
    tolerance = 1e-5


def test_version_and_threads_are_recorded(adapter):
    assert adapter.version()[:2] == "20"
    assert adapter.device_settings(2)["inference_num_threads"] == 2


def test_kernels_are_those_that_the_runtime_made(adapter):
    compiled = adapter.compile(uneven_model())
    types = [kernel.type for kernel in compiled.kernels]
    assert "Relu" not in types
    assert any("Conv" in kind and "Relu" in kind for kind in types)
    assert compiled.batch == 1
    compiled.close()


def test_every_profiled_run_is_followed_by_the_callback(adapter):
    compiled = adapter.compile(uneven_model(), profiled=True)
    calls = []
    compiled.profile(4, lambda: calls.append(1))
    assert len(calls) == 4


def test_refused_model_is_named_with_the_reason(adapter, tmp_path):
    unknown = helper.make_node("Mystery", ["x"], ["y"], domain="com.example")
    model = make_model([unknown], [("x", [2, 3])], [("y", [2, 3])])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    path = tmp_path / "bad.onnx"
    onnx.save(model, path)
    with pytest.raises(MeasurementError, match=r"bad\.onnx: OpenVINO \S+ refuses it .*Mystery"):
        adapter.compile(path)


def test_threads_that_the_machine_has_not_are_refused(adapter):
    with pytest.raises(MeasurementError, match=r"grants \d+ of 4096 threads"):
        adapter.compile(uneven_model(), 4096)


def test_detection_asks_the_runtime(adapter):
    path = ZOO / "squeezenet1_1-224.onnx"
    kernels = ask_runtime(path, "openvino")(bind_shapes(read_model(path)))
    compiled = adapter.compile(path)
    assert [k.signature for k in kernels] == [k.signature for k in compiled.kernels]
    compiled.close()


def test_command_line_asks_the_runtime_of_the_pack(small_pack, small_model, tmp_path, capsys):
    pack = load_pack(small_pack)
    card = dataclasses.replace(pack.card, id="test-openvino-1t", runtime="openvino")
    other = save_pack(tmp_path / card.id, card, json.loads((small_pack / "rules.json").read_text()), pack.predictor)
    arguments = [str(small_model), "--device", str(other.path), "--kernels-from", "runtime", "--format", "json"]
    assert run(["kernels", *arguments]) == 0
    types = [kernel["type"] for kernel in json.loads(capsys.readouterr().out)["kernels"]]
    assert any("Conv" in kind and "Relu" in kind for kind in types)
    assert not any("nchwc" in kind for kind in types)
    assert run(["predict", *arguments]) == 0
    assert [kernel["type"] for kernel in json.loads(capsys.readouterr().out)["kernels"]] == types


@pytest.mark.parametrize("name", ["bert-tiny", "mobilenet_v3_small-224", "shufflenet_v2_x0_5-224", "resnet10t-176"])
def test_model_without_weights_runs_on_ordinary_numbers(adapter, name):
    compiled = adapter.compile(ZOO / f"{name}.onnx", profiled=True)
    assert all(np.isfinite(output).all() for output in compiled.outputs())
    times = compiled.profile(2)
    assert times.shape[1] == len(compiled.kernels) > 5
    compiled.close()


def test_entries_are_matched_by_name():
    assert match_entries(["b", "a"], ["in", "a", "fused", "b"], [False, True, False, True]) == [3, 1]


@pytest.mark.parametrize(
    ("nodes", "names", "busy", "message"),
    [
        (["a", "b"], ["a"], [True], "'b' has 1 kernels and 0 entries"),
        (["a"], ["a", "a"], [True, True], "'a' has 1 kernels and 2 entries"),
        (["a", "a"], ["a"], [True], "'a' has 2 kernels and 1 entries"),
        (["a"], ["a", "b"], [True, True], "'b' was executed and is no kernel"),
    ],
)
def test_what_does_not_match_is_an_error(nodes, names, busy, message):
    with pytest.raises(MeasurementError, match=message):
        match_entries(nodes, names, busy)


def test_profiler_that_changes_its_mind_is_an_error(adapter, monkeypatch):
    """A profile entry that is missing is never taken for a time of 0."""
    compiled = adapter.compile(uneven_model(), profiled=True)
    entries = [SimpleNamespace(node_name="other", real_time=timedelta(microseconds=3))]
    monkeypatch.setattr("nnmeter.lab.runtimes.openvino._Session.profiling_info", lambda self: entries)
    with pytest.raises(MeasurementError, match="0 entries"):
        compiled.profile(2)
