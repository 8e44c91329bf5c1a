"""Convolutions on channels in blocks."""

from nnmeter.fusion.rulesets.onnxruntime.blocked_channels import BLOCKED_CHANNELS
from tests.fusion.rulesets.applying import applied

BODY = "y=Conv(x,w)"


def test_an_aligned_convolution_runs_on_blocks() -> None:
    kinds = applied(
        BLOCKED_CHANNELS,
        "float[1,32,4,4] x",
        "float[1,32,4,4] y",
        BODY,
        parameters={"block": 16},
        w=(32, 32, 1, 1),
    )
    assert kinds == " ".join(f"com.microsoft.nchwc.{kind}" for kind in ("ReorderInput", "Conv", "ReorderOutput"))


def test_channels_that_are_no_multiple_of_four_stay() -> None:
    kinds = applied(
        BLOCKED_CHANNELS,
        "float[1,18,4,4] x",
        "float[1,32,4,4] y",
        BODY,
        parameters={"block": 16},
        w=(32, 18, 1, 1),
    )
    assert kinds == "Conv"
