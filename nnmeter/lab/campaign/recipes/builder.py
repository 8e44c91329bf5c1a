"""A small, fast builder of ONNX graphs: nodes are appended, shapes and costs are tracked, weights are drawn at the end.

Rules:

1. Every tensor carries its static shape, so a block can read `x.shape` and decide.
2. Weights are only *described* while building; `finish` draws them from one fixed pool of normal numbers. A graph that
   turns out too dear is therefore thrown away at the price of its nodes alone.
3. Cost is estimated while building (`cost_ms`, one core at 100 GFLOP/s and 10 GB/s), and blocks stop when `exhausted`.
4. What nothing consumes becomes an output, so that no runtime can remove a node as dead.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

FLOAT, UINT8, INT8 = int(TensorProto.FLOAT), int(TensorProto.UINT8), int(TensorProto.INT8)
INT32, INT64, BOOL = int(TensorProto.INT32), int(TensorProto.INT64), int(TensorProto.BOOL)
DOUBLE = int(TensorProto.DOUBLE)
FLOAT16, UINT4, INT4 = int(TensorProto.FLOAT16), int(TensorProto.UINT4), int(TensorProto.INT4)
MICROSOFT = "com.microsoft"

_ITEM_BYTES: dict[int, float] = {
    FLOAT: 4, INT64: 8, INT32: 4, BOOL: 1, DOUBLE: 8, UINT8: 1, INT8: 1, FLOAT16: 2, UINT4: 0.5, INT4: 0.5,
}  # fmt: skip
_LEAST_IR_OF_FOUR_BITS = 10
_FLOPS_PER_MS = 1e8
_BYTES_PER_MS = 1e7
_POOL_LENGTH = 1 << 20
_LARGE, _POOLS = 1 << 15, 24  # elements of a weight that is cut out of a scaled pool, and pools that are kept
_HALF_LIMIT = 1e4  # to which converters to float16 clip constants
_IR_VERSIONS = {13: 7, 17: 8, 18: 8, 20: 9, 21: 10, 23: 11}


_QUANTIZED = frozenset({INT8, UINT8, UINT4, INT4})


class Tensor(NamedTuple):
    """A value of the graph under construction: its name, static shape and ONNX element type."""

    name: str
    shape: tuple[int, ...]
    dtype: int = FLOAT

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Exporter:
    """How a model's exporter writes it: opset, dynamo's habits or TorchScript's, BatchNormalization folded or not."""

    opset: int = 18
    dynamo: bool = True
    folds_batch_norm: bool = True


@dataclass(frozen=True)
class Budget:
    """When to stop adding layers: estimated milliseconds on one core, operators, and bytes of weights."""

    cost_ms: float = 30.0
    operators: int = 60
    weight_bytes: int = 120_000_000

    @property
    def flops(self) -> float:
        """FLOPs that fit into `cost_ms` if nothing else took time."""
        return self.cost_ms * _FLOPS_PER_MS


class _Weight(NamedTuple):
    """A weight still to be drawn: `mean + scale * normal`, or its absolute value."""

    name: str
    shape: tuple[int, ...]
    scale: float
    mean: float
    positive: bool
    dtype: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class BuilderState(NamedTuple):
    """A mark to which `NetworkBuilder.rollback` returns."""

    nodes: int
    weights: int
    inputs: int
    flops: float
    moved_bytes: float
    weight_bytes: int


@cache
def _normal_pool() -> np.ndarray:
    return np.random.default_rng(20240229).standard_normal(_POOL_LENGTH, dtype=np.float32)


@cache
def _integer_pool() -> np.ndarray:
    return np.random.default_rng(20240301).integers(-100, 101, _POOL_LENGTH, dtype=np.int8)


