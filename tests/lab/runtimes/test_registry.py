from importlib.metadata import EntryPoint

import pytest

import nnmeter.lab.runtimes
from nnmeter.errors import MeasurementError
from nnmeter.lab.runtimes import RuntimeAdapter, list_runtimes, load_runtime


def point(name, value, loaded=None):
    class Point(EntryPoint):
        def load(self):
            if isinstance(loaded, Exception):
                raise loaded
            return loaded

    return Point(name=name, value=value, group="nnmeter.runtimes")


@pytest.fixture
def registered(monkeypatch):
    def register(*points):
        monkeypatch.setattr(nnmeter.lab.runtimes, "entry_points", lambda group: list(points))

    return register


def test_unknown_runtime_is_refused_with_the_known_ones(registered):
    registered(point("onnxruntime", "a:A"))
    with pytest.raises(MeasurementError, match="'tflite' is unknown; known are onnxruntime"):
        load_runtime("tflite")


def test_missing_library_says_what_to_install(registered):
    absent = ModuleNotFoundError("No module named", name="onnxruntime")
    registered(point("onnxruntime", "nnmeter.lab.runtimes.onnxruntime:A", absent))
    with pytest.raises(MeasurementError, match=r"pip install 'nnmeter\[onnxruntime\]'"):
        load_runtime("onnxruntime")


def test_missing_library_of_an_adapter_from_elsewhere_is_named(registered):
    registered(point("x", "elsewhere:A", ModuleNotFoundError("No module named", name="fastlib.core")))
    with pytest.raises(MeasurementError, match=r"pip install fastlib$"):
        load_runtime("x")


def test_two_adapters_of_one_name_are_refused(registered):
    registered(point("x", "a:A"), point("x", "b:B"))
    with pytest.raises(MeasurementError, match="several adapters"):
        load_runtime("x")


def test_one_adapter_listed_twice_is_one(registered):
    registered(point("x", "a:A", dict), point("x", "a:A", dict))
    assert list_runtimes() == ["x"]
    assert load_runtime("x") == {}


def test_onnx_runtime_is_found_through_its_entry_point():
    pytest.importorskip("onnxruntime")
    adapter = load_runtime("onnxruntime")
    assert isinstance(adapter, RuntimeAdapter)
    assert adapter.name == "onnxruntime"
    assert adapter.version()
