"""A process that measures a made-up campaign until it is killed: `python -m tests.lab.campaign.campaign_child DIR`."""

import json
import sys

import onnx

from nnmeter.lab.campaign import campaign, planner
from nnmeter.lab.campaign.campaign import Recipes, run_campaign
from tests.lab.campaign.conftest import FakeClock, FakeRuntime


def build(seed, recipe, small):
    """A network of a few kernels; every eleventh one is refused."""
    kinds = {"even": "Conv", "odd": "MatMul", "rare": "Resize"}
    kernels = [] if seed % 11 == 10 else [[kinds[recipe], 1.0 + seed % 7], ["Relu", 0.25]] * (1 + seed % 3)
    model = onnx.ModelProto(doc_string=json.dumps(kernels))
    model.graph.name = recipe
    return model


RECIPES = Recipes({"even": 6.0, "odd": 3.0, "rare": 1.0}, build)


def run(directory, budget_s):
    """Measures with blocks of five networks and a plan every four seconds, on a clock that only the networks move."""
    campaign.BLOCK_NETWORKS = 5
    planner.INTERVAL_S = 4.0
    FakeRuntime.clock = FakeClock()
    return run_campaign(directory, FakeRuntime(), budget_s=budget_s, recipes=RECIPES, clock=FakeRuntime.clock)


if __name__ == "__main__":
    run(sys.argv[1], 1e9)
