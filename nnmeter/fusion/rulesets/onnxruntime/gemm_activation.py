"""An activation behind a Gemm."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

ACTIVATIONS = (
    *("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "ThresholdedRelu", "HardSigmoid"),
)

a, w, c = tensors("a w c")
gemm = Op("Gemm", a, w, maybe(c))
activation = Op(ACTIVATIONS, gemm, name="activation")

GEMM_AND_ACTIVATION = Rewrite(
    "Gemm and activation",
    [
        Rule(
            "Gemm and activation",
            [gemm, activation],
            where=[a.dtype == "float32"],
            replace=Create(
                "com.microsoft.FusedGemm",
                a,
                w,
                maybe(c),
                attributes=gemm.attributes(activation=activation.kind),
                into=activation,
            ),
            why="Gemm computes the activation behind it on what it writes.",
            source=optimizer("gemm_activation_fusion.cc"),
        )
    ],
)
