"""Whose fault it is where a kernel cannot be described."""

from __future__ import annotations

import pytest

from nnmeter.errors import ModelError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.checked import checked_kernel, contradiction
from nnmeter.kernels.features import kernel_features
from nnmeter.kernels.kernel import KernelSignature


def kernel(*shapes: tuple[int, ...], op_type: str = "Conv", domain: str = "") -> KernelSignature:
    tensors = tuple([TensorType("float32", shape) for shape in shapes])
    return KernelSignature(op_type, op_type, domain, tensors, (False,) * len(tensors), tensors[:1], ())


def test_a_kernel_that_onnx_refuses_is_named() -> None:
    seen = r"kernel Conv: its inputs or attributes .*float32\[1x8x4x4\], float32\[8\].*check the model"
    with pytest.raises(ModelError, match=seen), checked_kernel(kernel((1, 8, 4, 4), (8,))):
        raise IndexError
    with pytest.raises(ModelError, match="its first input is missing"):
        kernel_features(kernel())


def test_a_fault_with_a_kernel_that_can_be_surfaces() -> None:
    with pytest.raises(ZeroDivisionError), checked_kernel(kernel((1, 8, 4, 4), (8, 8, 3, 3))):
        raise ZeroDivisionError
    with pytest.raises(KeyError), checked_kernel(kernel((4,), op_type="Own", domain="acme")):
        raise KeyError("of ours")


def test_nothing_is_said_of_a_kernel_that_can_be() -> None:
    assert contradiction(kernel((1, 8, 4, 4), (8, 8, 3, 3))) is None
