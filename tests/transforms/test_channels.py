"""Channels removed from a graph without weights are those of a network that was built narrow."""

from __future__ import annotations

import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.formats.onnx_writer import write_onnx
from nnmeter.graph.ir import Graph
from nnmeter.transforms import Channels, TransformError, apply
from nnmeter.transforms.channels.resizing import DependencyGraph, LayerGroup
from tests.conftest import ZOO
from tests.transforms.models import Net, inverted, residual, vision_transformer

PRUNED: dict[str, tuple[onnx.ModelProto, list[Channels], onnx.ModelProto]] = {
    "what is added goes with it": (residual(16, 24), [Channels("stem", 12)], residual(12, 24)),
    "a gate goes with what it scales": (residual(16, 24), [Channels("first", 20)], residual(16, 20)),
    "from either end of a branch": (residual(16, 24), [Channels("second", 10)], residual(10, 24)),
    "one after another": (
        residual(16, 24), [Channels("stem", 12), Channels("excite", 9)], residual(12, 9)
    ),
    "depthwise": (inverted(8, 32), [Channels("expand", 24)], inverted(8, 24, 24)),
    "depthwise, from behind": (inverted(8, 32), [Channels("depthwise", 7)], inverted(8, 7, 7)),
    "whole groups": (inverted(8, 32, 4), [Channels("expand", 24)], inverted(8, 24, 3)),
    "as many of each group": (inverted(8, 32, 4), [Channels("expand", 28)], inverted(8, 28, 4, filtered=32)),
    "a part of what is joined": (inverted(8, 32), [Channels("other", 5)], inverted(8, 32, 32, 5)),
    "whole heads": (vision_transformer(), [Channels("qkv", 108)], vision_transformer(heads=3)),
    "of each head": (vision_transformer(), [Channels("qkv", 120)], vision_transformer(size=10)),
    "heads, from the product before": (
        vision_transformer(heads=6), [Channels("qkv", 72)], vision_transformer(heads=2)
    ),
    "a hidden layer": (vision_transformer(), [Channels("up", 64)], vision_transformer(hidden=64)),
    "more, with what is added": (residual(16, 24), [Channels("stem", 20)], residual(20, 24)),
    "more of a depthwise one": (inverted(8, 30, 30), [Channels("expand", 32)], inverted(8, 32, 32)),
    "more heads": (vision_transformer(), [Channels("qkv", 180)], vision_transformer(heads=5)),
    "the width of all": (vision_transformer(), [Channels("out", 40)], vision_transformer(width=40)),
}  # fmt: skip


def bound(model: onnx.ModelProto) -> Graph:
    return bind_shapes(read_model(model))


@pytest.mark.parametrize("case", PRUNED)
def test_a_pruned_network_is_the_one_that_was_built_narrow(case: str) -> None:
    wide, transforms, narrow = PRUNED[case]
    pruned, built = bind_shapes(apply(wide, transforms)), bound(narrow)
    # constants that state sizes have other names
    types = [{n: str(t) for n, t in graph.types.items() if t.dtype == "float32"} for graph in (pruned, built)]
    assert types[0] == types[1]
    assert [n.op_type for n in pruned.nodes] == [n.op_type for n in built.nodes]
    groups = [[n.attributes.get("group") for n in graph.nodes if n.op_type == "Conv"] for graph in (pruned, built)]
    assert groups[0] == groups[1]


@pytest.mark.parametrize(
    "case", ["what is added goes with it", "whole groups", "a part of what is joined", "whole heads"]
)
def test_the_runtime_runs_what_is_written(case: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    from nnmeter.lab.runtimes.weights import load_with_weights, random_inputs

    wide, transforms, narrow = PRUNED[case]
    written = load_with_weights(write_onnx(apply(wide, transforms)))
    session = runtime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in session.get_inputs()}
    (result,) = session.run(None, random_inputs(written, shapes))
    assert result.shape == bound(narrow).types[narrow.graph.output[0].name].shape


REFUSED = {
    "output": (residual(), "second", 32, "has 16 channels; give another number from 1 to 31, not 32"),
    "no layer": (residual(), "sum", 3, "'sum' \\(Add\\) has no channels of its own"),
    "unknown": (residual(), "frist", 3, "no operator 'frist'.* first"),
    "of an output": (residual(), "classify", 9, "output 'classify_out' of the model would change its shape"),
    "not whole groups": (inverted(8, 32, 4), "expand", 31, "cannot have 31 in place of its 32 .* multiple of 4 or 8"),
    "not whole heads": (
        vision_transformer(),
        "qkv",
        143,
        "cannot have 143 in place of its 144 .* multiple of 12 or 36",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_with_the_reason(case: str) -> None:
    model, layer, width, said = REFUSED[case]
    with pytest.raises(TransformError, match=said):
        apply(model, [Channels(layer, width)])


def test_an_operator_without_a_rule_refuses() -> None:
    net = Net([1, 4, 8, 8])
    shuffled = net.add("DepthToSpace", "pixels", net.conv("conv", "input", 4, 8), blocksize=2)
    with pytest.raises(TransformError, match="'pixels' \\(DepthToSpace\\) decides by the indices of 'conv_out'"):
        apply(net.model(net.add("GlobalAveragePool", "mean", shuffled)), [Channels("conv", 4)])


def test_layers_that_lose_channels_together_are_a_group() -> None:
    graph = DependencyGraph(read_model(residual()))
    assert graph.group("stem") == LayerGroup(("stem", "second"), 1)
    assert graph.group("first") == LayerGroup(("first", "excite"), 1)
    heads = DependencyGraph(read_model(vision_transformer())).group("qkv")
    assert heads == LayerGroup(("qkv",), 12)


@pytest.mark.parametrize(
    ("model", "layer", "width"),
    [
        ("resnet18-224", "node_Conv_94", 48),
        ("mobilenet_v2-224-ts11", "Conv_3", 8),
        ("densenet121-224", "node_Conv_1814", 24),
    ],
)
def test_the_model_given_stays_as_it_is(model: str, layer: str, width: int) -> None:
    unbound = read_model(ZOO / f"{model}.onnx")
    layers = [n.name for n in unbound.nodes if n.op_type == "Conv"]
    before = bind_shapes(unbound).types
    apply(unbound, [Channels(layers[2], width)])
    assert bind_shapes(unbound).types == before
