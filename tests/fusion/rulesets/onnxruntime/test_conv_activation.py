"""An activation behind a convolution."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.conv_activation import CONV_AND_ACTIVATION
from nnmeter.fusion.rulesets.onnxruntime.shared import CONV_ACTIVATIONS
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"


@pytest.mark.parametrize("activation", CONV_ACTIVATIONS)
def test_it_is_fused(activation: str) -> None:
    text = f"agraph ({X}) => ({Y}) {{ a=Conv(x,w) y={activation}(a) }}"
    (conv,) = rewritten(CONV_AND_ACTIVATION, text, w=(8, 8, 1, 1)).ordered()
    assert (conv.kind, conv.attributes["activation"]) == ("com.microsoft.FusedConv", activation)


def test_clip_with_known_bounds_is_fused() -> None:
    kinds = applied(CONV_AND_ACTIVATION, X, Y, "a=Conv(x,w) y=Clip(a,lo,hi)", w=(8, 8, 1, 1), lo=f32(0), hi=f32(6))
    assert kinds == "com.microsoft.FusedConv"


def test_clip_with_a_computed_bound_stays() -> None:
    kinds = applied(CONV_AND_ACTIVATION, f"{X}, float lo", Y, "a=Conv(x,w) y=Clip(a,lo)", w=(8, 8, 1, 1))
    assert kinds == "Conv Clip"


def test_elu_stays() -> None:
    assert applied(CONV_AND_ACTIVATION, X, Y, "a=Conv(x,w) y=Elu(a)", w=(8, 8, 1, 1)) == "Conv Elu"
