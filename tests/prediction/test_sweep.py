"""Sweeps: all combinations or sizes that go together, and what cannot be is passed over."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnmeter.cli.main import run
from nnmeter.errors import ModelError, NnmeterError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.prediction.predict import load_predictor, predict_on
from nnmeter.prediction.sweep import bind_each, combinations


@pytest.fixture
def joined() -> onnx.ModelProto:
    """Adds two inputs whose lengths `a` and `b` must be equal, or 1."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size]) for name, size in (("x", "a"), ("y", "b"))]
    node = helper.make_node("Add", ["x", "y"], ["z"], "add")
    return helper.make_model(
        helper.make_graph([node], "g", values, [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]),
        opset_imports=[helper.make_opsetid("", 17)],
    )


def test_sizes_that_go_together_are_no_product(joined: onnx.ModelProto) -> None:
    sizes = InputSizes({"a": (2, 3, 3), "b": (2, 3, 1)}, zipped=True)
    found = [single.dims for single in combinations(read_model(joined), sizes)]
    assert found == [{"a": 2, "b": 2}, {"a": 3, "b": 3}, {"a": 3, "b": 1}]
    one = InputSizes({"a": (2, 3), "b": 1}, zipped=True)
    assert [single.dims for single in combinations(read_model(joined), one)] == [{"a": 2, "b": 1}, {"a": 3, "b": 1}]


def test_sizes_that_go_together_are_as_many(joined: onnx.ModelProto) -> None:
    with pytest.raises(NnmeterError, match="as many of each dimension, not 'a' 2, 'b' 3"):
        list(combinations(read_model(joined), InputSizes({"a": (1, 2), "b": (1, 2, 3)}, zipped=True)))


def test_a_combination_that_cannot_be_does_not_stop_the_others(joined: onnx.ModelProto) -> None:
    model, sizes = read_model(joined), InputSizes({"a": (2, 3), "b": (2, 3)})
    with pytest.raises(ModelError, match="do not broadcast"):
        list(bind_each(model, sizes))
    failed: list[ModelError] = []
    assert [dims for _, dims in bind_each(model, sizes, failed)] == [{"a": 2, "b": 2}, {"a": 3, "b": 3}]
    assert len(failed) == 2
    with pytest.raises(ModelError, match="do not broadcast"):
        list(bind_each(model, InputSizes({"a": 2, "b": 3}), []))


def test_the_command_line_zips_and_passes_over(
    joined: onnx.ModelProto, tmp_path: Path, small_pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "joined.onnx"
    onnx.save(joined, path)
    arguments = [
        "predict",
        str(path),
        "--device",
        str(small_pack),
        "--format",
        "csv",
        "--dim",
        "a=4,5",
        "--dim",
        "b=4,5",
    ]
    assert run([*arguments, "--zip"]) == 0
    said = capsys.readouterr()
    assert len(said.out.strip().splitlines()) == 3
    assert "passed over" not in said.err
    assert run(arguments) == 0
    said = capsys.readouterr()
    assert len(said.out.strip().splitlines()) == 3
    assert said.err.count("passed over") == 2


def test_a_model_that_is_wholly_folded_says_so(small_pack: Path) -> None:
    values = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    node = helper.make_node("Add", ["a", "b"], ["y"], "add")
    constants = [numpy_helper.from_array(np.ones(4, np.float32), name) for name in ("a", "b")]
    model = helper.make_model(
        helper.make_graph([node], "g", [], values, constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    prediction = next(iter(predict_on([load_predictor(small_pack)], model)))
    assert any("nothing is left to run" in warning for warning in prediction.warnings)
