from __future__ import annotations

import json
from collections import Counter

import pytest

from nnmeter.api import load_model
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.importing.node_list import graph_of_node_list
from tests.lab.importing.conftest import FAMILIES, excerpt

TYPES = {
    "input": "Placeholder", "conv": "Conv2D", "dwconv": "DepthwiseConv2dNative", "bn": "FusedBatchNormV3",
    "relu": "Relu", "relu6": "Relu6", "add": "Add", "mul": "Mul", "add_scalar": "Add", "mul_scalar": "Mul",
    "maxpool": "MaxPool", "avgpool": "AvgPool", "gap": "Mean", "flatten": "Reshape", "fc": "MatMul",
    "concat": "ConcatV2",
}  # fmt: skip


def as_tensorflow(nodes) -> dict:
    """A node list as nn-Meter's converter of TensorFlow graphs writes it."""
    graph: dict = {}
    names = []
    for number, (operator, inputs, a, shape) in enumerate(nodes):
        if operator in ("split0", "split1"):  # one node of two results, which its readers take in turn
            name = f"split_of_{inputs[0]}"
            if name not in graph:
                halves = [[1, *shape]] * 2
                graph[name] = _node("Split", {}, nodes, inputs, halves, names)
            names.append(name)
            continue
        if operator == "channel_shuffle":
            height, width, channels = shape
            turned = [1, height, width, channels // a["g"], a["g"]]
            apart = [1, height, width, a["g"], channels // a["g"]]
            graph[f"n{number}a"] = _node("Reshape", {}, nodes, inputs, [apart], names)
            graph[f"n{number}b"] = {"attr": {"type": "Transpose", "attr": {}, "input_shape": [apart],
                                             "output_shape": [turned]}, "inbounds": [f"n{number}a"]}  # fmt: skip
            graph[f"n{number}"] = {"attr": {"type": "Reshape", "attr": {}, "input_shape": [turned],
                                            "output_shape": [[1, *shape]]}, "inbounds": [f"n{number}b"]}  # fmt: skip
            names.append(f"n{number}")
            continue
        attributes = {}
        if "k" in a:
            key = "kernel_shape" if "conv" in operator else "ksize"
            attributes = {key: [a["k"], a["k"]], "strides": [a["s"], a["s"]], "padding": a["pad"]}
        graph[f"n{number}"] = _node(TYPES[operator], attributes, nodes, inputs, [[1, *shape]], names)
        names.append(f"n{number}")
    for name, node in graph.items():
        node["outbounds"] = [other for other, reader in graph.items() if name in reader["inbounds"]]
    return graph


def _node(kind, attributes, nodes, inputs, output_shapes, names) -> dict:
    return {
        "attr": {"type": kind, "attr": attributes, "input_shape": [[1, *nodes[i][3]] for i in inputs],
                 "output_shape": output_shapes},
        "inbounds": [names[i] for i in inputs],
    }  # fmt: skip


def small() -> dict:
    nodes = [
        ["input", [], {}, [8, 8, 3]],
        ["conv", [0], {"k": 3, "s": 2, "pad": "SAME", "cin": 3, "cout": 4}, [4, 4, 4]],
        ["relu", [1], {}, [4, 4, 4]],
    ]
    return as_tensorflow(nodes)


@pytest.mark.parametrize("family", FAMILIES)
def test_kernels_are_those_of_the_benchmark(family: str, tmp_path):
    entry = excerpt(family)[0]
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(as_tensorflow(entry["nodes"])))
    rules = load_rules("tflite21_cpu")
    expected = detect_kernels(graph_of_node_list(entry["id"], entry["nodes"]), rules)
    found = detect_kernels(load_model(path), rules)
    assert Counter(k.signature for k in found) == Counter(k.signature for k in expected)


def test_a_graph_converted_from_onnx_has_channels_first():
    graph = {
        "Conv_0": {
            "attr": {"type": "Conv", "attr": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1],
                                              "group": 1, "dilations": [1, 1]},
                     "input_shape": [[1, 3, 8, 8]], "output_shape": [[1, 4, 4, 4]]},
            "inbounds": [], "outbounds": ["Clip_1"],
        },
        "Clip_1": {"attr": {"type": "Clip", "attr": {"min": 0.0, "max": 6.0}, "input_shape": [[1, 4, 4, 4]],
                            "output_shape": [[1, 4, 4, 4]]}, "inbounds": ["Conv_0"], "outbounds": []},
    }  # fmt: skip
    (kernel,) = detect_kernels(load_model(json.dumps(graph).encode()), load_rules("tflite21_cpu"))
    assert kernel.type == "Conv+Clip"
    assert kernel.signature.outputs[0].shape == (1, 4, 4, 4)


def test_a_file_is_told_by_its_content_not_by_its_name(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("\n  " + json.dumps(small()))
    assert read_model(path).name == "model"
    assert read_model(json.dumps(small()).encode()).nodes[0].op_type == "Conv"


def test_nodes_may_stand_in_any_order():
    graph = small()
    assert len(load_model(json.dumps(dict(reversed(graph.items()))).encode()).nodes) == 2


def broken(change) -> bytes:
    graph = small()
    change(graph)
    return json.dumps(graph).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not valid JSON"),
        (b"{}", "no graph of nn-Meter"),
        (b'{"a": 1}', "no graph of nn-Meter"),
        (b'{"a": {"attr": {"type": "Conv2D"}, "inbounds": 3}}', "no graph of nn-Meter"),
        (b"{" * 100_000, "not valid JSON"),
        (broken(lambda g: g["n1"]["attr"].update(type="Wizard")), "'Wizard', which is not known"),
        (broken(lambda g: g["n1"].update(inbounds=["ghost"])), "reads 'ghost', which is no node"),
        (broken(lambda g: g["n1"].update(inbounds=["n2"])), "cycle"),
        (broken(lambda g: g["n1"]["attr"]["attr"].pop("kernel_shape")), "lacks what its operator needs"),
        (broken(lambda g: g["n2"]["attr"].update(output_shape=[[1, 9, 9, 4]])), "stated as 1x4x9x9"),
        (broken(lambda g: [g.pop("n1"), g.pop("n2")]), "no operator gives a result"),
        (broken(lambda g: g["n0"]["attr"].update(output_shape=[[1, -8, 8, 3]])), "node 'n0'"),
    ],
)
def test_bad_graphs_are_one_clear_line(data: bytes, message: str):
    with pytest.raises(ModelError, match=message) as fault:
        load_model(data)
    assert "\n" not in str(fault.value)
