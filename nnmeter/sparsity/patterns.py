"""Where the zeros of a weight lie: nowhere, anywhere, n of m, in blocks, or in whole channels.

A weight is looked at as a matrix of outputs by what one output sums (`as_matrix`), as runtimes with sparse kernels do.
Rules, the first that holds:

1. `dense`: less than one element in a hundred is zero.
2. `channel`: whole rows or columns are zero, and they hold at least 99 of 100 zeros.
3. `block`: all-zero blocks of a shape in `BLOCKS` hold at least 99 of 100 zeros; the largest such shape counts.
4. `n:m`: of every `m` neighbours in a row at most `n` are not zero, for a pair in `RATIOS`.
5. `unstructured`: anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["dense", "unstructured", "n:m", "block", "channel"]

# Rows by columns, from the largest on; a covering search of sparse kernels tries these.
BLOCKS: tuple[tuple[int, int], ...] = (
    (64, 128), (64, 64), (32, 64), (32, 32), (16, 32), (16, 16), (8, 16), (8, 8), (4, 8), (4, 4), (1, 64), (1, 32),
    (64, 1), (32, 1), (1, 16), (16, 1), (1, 8), (8, 1), (1, 4), (4, 1), (2, 2), (1, 2), (2, 1),
)  # fmt: skip
RATIOS: tuple[tuple[int, int], ...] = ((1, 4), (2, 4), (4, 8), (1, 2))
_DENSE = 0.01
_MOST = 0.99


@dataclass(frozen=True, slots=True)
class Pattern:
    """How the zeros of a tensor lie.

    Attributes:
        kind: by the rules.
        zeros: share of elements that are zero, 0 to 1.
        n: of `m` neighbours those that may be other than zero.
        m: how many neighbours are meant.
        block: rows and columns of a block.
    """

    kind: Kind = "dense"
    zeros: float = 0.0
    n: int = 0
    m: int = 0
    block: tuple[int, int] = (1, 1)

    def __str__(self) -> str:
        names = {
            "n:m": f"{self.n}:{self.m}",
            "block": f"blocks of {self.block[0]}x{self.block[1]}",
            "channel": "channels",
        }
        return (
            self.kind if self.kind == "dense" else f"{100 * self.zeros:.1f} % zero, {names.get(self.kind, self.kind)}"
        )


DENSE = Pattern()


def as_matrix(op_type: str, weight: np.ndarray[Any, Any], transposed: bool = False) -> np.ndarray[Any, Any]:
    """A weight as a matrix of outputs by what one output sums.

    Args:
        op_type: the operator that reads it.
        weight: the weight.
        transposed: whether the outputs of a product come first (`transB` of Gemm).
    """
    if op_type == "Conv":
        return weight.reshape(weight.shape[0], -1)
    if op_type == "ConvTranspose":
        return np.moveaxis(weight, 1, 0).reshape(weight.shape[1], -1)
    matrix = weight.reshape(-1, weight.shape[-1]) if weight.ndim > 1 else weight.reshape(-1, 1)
    return matrix if transposed else matrix.T


def find_pattern(matrix: np.ndarray[Any, Any]) -> Pattern:
    """How the zeros of a matrix lie, by the rules."""
    zero = np.asarray(matrix == 0)
    count = int(zero.sum())
    share = count / zero.size if zero.size else 0.0
    if share < _DENSE:
        return DENSE
    rows, columns = zero.all(1), zero.all(0)
    channels = int(rows.sum()) * zero.shape[1] + int(columns.sum()) * int((~rows).sum())
    if channels >= _MOST * count:
        return Pattern("channel", share)
    for block in BLOCKS:
        if zero.shape[0] % block[0] or zero.shape[1] % block[1] or zero.size <= block[0] * block[1]:
            continue
        tiles = zero.reshape(zero.shape[0] // block[0], block[0], zero.shape[1] // block[1], block[1])
        if int(tiles.all((1, 3)).sum()) * block[0] * block[1] >= _MOST * count:
            return Pattern("block", share, block=block)
    for n, m in RATIOS:
        if zero.shape[1] % m == 0 and ((~zero).reshape(zero.shape[0], -1, m).sum(2) <= n).all():
            return Pattern("n:m", share, n, m)
    return Pattern("unstructured", share)
