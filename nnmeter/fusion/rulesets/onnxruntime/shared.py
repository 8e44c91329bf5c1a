"""What rules for ONNX Runtime state in the same words."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Tensor, any_of

FLOATS = ("float32", "float16")
PLAIN_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
MATMULS = ("MatMul", "com.microsoft.FusedMatMul")

# Operators that the kernels of Conv can compute on what they write.
CONV_ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid")


def over_last_axis(reduction: Op, axes: Tensor, x: Tensor) -> Expr:
    """A reduction of the last dimension of `x`, its axes an input or (before opset 18) an attribute."""
    last = ([-1], [x.rank - 1])
    return any_of(*(axes.value == axis for axis in last), *(reduction.attr("axes") == axis for axis in last))


def fused_matmul(product: Op, a: Tensor, b: Tensor, *, into: Tensor, **changes: Any) -> Create:
    """FusedMatMul in place of `product`, a MatMul or a FusedMatMul itself, with some of its attributes changed."""
    kept = {name: product.attr(name, default) for name, default in _OF_FUSED_MATMUL.items()}
    return Create("com.microsoft.FusedMatMul", a, b, attributes={**kept, **changes}, into=into)


_OF_FUSED_MATMUL = {"alpha": 1.0, "transA": 0, "transB": 0, "transBatchA": 0, "transBatchB": 0}
