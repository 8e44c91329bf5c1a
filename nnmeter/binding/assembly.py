"""Putting a model together operator by operator, for descriptions of networks that are no ONNX file.

What is put together is an `UnboundModel` in the vocabulary of ONNX, so that shapes are inferred and checked by the same
rules as those of a file. Weights have a type and no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import DeclaredType, UnboundModel
from nnmeter.operators.shape_rules.common import check_size

OPSET = 17  # the operators here mean what ai.onnx says in this version
_IR_VERSION = 8


class Assembly:
    """A model that grows.

    Args:
        name: name of the model.
        source: what errors call it.
        opset: version of ai.onnx in which the operators mean what they say.

    Attributes:
        inputs: the inputs added so far.
        stem: what the next operators are named after; their type where it is empty.
    """

    def __init__(self, name: str, source: str, opset: int = OPSET) -> None:
        self.name = name
        self.source = source
        self.opset = opset
        self.stem = ""
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._nodes: list[Node] = []
        self.inputs: list[DeclaredType] = []
        self._constants: dict[str, TensorType] = {}
        self._values: dict[str, np.ndarray[Any, Any]] = {}
        self._scalars: dict[float, str] = {}

    def input(self, name: str, shape: Sequence[int], dtype: str = "float32") -> str:
        """Add an input and return its name."""
        self._taken.add(name)
        self.inputs.append(DeclaredType(name, dtype, tuple(shape)))
        return name

    def weight(self, shape: Sequence[int], dtype: str = "float32") -> str:
        """Add a constant whose value does not matter and return its name."""
        name = self._fresh(f"weight_{len(self._constants)}")
        self._constants[name] = check_size(TensorType(dtype, tuple(shape)))
        return name

    def constant(self, value: np.ndarray[Any, Any], dtype: str) -> str:
        """Add a constant whose value may matter and return its name."""
        name = self.weight(value.shape, dtype)
        self._values[name] = value
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Add a constant list of int64 and return its name."""
        name = self._fresh(f"integers_{len(self._constants)}")
        self._values[name] = np.array(values, np.int64)
        self._constants[name] = TensorType("int64", (len(values),))
        return name

    def scalar(self, value: float) -> str:
        """Add a constant number of float32, or find it, and return its name."""
        if value not in self._scalars:
            name = self._scalars[value] = self._fresh(f"scalar_{len(self._constants)}")
            self._values[name] = np.array(value, np.float32)
            self._constants[name] = TensorType("float32", ())
        return self._scalars[value]

    def integer(self, value: int) -> str:
        """Add a constant number of int64 and return its name."""
        name = self._fresh(f"integer_{len(self._constants)}")
        self._values[name] = np.array(value, np.int64)
        self._constants[name] = TensorType("int64", ())
        return name

    def add(self, op_type: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None) -> str:
        """Add an operator of one output and return the name of what it writes."""
        return self.add_all(op_type, inputs, attributes, 1)[0]

    def add_all(
        self, op_type: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None, count: int, domain: str = ""
    ) -> tuple[str, ...]:
        """Add an operator of `count` outputs and return what it writes."""
        name = self._fresh(self.stem or f"{op_type}_{len(self._nodes)}")
        outputs = (name,) if count == 1 else tuple([f"{name}:{position}" for position in range(count)])
        self._nodes.append(Node(op_type, domain, name, tuple(inputs), outputs, dict(attributes or {})))
        return outputs

    def _fresh(self, name: str) -> str:
        """A name that nothing has; the last number of each is kept, for a file may give one name to all it has."""
        fresh, number = name, self._numbers.get(name, 1)
        while fresh in self._taken:
            number += 1
            fresh = f"{name}_{number}"
        self._numbers[name] = number
        self._taken.add(fresh)
        return fresh

    def finish(self, outputs: Sequence[str]) -> UnboundModel:
        """The model that returns these tensors; what they do not depend on is left out."""
        needed = set(outputs)
        kept = []
        for node in reversed(self._nodes):
            if not needed.isdisjoint(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        constants = {name: kind for name, kind in self._constants.items() if name in needed}
        return UnboundModel(
            name=self.name,
            nodes=kept[::-1],
            inputs=tuple(self.inputs),
            outputs=tuple([DeclaredType(name, "float32", None) for name in outputs]),
            constants=constants,
            values={name: value for name, value in self._values.items() if name in constants},
            source=self.source,
            opsets={"": self.opset},
            ir_version=_IR_VERSION,
        )


def same_pads(sizes: Sequence[int], window: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """The padding that TensorFlow calls SAME: what `ceil(size / stride)` outputs need, the odd one behind the data.

    Args:
        sizes: spatial sizes of the data.
        window: extent of the window along each of them, dilation included.
        strides: its steps.

    Returns:
        Padding before the data along each dimension, then behind it, as ONNX has it.
    """
    total = [
        max((-(-size // stride) - 1) * stride + extent - size, 0)
        for size, extent, stride in zip(sizes, window, strides, strict=True)
    ]
    return (*[pad // 2 for pad in total], *[pad - pad // 2 for pad in total])
