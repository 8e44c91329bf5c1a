"""Networks as large as real models: what they weigh, and that their parts do not get in each other's way."""

from __future__ import annotations

import random

import onnx
import pytest

from nnmeter.lab.campaign.recipes import large
from nnmeter.lab.campaign.recipes.activations import relu
from nnmeter.lab.campaign.recipes.builder import Budget, Exporter, NetworkBuilder
from nnmeter.lab.campaign.recipes.network import LARGE_FAMILIES, PRIOR, _build
from nnmeter.lab.campaign.recipes.operators import linear

THIRD_LEVEL_CACHE = 32 << 20


def built(family: str, seed: int) -> NetworkBuilder:
    return _build(family, random.Random(seed), seed, small=False)


@pytest.mark.parametrize("family", LARGE_FAMILIES)
def test_a_large_network_has_the_operators_of_a_real_one_and_no_two_of_one_name(family: str) -> None:
    network = built(family, 3)
    names = [name for node in network.nodes for name in node.output if name]
    assert len(names) == len(set(names))
    assert len(network.nodes) > 20
    known = set(names) | network.constant_names | network.input_names
    assert {name for node in network.nodes for name in node.input if name} <= known


def test_most_large_networks_outgrow_the_caches_within_their_time() -> None:
    networks = [built(family, seed) for family in ("large_convolutional", "large_language") for seed in range(12)]
    weighty = [network for network in networks if large.footprint(network) > THIRD_LEVEL_CACHE / 2]
    assert len(weighty) >= len(networks) / 2
    assert all(network.cost_ms <= 200 and network.weight_bytes <= 400e6 for network in networks)


def test_large_networks_are_a_share_of_a_campaign() -> None:
    assert 0.1 < sum(PRIOR[name] for name in LARGE_FAMILIES) / sum(PRIOR.values()) < 0.3


def test_tables_that_are_looked_up_are_no_footprint() -> None:
    b = NetworkBuilder(random.Random(0), Exporter(), Budget())
    table = b.weight((1000, 16))
    linear(b, b.node("Gather", [table, b.constant([1, 2])], (2, 16), axis=0), 8, bias=False)
    assert b.weight_bytes == 1000 * 16 * 4 + 16 * 8 * 4
    assert large.footprint(b) == 16 * 8 * 4


def test_joined_networks_run_side_by_side() -> None:
    whole = NetworkBuilder(random.Random(0), Exporter(), Budget())
    for width in (4, 6):
        part = whole.beside(Budget())
        relu(part, linear(part, part.input((2, width)), 3))
        whole.join(part)
    model = whole.finish("joined")
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["input_0", "input_1"] or len(model.graph.input) == 2
    assert len(model.graph.output) == 2
