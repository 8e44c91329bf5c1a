"""What a predictor was trained on, by element type."""

from nnmeter.kernels.anchor import Anchor
from nnmeter.predictor.element_types import operators_by_type, precisions_of


def test_operators_are_grouped_by_the_type_of_their_first_input() -> None:
    anchors = [Anchor("Conv", "float32"), Anchor("Add", "float32"), Anchor("QLinearConv", "uint8*uint8"),
               Anchor("QLinearConv", "uint8"), Anchor("Gather", "int64")]  # fmt: skip
    assert operators_by_type(anchors) == {"float32": ("Add", "Conv"), "int64": ("Gather",), "uint8": ("QLinearConv",)}
    assert precisions_of(anchors) == ("float32", "uint8")
    assert precisions_of([]) == ()
