"""The public surface: what is here may grow, and changes only with a major version."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import nnmeter

NAMES = {
    "Advised",
    "Comparison",
    "Coverage",
    "CoverageError",
    "DeviceError",
    "InputSizes",
    "Interval",
    "KernelGroup",
    "LatencyPredictor",
    "Measurement",
    "MeasurementError",
    "MemoryPrediction",
    "ModelError",
    "NnmeterError",
    "Note",
    "Prediction",
    "SparsityPrediction",
    "Sweep",
    "TransformError",
    "UnboundModel",
    "WhatIf",
    "__version__",
    "advise",
    "calibrate",
    "compare",
    "detect_kernels",
    "discover_fusion",
    "evaluate",
    "list_devices",
    "load_model",
    "load_predictor",
    "measure",
    "predict",
    "predict_many",
    "predict_memory",
    "predict_sparsity",
    "predictions_to_pandas",
    "profile",
    "read_measurements",
    "read_model",
    "sweep",
    "train",
    "what_if",
}


SIZES = ["dims", "shapes", "assume", "values", "trips"]


def test_the_surface_is_what_it_was() -> None:
    assert set(nnmeter.__all__) == NAMES
    for name in NAMES:
        assert getattr(nnmeter, name) is not None
    assert set(dir(nnmeter)) >= NAMES


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("load_predictor", ["device"]),
        ("load_model", ["source", *SIZES, "sizes", "name"]),
        ("read_model", ["source", "name", "example_inputs", "example_kwargs"]),
        (
            "predict",
            ["model", "device", *SIZES, "sizes", "strict", "confidence", "name", "example_inputs", "example_kwargs"],
        ),
        (
            "predict_many",
            ["models", "devices", "dims", "shapes", "assume", "strict", "confidence", "progress", "values", "trips",
             "sizes", "workers", "client", "errors", "keep"],
        ),
        ("detect_kernels", ["model", "device", "sizes"]),
        ("compare", ["before", "after", "device", "sizes", "confidence"]),
        ("list_devices", ["public"]),
    ],
)  # fmt: skip
def test_functions_take_what_they_took(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(nnmeter, name)).parameters) == parameters


def test_predict_takes_what_it_took() -> None:
    parameters = list(inspect.signature(nnmeter.LatencyPredictor.predict).parameters)
    assert parameters[:5] == ["self", "model", "dims", "shapes", "strict"]
    for method in (nnmeter.LatencyPredictor.predict, nnmeter.LatencyPredictor.predict_each):
        assert set(inspect.signature(method).parameters) >= {*SIZES, "sizes", "name"}


def test_a_prediction_has_what_it_had() -> None:
    fields = set(inspect.signature(nnmeter.Prediction).parameters)
    assert fields >= {"model", "device", "latency_ms", "interval_ms", "confidence", "coverage", "kernels", "warnings"}


def test_errors_are_value_errors_of_one_base() -> None:
    for name in ("CoverageError", "DeviceError", "MeasurementError", "ModelError"):
        assert issubclass(getattr(nnmeter, name), nnmeter.NnmeterError)
    assert issubclass(nnmeter.NnmeterError, ValueError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nnmeter.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import nnmeter; print(*sorted(set(sys.modules) - before))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "numpy" not in output.split()
    assert [name for name in output.split() if name.startswith("nnmeter")] == ["nnmeter", "nnmeter._version"]


def test_the_stub_tells_checkers_what_there_is() -> None:
    """Editors read `__init__.pyi`; it must name each thing, and where it is."""
    stub = ast.parse((Path(nnmeter.__file__).with_suffix(".pyi")).read_text(encoding="utf-8"))
    told = {
        alias.asname: (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(told) == NAMES
    for name, (module, inner) in told.items():
        assert getattr(importlib.import_module(str(module)), inner) is getattr(nnmeter, name)
