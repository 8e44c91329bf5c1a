"""Rewrites keep what is computed: ONNX Runtime gives the same numbers before and after."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from nnmeter.formats import read_model
from nnmeter.formats.onnx_writer import write_onnx
from nnmeter.transforms import Rewrite, TransformError, apply
from tests.transforms.models import Net, residual


def decomposed() -> onnx.ModelProto:
    net = Net([2, 5, 8])
    mean = net.add("ReduceMean", "mean", "input", axes=[-1])
    centred = net.add("Sub", "centred", "input", mean)
    net.weights.append(onnx.numpy_helper.from_array(np.float32(2), "two"))
    net.weights.append(onnx.numpy_helper.from_array(np.float32(1e-5), "epsilon"))
    variance = net.add("ReduceMean", "variance", net.add("Pow", "square", centred, "two"), axes=[-1])
    root = net.add("Sqrt", "root", net.add("Add", "sum", variance, "epsilon"))
    scaled = net.add("Mul", "scaled", net.add("Div", "normal", centred, root), net.weight("scale", 8))
    return net.model(net.add("Add", "biased", scaled, net.weight("bias", 8)))


def pooled() -> onnx.ModelProto:
    net = Net([1, 4, 9, 9])
    return net.model(net.add("AveragePool", "pool", "input", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1))


def softmax() -> onnx.ModelProto:
    net = Net([2, 5, 3, 4])
    return net.model(net.add("Softmax", "softmax", "input", axis=1))


CASES = {
    "layer-normalization": (decomposed(), {"LayerNormalization": 1}),
    "pool-floor": (pooled(), {"AveragePool": 1}),
    "softmax-last": (softmax(), {"Transpose": 2, "Softmax": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rewrite_computes_the_same(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model, operators = CASES[name]
    changed = apply(model, [Rewrite(name)])
    assert Counter(node.op_type for node in changed.nodes) == operators
    assert all(not node.attributes.get("ceil_mode") for node in changed.nodes)
    results = []
    for proto in (model, write_onnx(changed)):
        session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        shape = session.get_inputs()[0].shape
        data = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        results.append(session.run(None, {"input": data})[0])
    assert np.allclose(*results, atol=1e-5)


def test_nothing_to_rewrite_is_refused() -> None:
    for name in CASES:
        with pytest.raises(TransformError, match=f"has nothing that '{name}' rewrites"):
            apply(residual(), [Rewrite(name)])
    with pytest.raises(TransformError, match="no rewrite 'faster'; take layer-normalization"):
        apply(read_model(residual()), [Rewrite("faster")])
