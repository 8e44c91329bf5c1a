"""Activation functions and squeeze-excitation gates in the several forms in which exporters write them."""

from __future__ import annotations

import math
from collections.abc import Callable

from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import add, conv, elementwise, global_average, mul, unary

Activation = Callable[[NetworkBuilder, Tensor], Tensor]


def identity(b: NetworkBuilder, x: Tensor) -> Tensor:
    """No activation."""
    return x


def relu(b: NetworkBuilder, x: Tensor) -> Tensor:
    """max(x, 0)."""
    return unary(b, "Relu", x)


def relu6(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Clip to 0..6."""
    return b.node("Clip", [x, b.scalar(0.0), b.scalar(6.0)], x.shape)


def sigmoid(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Logistic function."""
    return b.node("Sigmoid", [x], x.shape, flops=10.0 * x.elements)


def tanh(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return b.node("Tanh", [x], x.shape, flops=10.0 * x.elements)


def silu(b: NetworkBuilder, x: Tensor) -> Tensor:
    """SiLU, x * sigmoid(x)."""
    return mul(b, x, sigmoid(b, x))


def hard_sigmoid(b: NetworkBuilder, x: Tensor) -> Tensor:
    """HardSigmoid with slope 1/6."""
    return unary(b, "HardSigmoid", x, alpha=1.0 / 6.0, beta=0.5)


def hard_sigmoid_decomposed(b: NetworkBuilder, x: Tensor) -> Tensor:
    """relu6(x + 3) / 6 written out."""
    clipped = relu6(b, add(b, x, b.scalar(3.0)))
    return elementwise(b, "Div", clipped, b.scalar(6.0))


def hard_swish(b: NetworkBuilder, x: Tensor) -> Tensor:
    """HardSwish as the operator of opset 14, or x * hard_sigmoid(x) before."""
    return unary(b, "HardSwish", x) if b.exporter.opset >= 14 else mul(b, x, hard_sigmoid(b, x))


def hard_swish_decomposed(b: NetworkBuilder, x: Tensor) -> Tensor:
    """HardSwish written out, x * relu6(x + 3) / 6."""
    gate = relu6(b, add(b, x, b.scalar(3.0)))
    return elementwise(b, "Div", mul(b, x, gate), b.scalar(6.0))


def leaky_relu(b: NetworkBuilder, x: Tensor) -> Tensor:
    """LeakyRelu with slope 0.1."""
    return unary(b, "LeakyRelu", x, alpha=0.1)


def prelu(b: NetworkBuilder, x: Tensor) -> Tensor:
    """PRelu with a slope for each channel."""
    slope = b.weight((x.shape[1], *[1] * (len(x.shape) - 2)), 0.05, mean=0.2)
    return b.node("PRelu", [x, slope], x.shape)


def elu(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Exponential linear unit."""
    return b.node("Elu", [x], x.shape, flops=10.0 * x.elements, alpha=1.0)


def mish(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Mish, x * tanh(softplus(x)), written out as exporters do."""
    return mul(b, x, tanh(b, b.node("Softplus", [x], x.shape, flops=20.0 * x.elements)))


def gelu_erf(b: NetworkBuilder, x: Tensor) -> Tensor:
    """GELU by erf: x * (0.5 * (1 + erf)) in the dynamo exporter's order, (x * (1 + erf)) * 0.5 in TorchScript's."""
    scaled = elementwise(b, "Div", x, b.scalar(math.sqrt(2.0)))
    one_plus = add(b, b.node("Erf", [scaled], x.shape, flops=15.0 * x.elements), b.scalar(1.0))
    if b.exporter.dynamo:
        return mul(b, x, mul(b, b.scalar(0.5), one_plus))
    return mul(b, mul(b, x, one_plus), b.scalar(0.5))


def gelu_op(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Gelu as one operator (opset 20), else by erf."""
    if b.exporter.opset < 20:
        return gelu_erf(b, x)
    return b.node("Gelu", [x], x.shape, flops=15.0 * x.elements)


def gelu_tanh(b: NetworkBuilder, x: Tensor) -> Tensor:
    """The tanh form of GELU, written out as GPT-2 has it."""
    half = mul(b, x, b.scalar(0.5))
    cube = elementwise(b, "Pow", x, b.scalar(3.0))
    inner = add(b, x, mul(b, cube, b.scalar(0.044715)))
    one_plus = add(b, tanh(b, mul(b, inner, b.scalar(math.sqrt(2.0 / math.pi)))), b.scalar(1.0))
    return mul(b, half, one_plus)


def quick_gelu(b: NetworkBuilder, x: Tensor) -> Tensor:
    """The sigmoid form of GELU, x * sigmoid(1.702 x), as CLIP has it."""
    return mul(b, x, sigmoid(b, mul(b, x, b.scalar(1.702))))


def squared_relu(b: NetworkBuilder, x: Tensor) -> Tensor:
    """relu(x) squared."""
    return elementwise(b, "Pow", relu(b, x), b.scalar(2.0))


_CONV_ACTIVATIONS: tuple[tuple[Activation, float], ...] = (
    (relu, 70), (relu6, 8), (silu, 10), (hard_swish, 7), (hard_swish_decomposed, 3), (leaky_relu, 5), (gelu_erf, 4),
    (prelu, 2), (elu, 1), (mish, 2), (tanh, 0.5), (sigmoid, 0.5), (gelu_op, 1), (identity, 2),
)  # fmt: skip
_MOBILE_ACTIVATIONS: tuple[tuple[Activation, float], ...] = (
    (relu, 26), (relu6, 24), (hard_swish, 18), (silu, 21), (hard_swish_decomposed, 4), (gelu_erf, 3), (leaky_relu, 2),
    (prelu, 1), (mish, 1),
)  # fmt: skip
_TOKEN_ACTIVATIONS: tuple[tuple[Activation, float], ...] = (
    (gelu_erf, 60), (gelu_tanh, 14), (gelu_op, 8), (relu, 10), (silu, 3), (quick_gelu, 3), (squared_relu, 1), (tanh, 1),
)  # fmt: skip
_GATES: tuple[tuple[Activation, float], ...] = ((sigmoid, 60), (hard_sigmoid, 30), (hard_sigmoid_decomposed, 10))


def conv_activation(b: NetworkBuilder) -> Activation:
    """An activation of convolutional networks; half of them use ReLU."""
    return _pick(b, _CONV_ACTIVATIONS)


def mobile_activation(b: NetworkBuilder) -> Activation:
    """An activation of mobile networks."""
    return _pick(b, _MOBILE_ACTIVATIONS)


def token_activation(b: NetworkBuilder) -> Activation:
    """An activation of transformers' feed-forward layers; most use GELU by erf."""
    return _pick(b, _TOKEN_ACTIVATIONS)


def gate_activation(b: NetworkBuilder) -> Activation:
    """The last function of a squeeze-excitation gate."""
    return _pick(b, _GATES)


def _pick(b: NetworkBuilder, table: tuple[tuple[Activation, float], ...]) -> Activation:
    return b.rng.choices([f for f, _ in table], [w for _, w in table])[0]


def squeeze_excite(b: NetworkBuilder, x: Tensor, hidden: int, inner: Activation, gate: Activation) -> Tensor:
    """Channel attention: mean, two 1x1 convolutions, gate, product in either operand order."""
    pooled = global_average(b, x)
    y = gate(b, conv(b, inner(b, conv(b, pooled, hidden)), x.shape[1]))
    return mul(b, y, x) if b.rng.random() < 0.5 else mul(b, x, y)
