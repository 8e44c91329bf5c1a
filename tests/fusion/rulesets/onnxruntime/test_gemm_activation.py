"""An activation behind a Gemm."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.gemm_activation import ACTIVATIONS, GEMM_AND_ACTIVATION
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4,8] x", "float[4,8] y"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_fused(activation: str) -> None:
    text = f"agraph ({X}) => ({Y}) {{ a=Gemm(x,w) y={activation}(a) }}"
    (gemm,) = rewritten(GEMM_AND_ACTIVATION, text, w=(8, 8)).ordered()
    assert (gemm.kind, gemm.attributes["activation"]) == ("com.microsoft.FusedGemm", activation)


def test_clip_stays() -> None:
    assert applied(GEMM_AND_ACTIVATION, X, Y, "a=Gemm(x,w) y=Clip(a)", w=(8, 8)) == "Gemm Clip"
