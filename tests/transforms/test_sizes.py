"""Other sizes of inputs, where the file leaves them free and where it fixes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.formats.onnx_writer import write_onnx
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.transforms import Batch, Dimensions, Resolution, SequenceLength, Transform, TransformError, apply
from nnmeter.transforms.sizes import set_axis
from tests.conftest import ZOO, make_small_model
from tests.transforms.models import Net, residual, vision_transformer


@pytest.mark.parametrize("make", [residual, vision_transformer])
def test_a_fixed_batch_is_followed_to_the_shapes_that_operators_state(make: Callable[..., onnx.ModelProto]) -> None:
    changed, built = bind_shapes(apply(make(), [Batch(4)])), bind_shapes(read_model(make(batch=4)))
    types = [{n: str(t) for n, t in graph.types.items() if t.dtype == "float32"} for graph in (changed, built)]
    assert types[0] == types[1]


def test_a_resolution_is_followed_to_tokens_and_their_positions() -> None:
    changed = bind_shapes(apply(vision_transformer(), [Resolution(16, 16)]))
    built = bind_shapes(read_model(vision_transformer(picture=16)))
    assert changed.types["positions"].shape == (1, 25, 48)
    assert {n: t for n, t in built.types.items() if t.dtype == "float32"}.items() <= changed.types.items()


def test_another_resolution_is_the_model_as_exported_at_it() -> None:
    changed = bind_shapes(apply(ZOO / "mobilenet_v2-224.onnx", [Resolution(160, 160)]))
    exported = bind_shapes(read_model(ZOO / "mobilenet_v2-160.onnx"))
    assert [[str(changed.types[n]) for n in node.outputs] for node in changed.nodes] == [
        [str(exported.types[n]) for n in node.outputs] for node in exported.nodes
    ]


# What another size has to reach: masks, positions and token types; a class token; sizes of a Resize, and windows that
# are as large as the picture.
FOLLOWED: dict[str, tuple[Transform, tuple[int, ...]]] = {
    "bert-mini": (SequenceLength(48), (1, 48, 256)),
    "gpt2-64": (SequenceLength(96), (1, 96, 768)),
    "vit_tiny_patch16_224-224": (Batch(4), (4, 1000)),
    "deeplabv3_mobilenet_v3_large-256": (Resolution(128, 192), (1, 21, 128, 192)),
    "mobilenet_w1-224": (Resolution(256, 160), (1, 1000)),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_a_file_fixes_is_followed_and_declared(name: str) -> None:
    transform, shape = FOLLOWED[name]
    changed = apply(ZOO / f"{name}.onnx", [transform])
    graph = bind_shapes(changed)
    assert [graph.types[output].shape for output in graph.outputs] == [shape]
    assert [declared.dims for declared in changed.outputs] == [shape]


def test_a_saved_model_is_valid() -> None:
    """With shapes of all outputs, of the inputs that stay free too; ONNX refuses a file without."""
    for model, transform in ((vision_transformer(), Resolution(16, 16)), (make_small_model("n"), Resolution(56, 56))):
        saved = write_onnx(apply(model, [transform], InputSizes(dims={"n": 2})))
        for weight in saved.graph.initializer:
            if weight.data_location == onnx.TensorProto.EXTERNAL:
                kept = onnx.numpy_helper.from_array(np.zeros(list(weight.dims), np.float32), weight.name)
                weight.CopyFrom(kept)
        onnx.checker.check_model(saved, full_check=True)


def test_one_dimension_of_one_input_takes_another_size() -> None:
    changed = set_axis(read_model(ZOO / "mobilenet_w1-224.onnx"), "input", 3, 160)
    assert bind_shapes(changed).types["input"].shape == (1, 3, 224, 160)
    with pytest.raises(TransformError, match=r"there is no dimension 'input\.4'"):
        set_axis(changed, "input", 4, 2)


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
