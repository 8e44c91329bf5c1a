"""Random weights and inputs for models whose own are absent, such that running them takes the usual time.

Time does not depend on the values, with three exceptions that these rules avoid: numbers below 1e-38 (denormals) make
x86 slow, NaN and infinity can, and an index out of range stops the run.

1. Only what is absent is drawn: an initializer or constant stored as external data in a file that is not there.
2. A weight is drawn by its first consumer's role (`_ROLES`): filters normal with variance 2 / fan-in and matrices with
   1 / fan-in, so that activations keep their size; scales, variances and divisors between 0.5 and 1.5; offsets near 0.
3. What operators take in a certain range only has a value in it (`nnmeter.lab.runtimes.input_values`): indices, sizes,
   axes and the like. Zero points are 0, quantized weights have the whole range, other integers are 1, booleans true.
4. Scales of quantization are positive. That of a bias behind DequantizeLinear is the product of those of the data and
   of the weight, where it is absent itself: ONNX Runtime makes no integer convolution of any other.
5. Inputs: by rule 3 where it says something of them, else normal numbers, integers 1 (as masks) and booleans true.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.lab.runtimes.input_values import Value, needed_value, numbers

if TYPE_CHECKING:
    import onnx

# Values are repeated from one pool: drawing a billion normal numbers would take longer than measuring. The odd length
# keeps the rows of a matrix from being equal.
_POOL_LENGTH = 1_000_003


def load_with_weights(source: str | os.PathLike[str] | bytes | onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """The model with every weight present: its own where stored, random ones elsewhere (rules 1-4).

    Args:
        source: path, serialized model, or model. A `ModelProto` is filled in place.
        seed: of the random numbers.

    Raises:
        ModelError: not an ONNX model, or larger than 2 GiB in memory.
    """
    import onnx

    folder: Path | None = None
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else "the model"
    if isinstance(source, onnx.ModelProto):
        model = source
    else:
        try:
            if isinstance(source, bytes):
                model = onnx.load_model_from_string(source)
            else:
                folder = Path(source).parent
                model = onnx.load(name, load_external_data=False)
        except OSError as fault:
            raise ModelError(f"{name}: cannot be read ({fault.strerror}); check the path") from fault
        except Exception as fault:  # protobuf raises its own DecodeError, whose place differs between its versions
            raise ModelError(f"{name}: not an ONNX model; export it again") from fault
    if not model.HasField("graph"):
        raise ModelError(f"{name}: not an ONNX model; export it again")
    fill_weights(model, seed, folder)
    return model


def fill_weights(model: onnx.ModelProto, seed: int = 0, folder: Path | None = None) -> int:
    """Fills absent weights in place (rules 1-4) and returns how many there were.

    Args:
        model: the model to complete.
        seed: of the random numbers.
        folder: where the model's external data lies; data that is there is loaded, not drawn.
    """
    import onnx
    from onnx.external_data_helper import load_external_data_for_tensor

    roles = _Roles(model)
    pool = _Pool(seed)
    drawn: set[str] = set()
    absent = 0
    for tensor, name in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if folder is not None and location and (folder / location).is_file():
            load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
        else:
            tensor.raw_data = _draw(tensor, roles.of(name), roles.needed(name, tuple(tensor.dims)), pool)
            tensor.data_location = onnx.TensorProto.DEFAULT
            drawn.add(name)
            absent += 1
        del tensor.external_data[:]
    if drawn:
        _match_bias_scales(model.graph, drawn)
    return absent


def _match_bias_scales(graph: onnx.GraphProto, drawn: set[str]) -> None:
    """Gives drawn scales of biases the product of the scales of data and weight (rule 4)."""
    from onnx import numpy_helper

    dequantize = {n.output[0]: n for n in graph.node if n.op_type == "DequantizeLinear"}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        factors = [dequantize.get(name) for name in node.input[:3]]
        if node.op_type not in ("Conv", "Gemm") or len(factors) < 3 or None in factors:
            continue
        names = [factor.input[1] for factor in factors if factor is not None]
        if names[2] not in drawn or any(name not in stored for name in names):
            continue
        data, weight, bias = (stored[name] for name in names)
        product = numpy_helper.to_array(data) * numpy_helper.to_array(weight)
        if product.size in (1, math.prod(bias.dims)):
            bias.raw_data = np.broadcast_to(product.reshape(-1), (math.prod(bias.dims),)).astype(np.float32).tobytes()


def random_inputs(
    model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]], seed: int = 0
) -> dict[str, np.ndarray[Any, Any]]:
    """Values for every input of the model (rule 5).

    Args:
        model: the model; its initializers are not inputs.
        shapes: static shape of each input.
        seed: of the random numbers.

    Raises:
        ModelError: an input is no tensor or has no static shape.
    """
    import onnx

    roles = _Roles(model, shapes)
    pool = _Pool(seed + 1)
    stored = {tensor.name for tensor in model.graph.initializer}
    feeds: dict[str, np.ndarray[Any, Any]] = {}
    for value in model.graph.input:
        if value.name in stored:
            continue
        if value.name not in shapes or not value.type.HasField("tensor_type"):
            raise ModelError(f"input {value.name!r} has no static shape; give it with --shape {value.name}=1x...")
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        shape = tuple(shapes[value.name])
        feeds[value.name] = _values(dtype, shape, _as_input, roles.needed(value.name, shape), pool)
    return feeds


@cache
def _normal_numbers() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(_POOL_LENGTH, dtype=np.float32)


class _Pool:
    """Normal numbers, cut from a fixed pool at random places."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def take(self, count: int) -> np.ndarray[Any, Any]:
        """`count` normal numbers, in the order of the pool from a random place on."""
        pool = _normal_numbers()
        start = int(self.generator.integers(_POOL_LENGTH))
        if count <= _POOL_LENGTH - start:
            return pool[start : start + count].copy()
        values = np.empty(count, np.float32)
        filled = 0
        while filled < count:
            step = min(count - filled, _POOL_LENGTH - start)
            values[filled : filled + step] = pool[start : start + step]
            filled, start = filled + step, 0
        return values


