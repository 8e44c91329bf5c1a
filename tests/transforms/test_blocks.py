"""Blocks are dropped and repeated."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.transforms import DropBlock, RepeatBlock, Transform, TransformError, apply
from nnmeter.transforms.rewrites import REWRITES
from tests.transforms.models import Net, residual, vision_transformer

MLP = "up..after.mlp"
ATTENTION = "norm..after.attention"


def stages() -> onnx.ModelProto:
    """Two modules with a residual branch each, the names as torch's older exporter writes them."""
    net = Net([1, 4, 8, 8])
    x = "input"
    for stage in ("a", "b"):
        y = net.conv(f"/layers/layers.{stage}/conv1/Conv", x, 4, 4, 3)
        y = net.add("Relu", f"/layers/layers.{stage}/act/Relu", y)
        x = net.add("Add", f"/layers/layers.{stage}/Add", x, net.conv(f"/layers/layers.{stage}/conv2/Conv", y, 4, 4, 3))
    return net.model(net.add("GlobalAveragePool", "/pool/GlobalAveragePool", x))


def count(model: onnx.ModelProto, transform: Transform, op_type: str) -> int:
    changed = apply(model, [transform])
    bind_shapes(changed)
    return Counter(node.op_type for node in changed.nodes)[op_type]


def test_a_module_is_dropped_and_repeated_by_its_name() -> None:
    assert count(stages(), DropBlock("layers.a"), "Conv") == 2
    assert count(stages(), DropBlock("layers.b"), "Conv") == 2
    assert count(stages(), RepeatBlock("layers.b", 3), "Conv") == 8


def test_a_block_is_named_by_its_first_and_last_operator() -> None:
    model = vision_transformer()
    assert count(model, DropBlock(MLP), "Erf") == 0
    assert count(model, RepeatBlock(MLP, 4), "Erf") == 4
    assert count(model, RepeatBlock(ATTENTION, 2), "Softmax") == 2


def test_copies_have_weights_of_their_own_and_follow_each_other() -> None:
    changed = apply(stages(), [RepeatBlock("layers.a", 2)])
    before = read_model(stages())
    assert len(changed.constants) == len(before.constants) + 4
    convolutions = [node for node in bind_shapes(changed).nodes if node.op_type == "Conv"]
    assert len({node.inputs[1] for node in convolutions}) == 6
    sums = {node.outputs[0] for node in changed.nodes if node.op_type == "Add"}
    assert [node.inputs[0] in sums for node in convolutions] == [False, False, True, False, True, False]


def test_once_is_what_there_is() -> None:
    model = read_model(stages())
    assert apply(model, [RepeatBlock("layers.a", 1)]).nodes == model.nodes


REFUSED: dict[str, tuple[onnx.ModelProto, Transform, str]] = {
    "no module": (stages(), DropBlock("layers.c"), "no module 'layers.c'; its modules are layers.a.conv1"),
    "no names": (residual(), DropBlock("layer1"), "its file names no modules; or name the first and the last operator"),
    "other type": (residual(), DropBlock("stem..stem.relu"), "reads 0 tensors of its result's type"),
    "three results": (vision_transformer(), DropBlock("qkv..k"), "has 3 results that others read"),
    "order": (residual(), DropBlock("second..first"), "'first' stands before 'second' in the file"),
    "times": (stages(), RepeatBlock("layers.a", 0), "a block 0 times is none"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_block_is_refused(case: str) -> None:
    model, transform, said = REFUSED[case]
    with pytest.raises(TransformError, match=said):
        apply(model, [transform])


def test_there_is_a_test_of_every_rewrite() -> None:
    from tests.transforms import test_rewrites

    assert set(test_rewrites.CASES) == set(REWRITES)
