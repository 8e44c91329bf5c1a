"""`nnmeter sparsity`: zeros that are counted, zeros that are assumed, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import nnmeter
from tests.conftest import ZOO, make_small_model
from tests.sparsity.packs import write_pack


@pytest.fixture
def pruned(tmp_path: Path) -> Path:
    """The small model with 16 of its 32 channels zero, and nine of ten other weights of its product."""
    model = make_small_model()
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor).copy()
        if tensor.name in ("conv.weight", "conv.bias"):
            value[16:] = 0
        if tensor.name == "fc.weight":
            value[np.add.outer(np.arange(10), np.arange(32)) % 10 != 3] = 0  # one of ten stays in every column
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    path = tmp_path / "pruned.onnx"
    onnx.save(model, path)
    return path


def test_zeros_are_counted_and_channels_removed(cli: Callable, pruned: Path, small_pack: Path) -> None:
    outcome = cli("sparsity", pruned, "--device", small_pack, "--read-weights", "--format", "json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert (found["weights"], found["weights_read"]) == (32 * 16 * 9 + 32 + 320 + 10, True)
    assert found["removed"] == [{"layer": "conv", "channels": 16, "of": 32}]
    kernels = {kernel["type"]: kernel for kernel in found["kernels"]}
    conv = next(kernel for name, kernel in kernels.items() if "Conv" in name)
    assert (conv["pattern"], conv["zeros"], conv["implementation"]) == ("channel", 0.5, "channels removed")
    assert kernels["Gemm"]["implementation"] == "executes zeros: 0 % gained"
    assert 0 < found["after_ms"] < found["latency_ms"]
    assert found["gain"] == pytest.approx(1 - found["after_ms"] / found["latency_ms"])


def test_the_smaller_model_is_priced_as_one_that_was_made_so(pruned: Path, small_pack: Path) -> None:
    found = nnmeter.predict_sparsity(pruned, small_pack, read_weights=True)
    from nnmeter.transforms import Channels

    made = nnmeter.what_if(pruned, [Channels("conv", 16)], small_pack)
    assert found.after is not None
    assert found.after.latency_ms == made.after.prediction.latency_ms


def test_assumed_zeros(cli: Callable, small_model: Path, small_pack: Path) -> None:
    arguments = ("sparsity", small_model, "--device", small_pack, "--format", "json")
    found = json.loads(cli(*arguments, "--zeros", "*=0.8").out)
    assert {kernel["pattern"] for kernel in found["kernels"]} == {"unstructured"}
    assert (found["gain"], found["after_ms"], found["removed"]) == (0.0, None, [])
    half = json.loads(cli(*arguments, "--zeros", "conv=channels:0.5").out)
    assert half["removed"] == [{"layer": "conv", "channels": 16, "of": 32}]
    both = json.loads(cli(*arguments, "--zeros", "conv=2:4", "--zeros", "fc=4x4:0.9").out)
    assert [(k["pattern"], k["n"], k["m"], k["block"]) for k in both["kernels"]] == [
        ("n:m", 2, 4, [1, 1]), ("block", 0, 0, [4, 4]),
    ]  # fmt: skip


def test_a_table_says_what_is_gained(cli: Callable, pruned: Path, small_pack: Path) -> None:
    out = cli("sparsity", pruned, "--device", small_pack, "--read-weights").out
    assert "16 channels of 1 layers can be removed" in out
    assert "executes zeros: 0 % gained" in out
    several = cli("sparsity", pruned, pruned, "--device", small_pack, "--read-weights").out
    assert several.count("pruned.onnx") == 2
    nothing = cli("sparsity", pruned, "--device", small_pack, "--zeros", "fc=0.9").out
    assert "nothing gained" in nothing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing says which weights are zero"),
        (("--zeros", "conv"), "is not LAYER=ZEROS"),
        (("--zeros", "conv=1.5"), "is no assumption of zeros"),
        (("--zeros", "conv=4:2"), "is no assumption of zeros"),
        (("--zeros", "conv=1.2.3"), "is no assumption of zeros"),
        (("--zeros", "none=0.5"), "no layer with a weight is called 'none'"),
    ],
)
def test_what_says_nothing_is_refused(
    cli: Callable, small_model: Path, small_pack: Path, arguments: tuple[str, ...], words: str
) -> None:
    outcome = cli("sparsity", small_model, "--device", small_pack, *arguments)
    assert outcome.code == 2
    assert words in outcome.error_line


def test_weights_that_are_not_there_are_named(cli: Callable, tmp_path: Path, small_pack: Path) -> None:
    from nnmeter.formats.onnx_writer import write_onnx

    path = tmp_path / "bare.onnx"
    onnx.save(write_onnx(nnmeter.read_model(make_small_model())), path)
    outcome = cli("sparsity", path, "--device", small_pack, "--read-weights")
    assert outcome.code == 2
    assert "weight 'conv.weight' cannot be read" in outcome.error_line


def test_another_runtime_with_sparse_kernels_is_shown(cli: Callable, tmp_path: Path) -> None:
    given = ["sparsity", ZOO / "mobilenet_v2-224.onnx", "--zeros", "*=0.9", "--device", "cortexA76cpu_tflite21"]
    outcome = cli(*given, "--sparse-kernels", write_pack(tmp_path / "pack"))
    assert outcome.code == 0, outcome.err
    assert "made 1.0" in outcome.out
    assert "gained" in outcome.out
    outcome = cli(*given, "--sparse-kernels", tmp_path / "nowhere")
    assert outcome.code == 2
    assert "no pack of sparse kernels" in outcome.err
