"""Prices of sparse kernels that were measured: when is a product with zeros faster than one without?

A pack of them is a folder with `sparse.json` and `trees.npz`. It is of one runtime on one machine; what it says is held
against that runtime's own dense kernel, never against the times of a device pack.

Rules:

1. A product is that of a weight, `rows x columns`, with a matrix of `columns x data`; some of the weight is zero, in
   blocks. A convolution of a window of 1x1 is one, too: `data` is then the number of pixels.
2. `log(latency / work)` is learned, the work being what is multiplied, read and written (`work`).
3. Sparse kernels that take a block shape are `csr`, which takes any, and `bsr`, which takes square blocks.
4. Beyond the sizes and shares that were measured nothing is said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log2
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnmeter.errors import DeviceError, brief
from nnmeter.files import parse_json, read_limited
from nnmeter.limits import MAX_JSON_BYTES, MAX_TREES_BYTES
from nnmeter.predictor.checks import count, damaged, mapping, member, number, numbers, text
from nnmeter.predictor.tree_arrays import read_arrays
from nnmeter.predictor.trees import TreeEnsemble, split_ensembles

if TYPE_CHECKING:
    from nnmeter.graph.ir import Node, TensorType
    from nnmeter.sparsity.patterns import Pattern

DENSE = "dense"
SCHEMA_VERSION = 1
FEATURES = (
    "rows", "columns", "data", "kept", "products", "kept_a_row", "zeros", "block_rows", "block_columns", "read",
    "blocks_a_row",
)  # fmt: skip

_LARGEST_ERROR = 10.0
_LARGEST_BIAS = 1e3
_STEP = 0.01  # in which shares of zeros are tried


class Product(NamedTuple):
    """A product (rule 1); `zeros` is the share of the weight that is zero, `block` the shape of what is."""

    rows: int
    columns: int
    data: int
    zeros: float = 0.0
    block: tuple[int, int] = (1, 1)


class Choice(NamedTuple):
    """The fastest kernel for a product.

    Attributes:
        kernel: `dense`, `csr` or `bsr`.
        latency_ms: what it takes, in milliseconds.
        dense_ms: what the dense kernel takes.
    """

    kernel: str
    latency_ms: float
    dense_ms: float

    @property
    def gain(self) -> float:
        """Share of the dense kernel's time that is gained, 0 to 1."""
        return 1 - self.latency_ms / self.dense_ms


