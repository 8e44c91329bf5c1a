"""What engines and frameworks make of a small network, by their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules, with_parameters
from nnmeter.lab.importing.public_networks.runtimes import FUSIONS, fusion_of
from tests.fusion.models import make_graph

BODY = (
    "c=Conv<kernel_shape=[1,1]>(x,w) n=BatchNormalization(c,s,s,s,s) g=Sigmoid(n) a=Mul(n,g) "
    "d=Conv<kernel_shape=[1,1]>(a,w) e=Add(d,x) r=Relu(e) h=HardSwish(r) y=Mul(h,x)"
)
WEIGHTS = {"w": np.ones((8, 8, 1, 1), np.float32), "s": np.ones(8, np.float32)}


def kernels(rules: str, **parameters: Any) -> str:
    graph = make_graph(f"agraph (float[1,8,4,4] x) => (float[1,8,4,4] y) {{ {BODY} }}", **WEIGHTS)
    loaded = load_rules(rules)
    return " ".join(
        k.type for k in detect_kernels(graph, with_parameters(loaded, **parameters) if parameters else loaded)
    )


@pytest.mark.parametrize(
    ("rules", "parameters", "expected"),
    [
        ("inference_engine", {}, "Conv+Swish Conv Add+Relu HardSwish Mul"),
        ("inference_engine", {"activations_join": False}, "Conv Swish Conv Add+Relu HardSwish Mul"),
        ("inference_engine", {"sums_join": True}, "Conv+Swish Conv+Add+Relu+HardSwish Mul"),
        ("inference_engine", {"sum_activation": False}, "Conv+Swish Conv Add Relu HardSwish Mul"),
        ("inference_engine", {"chains_join": True}, "Conv+Swish Conv Add+Relu+HardSwish+Mul"),
        ("framework", {}, "Conv BatchNormalization Swish Conv Add Relu HardSwish Mul"),
        ("framework", {"chains_join": True}, "Conv BatchNormalization+Swish Conv Add+Relu+HardSwish+Mul"),
    ],
)
def test_kernels(rules: str, parameters: dict[str, Any], expected: str) -> None:
    assert kernels(rules, **parameters) == expected


def test_every_runtime_of_the_tables_has_parameters_of_its_rule_set() -> None:
    for runtime, fusion in FUSIONS.items():
        loaded = load_rules(fusion.rules)
        assert set(fusion.parameters) <= set(loaded.parameters), runtime
        assert fusion.source
        assert fusion.reason


def test_a_runtime_that_nobody_knows_has_the_plainest_rules_and_says_so() -> None:
    assert (fusion_of("newcomer").rules, fusion_of("newcomer").known) == ("inference_engine", False)
