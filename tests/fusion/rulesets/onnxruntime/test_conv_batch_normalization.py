"""BatchNormalization behind a convolution."""

from nnmeter.fusion.rulesets.onnxruntime.conv_batch_normalization import RULES
from tests.fusion.rulesets.applying import applied

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
BODY = "a=Conv(x,w) y=BatchNormalization(a,s,s,s,s)"


def test_it_goes_into_weights_and_bias() -> None:
    assert applied(RULES, X, Y, BODY, w=(8, 8, 1, 1), s=(8,)) == "Conv"


def test_a_convolution_that_others_read_stays() -> None:
    kinds = applied(RULES, X, f"{Y}, float[1,8,4,4] z", f"{BODY} z=Neg(a)", w=(8, 8, 1, 1), s=(8,))
    assert sorted(kinds.split()) == ["BatchNormalization", "Conv", "Neg"]
