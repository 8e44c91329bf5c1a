"""The model that grows out of a TensorFlow Lite file: its tensors with channels first, quantized ones as integers.

Rules:

1. A map is turned (`nnmeter.formats.tflite_layout`); where an operator is one of stored order (Transpose, MatMul), a
   Reshape stands for the map as it is stored: a view, which costs nothing in these runtimes.
2. A quantized tensor is what a QuantizeLinear writes and a DequantizeLinear reads: so ONNX says that an operator
   computes in integers, and rule sets make one kernel of the three.
3. Weights have the shape that ONNX's operator asks for. A constant keeps its value where that is one number.
4. What an operator computes behind its result (`fused_activation_function`) is an operator of its own here.
5. A tensor that is dequantized or decompressed from a constant is a constant: runtimes do it before the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from nnmeter.binding.assembly import Assembly
from nnmeter.errors import ModelError
from nnmeter.formats.tflite_file import TfliteFile, TfliteOperator, TfliteTensor
from nnmeter.formats.tflite_layout import find_maps, turned, turned_axis
from nnmeter.graph.dtypes import NUMPY_OF_DTYPE
from nnmeter.graph.unbound import DeclaredType

_ACTIVATIONS: dict[int, tuple[str, tuple[float, float] | None]] = {
    1: ("Relu", None), 2: ("Clip", (-1.0, 1.0)), 3: ("Clip", (0.0, 6.0)), 4: ("Tanh", None),
}  # fmt: skip
_FLOATS = frozenset({"float32", "float16", "bfloat16", "float64"})


class TfliteModel:
    """A model under construction.

    Args:
        file: what the file says.
        source: what errors call it.
        name: name of the model.

    Attributes:
        file: the same.
        assembly: the operators so far.
        declared: types that the file states, which shape inference is compared with; what it cannot infer, it takes.
    """

    def __init__(self, file: TfliteFile, source: str, name: str) -> None:
        self.file = file
        self.source = source
        self.assembly = Assembly(name, source)
        self.declared: dict[str, DeclaredType] = {}
        self._maps = find_maps(file)
        self._inputs: set[str] = set()
        self._known: dict[int, str] = {}  # tensors as operators compute with them, maps turned
        self._stored: dict[int, str] = {}  # quantized tensors as integers
        self._constants = {place for place, tensor in enumerate(file.tensors) if tensor.constant}

    def tensor(self, place: int) -> TfliteTensor:
        """One tensor of the file."""
        if place < 0:
            raise self.fault("no tensor where it needs one")
        return self.file.tensors[place]

    def is_map(self, place: int) -> bool:
        """Whether a tensor is a map."""
        return place in self._maps

    def is_constant(self, place: int) -> bool:
        """Whether a tensor is known before the run (rule 5)."""
        return place in self._constants

    def shape(self, place: int) -> tuple[int, ...]:
        """Shape of a tensor in the model, maps turned."""
        stored = self.tensor(place).type.shape
        return turned(stored) if place in self._maps else stored

    def axis(self, place: int, axis: int) -> int:
        """A dimension of a tensor in the model, from the front."""
        rank = len(self.tensor(place).type.shape)
        if not -rank <= axis < rank:
            raise self.fault(f"the dimension {axis} of a tensor of rank {rank}")
        return turned_axis(axis % rank, rank) if place in self._maps else axis % rank

    def dtype(self, place: int) -> str:
        """Element type that operators compute with: that of the numbers that a quantized tensor stands for."""
        tensor = self.tensor(place)
        return "float32" if tensor.quantized else tensor.type.dtype

    def fault(self, why: str) -> ModelError:
        """What is wrong with the operator at hand."""
        return ModelError(f"{self.source}: operator '{self.assembly.stem}' has {why}; convert the model again")

    def add_input(self, place: int) -> None:
        """Let a tensor be an input of the model."""
        tensor = self.tensor(place)
        stem = tensor.name or "input"
        if stem in self._inputs:
            stem = f"{stem}_{place}"
        self._inputs.add(stem)
        name = self.assembly.input(stem, self.shape(place), tensor.type.dtype)
        (self._stored if tensor.quantized else self._known)[place] = name

    def read(self, place: int) -> str:
        """A tensor as an operator computes with it; "" for one that is absent."""
        if place < 0:
            return ""
        known = self._known.get(place)
        if known is None:
            tensor = self.tensor(place)
            if place in self._stored:
                known = self._dequantized(self._stored[place], tensor, self._scaled_axis(place))
            elif place in self._constants:
                known = self._constant(tensor, self.shape(place))
            else:
                raise self.fault(f"the input '{tensor.name}', which nothing before it writes")
            self._known[place] = known
        return known

    def read_stored(self, place: int) -> str:
        """A tensor in the order that the file has it in (rule 1)."""
        return self.read_as(place, self.tensor(place).type.shape) if place in self._maps else self.read(place)

    def read_as(self, place: int, shape: Sequence[int]) -> str:
        """A view of a tensor as an operator computes with it; of integers where it is quantized."""
        if place not in self._stored or self.tensor(place).scales > 1:
            return self.reshape(self.read(place), shape)
        return self._dequantized(self.reshape(self._stored[place], shape), self.tensor(place), 0)

    def read_beside(self, place: int, other: int) -> str:
        """A tensor that is broadcast to another one, which may be a map of more dimensions."""
        shape = self.tensor(place).type.shape
        if place in self._maps or other not in self._maps:
            return self.read(place)
        rank = len(self.tensor(other).type.shape)
        if not shape or len(shape) > rank:
            return self.read(place)
        beside = turned((*(1,) * (rank - len(shape)), *shape))
        if place in self._constants:
            return self._constant(self.tensor(place), beside)
        return self.read_as(place, beside)

    def weight(self, place: int, shape: Sequence[int], axis: int = 0) -> str:
        """A weight in the shape that ONNX has it in, `axis` that of the outputs (rule 3)."""
        tensor = self.tensor(place)
        if prod(shape) != tensor.type.elements:
            raise self.fault(f"weights of {tensor.type}, not of {'x'.join(map(str, shape))}")
        if place not in self._constants:
            return self.read_as(place, shape)
        if not tensor.quantized:
            return self.assembly.weight(shape, tensor.type.dtype if tensor.type.dtype in _FLOATS else "float32")
        return self._dequantized(self.assembly.weight(shape, tensor.type.dtype), tensor, axis)

    def bias(self, operator: TfliteOperator, position: int, count: int) -> list[str]:
        """The bias of an operator, if it has one."""
        if position >= len(operator.inputs) or operator.inputs[position] < 0:
            return []
        if self.tensor(operator.inputs[position]).type.elements != count:
            raise self.fault(f"a bias of {self.tensor(operator.inputs[position]).type}, not of {count}")
        return [self.assembly.weight((count,))]

    def values(self, operator: TfliteOperator, position: int) -> tuple[int, ...]:
        """The whole numbers of a constant that an operator reads."""
        place = operator.inputs[position] if position < len(operator.inputs) else -1
        value = self.tensor(place).value if place >= 0 else None
        if value is None or value.dtype.kind not in "iu":
            raise self.fault(f"no constant whole numbers as its input {position}")
        return tuple(int(v) for v in value.ravel())

    def write(self, place: int, name: str, activation: int = 0, view: Sequence[int] | None = None) -> None:
        """Let a tensor be what an operator has computed, with an activation behind it, perhaps in another view."""
        if activation:
            name = self.activated(name, activation)
        tensor = self.tensor(place)
        if tensor.quantized:
            scale, zero, axis = self._scale(tensor, self._scaled_axis(place))
            stored = self.assembly.add("QuantizeLinear", [name, scale, zero], axis)
            written = self._stored[place] = stored if view is None else self.reshape(stored, view)
        else:
            written = self._known[place] = name if view is None else self.reshape(name, view)
        self.declare(written, tensor.type.dtype, self.shape(place))

    def write_view(self, place: int, source: int) -> None:
        """Let a tensor be a view of another one: the same integers where both are quantized."""
        if source in self._stored and self.tensor(place).quantized:
            self._stored[place] = self.reshape(self._stored[source], self.shape(place))
        else:
            self.write(place, self.reshape(self.read(source), self.shape(place)))

    def activated(self, name: str, activation: int) -> str:
        """What the activation of an operator makes of its result (rule 4)."""
        if activation not in _ACTIVATIONS:
            raise self.fault(f"the fused activation {activation}, which is not known")
        op_type, bounds = _ACTIVATIONS[activation]
        limits = [] if bounds is None else [self.assembly.scalar(bound) for bound in bounds]
        return self.assembly.add(op_type, [name, *limits])

    def write_stored(self, place: int, name: str) -> None:
        """The same for a result in the order of the file."""
        self.write(place, name, view=self.shape(place) if place in self._maps else None)

    def declare(self, name: str, dtype: str, shape: Sequence[int]) -> None:
        """Say what the file states of a result."""
        self.declared[name] = DeclaredType(name, dtype, tuple(shape))

    def write_constant(self, place: int) -> None:
        """Let a tensor be known before the run (rule 5)."""
        self._constants.add(place)

    def result(self, place: int) -> str:
        """What the model returns of a tensor."""
        return self._stored[place] if place in self._stored else self.read(place)

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """A view of a tensor."""
        return self.assembly.add("Reshape", [name, self.assembly.integers(shape)])

    def _scaled_axis(self, place: int) -> int:
        tensor = self.tensor(place)
        return self.axis(place, tensor.axis) if tensor.scales > 1 else 0

    def _constant(self, tensor: TfliteTensor, shape: Sequence[int]) -> str:
        dtype = tensor.type.dtype
        if tensor.quantized:
            return self._dequantized(self.assembly.weight(shape, dtype), tensor, -1)
        if tensor.value is not None and (tensor.type.elements == 1 or dtype not in _FLOATS):
            return self.assembly.constant(tensor.value.reshape(shape), dtype)
        return self.assembly.weight(shape, dtype)

    def _dequantized(self, name: str, tensor: TfliteTensor, axis: int) -> str:
        scale, zero, attributes = self._scale(tensor, axis)
        return self.assembly.add("DequantizeLinear", [name, scale, zero], attributes)

    def _scale(self, tensor: TfliteTensor, axis: int) -> tuple[str, str, Mapping[str, Any]]:
        """Scale and zero point; several of them only where it is known which dimension they are of."""
        several = tensor.scales > 1 and axis >= 0
        shape = (tensor.scales,) if several else ()
        numpy = NUMPY_OF_DTYPE.get(tensor.type.dtype)
        zero = (
            self.assembly.weight(shape, tensor.type.dtype)
            if numpy is None
            else self.assembly.constant(np.zeros(shape, numpy), tensor.type.dtype)
        )
        return self.assembly.weight(shape), zero, {"axis": axis} if several else {}
