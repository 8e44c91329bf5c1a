"""Convolutions on channels in blocks (NCHWc)."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

# The default of each attribute of Resize that counts, and the values with which it runs on blocks, by mode.
RESIZE_DEFAULTS = {
    "Resize": {
        "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "round_prefer_floor",
        "opset": 11,
    }
}
RESIZE_MODES = {
    "nearest": [
        {
            "coordinate_transformation_mode": ("asymmetric", ("asymmetric",)),
            "nearest_mode": ("floor", ("floor",)),
        }
    ],
    "linear": [
        {"coordinate_transformation_mode": ("half_pixel", ("half_pixel", "align_corners", "asymmetric"))},
    ],
}

BLOCKED_CHANNELS = Procedure(
    "blocked channels",
    "layout",
    fields={
        "domain": "com.microsoft.nchwc",
        "block": "block",
        "alignment": 4,
        "reorder_input": "ReorderInput",
        "reorder_output": "ReorderOutput",
        "upsample": "Upsample",
        "reshape": "Reshape",
        "convolutions": ("Conv", "com.microsoft.FusedConv"),
        "pools": ("MaxPool", "AveragePool"),
        "plain_pools": {"AveragePool": {"ceil_mode": 1, "count_include_pad": 1}},
        "global_pools": ("GlobalMaxPool", "GlobalAveragePool"),
        "sums": ("Add", "Sum"),
        "products": ("Mul",),
        "activations": (
            *("Relu", "Sigmoid", "Tanh", "HardSigmoid", "Gelu", "com.microsoft.Gelu", "com.microsoft.QuickGelu"),
        ),
        "fused_activations": ("Relu", "Sigmoid", "Tanh"),
        "gates": {
            "HardSigmoid": {
                "activation": "HardSwish",
                "attributes": {"alpha": 0.16666667, "beta": 0.5},
                "defaults": {"alpha": 0.2, "beta": 0.5},
            }
        },
        "concats": ("Concat",),
        "normalizations": ("BatchNormalization",),
        "resizes": ("Resize", "Upsample"),
        "resize_defaults": RESIZE_DEFAULTS,
        "resize_modes": RESIZE_MODES,
        "transposes_out": ("Transpose",),
        "transposes_in": ("Transpose",),
    },
    why="Convolutions of single precision run on channels in blocks as wide as a vector register, and what lies "
    "between them too; data is reordered where it enters and leaves.",
    source=optimizer("nchwc_transformer.cc"),
)
