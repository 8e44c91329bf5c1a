"""The models of a test: some operators of the catalogue in a row, several times side by side.

1. The input is split along its first axis into `N` equal branches; each has weights of its own, so that none is a
   common subexpression of another, and ends in an output of its own, so that nothing behind it can be moved or merged.
   `N` branches have `N` times the kernels in one inference: its fixed cost weighs less.
2. A branch is the prelude of the domain and then the operators. With no operators it is the *empty* model, whose time
   is what a model of the domain costs before it does anything.
3. `r` is the tensor of the domain in the neighbouring branch. `o` is what the first operator reads if there are
   several operators, and the neighbour's where the operator stands alone: one that read one tensor twice could be
   simplified.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.lab.discovery.catalogue import DOMAINS, OPERATORS, Floats, Integers, Operator, Scalar, Weight

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 17, 8


def build_model(
    domain: str, operators: Sequence[Operator], sizes: Mapping[str, int], alone: bool = False, seed: int = 0
) -> onnx.ModelProto:
    """The model of a row of operators.

    Args:
        domain: name of the domain that the first operator reads.
        operators: what each branch executes behind the prelude; none for the empty model.
        sizes: values of the symbols, one of `SIZES`.
        alone: the operators are the tail of a test without its head (rule 3).
        seed: of the random weights.
    """
    from onnx import TensorProto, helper, shape_inference

    branches = sizes["N"]
    shape = _sizes_of(DOMAINS[domain].shape, sizes)
    graph = _Branches(sizes, np.random.default_rng(seed))
    starts = [f"part_{i}" for i in range(branches)]
    graph.nodes.append(helper.make_node("Split", ["input"], starts, name="split", axis=0))
    for name in DOMAINS[domain].prelude:
        prelude = next(operator for (key, _), operator in OPERATORS.items() if key == name)
        starts = [graph.append(prelude, start, start, start, i) for i, start in enumerate(starts)]
    outputs = []
    for i, start in enumerate(starts):
        neighbour = starts[(i + 1) % branches]
        tensor = start
        for operator in operators:
            tensor = graph.append(operator, tensor, neighbour, neighbour if alone else start, i)
        outputs.append(tensor)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "branches",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, (branches * shape[0], *shape[1:]))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="nnmeter",
    )
    return shape_inference.infer_shapes(model)  # the outputs are declared without shapes


class _Branches:
    """Nodes and weights of a model under construction."""

    def __init__(self, sizes: Mapping[str, int], rng: np.random.Generator) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._sizes = sizes
        self._rng = rng

    def append(self, operator: Operator, x: str, other: str, origin: str, branch: int) -> str:
        """Append the nodes of an operator to a branch; returns the tensor that it writes."""
        from onnx import NodeProto, numpy_helper

        names = {"": "", "x": x, "r": other, "o": origin}
        for node in operator_nodes(operator.body.format_map(self._sizes)):
            place = f"{branch}_{len(self.nodes)}"
            for name in node.input:
                if name in operator.weights and name not in names:
                    names[name] = f"{name}_{place}"
                    value = _draw(operator.weights[name], self._sizes, self._rng)
                    self.initializers.append(numpy_helper.from_array(value, names[name]))
            for name in node.output:
                names[name] = f"{name}_{place}"
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{node.op_type.lower()}_{place}"
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            self.nodes.append(copy)
        return names["y"]


@cache
def operator_nodes(body: str) -> tuple[Any, ...]:
    """The nodes of a text, as `onnx.NodeProto`, which must not be changed."""
    from onnx import parser

    return tuple(parser.parse_graph(f"branch () => () {{ {body} }}").node)


def _draw(weight: Weight, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Values of a constant; filters and matrices keep the size of what they are applied to, vectors are near one."""
    if isinstance(weight, Scalar):
        return np.array(weight.value, np.float32)
    if isinstance(weight, Integers):
        return np.array(_sizes_of(weight.values, sizes), np.int64)
    if isinstance(weight, Floats):
        return np.array(weight.values, np.float32)
    shape = _sizes_of(weight.sizes, sizes)
    if max(shape) == math.prod(shape):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    fan_in = math.prod(shape[1:])
    return (rng.standard_normal(shape) / math.sqrt(fan_in)).astype(np.float32)


def _sizes_of(symbols: Sequence[int | str], sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(symbol if isinstance(symbol, int) else sizes[symbol] for symbol in symbols)
