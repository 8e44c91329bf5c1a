"""Small networks that are built at any width, so that a pruned one can be compared with one that was built narrow."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper


class Net:
    """A model that grows operator by operator; weights are random, names follow from the order."""

    def __init__(self, shape: list[int], opset: int = 17) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.opset = opset
        self.shape = shape
        self.random = np.random.default_rng(0)

    def weight(self, name: str, *shape: int) -> str:
        value = self.random.standard_normal(shape).astype(np.float32)
        self.weights.append(onnx.numpy_helper.from_array(value, name))
        return name

    def integers(self, name: str, *values: int) -> str:
        self.weights.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def scalar(self, name: str, value: int) -> str:
        self.weights.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
        return name

    def add(self, op_type: str, name: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        results = [f"{name}.{n}" if n else f"{name}_out" for n in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), results, name, **attributes))
        return results[0]

    def conv(self, name: str, data: str, before: int, after: int, size: int = 1, **attributes: object) -> str:
        group = int(attributes.get("group", 1))  # type: ignore[call-overload]
        weight = self.weight(f"{name}.weight", after, before // group, size, size)
        pads = [size // 2] * 4
        return self.add("Conv", name, data, weight, self.weight(f"{name}.bias", after), pads=pads, **attributes)

    def linear(self, name: str, data: str, before: int, after: int) -> str:
        product = self.add("MatMul", name, data, self.weight(f"{name}.weight", before, after))
        return self.add("Add", f"{name}.add", product, self.weight(f"{name}.bias", after))

    def model(self, output: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def residual(stem: int = 16, middle: int = 24, batch: int = 1) -> onnx.ModelProto:
    """A stem, a residual branch with batch normalization, squeeze and excitation, and a classifier behind a Flatten."""
    net = Net([batch, 3, 8, 8])
    x = net.add("Relu", "stem.relu", net.conv("stem", "input", 3, stem, 3))
    y = net.conv("first", x, stem, middle, 3)
    parameters = [net.weight(f"bn.{n}", middle) for n in ("scale", "bias", "mean", "var")]
    y = net.add("Relu", "first.relu", net.add("BatchNormalization", "bn", y, *parameters))
    gate = net.conv("squeeze", net.add("GlobalAveragePool", "pool", y), middle, 4)
    gate = net.add("Sigmoid", "gate", net.conv("excite", net.add("Relu", "squeeze.relu", gate), 4, middle))
    y = net.conv("second", net.add("Mul", "scaled", y, gate), middle, stem, 3)
    x = net.add("Add", "sum", x, y)
    flat = net.add("Reshape", "flat", x, net.integers("flat.shape", batch, stem * 64))
    gemm = net.add("Gemm", "classify", flat, net.weight("classify.weight", 10, stem * 64), transB=1)
    return net.model(gemm)


def inverted(narrow: int = 8, wide: int = 32, group: int = 32, joined: int = 12, filtered: int = 0) -> onnx.ModelProto:
    """An inverted residual of MobileNetV2, and a Concat and a Split behind it; `filtered` is what groups write."""
    filtered = filtered or wide
    net = Net([1, narrow, 8, 8])
    x = net.conv("expand", net.conv("in", "input", narrow, narrow), narrow, wide)
    x = net.add("Clip", "relu6", x, net.weight("zero"), net.weight("six"))
    x = net.conv("depthwise", x, wide, filtered, 3, group=group)
    x = net.add("Add", "sum", "in_out", net.conv("project", x, filtered, narrow))
    other = net.conv("other", x, narrow, joined)
    both = net.add("Concat", "both", x, other, axis=1)
    whole = narrow + joined
    net.add("Split", "parts", both, net.integers("sizes", 4, whole - 4), outputs=2, axis=1)
    last = net.conv("last", "parts.1", whole - 4, 6)
    return net.model(net.add("ReduceMean", "mean", last, axes=[2, 3], keepdims=0))


def vision_transformer(
    width: int = 48, heads: int = 4, size: int = 12, hidden: int = 96, batch: int = 1, picture: int = 8
) -> onnx.ModelProto:
    """One block of a vision transformer as timm has it: one product for query, key and value, cut by a Reshape."""
    net = Net([batch, 3, picture, picture])
    inner, tokens = heads * size, (picture // 4 + 1) ** 2
    x = net.conv("patches", "input", 3, width, 4, strides=[4, 4])
    x = net.add("Reshape", "tokens", x, net.integers("tokens.shape", batch, width, tokens))
    x = net.add("Transpose", "rows", x, perm=[0, 2, 1])
    x = net.add("Add", "placed", x, net.weight("positions", 1, tokens, width))
    norm = [net.weight("norm.scale", width), net.weight("norm.bias", width)]
    y = net.add("LayerNormalization", "norm", x, *norm, axis=-1)
    qkv = net.linear("qkv", y, width, 3 * inner)
    qkv = net.add("Reshape", "cut", qkv, net.integers("cut.shape", batch, tokens, 3, heads, size))
    qkv = net.add("Transpose", "turned", qkv, perm=[2, 0, 3, 1, 4])
    q, k, v = (net.add("Gather", name, qkv, net.scalar(f"{name}.index", n), axis=0) for n, name in enumerate("qkv"))
    scores = net.add("MatMul", "scores", q, net.add("Transpose", "k.turned", k, perm=[0, 1, 3, 2]))
    y = net.add("MatMul", "mixed", net.add("Softmax", "softmax", scores, axis=-1), v)
    y = net.add("Transpose", "back", y, perm=[0, 2, 1, 3])
    y = net.add("Reshape", "joined", y, net.integers("joined.shape", batch, tokens, inner))
    x = net.add("Add", "after.attention", x, net.linear("out", y, inner, width))
    y = net.linear("up", x, width, hidden)
    gate = net.add("Erf", "erf", net.add("Div", "div", y, net.weight("root")))
    y = net.add("Mul", "gelu", y, net.add("Add", "one", gate, net.weight("unit")))
    x = net.add("Add", "after.mlp", x, net.linear("down", y, hidden, width))
    x = net.add("ReduceMean", "mean", x, axes=[1], keepdims=0)
    return net.model(net.linear("classify", x, width, 10))
