"""The nodes of nn-Meter's JSON graphs and the model that grows out of them; `nnmeter_ir` has the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.binding.assembly import Assembly, same_pads
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK

Attributes = Mapping[str, Any]
MAP_RANK = 4  # batch, height, width, channels
_ONNX_TYPES = frozenset(
    "Conv Gemm BatchNormalization GlobalAveragePool AveragePool Clip HardSigmoid HardSwish ReduceMean Unsqueeze".split()
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


class IrGraph:
    """The nodes of one file, the operators that they have become, and the shapes that they state."""

    def __init__(self, content: Mapping[str, Attributes], source: str, name: str) -> None:
        self.source = source
        self.nodes = {key: IrNode(key, value) for key, value in content.items()}
        self.channels_first = not _ONNX_TYPES.isdisjoint(node.type for node in self.nodes.values())
        self.assembly = Assembly(name or "model", source)
        self.results: dict[str, tuple[str, ...]] = {}  # tensors that a node writes; none for a constant
        self.taken: dict[str, int] = {}  # how many readers a split has had

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


def _plane(values: Any) -> tuple[int, int]:
    """Two sizes from one, from two, or from four with batch and channels around or before them."""
    sizes = [int(v) for v in values] if isinstance(values, (list, tuple)) else [int(values)] * 2
    if len(sizes) == 4:
        sizes = sizes[1:3]
    return (sizes[0], sizes[-1])
