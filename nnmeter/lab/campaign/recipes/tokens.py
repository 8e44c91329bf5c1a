"""Parts that transformers share: normalisations, feed-forward layers, residuals, embeddings and language heads."""

from __future__ import annotations

from collections.abc import Callable

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import Activation, gelu_tanh, sigmoid, silu
from nnmeter.lab.campaign.recipes.builder import INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import (
    add,
    elementwise,
    embedding,
    layer_norm,
    linear,
    mul,
    reduce,
    select,
    slice_axis,
    split,
    unary,
)

Norm = Callable[[NetworkBuilder, Tensor], Tensor]
SubLayer = Callable[[NetworkBuilder, Tensor], Tensor]


def rms_norm(b: NetworkBuilder, x: Tensor) -> Tensor:
    """Root-mean-square normalisation written out, with Reciprocal (dynamo) or Div (TorchScript)."""
    squared = elementwise(b, "Pow", x, b.scalar(2.0))
    mean = reduce(b, "ReduceMean", squared, [-1])
    root = unary(b, "Sqrt", add(b, mean, b.scalar(1e-6)))
    if b.exporter.dynamo:
        normal = mul(b, x, unary(b, "Reciprocal", root))
    elif b.rng.random() < 0.5:
        normal = elementwise(b, "Div", x, root)
    else:
        normal = mul(b, x, elementwise(b, "Div", b.scalar(1.0), root))
    return mul(b, b.weight((x.shape[-1],), 0.1, mean=1.0), normal)


def residual(b: NetworkBuilder, x: Tensor, layer: SubLayer, norm: Norm, *, pre: bool, scaled: bool = False) -> Tensor:
    """X + layer(norm(x)) or norm(x + layer(x)), optionally with a learned scale on the branch (LayerScale)."""
    y = layer(b, norm(b, x) if pre else x)
    if scaled:
        y = mul(b, y, b.weight((x.shape[-1],), 0.05, mean=0.5))
    total = add(b, x, y) if b.rng.random() < 0.6 else add(b, y, x)
    return total if pre else norm(b, total)


def feed_forward(
    b: NetworkBuilder, x: Tensor, hidden: int, act: Activation, *, bias: bool = True, as_gemm: bool | None = None
) -> Tensor:
    """Linear, activation, linear."""
    y = act(b, linear(b, x, hidden, bias=bias, as_gemm=as_gemm))
    return linear(b, y, x.shape[-1], bias=bias, as_gemm=as_gemm)


def gated_feed_forward(b: NetworkBuilder, x: Tensor, hidden: int, *, bias: bool = False) -> Tensor:
    """SwiGLU or GEGLU: act(gate) * up, then down; gate and up as two products or one split in halves."""
    act = silu if b.rng.random() < 0.75 else gelu_tanh
    if b.rng.random() < 0.75:
        gate, up = act(b, linear(b, x, hidden, bias=bias)), linear(b, x, hidden, bias=bias)
    else:
        left, up = split(b, linear(b, x, 2 * hidden, bias=bias), [hidden, hidden], -1)
        gate = act(b, left)
    return linear(b, mul(b, gate, up), x.shape[-1], bias=bias)


def hidden_width(b: NetworkBuilder, dim: int) -> int:
    """Width of a feed-forward layer: mostly four times the model's."""
    ratio = b.rng.choices((4, 3, 2, 8 / 3, 3.5, 1), (62, 10, 13, 8, 4, 3))[0]
    return sizes.round_to(dim * ratio, 1 if ratio in (4, 3, 2, 1) else 32)


def token_embeddings(b: NetworkBuilder, batch: int, length: int, dim: int, *, types: bool, norm: bool) -> Tensor:
    """Word embeddings plus positions, optionally plus token types and LayerNormalization."""
    rows = b.rng.choices((30522, 32000, 50257, 21128, 8000, 119547, 1000), (28, 22, 20, 8, 12, 2, 8))[0]
    while rows * dim * 4 > b.budget.weight_bytes / 2:
        rows //= 2
    x = embedding(b, b.input((batch, length), INT64), rows, dim)
    if types:
        x = add(b, x, embedding(b, b.input((batch, length), INT64), 2, dim))
    x = add(b, x, b.weight((1, length, dim), 0.3))
    return layer_norm(b, x) if norm else x


def language_head(b: NetworkBuilder, x: Tensor) -> None:
    """Logits over a vocabulary, a pooled tanh classifier on the first token, or token classes."""
    kind = b.rng.random()
    dim = x.shape[-1]
    if kind < 0.4:
        words = b.rng.choice((32000, 50257, 30522, 16384, 8000, 2048, 1024))
        while words * dim * 4 > max(b.budget.weight_bytes - b.weight_bytes, 1_000_000):
            words //= 2
        last = slice_axis(b, x, 1, x.shape[1] - 1, x.shape[1]) if x.shape[1] * words * dim > 1e9 else x
        linear(b, last, words, bias=False)
    elif kind < 0.75:
        first = select(b, x, 1, 0)
        pooled = b.node("Tanh", [linear(b, first, dim)], first.shape, flops=10.0 * first.elements)
        linear(b, pooled, b.rng.choice((2, 3, 5, 768, 1000)))
    elif kind < 0.9:
        linear(b, x, b.rng.choice((2, 9, 17, 35)))
    else:
        sigmoid(b, linear(b, reduce(b, "ReduceMean", x, [1], keepdims=0), b.rng.choice((1, 10, 128))))


def change_width(b: NetworkBuilder, x: Tensor, dim: int) -> Tensor:
    """A linear map to another model width, so that one network samples several."""
    return x if x.shape[-1] == dim else linear(b, x, dim, bias=b.rng.random() < 0.7)
