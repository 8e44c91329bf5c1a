"""TFLite on CPUs and GPUs of phones."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Include, Op, Rewrite, Rule, RuleSet, Stage, tensor
from nnmeter.fusion.rulesets.mobile.linking import RECTIFIERS, free_views, in_type, joins, link

KERNELS = "tensorflow/lite/kernels"
FUSED_ACTIVATION = "tensorflow/lite/schema/schema.fbs (ActivationFunctionType of an operator's options)"
GPU_FUSION = "tensorflow/lite/delegates/gpu/cl/inference_context.cc (Merge)"
PUBLISHED = "benchmarks/fusion_alternatives.py on nn-Meter's published measurements"

ON_CPU = joins(
    [
        link(("Conv", "Gemm"), RECTIFIERS),
        link(("Conv",), ("HardSwish",), only_if="hard_swish_joins"),
        link(("Add", "Mul", "Sub", "Div"), RECTIFIERS, only_if="sum_activation"),
        link(("BatchNormalization",), RECTIFIERS, only_if="normalization_activation"),
        link(("MaxPool", "AveragePool"), RECTIFIERS, only_if="pool_activation"),
        link(("Concat",), RECTIFIERS, only_if="concat_activation"),
    ],
    why="TFLite's operators have a fused activation, Relu or Relu6. Which of them use it is what published "
    "measurements say, a parameter each.",
    source=f"{FUSED_ACTIVATION}; parameters found by {PUBLISHED}",
)

CPU = RuleSet(
    "tflite21-cpu",
    runtime="tflite",
    runtime_version="2.1",
    device={"place": "phone", "kind": "cpu"},
    parameters={
        "one_global_pool": True,
        "free_views": True,
        "sum_activation": True,
        "normalization_activation": True,
        "pool_activation": False,
        "concat_activation": False,
        "hard_swish_joins": True,
        "int8": False,
    },
    stages=[
        Include("plain_network"),
        Stage(
            "kernels",
            [
                ON_CPU,
                free_views(f"{KERNELS}/reshape.cc; {PUBLISHED}"),
                in_type(
                    "integers", "int8", "int8", "models of MLPerf and TFLite that were converted with full integers"
                ),
            ],
        ),
    ],
)

# What leads a kernel, and what the delegate links to the operation that writes its input.
ELEMENT_WISE = (
    *("Relu", "Clip", "HardSigmoid", "Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Abs", "Exp", "Log", "Sqrt", "Elu"),
)
LEADING = (
    *("Conv", "Gemm", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "BatchNormalization", "Add", "Mul"),
    *("Sub", "Div", "ConvTranspose", "Resize", "Pad", "Softmax", "Relu", "Clip", "HardSwish", "HardSigmoid"),
    *("Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Abs", "Exp", "Log", "Sqrt", "Elu"),
)
MOST_JOINED = 15


def _one_rectifier() -> Rule:
    x = tensor("x")
    clip = Op("Clip", x)
    return Rule(
        "bounds of 0 and 6: Relu",
        [clip],
        where=[clip.attr("min") == 0, clip.attr("max") == 6],
        replace=Create("Relu", x, into=clip),
        why="The delegate has one operation for Relu and Relu6, with the upper bound as a number.",
        source="tensorflow/lite/delegates/gpu/common/tasks/relu.cc",
    )


ON_GPU = joins(
    [
        link(LEADING, ELEMENT_WISE, most=MOST_JOINED),
        link(LEADING, ("HardSwish",), most=MOST_JOINED, only_if="hard_swish_joins"),
        link(LEADING, ("BatchNormalization",), most=MOST_JOINED, only_if="normalization_joins"),
        link(LEADING, ("Add", "Sub"), most=MOST_JOINED, sums=True, only_if="sums_join"),
        link(LEADING, ("Mul", "Div"), most=MOST_JOINED, sums=True, only_if="products_join"),
    ],
    why="The GPU delegate links element-wise operations into the one that writes their input, sums and products of two "
    "computed tensors included. Which of them is what published measurements say, a parameter each.",
    source=f"{GPU_FUSION}; parameters found by {PUBLISHED}",
)


def _gpu(name: str, version: str, **device: bool) -> RuleSet:
    return RuleSet(
        name,
        runtime="tflite-gpu",
        runtime_version=version,
        device={"place": "phone", "kind": "gpu", **device},
        parameters={
            "one_global_pool": True,
            "free_views": True,
            "sums_join": True,
            "normalization_joins": True,
            "products_join": True,
            "hard_swish_joins": True,
        },
        stages=[
            Include("plain_network"),
            Stage(
                "kernels",
                [
                    Rewrite("one rectifier", [_one_rectifier()]),
                    ON_GPU,
                    free_views(f"tensorflow/lite/delegates/gpu/common/tasks/reshape.cc; {PUBLISHED}"),
                ],
            ),
        ],
    )


GPU_21 = _gpu("tflite21-gpu", "2.1")
GPU = _gpu("tflite-gpu", "2.x", default=True)
