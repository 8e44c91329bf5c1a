import math
import statistics

import numpy as np
import onnx
import pytest

from nnmeter.errors import NnmeterError
from nnmeter.lab.campaign.recipes import FAMILIES, random_network
from nnmeter.lab.campaign.recipes.network import LARGE_FAMILIES, SWEEPING_FAMILIES

ort = pytest.importorskip("onnxruntime")

RUN_SEED = 5
# Large networks are made of the others' parts (test_large_recipes), sweeps have tests of their own (test_sweeps).
OF_BLOCKS = [name for name in FAMILIES if name not in (*LARGE_FAMILIES, *SWEEPING_FAMILIES)]
INPUT_TYPES = {
    onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.FLOAT16: np.float16, onnx.TensorProto.INT64: np.int64,
}  # fmt: skip


def inputs_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(0)
    feeds = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [d.dim_value for d in tensor.shape.dim]
        kind = INPUT_TYPES[tensor.elem_type]
        floating = kind is not np.int64
        feeds[value.name] = numbers.standard_normal(shape).astype(kind) if floating else np.ones(shape, kind)
    return feeds


def dims_of(value: onnx.ValueInfoProto) -> list[int]:
    return [d.dim_value for d in value.type.tensor_type.shape.dim]


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs_of(model))


def weight_bytes(model: onnx.ModelProto) -> int:
    return sum(len(t.raw_data) for t in model.graph.initializer)


@pytest.mark.parametrize("family", OF_BLOCKS)
def test_a_network_of_each_family_is_valid_and_runs_to_finite_numbers(family: str) -> None:
    model = random_network(RUN_SEED, family)
    onnx.checker.check_model(model)
    for value, output in zip(model.graph.output, run(model), strict=True):
        assert list(output.shape) == dims_of(value), value.name
        if output.dtype == np.float32:
            assert np.isfinite(output).all(), value.name


@pytest.mark.parametrize("family", OF_BLOCKS)
def test_tracked_shapes_are_those_that_onnx_infers(family: str) -> None:
    for seed in (11, 12):
        model = random_network(seed, family)
        declared = {value.name: dims_of(value) for value in model.graph.output}
        for tensor in model.graph.initializer:
            if math.prod(tensor.dims) > 4096:
                tensor.ClearField("raw_data")
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(model)
        known = [value for value in inferred.graph.output if value.type.tensor_type.HasField("shape")]
        assert [dims_of(value) for value in known] == [declared[value.name] for value in known]


def test_the_same_seed_gives_the_same_bytes() -> None:
    for seed in range(12):
        assert random_network(seed).SerializeToString() == random_network(seed).SerializeToString()


def test_seeds_give_different_networks() -> None:
    assert len({random_network(seed).SerializeToString() for seed in range(20)}) == 20


def test_family_and_seed_stand_in_the_model() -> None:
    model = random_network(7, "inverted_residual")
    properties = {p.key: p.value for p in model.metadata_props}
    assert model.graph.name == "inverted_residual"
    assert properties == {"nnmeter.family": "inverted_residual", "nnmeter.seed": "7"}


def test_networks_stay_within_their_bounds() -> None:
    sizes, nodes = [], []
    for seed in range(100, 160):
        model = random_network(seed)
        sizes.append(weight_bytes(model))
        nodes.append(len(model.graph.node))
        assert all(d.dim_value > 0 for v in model.graph.input for d in v.type.tensor_type.shape.dim)
    assert max(sizes) <= 620_000_000
    assert statistics.median(sizes) <= 60_000_000
    assert 10 <= statistics.median(nodes) <= 70
    assert max(nodes) <= 800


def test_families_are_drawn_in_variety() -> None:
    names = {random_network(seed).graph.name for seed in range(60)}
    assert len(names) >= 20


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(NnmeterError, match="focus 'resnet' is no family"):
        random_network(0, "resnet")


@pytest.mark.parametrize(
    ("family", "operators"),
    [
        ("inverted_residual", {"Conv"}),
        ("encoder", {"MatMul", "LayerNormalization", "Softmax"}),
        ("windowed", {"Transpose", "Softmax", "Concat"}),
        ("gated_decoder", {"Pow", "Neg", "Slice"}),
        ("quantized_static", {"QuantizeLinear", "DequantizeLinear"}),
        ("quantized_static_tokens", {"QuantizeLinear", "LayerNormalization", "Softmax"}),
        ("quantized_dynamic_maps", {"DynamicQuantizeLinear", "ConvInteger"}),
        ("quantized_blocks", {"MatMulNBits"}),
        ("half_precision", {"Cast", "Conv", "MatMul"}),
        ("text_lines", {"Conv", "Softmax", "ConvTranspose", "LSTM"}),
        ("detector", {"Conv", "Concat", "Resize"}),
        ("speech", {"Conv", "LSTM"}),
        ("cached_decoder", {"Concat", "Softmax", "Pow"}),
        ("quantized_dynamic", {"DynamicQuantizeLinear", "MatMulInteger"}),
        ("recurrent", {"LSTM"}),
        ("scenes", {"Conv", "Resize"}),
        ("deep_lines", {"Conv", "MaxPool", "LSTM"}),
        ("slopes", {"Conv", "PRelu"}),
        ("grouped_signal", {"Conv", "LayerNormalization"}),
        ("video", {"Conv", "ReduceMean"}),
        ("characters", {"Gather", "Conv", "ReduceMax"}),
        ("time_frequency", {"Conv", "Mul", "Concat"}),
    ],
)
def test_a_family_has_its_operators(family: str, operators: set[str]) -> None:
    seen = {node.op_type for seed in range(8) for node in random_network(seed, family).graph.node}
    assert operators <= seen
