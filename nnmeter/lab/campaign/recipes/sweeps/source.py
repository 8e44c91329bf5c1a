"""Where the tensors of a swept operator come from: sizes as real models have them, behind real layers or given.

A kernel's time depends on what ran before it, and the code that a runtime chooses on the layout in which its input
arrives. So an operator is swept in three contexts: alone on the network's inputs, behind convolutions, and behind
products of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.builder import (
    FLOAT,
    FLOAT16,
    INT64,
    NetworkBuilder,
    Tensor,
)
from nnmeter.lab.campaign.recipes.operators import conv, linear

ALONE, BEHIND_CONVOLUTIONS, BEHIND_PRODUCTS = "alone", "convolutions", "products"

_LEAST, _MOST = 256, 1 << 20  # elements
_NARROW = (3, 4, 8, 16)


class Source:
    """Tensors for the swept operators of one network, in one context."""

    def __init__(self, b: NetworkBuilder, context: str = ALONE) -> None:
        self.b, self.rng, self.context = b, b.rng, context

    def shape(self, rank: int | None = None, most: int = _MOST) -> tuple[int, ...]:
        """A shape of a rank, one of 1 to 5 if none is given, of at most so many elements."""
        rng = self.rng
        if rank is None:
            rank = {BEHIND_CONVOLUTIONS: 4, BEHIND_PRODUCTS: 3}.get(self.context, 0)
            if not rank or rng.random() < 0.3:
                rank = rng.choices((1, 2, 3, 4, 5), (6, 20, 32, 34, 8))[0]
        shape = self._draw(rank)
        bound = round(sizes.log_uniform(rng, min(_LEAST * 64, most), most))
        while math.prod(shape) > bound:
            largest = max(range(len(shape)), key=lambda axis: shape[axis])
            shape[largest] = max(1, shape[largest] // 2)
        return tuple(shape)

    def _draw(self, rank: int) -> list[int]:
        rng = self.rng
        batch = sizes.batch(rng)
        if rank == 1:
            return [sizes.log_int(rng, 64, 1 << 18)]
        if rank == 2:
            return [sizes.log_int(rng, 1, 2048), sizes.channels(rng, 8, 2048)]
        if rank == 3:
            return [batch, sizes.sequence_length(rng), sizes.channels(rng, 8, 1024)]
        space = list(sizes.feature_size(rng, rng.choice((1, 2, 4, 8, 16))))
        if rank == 4:
            heads = rng.random() < 0.2  # scores of attention
            return [batch, rng.choice((1, 4, 8, 12)), *[sizes.sequence_length(rng)] * 2] if heads else [
                batch, sizes.channels(rng, 3, 512), *space]  # fmt: skip
        middle = [sizes.log_int(rng, 2, 16) for _ in range(rank - 4)]
        return [batch, sizes.channels(rng, 2, 128), *middle, *space]

    def floats(self, shape: Sequence[int]) -> Tensor:
        """A float tensor, given or computed by a cheap layer of the context."""
        shape = tuple(shape)
        if self.context == BEHIND_CONVOLUTIONS and len(shape) == 4:
            given = self.b.input((shape[0], self.rng.choice(_NARROW), *shape[2:]))
            return conv(self.b, given, shape[1])
        if self.context == BEHIND_PRODUCTS and 2 <= len(shape) <= 4 and shape[-1] <= 4096:
            given = self.b.input((*shape[:-1], self.rng.choice(_NARROW)))
            return linear(self.b, given, shape[-1], bias=False)
        return self.b.input(shape)

    def tensor(self, shape: Sequence[int], dtype: int = FLOAT) -> Tensor:
        """A tensor of any type that is not known before the run."""
        return self.floats(shape) if dtype == FLOAT else self.b.input(shape, dtype)

    def cast(self, x: Tensor, dtype: int) -> Tensor:
        """The tensor in another type."""
        return self.b.node("Cast", [x], x.shape, dtype=dtype, to=dtype)

    def operand(self, shape: Sequence[int], dtype: int = FLOAT, constant: float = 0.5) -> Tensor:
        """A second operand: a weight with that probability, else not known before the run."""
        if self.rng.random() < constant and dtype in (FLOAT, FLOAT16):
            return self.b.weight(shape, 0.1, mean=1.0, dtype=dtype)
        return self.tensor(shape, dtype)

    def between_0_and_1(self, shape: Sequence[int]) -> Tensor:
        """Floats in (0, 1), for operators that are defined there."""
        return self.b.node("Sigmoid", [self.floats(shape)], shape, flops=10.0 * math.prod(shape))

    def indices(self, shape: Sequence[int], size: int, dtype: int = INT64, constant: float = 0.6) -> Tensor:
        """Whole numbers below `size`; those that are not constant are 0 or 1 at most, as inputs are."""
        count = math.prod(shape)
        if size < 2 or (self.rng.random() < constant and count <= 65536):
            values = [self.rng.randrange(size) for _ in range(count)]
            return self.b.constant(_nested(values, shape), dtype)
        return self.b.input(shape, dtype)

    def choose(self, *weighted: tuple[Any, float]) -> Any:
        """One of several values by weight."""
        return self.rng.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]


def _nested(values: list[int], shape: Sequence[int]) -> Any:
    import numpy as np

    return np.array(values).reshape(tuple(shape))
