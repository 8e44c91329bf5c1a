"""Reads nn-Meter's JSON graphs: `{name: {"attr": {"type", "attr", "output_shape", ...}, "inbounds", "outbounds"}}`.

The format is described in nn-Meter's documentation (docs/predictor/input_models.md); its converters write two kinds.

Rules:

1. A graph with operators of TensorFlow (`Conv2D`, `DepthwiseConv2dNative`, `FusedBatchNormV3`, ...) or with nn-Meter's
   own names (`conv`, `dwconv`, `bn`, ...) has channels last. A graph with operators of ONNX has channels first.
2. Operators become those of ONNX with channels first (`OPERATORS`); padding SAME becomes the padding that it means.
3. A node reads its `inbounds`, in that order; `outbounds` are not needed. A `Placeholder` is an input; a node that
   reads none has one of its own. An `Identity` is what it reads. Constants and what computes shapes are left out.
4. Shapes of weights follow from those of the data that is read and written. Where an operator of two inputs names one,
   the other is a number, which is not told: it is taken to be that of `x * relu6(x + 3) / 6`.
5. Outputs are nodes that no node reads. Every stated `output_shape` must be the one that is inferred.
6. At most `MAX_JSON_BYTES` and `MAX_JSON_VALUES` (`nnmeter.limits`) and `MAX_NODES` are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.errors import ModelError, brief
from nnmeter.files import parse_json
from nnmeter.formats.nnmeter_operators import CONSTANTS, INPUTS, MAP_RANK, OPERATORS
from nnmeter.graph.assembly import Assembly, same_pads
from nnmeter.graph.binding import bind_shapes
from nnmeter.graph.shape_rules.common import ShapeError
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK, UnboundModel

MAX_NODES = 100_000


Attributes = Mapping[str, Any]
_MISFITS = (ArithmeticError, AttributeError, IndexError, KeyError, ShapeError, TypeError, ValueError)
_ONNX_TYPES = frozenset(
    "Conv Gemm BatchNormalization GlobalAveragePool AveragePool Clip HardSigmoid HardSwish ReduceMean Unsqueeze".split()
)
_REMEDY = "give a graph as nn-Meter's `get_ir` writes it"


def read_nnmeter_ir(data: bytes, source: str, name: str) -> UnboundModel:
    """Read a graph.

    Args:
        data: the bytes of the file.
        source: what errors call it.
        name: name of the model.

    Raises:
        ModelError: it is no graph of nn-Meter, or one with an operator that is not known.
    """
    try:
        content = parse_json(data)
    except ValueError as fault:
        raise ModelError(f"{source}: is not valid JSON, or too much ({brief(fault)}); {_REMEDY}") from fault
    if not isinstance(content, dict) or not content or not all(_is_node(node) for node in content.values()):
        raise ModelError(f"{source}: is JSON, but no graph of nn-Meter: nodes with 'attr' and 'inbounds'; {_REMEDY}")
    if len(content) > MAX_NODES:
        raise ModelError(f"{source}: has {len(content)} nodes, more than {MAX_NODES}; {_REMEDY}")
    return IrReader(content, source, name).model()


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and isinstance(node.get("attr"), dict)
        and isinstance(node["attr"].get("type"), str)
        and isinstance(node.get("inbounds"), list)
    )


class IrNode:
    """One node of the file."""

    def __init__(self, name: str, content: Attributes) -> None:
        attr = content["attr"]
        self.name = name
        self.type: str = attr["type"]
        self.attributes: Attributes = attr.get("attr") or {}
        self.inbounds: list[str] = [source for source in content["inbounds"] if isinstance(source, str)]
        self.input_shapes: Sequence[Sequence[int]] = attr.get("input_shape") or ()
        self.output_shapes: Sequence[Sequence[int]] = attr.get("output_shape") or ()

    def shape_of(self, shapes: Sequence[Sequence[int]], position: int) -> tuple[int, ...]:
        """One of its shapes as it is stated; a batch that is not told is 1."""
        if len(shapes[position]) > MAX_RANK:
            raise ValueError(f"{len(shapes[position])} dimensions, more than {MAX_RANK}")
        sizes = [int(size) if size is not None else -1 for size in shapes[position]]
        if sizes and sizes[0] < 1:
            sizes[0] = 1
        if any(not 1 <= size <= MAX_ELEMENTS for size in sizes):
            raise ValueError(f"shape {sizes}")
        return tuple(sizes)


class IrReader:
    """Turns the nodes of one file into operators, each after those that it reads."""

    def __init__(self, content: Mapping[str, Attributes], source: str, name: str) -> None:
        self.source = source
        self.nodes = {key: IrNode(key, value) for key, value in content.items()}
        self.channels_first = not _ONNX_TYPES.isdisjoint(node.type for node in self.nodes.values())
        self.assembly = Assembly(name or "model", source)
        self.results: dict[str, tuple[str, ...]] = {}  # tensors that a node writes; none for a constant
        self.taken: dict[str, int] = {}  # how many readers a split has had

    def model(self) -> UnboundModel:
        """The model that the nodes describe."""
        order = self._order()
        for name in order:
            node = self.nodes[name]
            rule = OPERATORS.get(node.type)
            if rule is None:
                raise ModelError(
                    f"{self.source}: node '{name}' has the type {node.type!r:.80}, which is not known; "
                    f"known are {', '.join(OPERATORS)}"
                )
            self.assembly.stem = name
            try:
                self.results[name] = rule(self, node, self._read(node))
            except _MISFITS as fault:
                if isinstance(fault, ModelError):
                    raise
                raise ModelError(
                    f"{self.source}: node '{name}' ({node.type}) lacks what its operator needs ({brief(repr(fault))}); "
                    f"{_REMEDY}"
                ) from fault
        read = {source for node in self.nodes.values() for source in node.inbounds}
        last = [name for name in order if name not in read and self.results[name]
                and self.nodes[name].type not in INPUTS]  # fmt: skip
        if not last:
            raise ModelError(f"{self.source}: no operator gives a result; {_REMEDY}")
        model = self.assembly.finish([tensor for name in last for tensor in self.results[name]])
        self._check(model)
        return model

    def _order(self) -> list[str]:
        order: list[str] = []
        state: dict[str, bool] = {}  # False while its inputs are visited
        for start in self.nodes:
            stack = [start]
            while stack:
                name = stack[-1]
                if state.get(name):
                    stack.pop()
                    continue
                missing = [source for source in self.nodes[name].inbounds if source in self.nodes
                           and not state.get(source)]  # fmt: skip
                if missing and name in state:
                    raise ModelError(f"{self.source}: the graph has a cycle through node '{name}'; {_REMEDY}")
                state[name] = not missing
                if missing:
                    stack += missing
                else:
                    order.append(stack.pop())
        return order

    def _read(self, node: IrNode) -> list[str]:
        """The computed tensors that a node reads; where it reads no node, an input of the network (rule 3)."""
        tensors: list[str] = []
        for source in node.inbounds:
            written = self.results.get(source)
            if written is None:
                raise ModelError(f"{self.source}: node '{node.name}' reads '{source}', which is no node; {_REMEDY}")
            if len(written) > 1:
                place = self.taken[source] = self.taken.get(source, -1) + 1
                written = (written[place % len(written)],)
            tensors += written
        if not tensors and not node.inbounds and node.type not in INPUTS | CONSTANTS:
            tensors.append(self.add_input(node.shape_of(node.input_shapes, 0)))
        return tensors

    def add_input(self, shape: Sequence[int]) -> str:
        """Add an input of the network and return its name."""
        count = len(self.assembly.inputs)
        return self.assembly.input(f"input_{count}" if count else "input", self.turned(shape))

    def turned(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape with its channels first: those of a map are all dimensions behind batch, height and width."""
        if self.channels_first or len(shape) < MAP_RANK:
            return tuple(shape)
        return (shape[0], *shape[3:], shape[1], shape[2])

    def in_shape(self, node: IrNode) -> tuple[int, ...]:
        """Shape of the first input, channels first."""
        if node.input_shapes:
            return self.turned(node.shape_of(node.input_shapes, 0))
        source = next(self.nodes[s] for s in node.inbounds if self.results.get(s))
        return self.turned(source.shape_of(source.output_shapes, 0))

    def out_shape(self, node: IrNode) -> tuple[int, ...]:
        """Shape of the first result, channels first."""
        return self.turned(node.shape_of(node.output_shapes, 0))

    def window(self, node: IrNode) -> dict[str, Any]:
        """Attributes of a sliding window."""
        a = node.attributes
        kernel = _plane(a.get("kernel_shape") or a.get("ksize") or a.get("ks") or a["kernel_size"])
        strides = _plane(a.get("strides") or a.get("stride") or (1, 1))
        dilations = _plane(a.get("dilations") or (1, 1))
        padding = a.get("padding") or a.get("auto_pad") or ""
        padding = padding.removeprefix("b'").rstrip("'") if isinstance(padding, str) else ""
        pads = tuple(a.get("pads") or (0, 0, 0, 0))
        if padding.startswith("SAME"):
            extents = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
            pads = same_pads(self.in_shape(node)[2:], extents, strides)
        elif padding == "VALID":
            pads = (0, 0, 0, 0)
        elif not self.channels_first:  # TensorFlow's converter states top, bottom, left, right
            pads = (pads[0], pads[2], pads[1], pads[3])
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        if max(dilations) > 1:
            attributes["dilations"] = dilations
        return attributes

    def _check(self, model: UnboundModel) -> None:
        """Rule 5."""
        types = bind_shapes(model).types
        for name, node in self.nodes.items():
            written = self.results[name]
            if not node.output_shapes or len(written) != 1 or written[0] not in types:
                continue
            try:
                stated, found = self.out_shape(node), types[written[0]].shape
            except _MISFITS as fault:
                raise ModelError(
                    f"{self.source}: node '{name}' ({node.type}) has no proper output_shape ({brief(repr(fault))}); "
                    f"{_REMEDY}"
                ) from fault
            if node.type not in INPUTS and math.prod(stated) != math.prod(found):
                raise ModelError(
                    f"{self.source}: node '{name}' ({node.type}) is stated as {'x'.join(map(str, stated))} and "
                    f"computed as {'x'.join(map(str, found))}; {_REMEDY}"
                )


def _plane(values: Any) -> tuple[int, int]:
    """Two sizes from one, from two, or from four with batch and channels around or before them."""
    sizes = [int(v) for v in values] if isinstance(values, (list, tuple)) else [int(values)] * 2
    if len(sizes) == 4:
        sizes = sizes[1:3]
    return (sizes[0], sizes[-1])
