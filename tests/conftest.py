"""What tests of several packages share: small models and a small device pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from nnmeter.predictor import KernelPredictor

REPOSITORY = Path(__file__).parent.parent
ZOO = REPOSITORY / "data" / "zoo"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what pins the behaviour of a newer ONNX Runtime than the one that is installed."""
    marker = item.get_closest_marker("needs_onnxruntime")
    if marker:
        version = pytest.importorskip("onnxruntime").__version__
        if tuple(map(int, version.split(".")[:2])) < marker.args[0]:
            pytest.skip(f"pins ONNX Runtime {'.'.join(map(str, marker.args[0]))}, {version} is installed")


def make_small_model(batch: int | str = 1, opset: int = 17) -> onnx.ModelProto:
    """Conv, Relu, GlobalAveragePool, Flatten, Gemm: input [batch, 16, 14, 14], output [batch, 10]."""
    random = np.random.default_rng(0)
    weights = {
        "conv.weight": random.standard_normal((32, 16, 3, 3), dtype=np.float32),
        "conv.bias": random.standard_normal(32, dtype=np.float32),
        "fc.weight": random.standard_normal((10, 32), dtype=np.float32),
        "fc.bias": random.standard_normal(10, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "conv.weight", "conv.bias"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["output"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 16, 14, 14])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 10])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture
def small_model(tmp_path: Path) -> Path:
    """A file with the model of `make_small_model`."""
    path = tmp_path / "small.onnx"
    onnx.save(make_small_model(), path)
    return path


def make_small_predictor() -> KernelPredictor:
    """A predictor whose prices are the roofline's; it was "trained" on convolutions and matrix products only."""
    from nnmeter.kernels.anchor import Kind
    from nnmeter.predictor import KernelPredictor
    from nnmeter.predictor.baselines import Baselines
    from nnmeter.predictor.intervals import IntervalModel
    from nnmeter.predictor.kernel_predictor import FALLBACK
    from nnmeter.predictor.roofline import DTYPE_CLASSES, Roofline
    from nnmeter.predictor.trees import ARRAYS, TreeEnsemble
    from nnmeter.predictor.vocabulary import RANGE_FEATURES, Sampled

    def constant() -> TreeEnsemble:
        return TreeEnsemble(*(np.zeros(0, dtype) for dtype in ARRAYS.values()), bias=0.0)

    wide = ((-10.0,) * len(RANGE_FEATURES), (60.0,) * len(RANGE_FEATURES))
    trained = ("convolution:nchwc.Conv|float32", "convolution:Conv|float32", "matmul:Gemm|float32")
    return KernelPredictor(
        roofline=Roofline(dict.fromkeys(DTYPE_CLASSES.values(), 50.0), 10.0, 0.001),
        vocabulary={Kind.parse(name): Sampled(0.0, 10, 0.05, *wide) for name in trained},
        ensembles={name: constant() for name in ("convolution", "matmul", FALLBACK)},
        fallback_sigma=0.5,
        intervals=IntervalModel(0.02, {0.5: 0.7, 0.8: 1.3, 0.9: 1.7, 0.95: 2.0}, 100),
        baselines=Baselines(1e-8, (1e-8, 1e-7, 1e-3), 1.0),
    )


@pytest.fixture(scope="session")
def small_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device pack whose prices are the roofline's; it was "trained" on convolutions and matrix products only."""
    from nnmeter.devices import Card, save_pack
    from nnmeter.fusion.loading import load_rules, rules_to_dict

    fingerprint: dict[str, Any] = {"cpu": "Test CPU", "vendor": "Test", "architecture": "x86_64", "isa": "avx512"}
    card = Card(
        id="test-onnxruntime-1t",
        hardware="made for tests",
        runtime="onnxruntime",
        version="1.0.0",
        threads=1,
        precision="float32",
        date="2026-01-01",
        protocol="none",
        fingerprint=fingerprint,
    )
    directory = tmp_path_factory.mktemp("packs") / card.id
    return save_pack(directory, card, rules_to_dict(load_rules("onnxruntime_cpu")), make_small_predictor()).path
