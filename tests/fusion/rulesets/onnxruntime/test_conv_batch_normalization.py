"""BatchNormalization behind a convolution."""

from nnmeter.fusion.rulesets.onnxruntime.conv_batch_normalization import RULES
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
BODY = "a=Conv(x,w) y=BatchNormalization(a,s,s,s,s)"


def test_it_goes_into_weights_and_bias() -> None:
    assert applied(RULES, X, Y, BODY, w=(8, 8, 1, 1), s=(8,)) == "Conv"


def test_a_convolution_that_others_read_stays() -> None:
    kinds = applied(RULES, X, f"{Y}, float[1,8,4,4] z", f"{BODY} z=Neg(a)", w=(8, 8, 1, 1), s=(8,))
    assert sorted(kinds.split()) == ["BatchNormalization", "Conv", "Neg"]


def test_it_goes_into_a_transposed_convolution_whose_bias_has_the_channels_of_all_groups() -> None:
    body = BODY.replace("Conv(", "ConvTranspose<group=4>(")
    text = f"agraph ({X}) => (float[1,12,6,6] y) {{ {body} }}"
    graph = rewritten(RULES, text, w=(8, 3, 3, 3), s=(12,))
    (node,) = graph.ordered()
    assert node.kind == "ConvTranspose"
    assert [graph.types[name].shape for name in node.inputs[1:]] == [(8, 3, 3, 3), (12,)]
