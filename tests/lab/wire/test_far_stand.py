"""Models that are copied to a board and measured there."""

import os
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.errors import MeasurementError, ModelError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.lab.measuring.sitting import measure_sitting
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.wire import session
from nnmeter.lab.wire.far_stand import files_of, open_far_stand

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the far side needs a POSIX system")


def make_model(path, weights="", size=64):
    weight = numpy_helper.from_array(np.ones((size, size), np.float32), "w")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, size])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, size])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    if weights:
        onnx.save(model, path, save_as_external_data=True, location=weights, size_threshold=0)
    else:
        onnx.save(model, path)


@pytest.fixture
def models(tmp_path):
    make_model(tmp_path / "a" / "model.onnx", "model.weights")
    make_model(tmp_path / "b" / "other.onnx")
    return [tmp_path / "a" / "model.onnx", tmp_path / "b" / "other.onnx"]


def test_models_are_measured_there_with_the_wire_cut_meanwhile(far, address, tmp_path, models, monkeypatch):
    monkeypatch.setattr(session, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(session, "CHUNK", 4096)
    out = tmp_path / "measured.parquet"
    cuts = []

    def cut(text, done, total):
        if text not in cuts and len(cuts) < 4:
            cuts.append(text)
            far.signal()

    with open_far_stand(address) as stand:
        done = measure_sitting(
            models,
            stand,
            AS_DECLARED,
            out,
            families={"model.onnx": "mine"},
            passes=2,
            seconds_per_pass=0.6,
            progress=cut,
        )
        files = list(far.home.glob(".cache/nnmeter/wire/*/files/*"))
        again = measure_sitting(models[:1], stand, AS_DECLARED, out, append=True, passes=1, seconds_per_pass=0.01)
    assert cuts[0].startswith("copy ")
    assert any(text.startswith(("load", "pass")) for text in cuts)
    rows, fingerprint = read_measurements(out)
    assert [(row.id, row.family) for row in rows[:2]] == [("model:model", "mine"), ("model:other", "")]
    assert rows[0].kernels == done.measurements[0].kernels
    assert fingerprint["runtime"] == "far"
    assert rows[2].id.startswith("model:model@")
    assert again.measurements[0].reference_ms == pytest.approx(rows[0].reference_ms)
    assert len(files) == 3
    assert not list(far.home.glob(".cache/nnmeter/wire/*/files/*"))


def test_what_was_measured_before_ctrl_c_comes_back(far, address, tmp_path, models):
    told = []

    def stop(text, done, total):
        told.append(text)
        if text.startswith("pass") and "other" not in text and not any(t.startswith("stop") for t in told):
            told.append("stop")
            raise KeyboardInterrupt

    with open_far_stand(address) as stand:
        done = measure_sitting(
            models, stand, AS_DECLARED, tmp_path / "m.parquet", passes=500, seconds_per_pass=0.3, progress=stop
        )
    assert done.interrupted
    assert done.measurements[0].id == "model:model"
    assert 0 < done.measurements[0].runs < 500 * 0.3 / 1e-5


def test_files_outside_of_a_models_folder_stay_here(tmp_path):
    make_model(tmp_path / "a" / "model.onnx", "model.weights")
    (tmp_path / "secret").write_text("x")
    model = onnx.load(tmp_path / "a" / "model.onnx", load_external_data=False)
    (entry,) = (e for e in model.graph.initializer[0].external_data if e.key == "location")
    for name in ("../secret", str(tmp_path / "secret"), "link", "absent"):
        entry.value = name
        onnx.save(model, tmp_path / "a" / "hostile.onnx")
        (tmp_path / "a" / "link").unlink(missing_ok=True)
        (tmp_path / "a" / "link").symlink_to(tmp_path / "secret")
        assert [name for name, _ in files_of(tmp_path / "a" / "hostile.onnx")] == ["hostile.onnx"]
    assert [name for name, _ in files_of(tmp_path / "a" / "model.onnx")] == ["model.onnx", "model.weights"]
    with pytest.raises(ModelError, match="not an ONNX model, which alone can be sent"):
        list(files_of(tmp_path / "secret"))


@pytest.mark.parametrize("change", [{"network": "c", "id": "model:c"}, {"id": "model:a"}, {"reference_ms": 3.0}])
def test_rows_of_other_models_are_refused(change):
    from nnmeter.lab.wire.far_stand import _check
    from tests.lab.wire.test_hostile_boards import make_measurement

    row = replace(make_measurement(), network="a", id="model:a")
    _check([row, replace(row, network="b", id="model:b")], ["a", "x", "b"], None)
    with pytest.raises(MeasurementError, match="no measurement of what was asked"):
        _check([row, replace(row, **{"network": "b", "id": "model:b", **change})], ["a", "b"], row.reference_ms)
    with pytest.raises(MeasurementError, match="no measurement of what was asked"):
        _check([row, row], ["a"], None)


def test_sizes_that_data_decide_are_refused_as_here(tmp_path, models):
    with pytest.raises(MeasurementError, match="has the shapes of its data"):
        measure_sitting(models, None, InputSizes(assume={"x": (1,)}))
