"""A model quantized without its weights has the kernels of the one that ONNX Runtime's quantizer writes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.ir import Graph
from nnmeter.transforms import Quantize, TransformError, apply
from nnmeter.transforms.draft import Draft
from nnmeter.transforms.quantization.ranges import Ranges
from tests.conftest import REPOSITORY, ZOO
from tests.transforms.models import Net, residual, vision_transformer

RULES = load_rules("onnxruntime_cpu")

# The smallest model of each variant. `benchmarks/quantized_what_if.py` compares all.
FILES = {
    "bert-mini.dynamic-u8": "dynamic-u8",
    "bert-mini.fp16": "fp16",
    "bert-mini.int4-b32-a4": "int4-b32-a4",
    "bert-mini.qdq-u8s8-channel": "qdq-u8s8-channel",
    "bert-tiny.dynamic-channel": "dynamic-channel-matmul",
    "bert-tiny.int4-b64-table": "int4-b64-zp-a4-table",
    "distilbert-128.qdq-matmul": "qdq-matmul",
    "dla34-224.qoperator": "qoperator-u8u8",
    "mobilenet_v2-224-ts11.qdq-u8s8": "qdq-raw",
    "mobilenet_v3_small-224.qdq-s8s8": "qdq-s8s8",
    "resnet18-224.dynamic": "dynamic",
    "resnet18-224.fp16-io": "fp16-io",
    "resnet18-224.qoperator-s8": "qoperator-channel",
    "squeezenet1_1-224.qdq-s8s8-channel": "qdq-s8s8-channel-symmetric-raw",
    "vit_small_patch32_224-224.int4-b32": "int4",
}


def kernels_of(graph: Graph) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for kernel in detect_kernels(graph, RULES):
        s = kernel.signature
        found[kernel.type, f"{[*map(str, s.inputs)]} {[*map(str, s.outputs)]}"] += 1
    return found


@pytest.mark.parametrize("file", FILES)
def test_kernels_are_those_of_the_quantizers_file(file: str) -> None:
    model = ZOO / f"{file.rpartition('.')[0]}.onnx"
    made = kernels_of(bind_shapes(apply(model, [Quantize(FILES[file])])))
    written = kernels_of(bind_shapes(read_model(REPOSITORY / "data" / "zoo-quantized" / f"{file}.onnx")))
    assert made == written


def test_a_relu_behind_quantized_data_is_left_out_unless_ranges_are_symmetric() -> None:
    count = {
        variant: Counter(node.op_type for node in apply(residual(), [Quantize(variant)]).nodes)["Relu"]
        for variant in ("qdq", "qdq-s8s8-symmetric", "qoperator", "dynamic")
    }
    assert count == {"qdq": 0, "qdq-s8s8-symmetric": 3, "qoperator": 0, "dynamic": 3}


def test_weights_become_integers_and_biases_wide_ones() -> None:
    made = bind_shapes(apply(residual(), [Quantize("qdq-channel")]))
    stored = {name: made.types[name] for name in made.initializers}
    assert str(stored["stem.weight_quantized"]) == "int8[16x3x3x3]"
    assert str(stored["stem.weight_scale"]) == "float32[16]"
    assert str(stored["stem.bias_quantized"]) == "int32[16]"
    assert "stem.weight" not in stored


def test_ranges_are_what_a_calibration_would_find() -> None:
    """Relu and what is before it begin at 0; what only moves elements has the scale of what it reads."""
    draft = Draft(read_model(residual()))
    ranges = Ranges(draft, "uint8", False, frozenset({"Relu", "Softmax", "Sigmoid"}))
    scales = {
        name: ranges.activation(name) for name in ("stem_out", "stem.relu_out", "sum_out", "flat_out", "gate_out")
    }
    assert [zero_point for _, zero_point in scales.values()] == [0, 0, 128, 128, 0]
    assert scales["stem_out"] == scales["stem.relu_out"]
    assert scales["sum_out"] == scales["flat_out"]
    assert len({scale for scale, _ in scales.values()}) == 3


def test_half_precision_leaves_some_operators_in_single() -> None:
    net = Net([1, 4])
    model = net.model(net.add("Add", "add", net.add("Max", "max", "input", net.weight("floor", 4)), net.weight("b", 4)))
    made = bind_shapes(apply(model, [Quantize("fp16")]))
    assert [n.op_type for n in made.nodes] == ["Cast", "Max", "Cast", "Add"]
    assert (made.types["floor"].dtype, made.types["b"].dtype, made.types["input"].dtype) == (
        "float32", "float16", "float16"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("int3", "no precision 'int3'; take qdq, qoperator, dynamic, fp16, int4, int8"),
        ("qdq-u7s8", "'u7s8' means nothing in 'qdq-u7s8'"),
        ("int4-b33", "'b33' means nothing"),
        ("", "no precision ''"),
    ],
)
def test_unknown_variants_are_refused(variant: str, said: str) -> None:
    with pytest.raises(TransformError, match=said):
        apply(residual(), [Quantize(variant)])


def test_models_that_cannot_be_quantized_are_refused() -> None:
    with pytest.raises(TransformError, match=r"is quantized already .* is MatMulNBits"):
        apply(vision_transformer(), [Quantize("int4"), Quantize("qdq")])
    old = residual()
    old.opset_import[0].version = 9
    with pytest.raises(TransformError, match="is of operator set 9, 'dynamic' needs 10"):
        apply(old, [Quantize("dynamic")])


@pytest.mark.parametrize("variant", ["qdq", "qdq-s8s8-channel", "qoperator-u8u8", "dynamic", "fp16-io", "int8-b32-zp"])
def test_the_runtime_runs_what_is_written(variant: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from nnmeter.formats.onnx_writer import write_onnx
    from nnmeter.lab.runtimes.weights import load_with_weights, random_inputs

    written = load_with_weights(write_onnx(apply(vision_transformer(), [Quantize(variant)])))
    session = runtime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, random_inputs(written, {i.name: i.shape for i in session.get_inputs()}))
    assert result.shape == (1, 10)


def test_what_binding_notes_of_operators_does_not_stand_in_the_way() -> None:
    """Steps of a slice, the boxes that a selection takes, the axis of a transform are no attributes of a model."""
    value = onnx.helper.make_tensor_value_info
    constants = {
        "starts": np.array([0]), "ends": np.array([8]), "axes": np.array([3]), "steps": np.array([2]),
        "most": np.array([5]), "axis": np.array(1), "w": np.ones((4, 3, 3, 3), np.float32),
    }  # fmt: skip
    node = onnx.helper.make_node
    nodes = [
        node("Slice", ["x", "starts", "ends", "axes", "steps"], ["s"], "slice"),
        node("Conv", ["s", "w"], ["y"], "conv"),
        node("NonMaxSuppression", ["boxes", "scores", "most"], ["chosen"], "choose"),
        node("DFT", ["wave", "", "axis"], ["spectrum"], "transform"),
    ]
    given = [
        value("x", 1, [1, 3, 8, 8]),
        value("boxes", 1, [1, 9, 4]),
        value("scores", 1, [1, 2, 9]),
        value("wave", 1, [1, 16, 1]),
    ]
    results = [onnx.ValueInfoProto(name=name) for name in ("y", "chosen", "spectrum")]
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = onnx.helper.make_graph(nodes, "g", given, results, stored)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    for variant in ("qdq", "qdq-raw", "qoperator", "dynamic"):
        changed = apply(read_model(model), [Quantize(variant)])
        assert {"Slice", "NonMaxSuppression", "DFT"} <= {node.op_type for node in changed.nodes}
        assert bind_shapes(changed).types["y"].shape == (1, 4, 6, 2)
