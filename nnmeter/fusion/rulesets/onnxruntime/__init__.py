"""The rule set for ONNX Runtime on CPUs: one fused pattern, or a tight group of them, a module.

`RULE_SET` below is the one place that lists them: stages and passes stand in the order of the runtime's own optimizers
(`onnxruntime/core/optimizer/graph_transformer_utils.cc`), which decides what is fused where two patterns overlap. A new
pattern is a module here, a line in this list, and a test of the module's name in `tests/fusion/rulesets/onnxruntime`.
`docs/adding-a-fusion-rule.md` shows one.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.fusion.rulesets.builder import Include, Rewrite, RuleSet, Stage
from nnmeter.fusion.rulesets.onnxruntime import (
    activations_before_quantization,
    bias_gelu,
    blocked_channels,
    cast_pairs,
    constants,
    conv_activation,
    conv_add,
    conv_add_activation,
    conv_batch_normalization,
    conv_mul,
    fast_gelu,
    functions,
    gelu,
    gemm_activation,
    gemm_sum,
    gemm_transpose,
    group_normalization,
    half_precision,
    half_precision_casts,
    integer_convolutions,
    integer_products,
    layer_normalization,
    machine,
    matmul_add,
    matmul_batch_normalization,
    matmul_nbits_bias,
    matmul_scale,
    matmul_transpose,
    no_ops,
    not_where,
    one_dequantize_a_reader,
    pad,
    quantization_moves,
    quantized_operators,
    quantized_twice,
    quantized_weights,
    quick_gelu,
    reciprocal_product,
    relu_clip,
    reshapes,
    skip_layer_normalization,
    slices_to_split,
    transposes,
)
from nnmeter.fusion.rulesets.onnxruntime.sources import VERSION

BASIC = Stage(
    "basic",
    [
        no_ops.NO_OPS,
        Rewrite(
            "basic rules",
            [
                *cast_pairs.RULES,
                *reciprocal_product.RULES,
                *relu_clip.RULES,
                *gemm_sum.RULES,
                *gemm_transpose.RULES,
                *not_where.RULES,
                *conv_add.RULES,
                *conv_mul.RULES,
                *conv_batch_normalization.RULES,
                *matmul_batch_normalization.RULES,
                *pad.RULES,
            ],
        ),
        quantized_twice.QUANTIZED_TWICE,
        constants.COMMON_SUBEXPRESSIONS,
        constants.CONSTANT_FOLDING,
        constants.STRIDED_SLICES,
        matmul_add.MATMUL_AND_ADD,
        reshapes.TARGETS,
        reshapes.RESHAPES,
        gelu.GELU_OF_THE_OPERATOR_SET,
        layer_normalization.LAYER_NORMALIZATION_OF_THE_OPERATOR_SET,
        quantization_moves.QUANTIZE_MOVES_BACK,
        quantization_moves.DEQUANTIZE_MOVES_ON,
        quantization_moves.CHOICES,
        transposes.TRANSPOSES,
        quantization_moves.AROUND_TRANSPOSES,
    ],
    repeat=10,
)

FUNCTIONS = Stage(
    "functions without kernels",
    [
        one_dequantize_a_reader.ONE_DEQUANTIZE_A_READER,
        Rewrite(
            "expand functions",
            [*functions.RULES, *group_normalization.RULES, *half_precision.RULES],
            repeat=3,
        ),
        half_precision_casts.HALF_PRECISION_CASTS,
    ],
)

ASSIGNED = Stage(
    "assigned to the CPU",
    [
        activations_before_quantization.ACTIVATIONS_BEFORE_QUANTIZATION,
        transposes.TRANSPOSES,
        quantization_moves.AROUND_TRANSPOSES,
        transposes.TRANSPOSES_PAST_RESIZE,
        quantization_moves.AROUND_TRANSPOSES,
    ],
)

EXTENDED = Stage(
    "extended",
    [
        activations_before_quantization.ACTIVATIONS_BEFORE_QUANTIZATION,
        quantized_operators.UNSIGNED_ACTIVATIONS,
        quantized_operators.QUANTIZED_OPERATORS,
        quantized_weights.QUANTIZED_WEIGHTS,
        gemm_activation.GEMM_AND_ACTIVATION,
        integer_products.INTEGER_PRODUCT_TO_FLOAT,
        integer_products.DYNAMIC_QUANTIZE_MATMUL,
        conv_activation.CONV_AND_ACTIVATION,
        layer_normalization.LAYER_NORMALIZATION,
        layer_normalization.SIMPLIFIED_LAYER_NORMALIZATION,
        matmul_add.MATMUL_AND_ADD_OF_ATTENTION,
        slices_to_split.SLICES_TO_SPLIT,
        matmul_transpose.MATMUL_AND_TRANSPOSE,
        bias_gelu.BIAS_GELU,
        skip_layer_normalization.SKIP_LAYER_NORMALIZATION,
        matmul_nbits_bias.MATMUL_NBITS_AND_BIAS,
        gelu.GELU,
        fast_gelu.FAST_GELU,
        quick_gelu.QUICK_GELU,
        matmul_scale.MATMUL_AND_SCALE,
    ],
    repeat=10,
)

LAYOUT = Stage(
    "layout",
    [
        blocked_channels.BLOCKED_CHANNELS,
        integer_convolutions.CHANNELS_LAST,
        integer_convolutions.ONE_TRANSPOSE_A_TENSOR,
        transposes.TRANSPOSES_OF_INTEGER_OPERATORS,
        quantization_moves.AROUND_TRANSPOSES,
    ],
)

RESIDUAL_SUMS = Stage("residual sums", [conv_add_activation.CONV_ADD_AND_ACTIVATION])

_DEVICE = {
    "place": "server",
    "kind": "cpu",
    "distributions": ("onnxruntime", "onnxruntime-gpu"),
    "extra": "onnxruntime",
}
_PARAMETERS = {"block": 16, "signed_activations": False}


def _of_level(level: str, stages: Sequence[Stage | Include]) -> RuleSet:
    """The rules of a session with fewer optimizations, which is a runtime of its own (`nnmeter.lab.runtimes`)."""
    return RuleSet(
        f"onnxruntime-{level}-cpu",
        runtime=f"onnxruntime-{level}",
        runtime_version=VERSION,
        device=_DEVICE,
        machine=machine.MACHINE,
        parameters=_PARAMETERS,
        stages=stages,
    )


UNOPTIMIZED = _of_level("unoptimized", [FUNCTIONS])
BASIC_ONLY = _of_level("basic", [BASIC, FUNCTIONS])
UP_TO_EXTENDED = _of_level("extended", [Include("onnxruntime_basic"), ASSIGNED, EXTENDED])

RULE_SET = RuleSet(
    "onnxruntime-cpu",
    runtime="onnxruntime",
    runtime_version=VERSION,
    device=_DEVICE,
    machine=machine.MACHINE,
    parameters=_PARAMETERS,
    stages=[Include("onnxruntime_extended"), LAYOUT, RESIDUAL_SUMS],
)
