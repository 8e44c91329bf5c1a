import json

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.lab.importing.public_networks.description import assemble
from nnmeter.lab.importing.public_networks.graphs import (
    UnavailableNetworkError,
    input_sizes,
    load,
    network_names,
)
from nnmeter.operators.cost import operator_cost

LINE = {
    "network": "tiny",
    "nodes": [
        ["Conv", [1, "w:8x3x3x3", "w:8"], {"strides": [2, 2], "pads": [0, 0, 1, 1]}],
        ["Split", [1], {"axis": 1, "num_outputs": 2}, 2],
        ["Concat", [[1, 1], [1, 0]], {"axis": 1}],
        ["Reshape", [1, "i:1bx8x16"], {}],
        ["Concat", ["w:1bx8x1", 1], {"axis": 2}],
        ["Mul", [1, "s:0.5"], {}],
        ["Gather", [1, "k:0"], {"axis": 2}],
    ],
}


def multiply_adds(graph):
    """Of convolutions and products, as papers count."""
    return sum(
        operator_cost(n.op_type, n.domain, n.attributes, [graph.types.get(i) for i in n.inputs],
                      [graph.types[o] for o in n.outputs]).flops / 2
        for n in graph.nodes if n.op_type in ("Conv", "MatMul", "Gemm")
    )  # fmt: skip


def parameters(graph):
    """Elements of weights, without the statistics of normalizations."""
    statistics = {name for n in graph.nodes if n.op_type == "BatchNormalization" for name in n.inputs[3:]}
    return sum(graph.types[name].elements for name in graph.initializers - statistics
               if graph.types[name].shape)  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
def test_a_description_has_the_batch_that_it_is_given(batch):
    graph = bind_shapes(assemble(LINE, ["f:1bx3x8x8"], batch))
    shapes = [graph.types[n.outputs[0]].shape for n in graph.nodes]
    assert shapes == [
        (batch, 8, 4, 4), (batch, 4, 4, 4), (batch, 8, 4, 4), (batch, 8, 16), (batch, 8, 17), (batch, 8, 17), (batch, 8)
    ]  # fmt: skip
    assert graph.nodes[0].attributes["kernel_shape"] == (3, 3)


@pytest.mark.parametrize("node", [["Relu", [9], {}], ["Relu", ["q:3"], {}], ["Concat", [[1, 4]], {"axis": 1}]])
def test_a_damaged_description_is_an_error_that_names_the_node(node):
    with pytest.raises(ModelError, match=r"tiny: node 0 .* restore data/public-networks"):
        assemble({"network": "tiny", "nodes": [node]}, ["f:1bx3x8x8"], 1)


# As published with the networks: torchvision's and Keras's tables of models, and the papers of ViT and Swin.
@pytest.mark.parametrize(
    ("name", "shape", "giga_multiply_adds", "millions"),
    [
        ("mobilenet_v1_1.0_224", (1, 3, 224, 224), 0.569, 4.2),
        ("mobilenet_v2_1.0_224", (1, 3, 224, 224), 0.301, 3.5),
        ("mobilenet_v3_large_1.0_224", (1, 3, 224, 224), 0.217, 5.5),
        ("resnet50_v1", (1, 3, 224, 224), 3.86, 25.6),
        ("resnet101", (1, 3, 224, 224), 7.80, 44.5),
        ("efficientnet_b0", (1, 3, 224, 224), 0.386, 5.3),
        ("inception_v3", (1, 3, 299, 299), 5.71, 23.8),
        ("vit_base_patch16_224", (1, 3, 224, 224), 17.56, 86.6),
        ("swin_tiny_patch4_window7_224", (1, 3, 224, 224), 4.49, 28.3),
        ("bert_base", (1, 124), 10.8, 108.9),
    ],
)
def test_networks_have_the_published_size(name, shape, giga_multiply_adds, millions):
    graph = load(name, shape)
    assert multiply_adds(graph) / 1e9 == pytest.approx(giga_multiply_adds, rel=0.03)
    assert parameters(graph) / 1e6 == pytest.approx(millions, rel=0.02)


def test_the_batch_is_free():
    one, eight = (load("swin_tiny_patch4_window7_224", (batch, 3, 224, 224)) for batch in (1, 8))
    assert multiply_adds(eight) == 8 * multiply_adds(one)
    assert eight.types[eight.outputs[0]].shape == (8, 1000)


def test_what_does_not_ship_has_a_reason():
    with pytest.raises(UnavailableNetworkError, match="yolov5s: no public package has it"):
        load("yolov5s", (1, 3, 640, 640))
    with pytest.raises(KeyError, match="resnet101: the size of its input is not stated"):
        load("resnet101", None)
    with pytest.raises(UnavailableNetworkError, match=r"resnet101: does not ship at 3x7x7; it does at .*3x224x224"):
        load("resnet101", (1, 3, 7, 7))
    with pytest.raises(UnavailableNetworkError, match="nosuchnet: no graph of that name ships"):
        load("nosuchnet", (1, 3, 224, 224))


def test_sizes_of_a_name():
    assert (3, 224, 224) in input_sizes("squeezenet1_1")
    assert (3, 227, 227) in input_sizes("squeezenet1_1")
    assert input_sizes("nosuchnet") == ()
    assert len(network_names()) == len(set(network_names()))


def test_a_description_survives_json():
    assert assemble(json.loads(json.dumps(LINE)), ["f:1bx3x8x8"], 1).nodes == assemble(LINE, ["f:1bx3x8x8"], 1).nodes
