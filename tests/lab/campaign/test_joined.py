"""Several random networks in one model."""

import onnx
import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.formats import read_model
from nnmeter.lab.campaign.joined import joined_networks
from nnmeter.lab.campaign.recipes import random_network
from tests.conftest import make_small_model


def small(seed, recipe, little):
    model = make_small_model(1 + seed % 3)
    model.metadata_props.add(key="nnmeter.seed", value=str(seed))
    return model


def test_networks_lie_side_by_side():
    alone = small(2, "any", False)
    joined = joined_networks(small, 2, "any", False, 4)
    onnx.checker.check_model(joined)
    assert len(joined.graph.node) == 4 * len(alone.graph.node)
    assert len(joined.graph.input) == len(joined.graph.output) == 4
    assert joined.metadata_props[0].value == "2"
    assert joined.graph.name == alone.graph.name
    names = [node.name for node in joined.graph.node]
    assert len(set(names)) == len(names)
    graph = bind_shapes(read_model(joined))
    assert graph.types[graph.inputs[0]].shape[0] == 3


def test_one_network_is_left_as_it_is():
    assert joined_networks(small, 2, "any", False, 1) == small(2, "any", False)


def test_the_same_seed_gives_the_same_model():
    first, second = (joined_networks(random_network, 5, "fire", True, 3) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    assert len(first.graph.output) >= 2


def test_networks_of_other_operator_sets_and_many_operations_do_not_join(monkeypatch):
    def mixed(seed, recipe, little):
        model = small(seed, recipe, little)
        if seed > 10:
            model.opset_import[0].version += 1
        return model

    assert len(joined_networks(mixed, 0, "any", False, 4).graph.input) == 1
    monkeypatch.setattr("nnmeter.lab.campaign.joined.MOST_FLOPS", 1.0)
    assert len(joined_networks(small, 0, "any", False, 4).graph.input) == 1


def test_a_network_that_cannot_be_built_is_an_error_and_others_are_left_out():
    def failing(seed, recipe, little):
        if seed > 10:
            raise ValueError("no")
        return small(seed, recipe, little)

    assert len(joined_networks(failing, 1, "any", False, 3).graph.input) == 1
    with pytest.raises(ValueError, match="no"):
        joined_networks(failing, 11, "any", False, 3)