Maker = Callable[["_Pool", tuple[int, ...]], np.ndarray[Any, Any]]


def _filters(pool: _Pool, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return pool.take(math.prod(shape)) * np.float32(math.sqrt(2.0 / max(1, math.prod(shape[1:]))))


def _matrix(pool: _Pool, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    fan_in = shape[-2] if len(shape) > 1 else shape[0] if shape else 1
    return pool.take(math.prod(shape)) * np.float32(math.sqrt(1.0 / max(1, fan_in)))


def _positive(pool: _Pool, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.float32(1.0) + np.tanh(pool.take(math.prod(shape))) * np.float32(0.5)


def _offset(pool: _Pool, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return pool.take(math.prod(shape)) * np.float32(0.1)


def _table(pool: _Pool, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return pool.take(math.prod(shape)) * np.float32(0.5)


def _step(pool: _Pool, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return (np.abs(pool.take(math.prod(shape))) + np.float32(1.0)) * np.float32(0.01)


def _as_input(pool: _Pool, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return pool.take(math.prod(shape))


# Rule 2: how a floating-point weight is drawn, by (consumer, position of the input).
_ROLES: dict[tuple[str, int], Maker] = {
    ("Conv", 1): _filters,
    ("ConvTranspose", 1): _filters,
    ("Gemm", 0): _matrix,
    ("Gemm", 1): _matrix,
    ("MatMul", 0): _matrix,
    ("MatMul", 1): _matrix,
    ("Einsum", 1): _matrix,
    ("LSTM", 1): _filters,
    ("LSTM", 2): _filters,
    ("GRU", 1): _filters,
    ("GRU", 2): _filters,
    ("RNN", 1): _filters,
    ("RNN", 2): _filters,
    ("Gather", 0): _table,
    ("BatchNormalization", 1): _positive,
    ("BatchNormalization", 4): _positive,
    ("InstanceNormalization", 1): _positive,
    ("LayerNormalization", 1): _positive,
    ("GroupNormalization", 1): _positive,
    ("RMSNormalization", 1): _positive,
    ("SimplifiedLayerNormalization", 1): _positive,
    ("Mul", 0): _positive,
    ("Mul", 1): _positive,
    ("Div", 0): _positive,
    ("Div", 1): _positive,
    ("Pow", 1): _positive,
    ("Sqrt", 0): _positive,
    ("Log", 0): _positive,
    ("Reciprocal", 0): _positive,
}

# Rule 4: for each quantized operator the positions of its scales, zero points and quantized weights.
_QUANTIZATION: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "QuantizeLinear": ((1,), (2,), ()),
    "DequantizeLinear": ((1,), (2,), (0,)),
    "MatMulInteger": ((), (2, 3), (1,)),
    "ConvInteger": ((), (2, 3), (1,)),
    "QLinearConv": ((1, 4, 6), (2, 5, 7), (3, 8)),
    "QLinearMatMul": ((1, 4, 6), (2, 5, 7), (0, 3)),
    "QGemm": ((1, 4, 7), (2, 5, 8), (3, 6)),
    "QLinearAdd": ((1, 4, 6), (2, 5, 7), (0, 3)),
    "QLinearMul": ((1, 4, 6), (2, 5, 7), (0, 3)),
    "QLinearWhere": ((2, 5, 7), (3, 6, 8), (1, 4)),
    "QLinearAveragePool": ((1, 3), (2, 4), ()),
    "QLinearGlobalAveragePool": ((1, 3), (2, 4), ()),
    "QLinearSigmoid": ((1, 3), (2, 4), ()),
    "QLinearLeakyRelu": ((1, 3), (2, 4), ()),
    "QLinearSoftmax": ((1, 3), (2, 4), ()),
    "QLinearReduceMean": ((1, 3), (2, 4), ()),
    "QLinearConcat": ((0, *range(3, 96, 3)), (1, *range(4, 96, 3)), tuple(range(2, 96, 3))),
    "MatMulIntegerToFloat": ((2, 3), (4, 5), (1,)),
    "DynamicQuantizeMatMul": ((2,), (3,), (1,)),
    "DynamicQuantizeLSTM": ((8, 10), (9, 11), (1, 2)),
    "QAttention": ((3, 4), (6, 7), (1,)),
    "MatMulNBits": ((2,), (3,), (1,)),
    "GatherBlockQuantized": ((2,), (3,), (0,)),
}
_SCALES = frozenset((op, i) for op, (scales, _, _) in _QUANTIZATION.items() for i in scales)
# Inputs that are zero points: 0 is always valid.
_ZERO_POINTS = frozenset((op, i) for op, (_, zero_points, _) in _QUANTIZATION.items() for i in zero_points)
# Inputs that are quantized weights: any value is valid.
_QUANTIZED = frozenset((op, i) for op, (_, _, weights) in _QUANTIZATION.items() for i in weights)
# Operators behind which a weight is still the same weight.
_VIEWS = frozenset({"Identity", "Cast", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Flatten"})


class _Roles:
    """Who consumes each tensor of a model, and what these need."""

    def __init__(self, model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        self._consumers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        self._sizes: dict[str, tuple[int, ...]] = {name: tuple(shape) for name, shape in (shapes or {}).items()}
        for graph in _graphs(model):
            for tensor in graph.initializer:
                self._sizes[tensor.name] = tuple(tensor.dims)
        for nodes in _node_lists(model):
            for node in nodes:
                for position, name in enumerate(node.input):
                    if name:
                        self._consumers.setdefault(name, []).append((node, position))

    def of(self, name: str, depth: int = 4) -> tuple[str, int]:
        """Operator and input position of the first consumer, looking through views; ("", 0) if there is none."""
        for node, position in self._consumers.get(name, ()):
            if node.op_type in _VIEWS and position == 0 and depth and node.output:
                found = self.of(node.output[0], depth - 1)
                # A filter that reaches its operator transposed has its fan-in elsewhere; its size stays about right.
                if found[0]:
                    return found
                continue
            return node.op_type, position
        return "", 0

    def needed(self, name: str, shape: tuple[int, ...]) -> Value | None:
        """The value that the consumers of a tensor need (rule 3)."""
        return needed_value(self._consumers, self._sizes, name, shape)


def _draw(tensor: onnx.TensorProto, role: tuple[str, int], needed: Value | None, pool: _Pool) -> bytes:
    import onnx

    shape = tuple(tensor.dims)
    count = math.prod(shape)
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    if kind in _PACKED_BITS:
        return pool.generator.bytes((count * _PACKED_BITS[kind] + 7) // 8)
    if kind == "STRING":
        raise ModelError(f"weight {tensor.name!r} is text stored outside of the model; restore the model's data file")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    if role in _ZERO_POINTS:
        return np.zeros(count, dtype).tobytes()
    if role in _QUANTIZED and dtype.kind in "iu":
        return pool.generator.bytes(count * dtype.itemsize)
    maker = _step if role in _SCALES else _ROLES.get(role, _offset)
    return _values(dtype, shape, maker, needed, pool).tobytes()


_PACKED_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}


def _values(
    dtype: np.dtype[Any], shape: tuple[int, ...], maker: Maker, needed: Value | None, pool: _Pool
) -> np.ndarray[Any, Any]:
    if dtype.kind == "O":
        return np.full(shape, "a", dtype)
    if needed is not None:
        return numbers(needed, shape, dtype, pool.generator)
    if dtype == np.bool_ or dtype.kind in "iu":
        return np.ones(shape, dtype)
    # ml_dtypes' bfloat16 and float8 are of kind "V": they convert from float32 like the others.
    return np.asarray(maker(pool, shape).reshape(shape).astype(dtype), order="C")


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    pending = [model.graph]
    while pending:
        graph = pending.pop()
        yield graph
        pending += _subgraphs(graph.node)
    for function in model.functions:
        inner = list(_subgraphs(function.node))
        while inner:
            graph = inner.pop()
            yield graph
            inner += _subgraphs(graph.node)


def _subgraphs(nodes: Iterable[onnx.NodeProto]) -> list[onnx.GraphProto]:
    return [
        graph
        for node in nodes
        for attribute in node.attribute
        for graph in ([attribute.g] if attribute.HasField("g") else list(attribute.graphs))
    ]


def _node_lists(model: onnx.ModelProto) -> Iterator[Iterable[onnx.NodeProto]]:
    for graph in _graphs(model):
        yield graph.node
    for function in model.functions:
        yield function.node


def _tensors(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, str]]:
    """Every stored tensor with the name by which nodes know it."""
    for graph in _graphs(model):
        for tensor in graph.initializer:
            yield tensor, tensor.name
    for nodes in _node_lists(model):
        for node in nodes:
            if node.op_type == "Constant":
                for attribute in node.attribute:
                    if attribute.HasField("t"):
                        yield attribute.t, node.output[0]
