"""The first calls of a Python user: any form of a model, any form of a device, sizes in one object or beside it."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import nnmeter
from nnmeter.devices import load_pack
from tests.conftest import make_small_model


def test_any_form_of_a_model_gives_one_prediction(small_pack: Path, small_model: Path) -> None:
    data = small_model.read_bytes()
    with open(small_model, "rb") as stream:
        sources: list[object] = [small_model, str(small_model), data, bytearray(data), memoryview(data)]
        sources += [io.BytesIO(data), stream, onnx.load(small_model)]
        sources += [nnmeter.read_model(small_model), nnmeter.load_model(small_model)]
        found = {nnmeter.predict(source, small_pack).latency_ms for source in sources}
    assert len(found) == 1


def test_any_form_of_a_device_gives_one_prediction(small_pack: Path, small_model: Path) -> None:
    devices = (small_pack, str(small_pack), load_pack(small_pack), nnmeter.load_predictor(small_pack))
    assert len({nnmeter.predict(small_model, device).latency_ms for device in devices}) == 1


def test_a_file_object_that_gives_text_is_refused(small_pack: Path) -> None:
    with pytest.raises(nnmeter.ModelError, match="model: a file object that gives str; open it in binary mode"):
        nnmeter.predict(io.StringIO("model"), small_pack)


def test_what_is_no_model_is_named(small_pack: Path) -> None:
    with pytest.raises(nnmeter.ModelError, match="net: a int is no model; give a path, bytes, a binary file object"):
        nnmeter.predict(5, small_pack, name="net")


def test_a_model_in_memory_has_the_name_that_it_is_given(small_pack: Path) -> None:
    data = make_small_model().SerializeToString()
    assert nnmeter.predict(data, small_pack).model == "small"
    assert nnmeter.predict(data, small_pack, name="net").model == "net"
    assert nnmeter.load_model(data, name="net").name == "net"
    read = nnmeter.read_model(data, name="net")
    assert (read.name, nnmeter.read_model(read).name, nnmeter.read_model(read, "other").name) == ("net", "net", "other")
    assert [p.model for p in nnmeter.predict_many([read, data], [small_pack])] == ["net", "small"]
    with pytest.raises(nnmeter.ModelError, match="net: is truncated or not an ONNX model"):
        nnmeter.predict(data[:-5], small_pack, name="net")


def test_a_name_does_not_hide_the_path_from_the_advice(tmp_path: Path, small_pack: Path) -> None:
    path = tmp_path / "softmax.onnx"
    node = onnx.helper.make_node("Softmax", ["x"], ["y"], "s")
    info = [onnx.helper.make_tensor_value_info(name, 1, [8, 8]) for name in "xy"]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", info[:1], info[1:])), path)
    prediction = nnmeter.predict(path, small_pack, name="net")
    assert prediction.model == "net"
    assert str(path) in prediction.advice[0]


def test_sizes_are_given_in_one_object_or_beside_it(small_pack: Path) -> None:
    model = make_small_model("batch")
    sizes = nnmeter.InputSizes(dims={"batch": 4})
    predictor = nnmeter.load_predictor(small_pack)
    four = predictor.predict(model, {"batch": 4})
    assert four.dims == {"batch": 4}
    assert predictor.predict(model, sizes=sizes) == four == nnmeter.predict(model, small_pack, sizes=sizes)
    assert predictor.predict_each(model, sizes=sizes) == [four]
    assert nnmeter.predict_many([model], [small_pack], sizes=sizes) == [four]
    assert predictor.predict(model, {"batch": np.int64(4)}) == four
    assert predictor.predict(model, {"batch": 2}, sizes=sizes).dims == {"batch": 2}
    assert nnmeter.load_model(model, sizes=sizes).types["input"].shape == (4, 16, 14, 14)
    assert nnmeter.load_model(model, shapes={"input": (3, 16, 14, 14)}).types["output"].shape == (3, 10)
    kernels = nnmeter.detect_kernels(model, small_pack, sizes)
    assert [kernel.type for kernel in kernels] == [kernel.type for kernel in four.kernels]


def test_values_and_trips_reach_sweeps(small_pack: Path) -> None:
    nodes = [
        onnx.helper.make_node("Reshape", ["x", "shape"], ["y"], "r"),
        onnx.helper.make_node("Relu", ["y"], ["z"], "a"),
    ]
    inputs = [onnx.helper.make_tensor_value_info("x", 1, ["n", 6]), onnx.helper.make_tensor_value_info("shape", 7, [2])]
    outputs = [onnx.helper.make_tensor_value_info("z", 1, None)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", inputs, outputs))
    predictor = nnmeter.load_predictor(small_pack)
    found = predictor.predict_each(model, {"n": [2, 4]}, values={"shape": [-1, 3]})
    assert [p.dims["n"] for p in found] == [2, 4]
    assert found == nnmeter.predict_many([model], [predictor], {"n": [2, 4]}, values={"shape": [-1, 3]})
    with pytest.raises(nnmeter.ModelError, match="dimension 'n' cannot be \\[2, 4\\]"):
        predictor.predict(model, {"n": [2, 4]}, values={"shape": [-1, 3]})
    with pytest.raises(nnmeter.ModelError, match="dimension 'n' cannot be \\(2, 4\\)"):
        predictor.predict(model, sizes=nnmeter.InputSizes({"n": (2, 4)}, values={"shape": [-1, 3]}))


def _latency(predictor: nnmeter.LatencyPredictor, model: bytes) -> float:
    return predictor.predict(model).latency_ms


def test_a_used_predictor_can_be_sent_to_workers(small_pack: Path) -> None:
    predictor = nnmeter.load_predictor(small_pack)
    data = make_small_model().SerializeToString()
    expected = predictor.predict(data).latency_ms
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_latency, (predictor, data)) == expected


def test_what_was_read_and_predicted_can_be_pickled(small_pack: Path, small_model: Path) -> None:
    prediction = nnmeter.predict(small_model, small_pack)
    assert pickle.loads(pickle.dumps(prediction)) == prediction
    for model in (nnmeter.read_model(small_model), nnmeter.load_model(small_model)):
        again = pickle.loads(pickle.dumps(model))
        assert nnmeter.predict(again, small_pack).latency_ms == prediction.latency_ms


def test_a_prediction_is_one_line(small_pack: Path) -> None:
    prediction = nnmeter.predict(make_small_model("batch"), small_pack, {"batch": 2}, name="models/net.onnx")
    text = str(prediction)
    assert text.startswith("net.onnx (batch=2) on test-onnxruntime-1t: ")
    assert text.endswith("% trained")
    assert f"{len(prediction.kernels)} kernels" in text
    assert repr(prediction) == f"<Prediction {text}>"


def test_a_notebook_gets_a_table_that_runs_nothing(small_pack: Path) -> None:
    model = make_small_model()
    model.graph.node[1].name = "<script>alert(1)</script>"
    model.graph.node[4].name = '\x1b[2J&"'
    prediction = nnmeter.predict(model, small_pack, name="<img src=x onerror=y>/\x1b[31m<b>")
    html = prediction._repr_html_()
    assert html.count("<table>") == 1
    assert html.count("<tr>") == 1 + len(prediction.kernels) + (prediction.overhead_ms > 0)
    for hostile in ("<script", "<img", "<b>", "\x1b"):
        assert hostile not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in repr(prediction)


def test_the_lab_is_imported_when_it_is_asked_for() -> None:
    code = (
        "import sys, nnmeter; nnmeter.predict; nnmeter.predictions_to_pandas\n"
        "assert not [m for m in sys.modules if m.startswith('nnmeter.lab.')]\n"
        "[getattr(nnmeter, name) for name in nnmeter.__all__]\n"
        "assert 'nnmeter.lab.api' in sys.modules\n"
        "heavy = {'pandas', 'onnx', 'onnxruntime', 'lightgbm', 'sklearn', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
