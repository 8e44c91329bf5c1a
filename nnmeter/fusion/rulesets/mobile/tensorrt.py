"""TensorRT on GPUs of NVIDIA, for measurements that others took."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Include, RuleSet, Stage
from nnmeter.fusion.rulesets.mobile.linking import RECTIFIERS, free_views, in_type, joins, link

DOCUMENTED = "NVIDIA's TensorRT developer guide, 'Types of Fusions'; seen in no dump"

ON_CUDA = joins(
    [
        link(("Conv", "Gemm"), (*RECTIFIERS, "LeakyRelu", "Sigmoid", "Tanh"), most=2, silent=True),
        link(("Conv",), ("Add",), sums=True, only_if="sums_join"),
        link(("Add", "Mul", "BatchNormalization"), RECTIFIERS, silent=True),
    ],
    why="Activations run inside of convolutions, products and sums, and residual sums inside of convolutions.",
    source=DOCUMENTED,
)

RULE_SET = RuleSet(
    "tensorrt-cuda",
    runtime="tensorrt",
    device={"place": "server", "kind": "gpu"},
    parameters={
        "one_global_pool": True,
        "free_views": True,
        "sums_join": True,
        "float16": False,
        "int8": False,
    },
    stages=[
        Include("plain_network"),
        Stage(
            "kernels",
            [
                ON_CUDA,
                free_views(DOCUMENTED),
                in_type("half precision", "float16", "float16", DOCUMENTED),
                in_type("integers", "int8", "int8", DOCUMENTED),
            ],
        ),
    ],
)
