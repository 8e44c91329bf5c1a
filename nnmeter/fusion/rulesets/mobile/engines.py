"""What inference engines and frameworks have in common, for devices whose times were published as tables.

Two rule sets, each with a parameter for every fusion on which they differ. `nnmeter.lab.importing.public_networks`
says which parameters each runtime has, with the source and the reason.

1. An *engine* is given a converted network: normalizations are in the weights, activations run inside of convolutions.
2. A *framework* executes the operators of the network as they were written, one after the other.
"""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.rulesets.builder import Create, Include, Op, Rewrite, Rule, RuleSet, Stage, tensors
from nnmeter.fusion.rulesets.mobile import activations, no_ops, padding, plain_network, pools_and_views, products
from nnmeter.fusion.rulesets.mobile.linking import RECTIFIERS, free_views, in_type, joins, link

SOURCE = "documentation of the engines, as nnmeter/lab/importing/public_networks/runtimes.py names it; seen in no dump"
WEIGHTED = ("Conv", "Gemm", "ConvTranspose")
POINTWISE = (
    *("Relu", "Clip", "HardSwish", "HardSigmoid", "Swish", "Gelu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Elu"),
    *("Erf", "Exp", "Sqrt", "Abs", "Neg", "Softplus"),
)
ARITHMETIC = ("Add", "Sub", "Mul", "Div")
MOST_JOINED = 15


def _swish() -> Rule:
    (x,) = tensors("x")
    sigmoid = Op("Sigmoid", x, name="sigmoid")
    gate = Op("Mul", sigmoid, x, commutative=True, name="gate")
    return Rule(
        "sigmoid as a gate of its own input: swish",
        [gate, sigmoid],
        replace=Create("Swish", x, into=gate),
        why="The product of x and its sigmoid is one activation in these engines.",
        source=SOURCE,
    )


SWISH = Rewrite("swish", [_swish()])

IN_AN_ENGINE = joins(
    [
        link(WEIGHTED, RECTIFIERS, most=MOST_JOINED),
        link(WEIGHTED, POINTWISE, most=MOST_JOINED, only_if="activations_join"),
        link(WEIGHTED, ("Add",), most=MOST_JOINED, sums=True, only_if="sums_join"),
        link(WEIGHTED, ("Mul",), most=MOST_JOINED, sums=True, only_if="products_join"),
        link(("Add",), RECTIFIERS, only_if="sum_activation"),
        link((*ARITHMETIC, *POINTWISE), POINTWISE, most=MOST_JOINED, only_if="chains_join"),
        link((*ARITHMETIC, *POINTWISE), ARITHMETIC, most=MOST_JOINED, sums=True, only_if="chains_join"),
        link(("BatchNormalization",), (*RECTIFIERS, *POINTWISE), only_if="activations_join"),
        link(("MaxPool", "AveragePool", "Concat"), RECTIFIERS, only_if="chains_join"),
    ],
    why="Activations run inside of the convolution before them. Which others do, and whether sums of two tensors and "
    "chains of element-wise operators are one kernel, differs between engines: a parameter each.",
    source=SOURCE,
)

TYPES = [
    in_type("half precision", "float16", "float16", SOURCE),
    in_type("brain floating point", "bfloat16", "bfloat16", SOURCE),
    in_type("integers", "int8", "int8", SOURCE),
]
NO_TYPES: dict[str, Any] = {"float16": False, "bfloat16": False, "int8": False}

ENGINE = RuleSet(
    "inference-engine",
    runtime="inference-engine",
    parameters={
        "one_global_pool": True,
        "free_views": True,
        "activations_join": True,
        "sums_join": False,
        "products_join": False,
        "sum_activation": True,
        "chains_join": False,
        **NO_TYPES,
    },
    stages=[
        Include("plain_network"),
        Stage("kernels", [SWISH, IN_AN_ENGINE, free_views(SOURCE), *TYPES]),
    ],
)

IN_A_FRAMEWORK = joins(
    [
        link((*ARITHMETIC, *POINTWISE, "BatchNormalization"), POINTWISE, most=MOST_JOINED, only_if="chains_join"),
        link(
            (*ARITHMETIC, *POINTWISE, "BatchNormalization"),
            ARITHMETIC,
            most=MOST_JOINED,
            sums=True,
            only_if="chains_join",
        ),
    ],
    why="A framework launches one kernel an operator. A compiler in front of it makes one kernel of a chain of "
    "element-wise operators; the parameter `chains_join` says so.",
    source="pytorch.org/docs/stable/torch.compiler.html (fusion of pointwise operators by inductor)",
)

FRAMEWORK = RuleSet(
    "framework",
    runtime="framework",
    parameters={
        "one_global_pool": True,
        "free_views": True,
        "chains_join": False,
        **NO_TYPES,
    },
    stages=[
        Stage(
            "one form for what exporters write differently",
            [
                plain_network.WORK_BEFORE_THE_RUN,
                no_ops.NO_OPS,
                activations.ACTIVATIONS,
                products.PRODUCTS,
                padding.PADDING,
                pools_and_views.POOLS_VIEWS_AND_SUMS,
                plain_network.PIECES,
            ],
            repeat=8,
        ),
        Stage("plain attributes", [plain_network.WINDOWS_AND_OPERANDS]),
        Stage("kernels", [SWISH, IN_A_FRAMEWORK, free_views(SOURCE), *TYPES]),
    ],
)
