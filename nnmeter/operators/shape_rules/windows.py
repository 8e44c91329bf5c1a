"""Shapes of convolutions, poolings and other operators that slide a window.

Rules (ONNX operator documentation, Conv and MaxPool):
1. Extent of a window: `dilation * (kernel - 1) + 1`.
2. Outputs along an axis: `(size + pads - extent) / stride + 1`, rounded down, or up with `ceil_mode`; a last window
   that would start in the padding behind the data is dropped. With `ceil_mode` a window may be larger than the data
   by less than a stride.
3. `auto_pad` SAME_*: `ceil(size / stride)`; VALID: no padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import Context, Inputs, Rule, ShapeError, present, product, show, table


def window_outputs(node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
    """Sizes of the output of a sliding window.

    Args:
        node: gives strides, pads, dilations, auto_pad and ceil_mode.
        sizes: spatial sizes of the input.
        kernel: spatial sizes of the window.
    """
    attributes = node.attributes
    rank = len(sizes)
    if len(kernel) != rank:
        raise ShapeError(f"a window of rank {len(kernel)} meets an input with {rank} spatial dimensions")
    strides = attributes.get("strides") or (1,) * rank
    dilations = attributes.get("dilations") or (1,) * rank
    mode = attributes.get("auto_pad", "NOTSET") or "NOTSET"
    pads = attributes.get("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank or len(strides) != rank or len(dilations) != rank or min(strides) < 1:
        raise ShapeError(f"strides {strides}, pads {pads}, dilations {dilations} do not fit {rank} spatial dimensions")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        return tuple([-(-size // stride) for size, stride in zip(sizes, strides, strict=True)])
    if mode == "VALID":
        pads = (0,) * (2 * rank)
    ceil_mode = attributes.get("ceil_mode", 0)
    result = []
    for axis in range(rank):
        size, stride, before = sizes[axis], strides[axis], pads[axis]
        free = size + before + pads[axis + rank] - dilations[axis] * (kernel[axis] - 1) - 1
        if ceil_mode:
            count = -(-free // stride) + 1
            if (count - 1) * stride >= size + before:
                count -= 1
        else:
            count = free // stride + 1
        if count < 1:
            raise ShapeError(f"the window {show(tuple(kernel))} is larger than the input {show(tuple(sizes))}")
        result.append(count)
    return tuple(result)


def convolution(data: int, weight: int, channels: bool = True) -> Rule:
    """The rule of a convolution whose data and weights are these inputs."""

    def rule(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
        x, w = present(inputs, data), present(inputs, weight).shape
        if channels:
            groups = node.attributes.get("group", 1)
            if len(x.shape) != len(w) or len(w) < 3 or x.shape[1] != w[1] * groups or groups < 1 or w[0] % groups:
                raise ShapeError(f"weights {show(w)} in {groups} groups do not fit the input {show(x.shape)}")
        kernel = node.attributes.get("kernel_shape") or w[2:]
        return (TensorType(x.dtype, (x.shape[0], w[0], *window_outputs(node, x.shape[2:], kernel))),)

    return rule


def retyped(rule: Rule, dtype: str) -> Rule:
    """A rule whose outputs have another element type."""
    return lambda node, inputs, context: [TensorType(dtype, t.shape) for t in rule(node, inputs, context)]


def retyped_as(rule: Rule, position: int) -> Rule:
    """A rule whose first output has the element type of an input."""
    return lambda node, inputs, context: [
        TensorType(present(inputs, position).dtype, t.shape) for t in rule(node, inputs, context)
    ]


def _transposed(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, w = present(inputs, 0), present(inputs, 1).shape
    found = transposed_shape(node, x, w)
    smaller = _without_negative_pads(node, x.shape[2:], w[2:], found.shape[2:])
    if smaller is not None:
        context.note(
            node,
            f"is {show(found.shape[2:])} by the standard, as it is counted; a runtime that pads nothing in the place "
            f"of a negative padding, as ONNX Runtime, makes it {show(smaller)}",
        )
    return (found,)


def _without_negative_pads(
    node: Node, sizes: Sequence[int], window: Sequence[int], found: Sequence[int]
) -> tuple[int, ...] | None:
    """The spatial sizes where SAME would ask for negative padding, and none is made; None where it does not."""
    attributes = node.attributes
    if attributes.get("auto_pad") not in ("SAME_UPPER", "SAME_LOWER") or attributes.get("output_shape"):
        return None
    rank = len(sizes)
    strides = attributes.get("strides") or (1,) * rank
    dilations = attributes.get("dilations") or (1,) * rank
    extra = attributes.get("output_padding") or (0,) * rank
    kernel = attributes.get("kernel_shape") or window
    whole = [strides[i] * (sizes[i] - 1) + extra[i] + dilations[i] * (kernel[i] - 1) + 1 for i in range(rank)]
    smaller = tuple([min(a, b) for a, b in zip(whole, found, strict=True)])
    return smaller if smaller != tuple(found) else None


def transposed_shape(node: Node, x: TensorType, w: tuple[int, ...], given: Sequence[int] | None = None) -> TensorType:
    """The type that a transposed convolution writes; `given` are pads that no attribute has."""
    attributes = node.attributes
    sizes = x.shape[2:]
    rank = len(sizes)
    channels = w[1] * attributes.get("group", 1)
    declared = attributes.get("output_shape")
    if declared:
        return TensorType(x.dtype, (x.shape[0], channels, *declared[-rank:]))
    kernel = attributes.get("kernel_shape") or w[2:]
    strides = attributes.get("strides") or (1,) * rank
    dilations = attributes.get("dilations") or (1,) * rank
    extra = attributes.get("output_padding") or (0,) * rank
    mode = attributes.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        spatial = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    else:
        pads = (0,) * (2 * rank) if mode == "VALID" else given or attributes.get("pads") or (0,) * (2 * rank)
        spatial = [
            strides[i] * (sizes[i] - 1) + extra[i] + dilations[i] * (kernel[i] - 1) + 1 - pads[i] - pads[i + rank]
            for i in range(rank)
        ]
    return TensorType(x.dtype, (x.shape[0], channels, *spatial))


def pool(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """A pooling with a window: values, and for MaxPool their indices."""
    x = present(inputs, 0)
    shape = (*x.shape[:2], *window_outputs(node, x.shape[2:], node.attributes["kernel_shape"]))
    return TensorType(x.dtype, shape), TensorType("int64", shape)


def global_pool(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """A pooling over all spatial dimensions."""
    x = present(inputs, 0)
    return (TensorType(x.dtype, x.shape[:2] + (1,) * (len(x.shape) - 2)),)


def _unpool(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    declared = context.integers(node, 2)
    if declared:
        return (TensorType(x.dtype, tuple(declared)),)
    sizes, kernel = x.shape[2:], node.attributes["kernel_shape"]
    rank = len(sizes)
    strides = node.attributes.get("strides") or (1,) * rank
    pads = node.attributes.get("pads") or (0,) * (2 * rank)
    spatial = [(sizes[i] - 1) * strides[i] - pads[i] - pads[i + rank] + kernel[i] for i in range(rank)]
    return (TensorType(x.dtype, (*x.shape[:2], *spatial)),)


def _roi_pool(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, rois = present(inputs, 0), present(inputs, 1)
    return (TensorType(x.dtype, (rois.shape[0], x.shape[1], *node.attributes["pooled_shape"])),)


def _roi_align(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, rois = present(inputs, 0), present(inputs, 1)
    height, width = node.attributes.get("output_height", 1), node.attributes.get("output_width", 1)
    return (TensorType(x.dtype, (rois.shape[0], x.shape[1], height, width)),)


def _col2im(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    image, block = context.integers(node, 1) or [], context.integers(node, 2) or []
    return (TensorType(x.dtype, (x.shape[0], x.shape[1] // max(product(block), 1), *image)),)


def _grid_sample(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, grid = present(inputs, 0), present(inputs, 1)
    return (TensorType(x.dtype, (*x.shape[:2], *grid.shape[1:-1])),)


def _affine_grid(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    batch, _, *spatial = context.integers(node, 1) or (1, 1)
    return (TensorType(present(inputs, 0).dtype, (batch, *spatial, len(spatial))),)


_CONVOLUTION = convolution(0, 1)

RULES: dict[str, Rule] = table(
    ("Conv", _CONVOLUTION),
    ("DeformConv", _CONVOLUTION),
    ("ConvInteger", retyped(_CONVOLUTION, "int32")),
    ("QLinearConv", retyped_as(convolution(0, 3), 7)),
    ("ConvTranspose", _transposed),
    ("MaxPool AveragePool LpPool", pool),
    ("GlobalAveragePool GlobalMaxPool GlobalLpPool", global_pool),
    ("MaxUnpool", _unpool),
    ("MaxRoiPool", _roi_pool),
    ("RoiAlign", _roi_align),
    ("Col2Im", _col2im),
    ("GridSample", _grid_sample),
    ("AffineGrid", _affine_grid),
)
