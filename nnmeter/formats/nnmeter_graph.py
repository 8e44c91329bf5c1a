"""The nodes of nn-Meter's JSON graphs and the model that grows out of them; `nnmeter_ir` has the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.binding.assembly import Assembly, same_pads
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK
from nnmeter.operators.shape_rules.common import ShapeError

Attributes = Mapping[str, Any]
MAP_RANK = 4  # batch, height, width, channels
_ONNX_TYPES = frozenset(
    "Conv Gemm BatchNormalization GlobalAveragePool AveragePool Clip HardSigmoid HardSwish ReduceMean Unsqueeze".split()
)


class IrNode:
    """One node of the file; what it says is checked where it is asked for.

    Raises:
        ShapeError: it says something else than its operator needs.
    """

    def __init__(self, name: str, content: Attributes) -> None:
        attr = content["attr"]
        self.name = name
        self.type: str = attr["type"]
        own = attr.get("attr")
        self.attributes: Attributes = own if isinstance(own, Mapping) else {}
        self.inbounds: list[str] = [source for source in content["inbounds"] if isinstance(source, str)]
        self.input_shapes: Sequence[Any] = _listed(attr.get("input_shape"))
        self.output_shapes: Sequence[Any] = _listed(attr.get("output_shape"))

    def shape_of(self, shapes: Sequence[Any], position: int) -> tuple[int, ...]:
        """One of its shapes as it is stated; a batch that is not told is 1."""
        if position >= len(shapes) or not isinstance(shapes[position], list | tuple):
            raise ShapeError(f"node '{self.name}' states no shape")
        if len(shapes[position]) > MAX_RANK:
            raise ShapeError(f"{len(shapes[position])} dimensions, more than {MAX_RANK}")
        sizes = [-1 if size is None else whole(size, "a size") for size in shapes[position]]
        if sizes and sizes[0] < 1:
            sizes[0] = 1
        if any(not 1 <= size <= MAX_ELEMENTS for size in sizes):
            raise ShapeError(f"shape {sizes}")
        return tuple(sizes)

    def number(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        value = self.attributes.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
            raise ShapeError(f"{name} is {value!r:.40}, no number")
        return float(value)

    def count(self, *names: str, default: int) -> int:
        """The first of some attributes that is there, a whole number above 0."""
        value = next((self.attributes[name] for name in names if self.attributes.get(name)), default)
        found = whole(value, names[0])
        if found < 1:
            raise ShapeError(f"{names[0]} is {found}")
        return found

    def numbers(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of whole numbers; None where it is absent or empty."""
        values = self.attributes.get(name)
        if not values:
            return None
        if not isinstance(values, list | tuple) or len(values) > 2 * MAX_RANK:
            raise ShapeError(f"{name} is {values!r:.40}, no list of numbers")
        return tuple([whole(value, name) for value in values])


_LARGEST = 1e30


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def whole(value: Any, what: str) -> int:
    """A whole number of the file."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
        raise ShapeError(f"{what} is {value!r:.40}, no whole number")
    if value != int(value):
        raise ShapeError(f"{what} is {value!r:.40}, no whole number")
    return int(value)


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
        source = next((self.nodes[s] for s in node.inbounds if self.results.get(s)), None)
        if source is None:
            raise ShapeError(f"node '{node.name}' reads no node that has a result")
        return self.turned(source.shape_of(source.output_shapes, 0))

    def out_shape(self, node: IrNode) -> tuple[int, ...]:
        """Shape of the first result, channels first."""
        return self.turned(node.shape_of(node.output_shapes, 0))

    def channels(self, node: IrNode, shape: Sequence[int]) -> int:
        """The channels of one of a node's shapes, channels first."""
        if len(shape) < 2:
            raise ShapeError(f"node '{node.name}' has a shape without channels, {list(shape)}")
        return shape[1]

    def window(self, node: IrNode) -> dict[str, Any]:
        """Attributes of a sliding window."""
        a = node.attributes
        kernel = _plane(next((a[name] for name in _KERNELS if a.get(name)), None), "kernel_shape")
        strides = _plane(a.get("strides") or a.get("stride") or (1, 1), "strides")
        dilations = _plane(a.get("dilations") or (1, 1), "dilations")
        padding = a.get("padding") or a.get("auto_pad") or ""
        padding = padding.removeprefix("b'").rstrip("'") if isinstance(padding, str) else ""
        pads = node.numbers("pads") or (0, 0, 0, 0)
        if padding.startswith("SAME"):
            sizes = self.in_shape(node)[2:]
            if len(sizes) != len(kernel):
                raise ShapeError(f"a window of rank {len(kernel)} meets an input with {len(sizes)} spatial dimensions")
            extents = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
            pads = same_pads(sizes, extents, strides)
        elif padding == "VALID":
            pads = (0, 0, 0, 0)
        elif len(pads) != 4:
            raise ShapeError(f"pads are {list(pads)}, not four")
        elif not self.channels_first:  # TensorFlow's converter states top, bottom, left, right
            pads = (pads[0], pads[2], pads[1], pads[3])
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        if max(dilations) > 1:
            attributes["dilations"] = dilations
        return attributes


_KERNELS = ("kernel_shape", "ksize", "ks", "kernel_size")


def _plane(values: Any, what: str) -> tuple[int, int]:
    """Two sizes from one, from two, or from four with batch and channels around or before them."""
    sizes = [whole(v, what) for v in values] if isinstance(values, list | tuple) else [whole(values, what)] * 2
    if len(sizes) == 4:
        sizes = sizes[1:3]
    if not sizes or min(sizes) < 1:
        raise ShapeError(f"{what} is {sizes}")
    return (sizes[0], sizes[-1])
