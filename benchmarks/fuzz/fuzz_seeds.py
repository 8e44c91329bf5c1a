"""Seeds of the fuzz targets: small models and parts of a small device pack, made here rather than stored."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nnmeter.devices import Card, save_pack
from nnmeter.kernels.anchor import Kind
from nnmeter.predictor import KernelPredictor
from nnmeter.predictor.baselines import Baselines
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.kernel_predictor import FALLBACK
from nnmeter.predictor.roofline import DTYPE_CLASSES, Roofline
from nnmeter.predictor.trees import TreeEnsemble
from nnmeter.predictor.vocabulary import RANGE_FEATURES, Sampled

_FLOAT, _INT, _BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL

# Each: operators as (type, inputs, outputs, attributes), with x: float[1, 4, 8, 8], m: float[4, 16], i: int64[3].
_NETWORKS: dict[str, list[tuple[str, list[str], list[str], dict[str, Any]]]] = {
    "convolution": [
        ("Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1], "group": 1}),
        ("BatchNormalization", ["a", "s", "s", "s", "s"], ["b"], {}),
        ("Relu", ["b"], ["c"], {}),
        ("MaxPool", ["c"], ["d"], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("GlobalAveragePool", ["d"], ["e"], {}),
        ("Flatten", ["e"], ["y"], {"axis": 1}),
    ],
    "attention": [
        ("Transpose", ["m"], ["a"], {"perm": [1, 0]}),
        ("MatMul", ["m", "a"], ["b"], {}),
        ("Softmax", ["b"], ["c"], {"axis": -1}),
        ("MatMul", ["c", "m"], ["d"], {}),
        ("LayerNormalization", ["d", "g", "g"], ["e"], {}),
        ("Erf", ["e"], ["f"], {}),
        ("Gemm", ["f", "g2"], ["y"], {"transB": 1}),
    ],
    "shapes": [
        ("Shape", ["x"], ["a"], {}),
        ("Gather", ["a", "places"], ["b"], {"axis": 0}),
        ("Cast", ["b"], ["c"], {"to": 7}),
        ("Concat", ["c", "places"], ["d"], {"axis": 0}),
        ("Slice", ["d", "zero", "three"], ["e"], {}),
        ("ConstantOfShape", ["e"], ["f"], {}),
        ("Expand", ["f", "e"], ["g1"], {}),
        ("Tile", ["g1", "e"], ["h"], {}),
        ("Range", ["zero0", "three0", "one0"], ["j"], {}),
        ("Unsqueeze", ["j", "zero"], ["k"], {}),
        ("Reshape", ["h", "minus"], ["y"], {}),
    ],
    "sequences": [
        ("SplitToSequence", ["x"], ["q"], {"axis": 1}),
        ("SequenceAt", ["q", "zero0"], ["a"], {}),
        ("SequenceInsert", ["q", "a"], ["r"], {}),
        ("ConcatFromSequence", ["q"], ["y"], {"axis": 1}),
    ],
    "windows": [
        ("ConvTranspose", ["x", "w"], ["a"], {"strides": [2, 2], "output_padding": [1, 1]}),
        ("AveragePool", ["a"], ["b"], {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}),
        ("Resize", ["b", "", "scales"], ["c"], {"mode": "linear"}),
        ("Pad", ["c", "pads"], ["d"], {}),
        ("Split", ["d"], ["e", "f"], {"axis": 1}),
        ("Mul", ["e", "f"], ["y"], {}),
    ],
    "quantized": [
        ("QuantizeLinear", ["x", "half", "zero8"], ["a"], {}),
        ("DequantizeLinear", ["a", "half", "zero8"], ["b"], {}),
        ("Conv", ["b", "w"], ["c"], {}),
        ("Sigmoid", ["c"], ["d"], {}),
        ("Mul", ["c", "d"], ["y"], {}),
    ],
    "others": [
        ("LSTM", ["seq", "lw", "lr"], ["a", "b", "c"], {"hidden_size": 4}),
        ("Einsum", ["m", "m"], ["d"], {"equation": "ij,kj->ik"}),
        ("TopK", ["d", "one"], ["e", "f"], {}),
        ("ReduceMean", ["x"], ["y"], {"axes": [2, 3]}),
        ("Scatter", ["m", "f", "e"], ["g"], {}),
    ],
}
_WEIGHTS: dict[str, np.ndarray] = {
    "w": np.zeros((4, 4, 3, 3), np.float32), "s": np.ones(4, np.float32), "g": np.ones(16, np.float32),
    "g2": np.ones((8, 16), np.float32), "zero": np.array([0]), "three": np.array([3]), "one": np.array([1]),
    "zero0": np.array(0), "three0": np.array(3), "one0": np.array(1), "minus": np.array([-1]),
    "scales": np.array([1, 1, 2, 2], np.float32), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "half": np.array(0.5, np.float32), "zero8": np.array(0, np.uint8), "lw": np.ones((1, 16, 4), np.float32),
    "lr": np.ones((1, 16, 4), np.float32), "places": np.array([1, 2, 3]),
}  # fmt: skip


def models() -> Iterator[bytes]:
    """ONNX files and JSON graphs."""
    for name, operators in _NETWORKS.items():
        nodes = [helper.make_node(op, a, b, f"{op}_{n}", **c) for n, (op, a, b, c) in enumerate(operators)]
        yield _model(name, nodes).SerializeToString()
    yield _nested().SerializeToString()
    yield _with_functions().SerializeToString()
    yield _with_external_data().SerializeToString()
    yield json.dumps(_json_graph()).encode()


def _model(
    name: str, nodes: list[onnx.NodeProto], functions: list[onnx.FunctionProto] | None = None, opset: int = 17
) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info("x", _FLOAT, ["n", 4, 8, 8]),
        helper.make_tensor_value_info("m", _FLOAT, [4, 16]),
        helper.make_tensor_value_info("i", _INT, [3]),
        helper.make_tensor_value_info("seq", _FLOAT, [5, 1, 4]),
        helper.make_tensor_value_info("flag", _BOOL, []),
    ]
    used = {tensor for node in nodes for tensor in node.input}
    weights = [numpy_helper.from_array(value, key) for key, value in _WEIGHTS.items() if key in used]
    output = helper.make_tensor_value_info(nodes[-1].output[0], _FLOAT, None)
    graph = helper.make_graph(nodes, name, inputs, [output], weights)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("f", 1), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, functions=functions or [], ir_version=8)


def _branch(node: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph([node], "branch", [], [helper.make_tensor_value_info(node.output[0], _FLOAT, None)])


def _nested() -> onnx.ModelProto:
    inner = helper.make_node(
        "If",
        ["flag"],
        ["r"],
        then_branch=_branch(helper.make_node("Relu", ["x"], ["p"])),
        else_branch=_branch(helper.make_node("Neg", ["x"], ["q"])),
    )
    outer = helper.make_node(
        "If",
        ["flag"],
        ["a"],
        then_branch=_branch(inner),
        else_branch=_branch(helper.make_node("Abs", ["x"], ["s"])),
    )
    infos = [
        helper.make_tensor_value_info(n, t, s) for n, t, s in (("it", _INT, []), ("ok", _BOOL, []), ("v", _FLOAT, None))
    ]
    results = [helper.make_tensor_value_info(n, t, None) for n, t in (("ok", _BOOL), ("v2", _FLOAT))]
    body = helper.make_graph([helper.make_node("Add", ["v", "a"], ["v2"])], "body", infos, results)
    loop = helper.make_node("Loop", ["three0", "", "a"], ["y"], body=body)
    return _model("nested", [outer, loop])


def _with_functions() -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    leaky = helper.make_node("LeakyRelu", ["a"], ["b"])
    leaky.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    leaf = helper.make_function("f", "Leaf", ["a"], ["b"], [leaky], imports, attributes=["slope"])
    calls = [
        helper.make_node("Leaf", ["p"], ["q"], "c1", domain="f", slope=0.5),
        helper.make_node("Leaf", ["q"], ["r"], "c2", domain="f"),
    ]
    twice = helper.make_function("f", "Twice", ["p"], ["r"], calls, imports)
    return _model("functions", [helper.make_node("Twice", ["x"], ["y"], domain="f")], [leaf, twice])


def _with_external_data() -> onnx.ModelProto:
    model = _model("external", [helper.make_node("MatMul", ["m", "far"], ["y"])])
    far = TensorProto(name="far", data_type=_FLOAT, dims=[16, 8], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="../../../../etc/passwd")
    model.graph.initializer.append(far)
    return model


def _json_graph() -> dict[str, Any]:
    shape = [1, 8, 8, 4]
    window = {"kernel_shape": [3, 3], "strides": [1, 1], "padding": "SAME"}
    return {
        "in": {"attr": {"type": "Placeholder", "attr": {}, "output_shape": [shape]}, "inbounds": [], "outbounds": []},
        "conv": {
            "attr": {"type": "Conv2D", "attr": window, "input_shape": [shape], "output_shape": [shape]},
            "inbounds": ["in"],
        },
        "relu": {
            "attr": {"type": "Relu", "attr": {}, "input_shape": [shape], "output_shape": [shape]},
            "inbounds": ["conv"],
        },
        "split": {
            "attr": {"type": "Split", "attr": {}, "input_shape": [shape], "output_shape": [[1, 8, 8, 2]]},
            "inbounds": ["relu"],
        },
    }


RULES: dict[str, Any] = {
    "schema_version": 1,
    "name": "seed",
    "runtime": "none",
    "parameters": {"block": 16},
    "stages": [
        {
            "name": "only",
            "repeat": 2,
            "passes": [
                {
                    "name": "fold",
                    "kind": "fold_constants",
                    "of_shapes": ["Shape"],
                    "generators": ["Expand"],
                    "limit": 64,
                },
                {"name": "equal", "kind": "deduplicate"},
                {"name": "none", "kind": "eliminate", "operators": [{"op": "Identity"}]},
                {
                    "name": "products",
                    "kind": "rewrite",
                    "rules": [
                        {
                            "name": "convolution and activation",
                            "match": [
                                {"id": "conv", "op": "Conv", "inputs": ["x", "w", "b?"], "outputs": ["a"]},
                                {"id": "act", "op": ["Relu", "Sigmoid"], "inputs": ["a"], "outputs": ["y"]},
                            ],
                            "where": [
                                ["constant", "w"],
                                ["eq", ["rank", "x"], 4],
                                ["le", ["mul", ["dim", "w", 2], 2], 99],
                            ],
                            "replace": [
                                {
                                    "op": "FusedConv",
                                    "inputs": ["x", "w2", "b?"],
                                    "outputs": ["y"],
                                    "attributes": {"from": "conv", "set": {"activation": ["kind", "act"]}},
                                }
                            ],
                            "tensors": {"w2": {"dtype": ["dtype", "w"], "shape": ["shape", "w"], "constant": True}},
                            "unless": [
                                {
                                    "match": [{"id": "z", "op": "Abs", "inputs": ["y"], "outputs": ["q"]}],
                                    "where": [["near", ["scalar", "w"], 1.5]],
                                }
                            ],
                        }
                    ],
                },
            ],
        }
    ],
}


def write_pack(directory: Path) -> Path:
    """A small device pack with trees in it."""

    def ensemble() -> TreeEnsemble:
        return TreeEnsemble(
            np.array([1, 2, 3], np.uint8),
            np.array([10.0, 4.0, 20.0], np.float32),
            np.array([0, 0, 0], np.uint8),
            np.array([2, 1, 1], np.uint8),
            np.array([0.1, -0.1, 0.2, 0.5, -0.5], np.float32),
            np.array([2, 1], np.uint8),
            0.25,
        )

    wide = ((-10.0,) * len(RANGE_FEATURES), (60.0,) * len(RANGE_FEATURES))
    kinds = ("convolution:Conv|float32", "matmul:Gemm|float32")
    predictor = KernelPredictor(
        Roofline(dict.fromkeys(DTYPE_CLASSES.values(), 50.0), 10.0, 0.001),
        {Kind.parse(name): Sampled(0.0, 10, 0.05, *wide) for name in kinds},
        {name: ensemble() for name in ("convolution", "matmul", FALLBACK)},
        0.5,
        IntervalModel(0.02, {0.5: 0.7, 0.8: 1.3, 0.9: 1.7, 0.95: 2.0}, 100),
        Baselines(1e-8, (1e-8, 1e-7, 1e-3), 1.0),
    )
    card = Card("seed-1t", "none", "onnxruntime", "1", 1, "float32", "2026-01-01", "none")
    scorecard = {"overall": {"within_10": 90.0, "models": 3}, "families": {}}
    return save_pack(directory / card.id, card, RULES, predictor, scorecard).path


def pack_parts(directory: Path) -> Iterator[bytes]:
    """Each file of a pack behind a byte that says which it is (`PARTS`), the trees not compressed."""
    pack = write_pack(directory)
    for number, name in enumerate(PARTS):
        data = (pack / name).read_bytes()
        if name == "trees.npz":
            stream = io.BytesIO()
            with np.load(io.BytesIO(data)) as arrays:
                np.savez(stream, **arrays)
            data = stream.getvalue()
        yield bytes([number]) + data


def measurement_files(directory: Path) -> Iterator[bytes]:
    """Files of measurements: of few rows, of enough to train on, and of one that others published."""
    from nnmeter.graph.ir import TensorType
    from nnmeter.kernels.kernel import KernelSignature
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.lab.measuring.store import write_measurements

    def kernel(channels: int) -> KernelSignature:
        kinds = TensorType("float32", (1, 8, 16, 16)), TensorType("float32", (channels, 8, 3, 3))
        written = TensorType("float32", (1, channels, 16, 16))
        return KernelSignature("Conv+Relu", "Conv", "", kinds, (False, True), (written,), (("kernel_shape", (3, 3)),))

    def row(number: int, runs: int) -> Measurement:
        return Measurement(
            id=f"block:net-{number}", granularity="block", network=f"net-{number}", family=f"f{number % 3}",
            kernels=(kernel(8 + number), kernel(16)), latency_ms=1.0 + number / 8, min_ms=1.0 if runs else float("nan"),
            median_ms=1.0 + number / 8 if runs else float("nan"), p90_ms=9.0 if runs else float("nan"), runs=runs,
            reference_ms=1.25, half_ms=(1.0, 1.5), threads=1, batch=1, sitting="2026-01-01T00:00:00",
            kernel_ms=(0.5, 0.25) if runs else (), kernel_spread=(0.03, 0.1) if runs else (),
            kernel_runs=9 if runs else 0,
        )  # fmt: skip

    fingerprint = {"cpu": "Some CPU", "runtime": "onnxruntime", "runtime_version": "1.32.0", "threads": 1,
                   "precision": "float32", "flags": ["avx2"], "reference_ms": 1.25}  # fmt: skip
    for count, runs in ((2, 8), (40, 8), (5, 0)):
        path = directory / f"{count}.parquet"
        write_measurements(path, [row(number, runs) for number in range(count)], fingerprint)
        yield path.read_bytes()


PARTS = ("manifest.json", "card.json", "rules.json", "predictor.json", "trees.npz", "scorecard.json")
