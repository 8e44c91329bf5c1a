"""Candidates of searches: small networks of blocks, and what a predictor makes of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from nnmeter.errors import ModelError
from nnmeter.prediction.predict import LatencyPredictor
from tests.conftest import REPOSITORY

PACK = REPOSITORY / "predictors" / "epyc-genoa-onnxruntime1.32-1t"

Blocks = list[tuple[int, int, str]]


def network(blocks: Blocks, size: int = 16, declared: bool = False) -> onnx.ModelProto:
    """Residual bottlenecks one behind the other: middle channels, kernel, activation."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    shapes: dict[str, list[int]] = {}

    def conv(x: str, name: str, out: int, into: int, kernel: int, groups: int = 1) -> str:
        weights.append(
            TensorProto(
                name=f"{name}.w", data_type=1, dims=[out, into // groups, kernel, kernel],
                data_location=TensorProto.EXTERNAL,
            )
        )  # fmt: skip
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [x, f"{name}.w"], [name], name, group=groups, pads=pads))
        shapes[name] = [1, out, size, size]
        return name

    def add(op_type: str, inputs: list[str], name: str) -> str:
        nodes.append(helper.make_node(op_type, inputs, [name], name))
        shapes[name] = shapes[inputs[0]]
        return name

    x = add("Relu", [conv("x", "stem", 32, 3, 3)], "stem.relu")
    for at, (middle, kernel, act) in enumerate(blocks):
        y = add(act, [conv(x, f"{at}.a", middle, 32, 1)], f"{at}.aa")
        y = add(act, [conv(y, f"{at}.b", middle, middle, kernel, middle)], f"{at}.bb")
        x = add("Add", [conv(y, f"{at}.c", 32, middle, 1), x], f"{at}.sum")
    graph = helper.make_graph(
        nodes,
        f"net of {len(blocks)}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 32, size, size])],
        weights,
        value_info=[helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items() if declared],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def renamed(model: onnx.ModelProto, number: int) -> onnx.ModelProto:
    """The model with other names of its operators and tensors, in another order by name."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    names = {"": ""} | {value.name: value.name for value in (*model.graph.input, *model.graph.output)}

    def other(name: str) -> str:
        return names.setdefault(name, f"{'zyxw'[len(names) % 4]}{number}/{len(names)}")

    for node in found.graph.node:
        for given in (node.input, node.output):
            changed = [other(name) for name in given]
            del given[:]
            given.extend(changed)
        node.name = f"op{number}/{node.name}"
    for value in (*found.graph.initializer, *found.graph.value_info):
        value.name = other(value.name)
    return found


def encoder(layers: list[tuple[int, int]], width: int = 32, shared: bool = False) -> onnx.ModelProto:
    """Layers of a transformer: heads and hidden width of each; `shared` ones read one scale."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def add(op_type: str, inputs: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op_type, inputs, [f"{name}:0"], name, **attributes))
        return f"{name}:0"

    def weight(name: str, *dims: int) -> str:
        constants.append(TensorProto(name=name, data_type=1, dims=dims, data_location=TensorProto.EXTERNAL))
        return name

    def known(name: str, kind: int, dims: Sequence[int], values: Sequence[float]) -> str:
        if all(one.name != name for one in constants):
            constants.append(helper.make_tensor(name, kind, dims, values))
        return name

    x = add("Relu", ["x"], "stem")
    for at, (heads, hidden) in enumerate(layers):
        y = add("LayerNormalization", [x, weight(f"{at}.s", width), weight(f"{at}.t", width)], f"{at}.norm")
        y = add("MatMul", [y, weight(f"{at}.w", width, 3 * width)], f"{at}.m")
        y = add("Add", [y, weight(f"{at}.b", 3 * width)], f"{at}.qkv")
        shape = [1, 20, 3, heads, width // heads]
        y = add("Reshape", [y, known(f"{at}.shape", 7, [5], shape)], f"{at}.cut")
        y = add("Transpose", [y], f"{at}.turn", perm=[2, 0, 3, 1, 4])
        q, k, v = (
            add("Squeeze", [add("Gather", [y, known(f"{at}.{n}", 7, [1], [n])], f"{at}.get{n}", axis=0),
                            known(f"{at}.axis", 7, [1], [0])], f"{at}.squeeze{n}")
            for n in range(3)
        )  # fmt: skip
        q = add("Mul", [q, known("scale" if shared else f"{at}.scale", 1, [], [0.5])], f"{at}.scaled")
        y = add("Softmax", [add("MatMul", [q, add("Transpose", [k], f"{at}.kt", perm=[0, 1, 3, 2])], f"{at}.qk")],
                f"{at}.soft", axis=-1)  # fmt: skip
        y = add("Transpose", [add("MatMul", [y, v], f"{at}.qkv2")], f"{at}.back", perm=[0, 2, 1, 3])
        y = add("Reshape", [y, known(f"{at}.joined", 7, [3], [1, 20, width])], f"{at}.join")
        x = add("Add", [add("MatMul", [y, weight(f"{at}.p", width, width)], f"{at}.out"), x], f"{at}.sum")
        y = add("LayerNormalization", [x, weight(f"{at}.s2", width), weight(f"{at}.t2", width)], f"{at}.norm2")
        y = add("Add", [add("MatMul", [y, weight(f"{at}.w1", width, hidden)], f"{at}.m1"), weight(f"{at}.b1", hidden)],
                f"{at}.up")  # fmt: skip
        y = add("Mul", [y, add("Sigmoid", [y], f"{at}.gate")], f"{at}.act")
        x = add("Add", [add("MatMul", [y, weight(f"{at}.w2", hidden, width)], f"{at}.m2"), x], f"{at}.sum2")
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 20, width])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 20, width])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def drawn(count: int, seed: int = 0, sizes: tuple[int, ...] = (16, 32)) -> list[tuple[Blocks, int]]:
    random = np.random.default_rng(seed)
    options = [(32, 3, "Relu"), (48, 5, "HardSwish"), (50, 3, "Relu")]
    return [
        ([options[random.integers(3)] for _ in range(random.integers(2, 4))], int(random.choice(sizes)))
        for _ in range(count)
    ]


def outcome(predictor: LatencyPredictor, model: Any) -> Any:
    try:
        return predictor.predict(model)
    except ModelError as fault:
        return str(fault)
