"""Which session is predicted for a model with free dimensions, and that a prediction says so."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner
from onnx import parser

from nnmeter.cli.main import nnmeter
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.prediction.predict import load_predictor

PACK = "epyc-genoa-onnxruntime1.32-1t"
PHONE = "cortexA76cpu_tflite21"


@pytest.fixture
def free(tmp_path: Path) -> Path:
    zeros = "{" + ",".join("0" for _ in range(256)) + "}"
    bias = "{" + ",".join("0" for _ in range(16)) + "}"
    text = (
        f"agraph (float[batch,7,16] x) => (float[?,?,?] y) <float[16,16] w={zeros}, float[16] b={bias}> "
        "{ m=MatMul(x,w) y=Add(m,b) }"
    )
    path = tmp_path / "free.onnx"
    model = onnx.helper.make_model(parser.parse_graph(text), opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, path)
    return path


def test_a_prediction_is_of_the_session_that_a_program_gets_by_loading_the_model(free: Path) -> None:
    prediction = load_predictor(PACK).predict(free, dims={"batch": 2})
    assert [kernel.type for kernel in prediction.kernels] == ["MatMul", "Add"]
    assert prediction.session == "free"
    assert any(note.code == "session" and "--session bound" in note for note in prediction.warnings)


def test_the_other_session_can_be_had(free: Path) -> None:
    prediction = load_predictor(PACK).predict(free, sizes=InputSizes({"batch": 2}, session="bound"))
    assert [kernel.type for kernel in prediction.kernels] == ["Reshape", "Gemm", "Reshape"]
    assert prediction.session == "bound"
    assert any(note.code == "session" and "--session free" in note for note in prediction.warnings)


def test_nothing_is_said_where_there_is_but_one(free: Path) -> None:
    """A runtime that always knows the sizes, and a model that leaves none free."""
    assert load_predictor(PHONE).predict(free, dims={"batch": 2}).session is None
    model = onnx.load(free)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    prediction = load_predictor(PACK).predict(model)
    assert prediction.session is None
    assert not any(note.code == "session" for note in prediction.warnings)


@pytest.mark.parametrize(("given", "expected"), [([], "free"), (["--session", "bound"], "bound")])
def test_the_command_line_says_and_takes_it(free: Path, given: list[str], expected: str) -> None:
    options = ["--device", PACK, "--dim", "batch=2", *given]
    found = CliRunner().invoke(nnmeter, ["predict", str(free), *options, "--format", "json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["session"] == expected
    listed = CliRunner().invoke(nnmeter, ["kernels", str(free), *options])
    assert ("Gemm" in listed.output) == (expected == "bound")
    assert "free dimensions" in " ".join(listed.output.split())
