"""Shape rules by operator: one table for every domain that has rules of its own."""

from __future__ import annotations

from nnmeter.operators.shape_rules import (
    classical,
    contrib,
    contrib_fused,
    control,
    elementwise,
    matrix,
    movement,
    quantization,
    recurrent,
    reduction,
    sequences,
    windows,
)
from nnmeter.operators.shape_rules.common import Rule

RULES: dict[str, dict[str, Rule]] = {
    "": {
        **elementwise.RULES,
        **windows.RULES,
        **matrix.RULES,
        **movement.RULES,
        **reduction.RULES,
        **recurrent.RULES,
        **quantization.RULES,
        **sequences.RULES,
        **control.RULES,
        **{name: contrib_fused.RULES[name] for name in ("CausalConvWithState", "LinearAttention", "SwiGLU")},
        "TfIdfVectorizer": classical.WORD_GROUPS,
        "SimplifiedLayerNormalization": contrib.MICROSOFT_RULES["SimplifiedLayerNormalization"],
    },
    "com.microsoft": contrib.MICROSOFT_RULES,
    "com.microsoft.nchwc": contrib.BLOCKED_RULES,
    "com.ms.internal.nhwc": contrib.MICROSOFT_RULES,
    "ai.onnx.ml": classical.RULES,
}

__all__ = ["RULES", "Rule"]
