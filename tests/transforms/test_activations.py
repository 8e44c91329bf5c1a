"""Activations are found however they were exported, and replaced by others."""

from __future__ import annotations

from collections import Counter

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.transforms import ReplaceActivation, TransformError, apply
from nnmeter.transforms.activations import MAKERS, find_activations
from nnmeter.transforms.draft import Draft
from tests.conftest import ZOO
from tests.transforms.models import Net, residual, vision_transformer

REAL = {
    "convnext_atto-224": {"gelu": 12},
    "efficientnet_b0-224": {"silu": 49, "sigmoid": 16},
    "gpt2-64": {"gelu-tanh": 6},
    "mobilenet_v2-224": {"relu6": 35},
    "mobilenet_v3_large-224": {"hardswish": 21, "relu": 19, "hardsigmoid": 8},
}


@pytest.mark.parametrize("model", REAL)
def test_activations_of_real_models_are_found(model: str) -> None:
    found = find_activations(Draft(read_model(ZOO / f"{model}.onnx")))
    assert Counter(activation.kind for activation in found) == REAL[model]


@pytest.mark.parametrize("opset", [13, 20])
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_made_is_found_again(kind: str, opset: int) -> None:
    net = Net([1, 4, 8, 8], opset)
    model = net.model(net.conv("last", net.add("Relu", "act", net.conv("conv", "input", 4, 8)), 8, 8))
    made = apply(model, [ReplaceActivation("relu", kind)])
    assert bind_shapes(made).types["last_out"].shape == (1, 8, 8, 8)
    found = [activation.kind for activation in find_activations(Draft(made))]
    assert found == ([] if kind == "identity" else [kind.removesuffix("-gate")])


def test_one_kind_is_replaced_and_others_stay() -> None:
    types = Counter(n.op_type for n in apply(residual(), [ReplaceActivation("sigmoid", "hardsigmoid")]).nodes)
    assert (types["Sigmoid"], types["HardSigmoid"], types["Relu"]) == (0, 1, 3)
    whole = Counter(n.op_type for n in apply(residual(), [ReplaceActivation("all", "relu")]).nodes)
    assert (whole["Sigmoid"], whole["Relu"]) == (0, 4)


def test_an_activation_in_many_operators_becomes_one() -> None:
    types = Counter(n.op_type for n in apply(vision_transformer(), [ReplaceActivation("gelu", "relu")]).nodes)
    assert (types["Erf"], types["Div"], types["Relu"]) == (0, 0, 1)


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(TransformError, match="no activation 'gelu' to replace; it has relu, sigmoid"):
        apply(residual(), [ReplaceActivation("gelu", "relu")])
    with pytest.raises(TransformError, match="'swoosh' is no activation; take elu, gelu"):
        apply(residual(), [ReplaceActivation("relu", "swoosh")])
