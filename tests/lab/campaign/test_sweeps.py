"""Sweeps of operators: every case is legal, runs in ONNX Runtime, and takes the paths that the table knows."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.kernels.paths import code_path
from nnmeter.lab.campaign.recipes.builder import Budget, Exporter, NetworkBuilder
from nnmeter.lab.campaign.recipes.sweeps import elements, fused, movement, products, rows, windows
from nnmeter.lab.campaign.recipes.sweeps.source import ALONE, BEHIND_CONVOLUTIONS, BEHIND_PRODUCTS, Source

ort = pytest.importorskip("onnxruntime")

Sweep = Callable[[Source], None]
CASES = {
    f"{module.__name__.rpartition('.')[2]}-{name}": case
    for module in (windows, rows, elements, movement, products, fused)
    for name, (case, _) in module.CASES.items()
}
STANDARD = {f"standard-{name}": case for name, (case, _) in fused.STANDARD_CASES.items()}
SEEDS = range(6)


def network(sweep: Sweep, seeds: range, opset: int = 20) -> onnx.ModelProto:
    """Several draws of one sweep, each in another context."""
    b = NetworkBuilder(random.Random(seeds[0]), Exporter(opset), Budget())
    for seed in seeds:
        sweep(Source(b, (ALONE, BEHIND_CONVOLUTIONS, BEHIND_PRODUCTS)[seed % 3]))
    return b.finish("sweep")


def outputs(model: onnx.ModelProto) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = np.ones([d.dim_value for d in tensor.shape.dim], kind)
    return session.run(None, feeds)


@pytest.mark.parametrize("name", [*CASES, *STANDARD])
def test_every_sweep_runs_and_writes_the_shapes_that_it_says(name: str) -> None:
    model = network({**CASES, **STANDARD}[name], SEEDS, 23 if name in STANDARD else 20)
    for value, output in zip(model.graph.output, outputs(model), strict=True):
        assert [d.dim_value for d in value.type.tensor_type.shape.dim] == list(output.shape), value.name


def paths(sweep: Sweep, draws: int) -> set[tuple[str, str]]:
    rules = load_rules("onnxruntime_cpu")
    found = set()
    for first in range(0, draws, 12):
        for kernel in detect_kernels(bind_shapes(read_model(network(sweep, range(first, first + 12)))), rules):
            found.add((kernel.signature.op_type, code_path(kernel.signature)))
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("windows-AveragePool", {"ceil_mode, count_include_pad", "3-D"}),
        ("windows-Resize", {"linear by half_pixel", "3-D, linear by half_pixel", "cubic, cubic by half_pixel"}),
        ("windows-Conv", {"groups of few channels", "1-D", "3-D, dilated", "several results a channel"}),
        ("rows-Softmax", {"inner axis"}),
        ("rows-Reduce", {"axes KRK", "axes RK"}),
        ("movement-Transpose", {"by element", "blocks of the last axis", "as it lies"}),
        ("movement-Slice", {"strided", "backwards"}),
        ("products-Gemm", {"transA", "computed matrix", "third matrix of another shape"}),
        ("elements-arithmetic", {"broadcast along the last axis"}),
    ],
)
def test_a_sweep_reaches_the_paths_of_its_operators(name: str, wanted: set[str]) -> None:
    assert wanted <= {path for _, path in paths(CASES[name], 160)}


def test_element_wise_operators_come_from_the_standard() -> None:
    found = elements.unary_operators()
    assert {"Relu", "Erf", "HardSwish", "Mish", "Softplus", "Atanh", "Gelu"} <= set(found)
    assert not {"Cast", "Clip", "Dropout", "IsNaN"} & set(found)
