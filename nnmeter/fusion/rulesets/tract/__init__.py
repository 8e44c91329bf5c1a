"""The rule set for tract on CPUs.

`RULE_SET` below is the one place that lists its passes.
"""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure, RuleSet, Stage
from nnmeter.fusion.rulesets.shared import VIEWS
from nnmeter.fusion.rulesets.tract import chains, no_ops, products
from nnmeter.fusion.rulesets.tract.sources import VERSION, core

NAMES = Procedure(
    "names",
    "settings",
    fields={"data_inputs": {}, "names": {products.POINTWISE: "Conv"}, "axes": (), "dropped": ()},
    why="Kernels have the names of ONNX's operators, so that costs and features apply.",
    source="no step of the runtime: how nnmeter names what it runs",
)

JOINED = Procedure(
    "joined inputs of products",
    "free_operators",
    fields={"operators": ("Concat",), "only_before": (products.POINTWISE,)},
    why="A pointwise convolution of joined maps becomes the sum of one product for each of them.",
    source=core("ops/einsum/mod.rs"),
)

FREE = Procedure(
    "views and transposes",
    "free_operators",
    fields={"operators": (*VIEWS, "Transpose", "Expand")},
    why="Views copy nothing, and changes of order are packed by what reads them, in whose kernel they are.",
    source=core("ops/change_axes.rs"),
)

RULE_SET = RuleSet(
    "tract-cpu",
    runtime="tract",
    runtime_version=VERSION,
    device={"place": "server", "kind": "cpu", "distributions": ("tract",), "extra": "tract"},
    stages=[
        Stage(
            "declutter",
            [
                no_ops.CONSTANT_FOLDING,
                no_ops.NO_OPS,
                chains.SWISH,
                chains.NORMALIZATIONS,
                products.PRODUCTS,
            ],
            repeat=6,
        ),
        Stage(
            "optimize",
            [products.POINTWISE_CONVOLUTIONS, chains.PRODUCTS, chains.FACTORS, chains.LOOPS, JOINED, NAMES, FREE],
        ),
    ],
)
