"""OpenVINO 2019 R2 on the Myriad accelerator (Intel Neural Compute Stick 2)."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Include, RuleSet, Stage
from nnmeter.fusion.rulesets.mobile.linking import RECTIFIERS, free_views, joins, link

PUBLISHED = "benchmarks/fusion_alternatives.py on nn-Meter's published measurements of the Neural Compute Stick 2"

ON_MYRIAD = joins(
    [
        link(("Conv",), RECTIFIERS),
        link(("Conv",), ("HardSwish",), only_if="hard_swish_joins"),
        link(("Conv",), ("Add",), sums=True, only_if="sums_join"),
        link(("Add",), RECTIFIERS, only_if="sum_activation"),
        link(("Mul",), RECTIFIERS, only_if="sum_activation"),
        link(("MaxPool", "AveragePool", "GlobalAveragePool"), RECTIFIERS, only_if="pool_activation"),
        link(("BatchNormalization",), RECTIFIERS, only_if="normalization_activation"),
        link(("Gemm",), RECTIFIERS, only_if="product_activation"),
    ],
    why="Rectifiers run inside of convolutions. What else joins is what published measurements say, a parameter each.",
    source=f"found by {PUBLISHED}",
)

RULE_SET = RuleSet(
    "openvino2019r2-myriad",
    runtime="openvino-myriad",
    runtime_version="2019R2",
    device={"place": "stick", "kind": "vpu"},
    parameters={
        "one_global_pool": True,
        "free_views": True,
        "sum_activation": True,
        "pool_activation": True,
        "product_activation": False,
        "normalization_activation": False,
        "hard_swish_joins": True,
        "sums_join": False,
    },
    stages=[
        Include("plain_network"),
        Stage("kernels", [ON_MYRIAD, free_views(f"found by {PUBLISHED}")]),
    ],
)
