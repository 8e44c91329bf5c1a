"""How the zeros of a matrix lie: each pattern is told from the others."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.sparsity.kernels import EXECUTES_ZEROS, implementation_of
from nnmeter.sparsity.patterns import DENSE, Pattern, as_matrix, find_pattern

RANDOM = np.random.default_rng(3)


def full(rows: int = 64, columns: int = 64) -> np.ndarray:
    return RANDOM.uniform(0.5, 1.0, (rows, columns))


def blocks(rows: int, columns: int, share: float) -> np.ndarray:
    tiles = RANDOM.random((64 // rows, 64 // columns)) < share
    tiles[0, 0], tiles[-1, -1] = True, False
    return full() * ~np.repeat(np.repeat(tiles, rows, 0), columns, 1)


def n_of_m(n: int, m: int) -> np.ndarray:
    kept = np.argsort(RANDOM.random((64, 64 // m, m)), axis=2) < n
    return full() * kept.reshape(64, 64)


def channels(rows: int, columns: int) -> np.ndarray:
    made = full()
    made[:rows], made[:, :columns] = 0, 0
    return made


@pytest.mark.parametrize(
    ("matrix", "pattern"),
    [
        (full(), DENSE),
        (full() * (np.arange(4096).reshape(64, 64) != 77), DENSE),
        (channels(16, 0), Pattern("channel", 0.25)),
        (channels(32, 32), Pattern("channel", 0.75)),
        (np.zeros((64, 64)), Pattern("channel", 1.0)),
        (n_of_m(2, 4), Pattern("n:m", 0.5, 2, 4)),
        (n_of_m(1, 4), Pattern("n:m", 0.75, 1, 4)),
        (n_of_m(4, 8), Pattern("n:m", 0.5, 4, 8)),
    ],
)
def test_a_pattern_is_found(matrix: np.ndarray, pattern: Pattern) -> None:
    assert find_pattern(matrix) == pattern


@pytest.mark.parametrize("block", [(8, 8), (16, 16), (4, 4), (1, 16), (16, 1), (2, 1)])
def test_the_largest_block_is_found(block: tuple[int, int]) -> None:
    found = find_pattern(blocks(*block, 0.5))
    assert (found.kind, found.block) == ("block", block)


def test_zeros_anywhere_are_unstructured() -> None:
    found = find_pattern(full() * (RANDOM.random((64, 64)) > 0.8))
    assert found.kind == "unstructured"
    assert found.zeros == pytest.approx(0.8, abs=0.03)


def test_a_weight_is_a_matrix_of_outputs() -> None:
    conv, product = RANDOM.random((8, 3, 5, 5)), RANDOM.random((6, 4))
    assert as_matrix("Conv", conv).shape == (8, 75)
    assert as_matrix("ConvTranspose", conv).shape == (3, 200)
    assert as_matrix("MatMul", product).shape == (4, 6)
    assert as_matrix("Gemm", product, transposed=True).shape == (6, 4)


@pytest.mark.parametrize(
    ("runtime", "flags", "operator", "pattern", "dtype", "window", "words"),
    [
        ("onnxruntime", (), "Conv", Pattern("unstructured", 0.9), "float32", (1, 1), EXECUTES_ZEROS),
        ("tflite", (), "Conv", Pattern("unstructured", 0.9), "float32", (1, 1), "XNNPACK"),
        ("tflite", (), "Conv", Pattern("unstructured", 0.5), "float32", (1, 1), EXECUTES_ZEROS),
        ("tflite", (), "Conv", Pattern("unstructured", 0.9), "float32", (3, 3), EXECUTES_ZEROS),
        ("openvino", ("avx512f",), "MatMul", Pattern("unstructured", 0.9), "int8", (), EXECUTES_ZEROS),
        ("openvino", ("amx_int8",), "MatMul", Pattern("unstructured", 0.9), "int8", (), "not measured"),
        ("unheard of", (), "Conv", Pattern("n:m", 0.5, 2, 4), "float16", (), EXECUTES_ZEROS),
        ("onnxruntime", (), "Conv", DENSE, "float32", (), "dense"),
    ],
)
def test_a_runtime_without_a_sparse_kernel_gains_nothing(
    runtime: str,
    flags: tuple[str, ...],
    operator: str,
    pattern: Pattern,
    dtype: str,
    window: tuple[int, ...],
    words: str,
) -> None:
    assert words in implementation_of(runtime, flags, operator, pattern, dtype, window)
