"""The networks of the benchmark as ONNX models, in the two ways in which exporters write them.

`folded` is what PyTorch exports: normalization folded into convolutions, padding the same on both sides, hard swish as
one operator, a mean instead of a pool. `decomposed` has every operator apart: normalizations, padding, hard swish as
`x * relu6(x + 3) / 6`, products as MatMul and Add.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

_RELU6 = (0.0, 6.0)


class Writer:
    """Writes one node list as an ONNX model."""

    def __init__(self, nodes, folded: bool) -> None:
        self.list = nodes
        self.folded = folded
        self.nodes = []
        self.weights = []
        self.results: list[str] = []
        self.halves: dict[str, list[str]] = {}
        self.readers = [0] * len(nodes)
        for _, inputs, _, _ in nodes:
            for source in inputs:
                self.readers[source] += 1

    def model(self) -> onnx.ModelProto:
        height, width, channels = self.list[0][3]
        for number, (operator, inputs, attributes, shape) in enumerate(self.list):
            write = getattr(self, f"write_{operator}")
            x = [self.results[source] for source in inputs]
            self.results.append(write(number, x, attributes, shape) if number else "input")
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, height, width])],
            [helper.make_tensor_value_info(self.results[-1], TensorProto.FLOAT, None)],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])

    def add(self, op_type, inputs, count=1, **attributes):
        name = f"{op_type}_{len(self.nodes)}"
        outputs = [name] if count == 1 else [f"{name}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op_type, inputs, outputs, name, **attributes))
        return outputs[0] if count == 1 else outputs

    def weight(self, *shape) -> str:
        name = f"weight_{len(self.weights)}"
        tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="absent")
        self.weights.append(tensor)
        return name

    def value(self, array) -> str:
        name = f"value_{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        return name

    def number(self, value: float) -> str:
        return self.value(np.float32(value))

    def write_input(self, number, x, a, shape):
        return "input"

    def padding(self, number, a):
        height, width, _ = self.list[self.list[number][1][0]][3]
        if a["pad"] == "VALID":
            return [0, 0, 0, 0]
        out_height, out_width, _ = self.list[number][3]
        k, s = a["k"], a["s"]
        if self.folded and k % 2:
            return [k // 2] * 4
        rows, columns = (max((o - 1) * s + k - n, 0) for o, n in ((out_height, height), (out_width, width)))
        return [rows // 2, columns // 2, rows - rows // 2, columns - columns // 2]

    def convolution(self, number, x, a, weight, group):
        pads = self.padding(number, a)
        if not self.folded and any(pads):
            sizes = self.value(np.array([0, 0, *pads[:2], 0, 0, *pads[2:]]))
            x, pads = self.add("Pad", [x, sizes]), [0, 0, 0, 0]
        follows = [n for n in self.list if n[1] == [number]]
        bias = [self.weight(weight[0])] if self.folded and follows and follows[0][0] == "bn" else []
        return self.add(
            "Conv", [x, self.weight(*weight), *bias], kernel_shape=[a["k"]] * 2, strides=[a["s"]] * 2, pads=pads,
            group=group, dilations=[1, 1],
        )  # fmt: skip

    def write_conv(self, number, x, a, shape):
        return self.convolution(number, x[0], a, (a["cout"], a["cin"], a["k"], a["k"]), 1)

    def write_dwconv(self, number, x, a, shape):
        return self.convolution(number, x[0], a, (a["c"], 1, a["k"], a["k"]), a["c"])

    def write_bn(self, number, x, a, shape):
        source = self.list[number][1][0]
        if self.folded and self.list[source][0] in ("conv", "dwconv") and self.readers[source] == 1:
            return x[0]
        return self.add("BatchNormalization", [x[0], *[self.weight(shape[-1]) for _ in range(4)]])

    def write_relu(self, number, x, a, shape):
        return self.add("Relu", x)

    def write_relu6(self, number, x, a, shape):
        return self.add("Clip", [x[0], *map(self.number, _RELU6)])

    def write_add(self, number, x, a, shape):
        return self.add("Add", x if self.folded else x[::-1])

    def write_mul(self, number, x, a, shape):
        return self.add("Mul", x if self.folded else x[::-1])

    def write_add_scalar(self, number, x, a, shape):
        return self.add("Add", [x[0], self.number(a["c"])])

    def write_mul_scalar(self, number, x, a, shape):
        """Where a hard swish or hard sigmoid ends; `folded` writes it as one operator."""
        mul = self.list[number][1][0]
        operator, inputs, _, _ = self.list[mul]
        gate = inputs[1] if operator == "mul" else mul  # the relu6
        start = self.list[self.list[gate][1][0]][1][0]
        if self.folded:
            source = [self.results[start]]
            if operator == "mul":
                return self.add("HardSwish", source)
            return self.add("HardSigmoid", source, alpha=1 / 6, beta=0.5)
        return self.add("Div", [x[0], self.number(6.0)])

    def pool(self, op_type, number, x, a):
        pads = self.padding(number, a)
        if not self.folded:
            return self.add(op_type, x, kernel_shape=[a["k"]] * 2, strides=[a["s"]] * 2, auto_pad=(
                "SAME_UPPER" if a["pad"] == "SAME" else "VALID"))  # fmt: skip
        return self.add(op_type, x, kernel_shape=[a["k"]] * 2, strides=[a["s"]] * 2, pads=pads, ceil_mode=0)

    def write_maxpool(self, number, x, a, shape):
        return self.pool("MaxPool", number, x, a)

    def write_avgpool(self, number, x, a, shape):
        if self.folded and shape[:2] == [1, 1]:
            return self.add("ReduceMean", [x[0], self.value(np.array([2, 3]))], keepdims=1)
        return self.pool("AveragePool", number, x, a)

    def write_gap(self, number, x, a, shape):
        if self.folded:
            return self.add("ReduceMean", [x[0], self.value(np.array([-1, -2]))], keepdims=0)
        return self.add("GlobalAveragePool", x)

    def write_flatten(self, number, x, a, shape):
        return x[0] if self.folded else self.add("Reshape", [x[0], self.value(np.array([1, -1]))])

    def write_fc(self, number, x, a, shape):
        if self.folded:
            return self.add("Gemm", [x[0], self.weight(a["cout"], a["cin"]), self.weight(a["cout"])], transB=1)
        product = self.add("MatMul", [x[0], self.weight(a["cin"], a["cout"])])
        return self.add("Add", [product, self.weight(a["cout"])])

    def write_concat(self, number, x, a, shape):
        return self.add("Concat", x, axis=1 if self.folded else -3)

    def write_split0(self, number, x, a, shape):
        return self.half(x[0], 0)

    def write_split1(self, number, x, a, shape):
        return self.half(x[0], 1)

    def half(self, x, position):
        if x not in self.halves:
            self.halves[x] = self.add("Split", [x], 2, axis=1, num_outputs=2)
        return self.halves[x][position]

    def write_channel_shuffle(self, number, x, a, shape):
        height, width, channels = shape
        apart = self.add("Reshape", [x[0], self.value(np.array([1, a["g"], channels // a["g"], height, width]))])
        turned = self.add("Transpose", [apart], perm=[0, 2, 1, 3, 4])
        return self.add("Reshape", [turned, self.value(np.array([1, channels, height, width]))])


def as_onnx(nodes, folded: bool) -> bytes:
    """A node list as the bytes of an ONNX model; operators that nothing reads are left out."""
    model = Writer(nodes, folded).model()
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept[::-1])
    return model.SerializeToString()
