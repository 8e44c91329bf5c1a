"""Names and attributes of kernel signatures."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.errors import ModelError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.naming import kernel_signature

NCHWC = "com.microsoft.nchwc"
T = TensorType("float32", (1, 16, 8, 8))


@pytest.mark.parametrize(
    ("op_type", "domain", "attributes", "inputs", "name", "anchor"),
    [
        ("Conv", "", {}, [T, T], "Conv", ("Conv", "")),
        ("Conv", NCHWC, {}, [T, T], "nchwc.Conv", ("Conv", NCHWC)),
        ("Conv", NCHWC, {"activation": "Relu"}, [T, T, None, T], "nchwc.Conv+Add+Relu", ("Conv", NCHWC)),
        ("FusedConv", "com.microsoft", {"activation": "Tanh"}, [T, T], "Conv+Tanh", ("Conv", "")),
        ("FusedConv", "com.microsoft", {}, [T, T, T, T], "Conv+Add", ("Conv", "")),
        ("FusedGemm", "com.microsoft", {"activation": "Relu"}, [T, T], "Gemm+Relu", ("Gemm", "")),
        ("FusedMatMul", "com.microsoft", {"transA": 1}, [T, T], "FusedMatMul", ("FusedMatMul", "com.microsoft")),
        ("ReorderInput", "com.microsoft.nchwc", {}, [T], "ReorderInput", ("ReorderInput", "com.microsoft.nchwc")),
        ("MaxPool", "com.microsoft.nchwc", {}, [T], "nchwc.MaxPool", ("MaxPool", "com.microsoft.nchwc")),
    ],
)  # fmt: skip
def test_name(
    op_type: str,
    domain: str,
    attributes: dict[str, object],
    inputs: list[TensorType | None],
    name: str,
    anchor: tuple[str, str],
) -> None:
    signature = kernel_signature(op_type, domain, attributes, inputs, [False] * len(inputs), [T])
    assert signature.type == name
    assert (signature.op_type, signature.domain) == anchor


def test_attributes_that_cost_depends_on_are_kept_and_defaults_are_not() -> None:
    attributes = {"pads": (1, 1, 1, 1), "auto_pad": "NOTSET", "epsilon": 1e-5, "alpha": 0.5, "group": 2}
    signature = kernel_signature("Conv", "", attributes, [T, T], [False, True], [T])
    assert signature.attributes == (("group", 2), ("pads", (1, 1, 1, 1)))


def test_axes_of_a_reduction_that_are_an_input_are_kept() -> None:
    axes = TensorType("int64", (2,))
    values = [None, np.array([2, 3])]
    signature = kernel_signature("ReduceMean", "", {"keepdims": 1}, [T, axes], [False, True], [T], values)
    assert signature.attribute("axes") == (2, 3)


def test_absent_inputs_at_the_end_do_not_count() -> None:
    signature = kernel_signature("Clip", "", {}, [T, None, None], [False, False, False], [T])
    assert signature.inputs == (T,)
    assert signature.constants == (False,)


def test_signature_survives_json() -> None:
    attributes = {"activation": "Relu", "kernel_shape": (3, 3)}
    signature = kernel_signature(
        "Conv", "com.microsoft.nchwc", attributes, [T, T, None, T], [False, True, False, False], [T]
    )
    assert KernelSignature.from_json(signature.to_json()) == signature


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"group": "x"}, "attribute group is 'x', not a whole number"),
        ({"pads": (1, "a")}, "attribute pads is"),
        ({"activations": ({},)}, "attribute activations is no number"),
    ],
)
def test_an_attribute_of_another_kind_is_refused_with_its_kernel(attributes: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=f"kernel 'Conv': {words}.*; check the model"):
        kernel_signature("Conv", "", attributes, [T, T], [False, True], [T])
