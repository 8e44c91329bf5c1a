"""Convolutions: dense, grouped and depthwise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import log2

from nnmeter.kernels.family import Family
from nnmeter.kernels.features.common import FUSED_NAMES, at, channels_first, fused, log_size, product, shape_of
from nnmeter.kernels.kernel import KernelSignature

CONVOLUTION_NAMES = (
    "log_in_channels", "log_out_channels", "log_channels_per_group", "log_groups", "log_out_height", "log_out_width",
    "log_in_spatial", "log_out_spatial", "out_width", "kernel_height", "kernel_width", "kernel_area", "stride",
    "dilation", "padded", "blocks_mod_4", "out_channels_mod_16", "in_channels_mod_16", "out_width_mod_6",
    "log_column_bytes", "log_taps", *FUSED_NAMES, "log_taps_share",
)  # fmt: skip

_MOST_TAPS = 4096


def convolution(s: KernelSignature) -> list[float]:
    """In the order of `CONVOLUTION_NAMES`."""
    x, y = channels_first(s)
    w = _weight_shape(s)
    groups = s.attribute("group", 1)
    spatial = y[2:] or (1,)
    height, width = (spatial[-2], spatial[-1]) if len(spatial) > 1 else (1, spatial[-1])
    window = s.attribute("kernel_shape") or w[2:] or (1,)
    strides = s.attribute("strides")
    dilations = s.attribute("dilations")
    pads = s.attribute("pads")
    in_channels = at(x, 1, 1)
    out_channels = at(y, 1, 1)
    area = product(window)
    taps = _taps_inside(x[2:], spatial, window, strides, dilations, pads)
    return [
        log_size(in_channels),
        log_size(out_channels),
        log_size(in_channels // max(groups, 1)),
        log_size(groups),
        log_size(height),
        log_size(width),
        log_size(product(x[2:])),
        log_size(product(spatial)),
        float(min(width, 256)),
        float(window[-2] if len(window) > 1 else 1),
        float(window[-1]),
        float(area),
        float(at(strides, -1 % len(strides) if strides else 0, 1)),
        float(at(dilations, 0, 1)),
        float(any(pads) if pads else 0),
        float((out_channels + 15) // 16 % 4),
        float(out_channels % 16),
        float(in_channels % 16),
        float(width % 6),
        log_size(area * (in_channels // max(groups, 1)) * product(spatial) * 4),
        log_size(taps),
        *fused(s.type, area * (in_channels // max(groups, 1))),
        log2(max(taps, 0.01) / max(area, 1)),
    ]


def _weight_shape(s: KernelSignature) -> tuple[int, ...]:
    return shape_of(s, 3 if s.op_type in ("QLinearConv", "QLinearConvTranspose") else 1)


def _taps_inside(
    sizes: Sequence[int],
    outputs: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
) -> float:
    """Mean number of taps of an output that lie on data; runtimes skip those that lie on padding.

    With a dilation near the size of the map, as in atrous pyramids, that is far less than the window has.
    """
    result = 1.0
    for axis, (size, count, taps) in enumerate(zip(sizes, outputs, window, strict=False)):
        result *= _share_inside(
            size, count, taps, max(at(strides, axis, 1), 1), at(dilations, axis, 1), at(pads, axis, 0)
        )
    return result


@lru_cache(maxsize=4096)
def _share_inside(size: int, count: int, taps: int, stride: int, dilation: int, pad: int) -> float:
    """Mean number of taps on data along one axis; maps are mostly square, and a network has few sizes of them.

    Of more than `_MOST_TAPS` taps, as only a made-up file has, every so many-th stands for those around it.
    """
    inside = 0
    step = -(-taps // _MOST_TAPS)
    for tap in range(0, taps, max(step, 1)):
        offset = tap * dilation - pad
        first = max(0, -(offset // stride)) if offset < 0 else 0
        last = min(count - 1, (size - 1 - offset) // stride)
        inside += max(0, last - first + 1)
    return inside * step / max(count, 1)


def _is_dense(s: KernelSignature) -> bool:
    return bool(s.attribute("group", 1) == 1)


def _is_depthwise(s: KernelSignature) -> bool:
    """Whether every filter sees one channel."""
    return not _is_dense(s) and at(_weight_shape(s), 1, 0) == 1


def _is_grouped(s: KernelSignature) -> bool:
    return not _is_dense(s) and not _is_depthwise(s)


# Dense, grouped and depthwise convolutions are different algorithms under one name.
FAMILIES = tuple(
    Family(
        name, CONVOLUTION_NAMES, convolution,
        frozenset({"group", "kernel_shape", "strides", "dilations", "pads", "channels_last"}), "convolution", describes,
    )
    for name, describes in (
        ("convolution", _is_dense), ("grouped_convolution", _is_grouped), ("depthwise_convolution", _is_depthwise),
    )
)  # fmt: skip
