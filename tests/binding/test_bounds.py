"""Files of some hundred bytes that would fill gigabytes: what they make is bounded before it is made."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules

RULES = load_rules("onnxruntime_cpu")


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """Half a GiB beyond what the process has: what would take more fails."""
    with open("/proc/self/statm", encoding="ascii") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def graph_of(nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray], opset: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_a_tile_whose_last_repetition_is_none() -> None:
    node = helper.make_node("Tile", ["a", "r"], ["y"], "tile")
    constants = {"a": np.ones((1, 1), np.int64), "r": np.array([1 << 29, 0])}
    graph = bind_shapes(read_model(graph_of([node], [], ["y"], constants, 17)))
    assert graph.types["y"].shape == (1 << 29, 0)


def test_strided_slices_of_very_many_channels() -> None:
    """A focus block in the order that needs a Gather of channels behind it."""
    channels = 1 << 26
    nodes, parts = [], []
    for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)):
        name = f"s{row}{column}"
        ends = "ends"
        nodes.append(helper.make_node("Slice", ["x", f"b{row}", ends, "rows", "two"], [f"r{name}"], f"r{name}"))
        nodes.append(helper.make_node("Slice", [f"r{name}", f"b{column}", ends, "columns", "two"], [name], name))
        parts.append(name)
    nodes.append(helper.make_node("Concat", parts, ["y"], "concat", axis=1))
    constants = {
        "b0": np.array([0]), "b1": np.array([1]), "ends": np.array([1 << 40]), "rows": np.array([2]),
        "columns": np.array([3]), "two": np.array([2]),
    }  # fmt: skip
    graph = bind_shapes(read_model(graph_of(nodes, [("x", [1, channels, 4, 4])], ["y"], constants, 17)))
    assert graph.types["y"].shape == (1, 4 * channels, 2, 2)
    assert {kernel.type for kernel in detect_kernels(graph, RULES)} >= {"SpaceToDepth", "Gather"}


def test_scales_of_two_dimensions() -> None:
    node = helper.make_node("Upsample", ["x", "s"], ["y"], "up")
    for shape, wanted in (((2, 2), (4, 1 << 28, 4, 4)), ((1, 3), None)):
        scales = np.full(shape, 2.0, np.float32)
        proto = graph_of([node], [("x", [2, 1 << 27, 2, 2])], ["y"], {"s": scales}, 9)
        if wanted:
            assert bind_shapes(read_model(proto)).types["y"].shape == wanted
        else:
            with pytest.raises(ModelError, match="3 scales do not fit"):
                bind_shapes(read_model(proto))


@pytest.mark.parametrize("code", [1, 7, 10, 16])
@pytest.mark.parametrize("raw", [True, False])
def test_an_empty_tensor_of_a_huge_size(code: int, raw: bool) -> None:
    tensor = onnx.TensorProto(name="e", data_type=code, dims=[0, 1 << 62])
    if raw:
        tensor.raw_data = b""
    proto = graph_of([helper.make_node("Identity", ["e"], ["y"], "n")], [], ["y"], {}, 17)
    proto.graph.initializer.append(tensor)
    assert bind_shapes(read_model(proto)).types["y"].shape == (0, 1 << 62)


def test_computed_values_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies behind the limit is not known; a shape that needs it says so."""
    monkeypatch.setattr("nnmeter.binding.inference._MAX_KNOWN_BYTES", 8 * 1024)
    nodes = [helper.make_node("ConstantOfShape", ["n"], [f"v{k}"], f"v{k}") for k in range(5)]
    nodes += [helper.make_node("Sum", [f"v{k}" for k in range(5)], ["y"], "sum")]
    graph = bind_shapes(read_model(graph_of(nodes, [], ["y"], {"n": np.array([1024])}, 17)))
    assert [name for name in graph.values if name.startswith("v")] == ["v0", "v1"]


def test_a_json_graph_whose_node_reads_only_constants_is_one_line() -> None:
    content = {
        "input": {"attr": {"type": "Placeholder", "attr": {}, "output_shape": [[1, 8, 8, 4]]}, "inbounds": []},
        "c": {"attr": {"type": "StridedSlice", "attr": {}}, "inbounds": []},
        "n": {"attr": {"type": "dwconv", "attr": {"ks": [3, 3]}, "output_shape": [[1, 8, 8, 4]]}, "inbounds": ["c"]},
    }
    with pytest.raises(ModelError, match=r"node 'n' \(dwconv\) lacks what its operator needs"):
        read_model(json.dumps(content).encode())
