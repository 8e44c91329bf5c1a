"""Other sizes of inputs, where the file leaves them free and where it fixes them."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.transforms import Batch, Dimensions, Resolution, SequenceLength, Transform, TransformError, apply
from tests.conftest import ZOO, make_small_model
from tests.transforms.models import Net, residual, vision_transformer


@pytest.mark.parametrize("make", [residual, vision_transformer])
def test_a_fixed_batch_is_followed_to_the_shapes_that_operators_state(make: Callable[..., onnx.ModelProto]) -> None:
    changed, built = bind_shapes(apply(make(), [Batch(4)])), bind_shapes(read_model(make(batch=4)))
    types = [{n: str(t) for n, t in graph.types.items() if t.dtype == "float32"} for graph in (changed, built)]
    assert types[0] == types[1]


@pytest.mark.parametrize("model", ["swin_tiny_patch4_window7_224-224", "bert-mini", "gpt2-64", "shufflenet_g3_w1-224"])
def test_real_models_take_another_batch(model: str) -> None:
    unbound = read_model(ZOO / f"{model}.onnx")
    before, after = bind_shapes(unbound), bind_shapes(apply(unbound, [Batch(3)]))
    assert [(n, after.types[n].elements / before.types[n].elements) for n in before.outputs] == [
        (n, 3.0) for n in before.outputs
    ]


def test_free_dimensions_take_the_size() -> None:
    model = apply(make_small_model("batch"), [Batch(8)])
    assert not model.free_dimensions
    assert bind_shapes(model).types["output"].shape == (8, 10)
    assert bind_shapes(apply(make_small_model("n"), [Dimensions({"n": 2})])).types["output"].shape == (2, 10)


def test_a_convolutional_network_takes_another_resolution() -> None:
    assert bind_shapes(apply(ZOO / "resnet18-224.onnx", [Resolution(160, 96)])).types["linear"].shape == (1, 1000)


def test_a_sequence_takes_another_length() -> None:
    net = Net([1, 7, 4])
    model = net.model(net.linear("fc", "input", 4, 6))
    assert bind_shapes(apply(model, [SequenceLength(9)])).types["fc.add_out"].shape == (1, 9, 6)


REFUSED: dict[str, tuple[onnx.ModelProto, Transform, str]] = {
    "a classifier": (residual(), Resolution(12, 12), "does not take pictures of 12 x 12, for its file fixes the size"),
    "positions": (vision_transformer(), Resolution(16, 16), "does not take pictures of 16 x 16"),
    "no picture": (Net([2, 3]).model("input"), Resolution(8, 8), "no input is a picture"),
    "no sequence": (residual(), SequenceLength(8), "no input is a sequence"),
    "nothing": (residual(), Batch(0), "a batch of 0 is none"),
    "no dimension": (make_small_model("n"), Dimensions({"m": 2}), "no free dimension 'm'; its free dimensions are n"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_that_a_model_does_not_take_are_refused(case: str) -> None:
    model, transform, said = REFUSED[case]
    with pytest.raises(TransformError, match=said):
        apply(model, [transform])
    assert issubclass(TransformError, NnmeterError)
