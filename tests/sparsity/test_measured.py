"""Packs of sparse kernels: which kernel is the fastest for a product, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nnmeter
from nnmeter.errors import DeviceError
from nnmeter.sparsity.measured import Product, SparseKernels, read_sparse_kernels, work
from tests.conftest import ZOO
from tests.sparsity.packs import NANOSECONDS, write_pack


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "pack")


@pytest.fixture
def kernels(pack: Path) -> SparseKernels:
    return read_sparse_kernels(pack)


def test_the_fastest_kernel_is_chosen(kernels: SparseKernels) -> None:
    product = Product(1024, 1024, 64, 0.9)
    choice = kernels.choose(product)
    assert choice is not None
    assert choice.kernel == "csr"
    assert choice.latency_ms == pytest.approx(0.3e-6 * work(product))
    assert choice.dense_ms == pytest.approx(0.1e-6 * work(Product(1024, 1024, 64)))
    assert choice.gain == pytest.approx(1 - choice.latency_ms / choice.dense_ms)
    half = kernels.choose(Product(1024, 1024, 64, 0.5))
    assert half is not None
    assert (half.kernel, half.gain) == ("dense", 0.0)


def test_only_square_blocks_have_a_kernel_for_blocks(kernels: SparseKernels) -> None:
    choices = [kernels.choose(Product(1024, 1024, 64, 0.9, block)) for block in ((8, 8), (8, 4), (1, 1))]
    assert [choice and choice.kernel for choice in choices] == ["bsr", "csr", "csr"]


def test_the_share_from_which_on_zeros_pay(kernels: SparseKernels) -> None:
    even = kernels.break_even(1024, 1024, 256)
    assert even is not None
    assert even == pytest.approx(2 / 3, abs=0.02)  # csr takes three times as long for a unit of work
    before = kernels.choose(Product(1024, 1024, 256, even - 0.01))
    assert before is not None
    assert before.kernel == "dense"
    assert kernels.break_even(1024, 1024, 256, (8, 8)) == pytest.approx(0.51)


def test_nothing_is_said_beyond_what_was_measured(kernels: SparseKernels) -> None:
    for product in (Product(4, 64, 4, 0.9), Product(64, 64, 4, 0.3), Product(64, 64, 70_000, 0.9)):
        assert kernels.choose(product) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": 2},
        {"features": ["rows"]},
        {"ensembles": {"csr": {"trees": 0, "nodes": 0, "bias": 0.0}}},
        {"ensembles": {name: {"trees": 1, "nodes": 1, "bias": 0.0} for name in NANOSECONDS}},
        {"ensembles": {name: {"trees": 0, "nodes": 0, "bias": "x"} for name in NANOSECONDS}},
        {"measured": {"rows": [1, 2]}},
        {"threads": -1},
        {"features": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_damaged_pack_is_refused_in_a_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_pack(tmp_path / "pack", **changes)
    with pytest.raises(DeviceError) as fault:
        read_sparse_kernels(folder)
    assert str(fault.value).startswith(f"{folder}: ")
    assert "\n" not in str(fault.value)


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no pack of sparse kernels"):
        read_sparse_kernels(tmp_path)
    (tmp_path / "sparse.json").write_text("{")
    (tmp_path / "trees.npz").write_bytes(b"")
    with pytest.raises(DeviceError, match="damaged"):
        read_sparse_kernels(tmp_path)


def test_products_of_a_model_are_held_against_it(pack: Path) -> None:
    model = ZOO / "mobilenet_v2-224.onnx"
    found = nnmeter.predict_sparsity(model, "cortexA76cpu_tflite21", zeros={"*": "0.9"}, sparse_kernels=pack)
    chosen = [kernel for kernel in found.kernels if kernel.sparse is not None]
    assert 0 < len(chosen) < len(found.kernels)  # convolutions of a window are no products
    assert {kernel.sparse.kernel for kernel in chosen if kernel.sparse} == {"csr"}
    assert found.gain == 0.0
    assert [k["sparse"]["kernel"] for k in found.to_dict()["kernels"] if k["sparse"]] == ["csr"] * len(chosen)
