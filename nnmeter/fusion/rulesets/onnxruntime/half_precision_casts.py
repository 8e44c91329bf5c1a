"""Casts around operators that have no kernel of half precision."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

# Operators with a kernel of float16 on CPUs (onnxruntime/core/providers/cpu/cpu_execution_provider.cc).
SUPPORTED = (
    *("Attention", "BitCast", "Cast", "Celu", "Clip", "Compress", "Concat", "ConstantOfShape", "DequantizeLinear"),
    *("Dropout", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "If", "IsInf", "IsNaN"),
    *("LayerNormalization", "Loop", "Max", "Min", "Mod", "QuantizeLinear", "RMSNormalization", "ReverseSequence"),
    *("Reshape", "RotaryEmbedding", "Round", "Scan", "Scatter", "ScatterElements", "ScatterND", "Shape", "Shrink"),
    *("Sign", "Size", "SimplifiedLayerNormalization", "Slice", "Split", "Squeeze", "TensorScatter", "Transpose"),
    *("Unsqueeze", "com.microsoft.GatherBlockQuantized", "com.microsoft.GatherND"),
    *("com.microsoft.GroupQueryAttention", "com.microsoft.MatMulNBits", "com.microsoft.RotaryEmbedding"),
    *("com.microsoft.SkipLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization"),
    "com.microsoft.SparseAttention",
)

HALF_PRECISION_CASTS = Procedure(
    "half precision without kernels",
    "insert_casts",
    fields={
        "from": "float16",
        "to": "float32",
        "cast": "Cast",
        "shared": 8,
        "variadic": ("Concat", "Max", "Mean", "Min", "Split", "Sum"),
        "supported": SUPPORTED,
    },
    why="An operator without a kernel of half precision runs in single precision, between casts.",
    source=optimizer("insert_cast_transformer.cc"),
)
