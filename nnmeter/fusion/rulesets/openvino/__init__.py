"""The rule set for OpenVINO on CPUs.

`RULE_SET` below is the one place that lists its passes. "common" are the transformations that all plugins share, the
stages behind it those of the CPU plugin (`src/plugins/intel_cpu/src/transformations/transformation_pipeline.cpp`), and
from "fusion" on operators become kernels.
"""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import RuleSet, Stage
from nnmeter.fusion.rulesets.openvino import (
    activations,
    convolutions,
    dynamic_quantization,
    element_types,
    kernels,
    linear_chains,
    linear_into_conv,
    low_precision,
    machine,
    movement,
    no_ops,
    normalizations,
    products,
    reductions,
    rotary_embeddings,
)
from nnmeter.fusion.rulesets.openvino.sources import VERSION

COMMON = Stage(
    "common",
    [
        no_ops.NO_OPS,
        kernels.CONSTANT_FOLDING,
        kernels.SLICES_TO_SPLIT,
        kernels.CONCATS_OF_CONCATS,
        no_ops.TRANSPOSES_THAT_MOVE_NOTHING,
        no_ops.BIASES_OF_ZEROS,
        activations.ACTIVATIONS,
        normalizations.BATCH_NORMALIZATION,
        normalizations.LAYER_NORMALIZATION,
        normalizations.RMS_NORMALIZATION,
        linear_into_conv.INTO_CONVOLUTIONS,
        movement.EXPANDED_OPERANDS,
        movement.SLICES,
        movement.REDUCTIONS_BEFORE_TRANSPOSES,
        convolutions.OF_A_SPLIT,
        rotary_embeddings.ROTARY_EMBEDDINGS,
    ],
    repeat=6,
)

OF_THE_RUNTIME = Stage(
    "operators of the runtime",
    [
        normalizations.WITHOUT_CONVOLUTIONS,
        linear_into_conv.INTO_CONVOLUTIONS,
        no_ops.NO_OPS,
        linear_chains.DIFFERENCES,
        linear_chains.CHAINS,
        products.SCALES_OF_PRODUCTS,
        convolutions.STRIDES,
        products.TRANSPOSES,
        products.PRODUCTS,
        products.SCALES_AND_BIASES,
        products.RESHAPES_AROUND_PRODUCTS,
        products.RESHAPES_AROUND_SUMS,
    ],
    repeat=6,
)

FUSION = Stage(
    "fusion",
    [
        kernels.SHARED_BIASES,
        normalizations.LAST_AXIS,
        low_precision.AVERAGES,
        kernels.ATTENTION,
        kernels.POST_OPERATORS,
        kernels.RESIDUALS,
        kernels.SMALL_PRODUCTS,
        kernels.ELEMENT_WISE_LOOPS,
    ],
)

RULE_SET = RuleSet(
    "openvino-cpu",
    runtime="openvino",
    runtime_version=VERSION,
    device={"place": "server", "kind": "cpu", "distributions": ("openvino",), "extra": "openvino"},
    machine=machine.MACHINE,
    parameters={
        "signed_data_of_convolutions": False,
        "residuals_of_another_type": False,
        "attention_of_integers": True,
    },
    stages=[
        Stage(
            "low precision",
            [
                movement.SHUFFLED_CHANNELS,
                low_precision.ACTIVATIONS,
                low_precision.OPERATORS_OF_INTEGERS,
                low_precision.UNSIGNED_DATA,
                low_precision.INTEGERS,
                low_precision.WEIGHTS_OF_FEW_BITS,
                dynamic_quantization.INTEGER_PRODUCTS,
                dynamic_quantization.SHARED_DATA,
            ],
        ),
        Stage("operators without a fast form", [activations.HARD_SIGMOID]),
        COMMON,
        OF_THE_RUNTIME,
        Stage("scaled sums", [linear_chains.SCALED_SUMS, linear_chains.CHAINS], repeat=3),
        Stage(
            "element types",
            [
                element_types.NUMBERS_TO_TRUTHS,
                element_types.INTEGERS_AND_TRUTHS,
                no_ops.CASTS,
                dynamic_quantization.SCALARS,
            ],
        ),
        Stage("movement", [movement.ELEMENT_WISE_FIRST], repeat=8),
        FUSION,
        Stage("layout", [reductions.REDUCTIONS_WITH_AXES, kernels.CHANNELS_LAST, kernels.IN_PLACE]),
        Stage("names", [kernels.NAMES]),
    ],
)
