import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.lab.importing.public_networks.description import assemble
from nnmeter.lab.importing.public_networks.ncnn_param import describe_param

PARAM = """7767517
12 14
Input          data  0 1 data -23330=4,3,9,9,4 0=9 1=9 2=4
Convolution    conv  1 1 data conv -23330=4,3,5,5,8 0=8 1=3 3=2 4=-233 5=1 6=288 9=1
Split          copy  1 2 conv left right
ConvolutionDepthWise dw 1 1 left dw 0=8 1=3 4=1 6=72 7=8 9=3 -23310=2,0.0,6.0
Eltwise        sum   2 1 dw right sum 0=1
ShuffleChannel mix   1 1 sum mix 0=2
Pooling        pool  1 1 mix pool -23330=4,3,2,2,8 1=3 2=2
Slice          parts 1 2 pool one two -23300=2,-233,-233
Concat         whole 2 1 two one whole
Pooling        mean  1 1 whole mean 0=1 4=1
InnerProduct   fc    1 1 mean fc 0=10 1=1 2=80
Softmax        prob  1 1 fc prob
"""


def test_layers_become_operators_with_ncnn_s_defaults_and_fused_activations() -> None:
    line = describe_param("net", PARAM, (4, 9, 9))
    graph = bind_shapes(assemble(line, line["inputs"], 2))
    assert [n.op_type for n in graph.nodes] == (
        "Conv Relu Conv Clip Add Reshape Transpose Reshape MaxPool Split Concat GlobalAveragePool Reshape Gemm Softmax"
    ).split()
    shapes = {n.op_type: graph.types[n.outputs[0]].shape for n in graph.nodes}
    assert shapes["MaxPool"] == (2, 8, 2, 2), "ncnn pads behind, so that nothing is left over"
    assert shapes["Softmax"] == (2, 10)
    convolution = graph.nodes[0]
    assert convolution.attributes["pads"] == (1, 1, 1, 1)
    assert graph.nodes[2].attributes["group"] == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("7767517", "767517"), "is no .param file of ncnn"),
        (("-23330=4,3,2,2,8", "-23330=4,3,3,3,8"), r"line 9 .*shape \(8, 2, 2\), where \(8, 3, 3\) is stated"),
        (("Eltwise", "Elephant"), r"line 7 .*Elephant"),
        (("6=288", "6=289"), r"line 4 .*weights of 289 elements"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_the_line(change: tuple[str, str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        describe_param("net", PARAM.replace(*change), (4, 9, 9))


def test_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match=r"net: is of size \(4, 9, 9\), not \(3, 8, 8\)"):
        describe_param("net", PARAM, (3, 8, 8))