class NetworkBuilder:
    """Collects the nodes of one network: blocks call `node` and helpers in `operators`, `finish` makes the model."""

    def __init__(self, rng: random.Random, exporter: Exporter | None = None, budget: Budget | None = None) -> None:
        """Starts an empty graph whose random decisions all come from `rng`."""
        self.rng = rng
        self.exporter = exporter or Exporter()
        self.budget = budget or Budget()
        self.flops = 0.0
        self.moved_bytes = 0.0
        self.weight_bytes = 0
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, Tensor] = {}
        self._inputs: list[Tensor] = []
        self._weights: list[_Weight] = []
        self._constants: dict[tuple[Any, ...], tuple[Tensor, onnx.TensorProto]] = {}
        self._count = 0
        self._inputs_beside = 0  # of the network that this one is to be joined to

    @property
    def cost_ms(self) -> float:
        """Estimated milliseconds on one core of what has been added so far."""
        return self.flops / _FLOPS_PER_MS + self.moved_bytes / _BYTES_PER_MS

    @property
    def exhausted(self) -> bool:
        """Whether the budget is used up, so that no further block should be added."""
        budget = self.budget
        return (
            self.cost_ms >= budget.cost_ms
            or len(self.nodes) >= budget.operators
            or self.weight_bytes >= budget.weight_bytes
        )

    def mark(self) -> BuilderState:
        """The present state, to which `rollback` can return."""
        return BuilderState(
            len(self.nodes), len(self._weights), len(self._inputs), self.flops, self.moved_bytes, self.weight_bytes
        )

    def rollback(self, state: BuilderState) -> None:
        """Forgets all that was added since `state`."""
        for node in self.nodes[state.nodes :]:
            for name in node.output:
                self.tensors.pop(name, None)
        del self.nodes[state.nodes :], self._weights[state.weights :], self._inputs[state.inputs :]
        self.flops, self.moved_bytes, self.weight_bytes = state.flops, state.moved_bytes, state.weight_bytes

    def input(self, shape: Sequence[int], dtype: int = FLOAT) -> Tensor:
        """A new graph input."""
        tensor = self._new(f"input_{self._inputs_beside + len(self._inputs)}", tuple(shape), dtype)
        self._inputs.append(tensor)
        self.tensors[tensor.name] = tensor
        return tensor

    def node(
        self,
        op_type: str,
        inputs: Sequence[Tensor | None],
        shape: Sequence[int],
        *,
        dtype: int | None = None,
        flops: float | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Appends a node with one output of `shape` and returns that output."""
        return self.node_with_outputs(op_type, inputs, [shape], dtype=dtype, flops=flops, **attributes)[0]

    def node_with_outputs(
        self,
        op_type: str,
        inputs: Sequence[Tensor | None],
        shapes: Sequence[Sequence[int]],
        *,
        dtype: int | None = None,
        dtypes: Sequence[int] | None = None,
        flops: float | None = None,
        **attributes: Any,
    ) -> list[Tensor]:
        """Appends a node with one output for each of `shapes`; `flops` defaults to one for each output element."""
        kinds = dtypes or [dtype if dtype is not None else _first_dtype(inputs)] * len(shapes)
        prefix = op_type.lower()
        outputs = [self._new(prefix, tuple(s), kind) for s, kind in zip(shapes, kinds, strict=True)]
        names = [t.name if t is not None else "" for t in inputs]
        node = helper.make_node(op_type, names, [t.name for t in outputs], name=f"node_{outputs[0].name}", **attributes)
        self.nodes.append(node)
        for tensor in outputs:
            self.tensors[tensor.name] = tensor
        written = sum(t.elements for t in outputs)
        self.flops += written if flops is None else flops
        read = sum(t.elements * _ITEM_BYTES[t.dtype] for t in inputs if t is not None)
        self.moved_bytes += read + sum(t.elements * _ITEM_BYTES[t.dtype] for t in outputs)
        return outputs

    def weight(
        self,
        shape: Sequence[int],
        scale: float = 1.0,
        *,
        mean: float = 0.0,
        positive: bool = False,
        dtype: int = FLOAT,
    ) -> Tensor:
        """A trained tensor, `mean + scale * normal` (absolute if `positive`), drawn when the model is finished."""
        tensor = self._new("weight", tuple(shape), dtype)
        self._weights.append(_Weight(tensor.name, tensor.shape, scale, mean, positive, dtype))
        self.tensors[tensor.name] = tensor
        self.weight_bytes += math.ceil(tensor.elements * _ITEM_BYTES[dtype])
        return tensor

    def constant(self, value: Any, dtype: int = INT64) -> Tensor:
        """A small constant (shape vectors, axes, scalars); equal ones are shared."""
        array = np.asarray(value, dtype=helper.tensor_dtype_to_np_dtype(dtype))
        key = (dtype, array.shape, array.tobytes())
        if key not in self._constants:
            tensor = self._new("const", array.shape, dtype)
            proto = TensorProto(name=tensor.name, data_type=dtype, dims=array.shape, raw_data=array.tobytes())
            self._constants[key] = (tensor, proto)
            self.tensors[tensor.name] = tensor
        return self._constants[key][0]

    def scalar(self, value: float) -> Tensor:
        """A float scalar constant of rank zero."""
        return self.constant(value, FLOAT)

    @property
    def constant_names(self) -> set[str]:
        """Names of all weights and constants, which are no activations."""
        return {w.name for w in self._weights} | {t.name for t, _ in self._constants.values()}

    @property
    def input_names(self) -> set[str]:
        """Names of the graph's inputs."""
        return {t.name for t in self._inputs}

    def beside(self, budget: Budget) -> NetworkBuilder:
        """A network of the same exporter that `join` can take up: none of its names is one of this network's."""
        other = NetworkBuilder(self.rng, self.exporter, budget)
        other._count = self._count
        other._inputs_beside = self._inputs_beside + len(self._inputs)
        return other

    def join(self, other: NetworkBuilder) -> None:
        """Takes up a network that was begun by `beside`. Both lie side by side in one graph, and run in turn."""
        self.nodes += other.nodes
        self.tensors.update(other.tensors)
        self._inputs += other._inputs
        self._weights += other._weights
        self._constants.update(
            {(*key, tensor.name): (tensor, proto) for key, (tensor, proto) in other._constants.items()}
        )
        self.flops += other.flops
        self.moved_bytes += other.moved_bytes
        self.weight_bytes += other.weight_bytes
        self._count = other._count

    def as_half(self, kept: set[str]) -> None:
        """Turns all float32 tensors into float16, weights, constants and inputs included, except those in `kept`."""

        def half(tensor: Tensor) -> Tensor:
            return tensor._replace(dtype=FLOAT16) if tensor.dtype == FLOAT and tensor.name not in kept else tensor

        self._inputs = [half(tensor) for tensor in self._inputs]
        self._weights = [
            w._replace(dtype=FLOAT16) if w.dtype == FLOAT and w.name not in kept else w for w in self._weights
        ]
        for key, (tensor, proto) in list(self._constants.items()):
            narrow = half(tensor)
            if narrow is not tensor:
                values = np.clip(np.frombuffer(proto.raw_data, np.float32), -_HALF_LIMIT, _HALF_LIMIT)
                stored = values.astype(np.float16).tobytes()
                proto = TensorProto(name=tensor.name, data_type=FLOAT16, dims=tensor.shape, raw_data=stored)
                self._constants[key] = (narrow, proto)
        self.tensors = {name: half(tensor) for name, tensor in self.tensors.items()}

    def live_bytes(self) -> int:
        """Largest number of bytes of inputs and results that are needed at once, when nodes run in their order."""
        last_use = {name: position for position, node in enumerate(self.nodes) for name in node.input}
        freed = [0.0] * len(self.nodes)
        live = largest = 0.0
        for position, made in enumerate([self.input_names, *(node.output for node in self.nodes)], start=-1):
            for name in made:
                tensor = self.tensors[name]
                size = tensor.elements * _ITEM_BYTES[tensor.dtype]
                live += size
                if name in last_use:
                    freed[last_use[name]] += size
            largest = max(largest, live)
            if position >= 0:
                live -= freed[position]
        return math.ceil(largest)

    def finish(self, name: str, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
        """Draws the weights and returns the model, whose graph is called `name`."""
        used = {i for node in self.nodes for i in node.input}
        outputs = [self.tensors[o] for node in self.nodes for o in node.output if o not in used]
        graph = helper.make_graph(
            self.nodes,
            name,
            [_value_info(t) for t in self._inputs if t.name in used],
            [_value_info(t) for t in outputs],
        )
        opset = self.exporter.opset
        opsets = [helper.make_opsetid("", opset)]
        opsets += [helper.make_opsetid(domain, 1) for domain in sorted({n.domain for n in self.nodes if n.domain})]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="nnmeter")
        for weight in self._weights:
            if weight.name in used:
                _add_weight(model.graph, weight)
        model.graph.initializer.extend(proto for tensor, proto in self._constants.values() if tensor.name in used)
        model.ir_version = _IR_VERSIONS[opset]
        if any(tensor.data_type in (UINT4, INT4) for tensor in model.graph.initializer):
            model.ir_version = max(model.ir_version, _LEAST_IR_OF_FOUR_BITS)
        helper.set_model_props(model, metadata or {})
        return model

    def _new(self, prefix: str, shape: tuple[int, ...], dtype: int) -> Tensor:
        self._count += 1
        return Tensor(f"{prefix}_{self._count}", shape, dtype)


def _first_dtype(inputs: Sequence[Tensor | None]) -> int:
    return next((t.dtype for t in inputs if t is not None), FLOAT)


def _value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, tensor.dtype, tensor.shape)


