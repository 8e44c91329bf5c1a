"""Shapes of convolutions, pooling, resizing and everything else over spatial axes."""

from __future__ import annotations

from math import ceil, floor

from nnmeter.graph.ir import TensorType
from nnmeter.graph.stopgap.base import NodeView, Rule, product


def _spatial(
    view: NodeView, sizes: tuple[int, ...], window: tuple[int, ...], dilated: bool, rounding_up: bool
) -> tuple[int, ...]:
    """Output sizes of a sliding window (ONNX operators Conv and MaxPool, `auto_pad` and `ceil_mode` included)."""
    attributes = view.attributes
    count = len(sizes)
    strides = attributes.get("strides") or (1,) * count
    dilations = (attributes.get("dilations") or (1,) * count) if dilated else (1,) * count
    pads = attributes.get("pads") or (0,) * (2 * count)
    auto = attributes.get("auto_pad", "NOTSET")
    if len(window) != count or len(strides) != count or len(dilations) != count or len(pads) != 2 * count:
        raise view.fault(f"kernel_shape, strides, dilations or pads do not fit {count} spatial axes")
    result = []
    for i, size in enumerate(sizes):
        extent = (window[i] - 1) * dilations[i] + 1
        stride = strides[i]
        if stride < 1 or extent < 1:
            raise view.fault("a stride or window is not positive")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            result.append(-(-size // stride))
            continue
        padded = size + (0 if auto == "VALID" else pads[i] + pads[i + count])
        if rounding_up:
            length = -(-(padded - extent) // stride) + 1
            if (length - 1) * stride >= size + (0 if auto == "VALID" else pads[i]):  # a window in the padding alone
                length -= 1
        else:
            length = (padded - extent) // stride + 1
        if length < 1:
            raise view.fault(f"the window of {extent} is larger than its input of {padded}")
        result.append(length)
    return tuple(result)


def _convolution(data: int, weight: int, out_dtype: str | None = None) -> Rule:
    def rule(view: NodeView) -> list[TensorType]:
        x, w = view.type(data), view.shape(weight)
        if len(x.shape) < 3 or len(w) != len(x.shape):
            raise view.fault(f"input of rank {len(x.shape)} and weight of rank {len(w)} do not fit")
        window = view.attributes.get("kernel_shape") or w[2:]
        if view.node.domain != "com.microsoft.nchwc" and w[1] * view.attributes.get("group", 1) != x.shape[1]:
            raise view.fault(f"{x.shape[1]} channels, its weight and groups are for {w[1] * view.attributes.get('group', 1)}")
        sizes = _spatial(view, x.shape[2:], tuple(window), True, False)
        return [TensorType(out_dtype or x.dtype, (x.shape[0], w[0], *sizes))]

    return rule


def _qlinear_convolution(view: NodeView) -> list[TensorType]:
    found = _convolution(0, 3)(view)
    zero = view.optional_type(7)
    return [TensorType(zero.dtype if zero else found[0].dtype, found[0].shape)]


def _transposed_convolution(view: NodeView) -> list[TensorType]:
    x, w, attributes = view.type(0), view.shape(1), view.attributes
    count = len(x.shape) - 2
    if count < 1 or len(w) != len(x.shape):
        raise view.fault(f"input of rank {len(x.shape)} and weight of rank {len(w)} do not fit")
    window = attributes.get("kernel_shape") or w[2:]
    strides = attributes.get("strides") or (1,) * count
    dilations = attributes.get("dilations") or (1,) * count
    pads = attributes.get("pads") or (0,) * (2 * count)
    extra = attributes.get("output_padding") or (0,) * count
    given = attributes.get("output_shape")
    sizes = []
    for i, size in enumerate(x.shape[2:]):
        if given:
            sizes.append(given[len(given) - count + i])
        elif attributes.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
            sizes.append(size * strides[i])
        else:
            sizes.append(
                strides[i] * (size - 1) + extra[i] + (window[i] - 1) * dilations[i] + 1 - pads[i] - pads[i + count]
            )
    return [TensorType(x.dtype, (x.shape[0], w[1] * attributes.get("group", 1), *sizes))]


def _pool(view: NodeView) -> list[TensorType]:
    x = view.type(0)
    window = view.attributes.get("kernel_shape")
    if not window or len(x.shape) < 3:
        raise view.fault("kernel_shape is missing or its input has no spatial axes")
    channels_last = view.attributes.get("channels_last", 0)
    spatial = x.shape[1:-1] if channels_last else x.shape[2:]
    sizes = _spatial(view, spatial, tuple(window), True, bool(view.attributes.get("ceil_mode", 0)))
    shape = (x.shape[0], *sizes, x.shape[-1]) if channels_last else (*x.shape[:2], *sizes)
    return [TensorType(x.dtype, shape), TensorType("int64", shape)][: len(view.node.outputs)]


def _global_pool(view: NodeView) -> list[TensorType]:
    x = view.type(0)
    if view.attributes.get("channels_last", 0):
        return [TensorType(x.dtype, (x.shape[0], *(1,) * (len(x.shape) - 2), x.shape[-1]))]
    return [TensorType(x.dtype, x.shape[:2] + (1,) * (len(x.shape) - 2))]


def _resize(view: NodeView) -> list[TensorType]:
    x = view.type(0)
    if "output_shape" in view.attributes:
        return [TensorType(x.dtype, tuple(view.attributes["output_shape"]))]
    if view.node.domain == "com.microsoft.nchwc" or "scales" in view.attributes:
        scales = view.attributes.get("scales", (1,) * len(x.shape))
        return [TensorType(x.dtype, tuple(floor(s * f) for s, f in zip(x.shape, scales, strict=True)))]
    scale_position = 1 if view.node.op_type == "Upsample" or view.opset < 11 else 2
    axes = view.attributes.get("axes") or tuple(range(len(x.shape)))
    axes = [a + len(x.shape) if a < 0 else a for a in axes]
    shape = list(x.shape)
    sizes = view.optional_type(3)
    if sizes is not None and sizes.elements:
        given = view.integers(3) or ()
        policy = view.attributes.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratios = [size / x.shape[a] for size, a in zip(given, axes, strict=True)]
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            given = tuple(int(x.shape[a] * ratio + 0.5) for a in axes)
        for a, size in zip(axes, given, strict=True):
            shape[a] = size
        return [TensorType(x.dtype, tuple(shape))]
    scales = view.value(scale_position)
    if scales is None:
        raise view.unknown(scale_position)
    for a, scale in zip(axes, scales.ravel().tolist(), strict=True):
        shape[a] = floor(x.shape[a] * scale)
    return [TensorType(x.dtype, tuple(shape))]


def _reorder_output(view: NodeView) -> list[TensorType]:
    x = view.type(0)
    channels = view.attributes.get("channels", x.shape[1])
    if view.attributes.get("channels_last", 0):
        return [TensorType(x.dtype, (x.shape[0], *x.shape[2:], channels))]
    return [TensorType(x.dtype, (x.shape[0], channels, *x.shape[2:]))]


def _reorder_input(block: int) -> Rule:
    def rule(view: NodeView) -> list[TensorType]:
        x = view.type(0)
        if view.attributes.get("channels_last", 0):
            batch, *spatial, channels = x.shape
        else:
            batch, channels, *spatial = x.shape
        return [TensorType(x.dtype, (batch, -(-channels // block) * block, *spatial))]

    return rule


def _depth_to_space(view: NodeView) -> list[TensorType]:
    x, block = view.type(0), view.attributes.get("blocksize", 1)
    n, c, h, w = x.shape
    return [TensorType(x.dtype, (n, c // (block * block), h * block, w * block))]


def _space_to_depth(view: NodeView) -> list[TensorType]:
    x, block = view.type(0), view.attributes.get("blocksize", 1)
    n, c, h, w = x.shape
    return [TensorType(x.dtype, (n, c * block * block, h // block, w // block))]


def _grid_sample(view: NodeView) -> list[TensorType]:
    x, grid = view.type(0), view.shape(1)
    return [TensorType(x.dtype, (*x.shape[:2], *grid[1:-1]))]


def _affine_grid(view: NodeView) -> list[TensorType]:
    size = view.integers(1) or ()
    return [TensorType(view.type(0).dtype, (size[0], *size[2:], len(size) - 2))]


def _roi(view: NodeView) -> list[TensorType]:
    x, rois, attributes = view.type(0), view.shape(1), view.attributes
    pooled = attributes.get("pooled_shape") or (attributes.get("output_height", 1), attributes.get("output_width", 1))
    return [TensorType(x.dtype, (rois[0], x.shape[1], *pooled))]


def _max_unpool(view: NodeView) -> list[TensorType]:
    x, attributes = view.type(0), view.attributes
    given = view.integers(2)
    if given:
        return [TensorType(x.dtype, given)]
    window = attributes["kernel_shape"]
    strides = attributes.get("strides") or (1,) * len(window)
    pads = attributes.get("pads") or (0,) * (2 * len(window))
    sizes = [
        (size - 1) * strides[i] + window[i] - pads[i] - pads[i + len(window)] for i, size in enumerate(x.shape[2:])
    ]
    return [TensorType(x.dtype, (*x.shape[:2], *sizes))]


def _col2im(view: NodeView) -> list[TensorType]:
    x, image, block = view.type(0), view.integers(1) or (), view.integers(2) or ()
    return [TensorType(x.dtype, (x.shape[0], x.shape[1] // product(block), *image))]


def _stft_frames(samples: int, length: int, step: int) -> int:
    return max(ceil((samples - length + 1) / max(step, 1)), 0)


def _stft(view: NodeView) -> list[TensorType]:
    signal, step = view.type(0), (view.integers(1) or (1,))[0]
    window, length = view.optional_type(2), view.integers(3)
    size = length[0] if length else (window.shape[0] if window else signal.shape[1])
    bins = size // 2 + 1 if view.attributes.get("onesided", 1) else size
    return [TensorType(signal.dtype, (signal.shape[0], _stft_frames(signal.shape[1], size, step), bins, 2))]


RULES: dict[str, Rule] = {
    "Conv": _convolution(0, 1), "FusedConv": _convolution(0, 1), "ConvInteger": _convolution(0, 1, "int32"),
    "DeformConv": _convolution(0, 1), "QLinearConv": _qlinear_convolution, "ConvTranspose": _transposed_convolution,
    "MaxPool": _pool, "AveragePool": _pool, "LpPool": _pool, "QLinearAveragePool": _pool,
    "GlobalAveragePool": _global_pool, "GlobalMaxPool": _global_pool, "GlobalLpPool": _global_pool,
    "QLinearGlobalAveragePool": _global_pool, "Resize": _resize, "Upsample": _resize,
    "ReorderInput": _reorder_input(16), "ReorderOutput": _reorder_output, "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth, "GridSample": _grid_sample, "AffineGrid": _affine_grid, "RoiAlign": _roi,
    "MaxRoiPool": _roi, "MaxUnpool": _max_unpool, "Col2Im": _col2im, "STFT": _stft,
}  # fmt: skip