def product_of(node: Node, types: Mapping[str, TensorType], pattern: Pattern) -> Product | None:
    """The product that an operator computes with a weight whose zeros lie in a pattern; None where it is none."""
    weight, result = types[node.inputs[1]], types[node.outputs[0]]
    if weight.dtype != "float32" or len(weight.shape) < 2 or not result.elements or not weight.elements:
        return None
    if node.op_type == "Conv":
        if weight.elements != weight.shape[0] * weight.shape[1] or node.attributes.get("group", 1) != 1:
            return None
        rows, columns = weight.shape[:2]
    elif node.op_type in ("MatMul", "Gemm") and len(weight.shape) == 2:
        columns, rows = weight.shape[::-1] if node.attributes.get("transB", 0) else weight.shape
    else:
        return None
    return Product(rows, columns, result.elements // rows, pattern.zeros, pattern.block)


def features(product: Product) -> list[float]:
    """What the price of a product depends on, as `FEATURES` names it; sizes and work as logarithms to base 2."""
    rows, columns, data, zeros, (block_rows, block_columns) = product
    kept = max(rows * columns * (1 - zeros), 1.0)
    return [
        log2(rows), log2(columns), log2(data), log2(kept), log2(kept * data), kept / rows, zeros, log2(block_rows),
        log2(block_columns), log2(columns * data), kept / rows / block_columns,
    ]  # fmt: skip


def work(product: Product) -> float:
    """Products, elements that are read and written, and a launch, as one number (rule 2)."""
    kept = product.rows * product.columns * (1 - product.zeros)
    return kept * product.data + kept + product.rows * product.data + product.columns * product.data + 1000.0


@dataclass(frozen=True, slots=True)
class SparseKernels:
    """A pack of sparse kernels.

    Attributes:
        id: of the pack.
        runtime: with its version.
        hardware: of the machine.
        threads: that were used.
        date: of the measuring.
        errors: mean relative error on shapes left out, by kernel.
        lows, highs: what was measured of rows, columns, data and zeros, from and up to.
        ensembles: learned, by kernel.
    """

    id: str
    runtime: str
    hardware: str
    threads: int
    date: str
    errors: Mapping[str, float]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    ensembles: Mapping[str, TreeEnsemble]

    def covers(self, product: Product) -> bool:
        """Whether a product is within what was measured (rule 4); a weight without zeros may have none."""
        sizes = (product.rows, product.columns, product.data, product.zeros or self.lows[3])
        return all(low <= size <= high for low, size, high in zip(self.lows, sizes, self.highs, strict=True))

    def latency_ms(self, kernel: str, product: Product) -> float:
        """What a kernel takes for a product, in milliseconds."""
        if kernel == DENSE:
            product = product._replace(zeros=0.0, block=(1, 1))
        learned = float(self.ensembles[kernel].predict(np.array([features(product)], np.float32))[0])
        return exp(min(max(learned, -50.0), 50.0)) * work(product)

    def kernels_for(self, block: tuple[int, int]) -> list[str]:
        """The sparse kernels that take a block shape (rule 3)."""
        square = block[0] == block[1] > 1
        return [name for name in self.ensembles if name == "csr" or (name == "bsr" and square)]

    def choose(self, product: Product) -> Choice | None:
        """The fastest kernel for a product; None beyond what was measured (rule 4)."""
        if not self.covers(product):
            return None
        dense_ms = self.latency_ms(DENSE, product)
        times = {DENSE: dense_ms, **{k: self.latency_ms(k, product) for k in self.kernels_for(product.block)}}
        best = min(times, key=times.__getitem__)
        return Choice(best, times[best], dense_ms)

    def break_even(self, rows: int, columns: int, data: int, block: tuple[int, int] = (1, 1)) -> float | None:
        """The share of zeros from which on a sparse kernel is faster than the dense one; None if none is.

        Shares are those that were measured, in steps of a hundredth.
        """
        found = None
        for step in range(round(self.highs[3] / _STEP), round(self.lows[3] / _STEP) - 1, -1):
            choice = self.choose(Product(rows, columns, data, step * _STEP, block))
            if choice is None or choice.kernel == DENSE:
                break
            found = step * _STEP
        return found


def read_sparse_kernels(folder: str | os.PathLike[str]) -> SparseKernels:
    """Read a pack of sparse kernels; runs no code from it.

    Raises:
        DeviceError: it is none, or damaged.
    """
    try:
        document = read_limited(Path(folder) / "sparse.json", MAX_JSON_BYTES)
        trees = read_limited(Path(folder) / "trees.npz", MAX_TREES_BYTES)
    except OSError as fault:
        said = fault.strerror or fault
        raise DeviceError(f"{folder}: no pack of sparse kernels ({said}); give a folder with sparse.json") from fault
    try:
        return _kernels(mapping(parse_json(document), "sparse.json"), read_arrays(trees))
    except DeviceError as fault:
        raise DeviceError(f"{folder}: {fault}") from None
    except (ValueError, TypeError) as fault:
        raise DeviceError(f"{folder}: sparse.json is damaged ({brief(fault, 200)}); make the pack again") from fault


def _kernels(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> SparseKernels:
    if member(data, "schema_version") != SCHEMA_VERSION or tuple(member(data, "features")) != FEATURES:
        raise damaged("it is of another version")
    stored = mapping(member(data, "ensembles"), "ensembles")
    if not {DENSE, "csr"} <= set(stored):
        raise damaged("the dense kernel or csr is missing")
    sizes, biases = {}, {}
    for name, entry in stored.items():
        given = mapping(entry, f"ensemble {name}")
        sizes[name] = (count(member(given, "trees"), "trees"), count(member(given, "nodes"), "nodes"))
        biases[name] = number(member(given, "bias"), "bias", -_LARGEST_BIAS, _LARGEST_BIAS)
    ensembles = split_ensembles(arrays, sizes, biases)
    for ensemble in ensembles.values():
        ensemble.validate(len(FEATURES))
    ranges = mapping(member(data, "measured"), "measured")
    bounds = [numbers(member(ranges, name), name, 2, 0.0, 1e9) for name in ("rows", "columns", "data", "zeros")]
    return SparseKernels(
        text(member(data, "id"), "id"),
        text(member(data, "runtime"), "runtime"),
        text(member(data, "hardware"), "hardware"),
        count(member(data, "threads"), "threads"),
        text(member(data, "date"), "date"),
        {
            name: number(error, f"error of {name}", 0.0, _LARGEST_ERROR)
            for name, error in mapping(member(data, "errors"), "errors").items()
        },
        tuple(low for low, _ in bounds),
        tuple(high for _, high in bounds),
        ensembles,
    )