def _add_weight(graph: onnx.GraphProto, weight: _Weight) -> None:
    tensor = graph.initializer.add()
    tensor.name, tensor.data_type = weight.name, weight.dtype
    tensor.dims.extend(weight.shape)
    tensor.raw_data = _values(weight)


def _values(weight: _Weight) -> bytes:
    """The values of a weight from a fixed pool, at an offset that depends on its name and shape only."""
    count = weight.elements
    if weight.dtype in (UINT4, INT4):  # two to a byte
        count = (count + 1) // 2
    offset = (int(weight.name.rsplit("_", 1)[1]) * 7919 + count) % _POOL_LENGTH
    large = count >= _LARGE and not weight.mean and not weight.positive
    if large and weight.dtype in (FLOAT, FLOAT16, INT8, UINT8, UINT4, INT4):
        # Cut out of a pool that is scaled already, by the nearest power of the root of two: to make large weights is
        # most of what making a network takes.
        power = round(2 * math.log2(weight.scale)) if weight.dtype in (FLOAT, FLOAT16) else 0
        return _cut(_scaled_pool(weight.dtype, power), offset, count)
    pool = _integer_pool() if weight.dtype in _QUANTIZED else _normal_pool()
    values = np.resize(np.roll(pool, -offset)[:count] if count < _POOL_LENGTH else pool, count)
    if weight.dtype in (FLOAT, FLOAT16):
        values = values * np.float32(weight.scale) + np.float32(weight.mean)
        values = np.abs(values) if weight.positive else values
    return _as_type(values, weight.dtype).tobytes()


def _as_type(values: np.ndarray, dtype: int) -> np.ndarray:
    if dtype == UINT8:
        return (values.astype(np.int16) + 128).astype(np.uint8)
    if dtype in (UINT4, INT4):
        return values
    return values.astype(helper.tensor_dtype_to_np_dtype(dtype), copy=False)


@lru_cache(maxsize=_POOLS)
def _scaled_pool(dtype: int, power: int) -> bytes:
    """The pool of a type as bytes, times the root of two to that power."""
    if dtype in _QUANTIZED:
        return _as_type(_integer_pool(), dtype).tobytes()
    return _as_type(_normal_pool() * np.float32(2.0 ** (power / 2)), dtype).tobytes()


def _cut(pool: bytes, offset: int, count: int) -> bytes:
    """So many elements of a pool from an offset on, from its beginning again behind its end."""
    item = len(pool) // _POOL_LENGTH
    head = pool[offset * item : (offset + count) * item]
    whole, rest = divmod(count * item - len(head), len(pool))
    return b"".join([head, *[pool] * whole, pool[:rest]])
