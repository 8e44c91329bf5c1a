"""An `onnx_ir.Model` in memory as an `onnx.ModelProto` without weights.

Rules:

1. Operators, functions, inputs and outputs are serialised as onnx-ir does it, their metadata included: they name the
   modules of the framework.
2. An initializer keeps its value where that is small and there: shapes may depend on it. Any other becomes a *stub*,
   type and shape of a tensor whose data are said to be in a file that is not there. No byte of a weight is read, so
   that tensors of torch's `FakeTensorMode` and of its `meta` device do.
3. An initializer is a constant, never an input of the graph, also where the exporter lists it as one.
4. What an object does not say of a type is a `ModelError` that names the tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnmeter.errors import ModelError
from nnmeter.formats.onnx_writer import MARKER
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS

if TYPE_CHECKING:
    import onnx


def model_proto(model: Any, source: str) -> onnx.ModelProto:
    """The model as a protocol buffer, by the rules; the model is left as it is.

    Args:
        model: an `onnx_ir.Model`.
        source: what errors call it.

    Raises:
        ModelError: rule 4, or an object of it cannot be serialised.
    """
    import onnx
    import onnx_ir

    proto = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name or "")
    for domain, version in model.opset_imports.items():
        proto.opset_import.add(domain=domain, version=version)
    graph = proto.graph
    graph.name = model.graph.name or "model"
    constants = model.graph.initializers
    try:
        graph.input.extend(onnx_ir.to_proto(value) for value in model.graph.inputs if value.name not in constants)
        graph.output.extend(onnx_ir.to_proto(value) for value in model.graph.outputs)
        graph.node.extend(onnx_ir.to_proto(node) for node in model.graph)
        proto.functions.extend(onnx_ir.to_proto(function) for function in model.functions.values())
        for node in model.graph:
            for value in node.outputs:
                if value.name and value.type is not None and value.shape is not None:
                    graph.value_info.append(onnx_ir.to_proto(value))
    except Exception as fault:  # of whatever an object that somebody else made holds
        raise ModelError(f"{source}: is no sound onnx_ir.Model ({_first_line(fault)}); export it again") from fault
    for name, value in constants.items():
        _store(graph.initializer.add(), name, value, source)
    return proto


def has_data(tensor: Any) -> bool:
    """Whether a tensor of onnx-ir has its data in memory: it is neither fake, nor `meta`, nor in a file."""
    if tensor is None or hasattr(tensor, "location"):  # an ExternalTensor
        return False
    raw = getattr(tensor, "raw", None)
    if any(kind.__name__ == "FakeTensor" for kind in type(raw).__mro__):
        return False
    return getattr(getattr(raw, "device", None), "type", "") != "meta"


def elements(shape: Any) -> int:
    """How many elements a tensor of onnx-ir has; -1 where its shape is not all known."""
    count = 1
    for size in shape:
        if not isinstance(size, int):
            return -1
        count *= size
    return count


def _store(tensor: onnx.TensorProto, name: str, value: Any, source: str) -> None:
    """Rule 2."""
    import onnx_ir

    known = value.const_value
    shape = known.shape if known is not None else value.shape
    dtype = known.dtype if known is not None else value.dtype
    if shape is None or dtype is None or elements(shape) < 0:
        raise ModelError(f"{source}: the initializer '{name}' has neither data nor a type of known shape; give it one")
    if has_data(known) and elements(shape) <= MAX_KNOWN_ELEMENTS:
        tensor.CopyFrom(onnx_ir.to_proto(known))
        tensor.name = name
        return
    tensor.name = name
    tensor.data_type = int(dtype)
    tensor.dims.extend(int(size) for size in shape)
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value=MARKER)


def _first_line(fault: BaseException) -> str:
    return next((line.strip() for line in str(fault).splitlines() if line.strip()), type(fault).__name__)[:200]
