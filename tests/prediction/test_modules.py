"""Which module of the exporting framework a kernel is of, by what each exporter writes."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

import nnmeter
from nnmeter.graph.ir import Node
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.prediction.modules import module_name, places_of
from tests.conftest import make_small_model

NAME_SCOPES, NAMESPACE = "pkg.torch.onnx.name_scopes", "namespace"


@pytest.mark.parametrize(
    ("place", "module"),
    [
        ("['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d']", "layer1.0.conv1"),
        ("['', 'blocks.2', 'blocks.2.mlp', 'blocks.2.mlp.fc1', 'linear_8']", "blocks.2.mlp.fc1"),
        ("['', 'relu']", ""),
        ("['_empty_nn_module_stack_from_metadata_hook', 'sym_size_int_720']", ""),
        (": main.Net/network: torch.nn.Sequential/network.0: torch.nn.Linear/linear: aten.linear.default", "network.0"),
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/features/features.1/features.1.0/block/block.0/block.0.0/Conv", "features.1.0.block.0.0"),
        ("/blocks.0/attn/qkv/MatMul", "blocks.0.attn.qkv"),
        ("/Flatten", ""),
        ("model/block1/conv/Conv2D", "model/block1/conv"),
        ("Conv_12", ""),
        ("", ""),
        ("[", ""),
        ("///", ""),
        ("['", ""),
    ],
)
def test_modules_are_read_as_each_exporter_writes_them(place: str, module: str) -> None:
    assert module_name(place) == module


@pytest.mark.parametrize(
    ("depth", "module"), [(1, "layer1"), (2, "layer1.0"), (3, "layer1.0.conv1"), (9, "layer1.0.conv1")]
)
def test_depth_cuts_a_module(depth: int, module: str) -> None:
    assert module_name("/layer1/layer1.0/conv1/Conv", depth) == module


def kernel(operator: str, *nodes: str) -> Kernel:
    return Kernel("k", KernelSignature(operator, operator, "", (), (), ()), nodes)


@pytest.mark.parametrize(
    ("operator", "nodes", "place"),
    [
        ("QLinearConv", ("/a/DequantizeLinear", "/b/Conv", "/c/QuantizeLinear"), "/b/Conv"),
        ("SkipLayerNormalization", ("/c/Add", "/norm/LayerNormalization"), "/norm/LayerNormalization"),
        ("Conv", ("/b/Conv", "/c/Add"), "/b/Conv"),
        ("QuickGelu", ("/c/Add", "/b/Conv"), "/c/Add"),
        ("Reorder", (), ""),
        ("Conv", ("of a body/Conv",), "of a body/Conv"),
    ],
)
def test_a_kernel_is_of_the_module_of_its_main_operator(operator: str, nodes: tuple[str, ...], place: str) -> None:
    names = ("/a/DequantizeLinear", "/b/Conv", "/c/QuantizeLinear", "/c/Add", "/norm/LayerNormalization")
    known = [Node(name.rpartition("/")[2], "", name, (), ()) for name in names]
    assert places_of([kernel(operator, *nodes)], known) == [place]


def scoped_model(*keys: str) -> onnx.ModelProto:
    """The small model as torch's exporter writes it: modules in the metadata of its nodes."""
    model = make_small_model()
    places = {"conv": "stem.conv", "relu": "stem.act", "pool": "pool", "flatten": "", "fc": "head.fc"}
    for node in model.graph.node:
        parts = places[node.name].split(".") if places[node.name] else []
        modules = ["", *(".".join(parts[: n + 1]) for n in range(len(parts))), node.name]
        values = {NAME_SCOPES: str(modules), NAMESPACE: "/".join(f"{name}: torch.nn.Module" for name in modules)}
        for key in ("pkg.torch.onnx.stack_trace", *keys):
            entry = node.metadata_props.add()
            entry.key, entry.value = key, values.get(key, "File 'x.py', line 1" * 20)
    return model


@pytest.mark.parametrize("keys", [(NAME_SCOPES,), (NAMESPACE,), (NAMESPACE, NAME_SCOPES), (NAME_SCOPES, NAMESPACE)])
def test_metadata_of_nodes_are_read_in_a_file_and_in_memory(tmp_path: Path, small_pack: Path, keys: tuple[str]) -> None:
    model = scoped_model(*keys)
    onnx.save(model, tmp_path / "scoped.onnx")
    predictor = nnmeter.load_predictor(small_pack)
    for source in (tmp_path / "scoped.onnx", model):
        prediction = predictor.predict(source)
        found = {group.name: group for group in prediction.by_module()}
        assert set(found) == {"stem.conv", "pool", "head.fc", ""}
        assert {group.name for group in prediction.by_module(1)} == {"stem", "pool", "head", ""}
        conv = next(k for k in prediction.kernels if k.operator == "Conv")
        assert conv.module == "stem.conv"
        assert found["stem.conv"].latency_ms == conv.latency_ms


def test_metadata_that_are_no_text_do_no_harm() -> None:
    data = scoped_model(NAME_SCOPES).SerializeToString()
    damaged = data.replace(b"'stem'", b"'\xff\xfe\xfd''")
    assert damaged != data
    assert len(nnmeter.load_model(damaged).nodes) == 5


def test_calls_of_functions_give_their_module_to_what_they_call() -> None:
    body = [helper.make_node("Relu", ["x"], ["y"], "inner")]
    function = helper.make_function("own", "Block", ["x"], ["y"], body, [helper.make_opsetid("", 17)])
    call = helper.make_node("Block", ["x"], ["y"], "call", domain="own")
    entry = call.metadata_props.add()
    entry.key, entry.value = NAME_SCOPES, "['', 'body', 'call']"
    info = [helper.make_tensor_value_info(name, 1, [2]) for name in "xy"]
    graph = helper.make_graph([call], "g", info[:1], info[1:])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    (node,) = nnmeter.load_model(helper.make_model(graph, functions=[function], opset_imports=imports)).nodes
    assert module_name(node.scope) == "body"
