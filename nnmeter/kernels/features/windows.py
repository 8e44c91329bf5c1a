"""Kernels that go over the map of an image in windows: pooling and resizing."""

from __future__ import annotations

from math import log2

from nnmeter.kernels.family import Family
from nnmeter.kernels.features.common import at, channels_first, log_size, product, result_of, shape_of
from nnmeter.kernels.kernel import KernelSignature

POOLING_NAMES = (
    "log_channels", "log_in_spatial", "log_out_spatial", "out_width", "kernel_area", "stride", "padded",
    "count_include_pad",
)  # fmt: skip


def pooling(s: KernelSignature) -> list[float]:
    """In the order of `POOLING_NAMES`."""
    x, y = channels_first(s)
    window = s.attribute("kernel_shape")
    strides = s.attribute("strides")
    pads = s.attribute("pads")
    return [
        log_size(at(x, 1, 1)),
        log_size(product(x[2:])),
        log_size(product(y[2:])),
        float(min(y[-1] if y else 1, 256)),
        float(product(window) if window else product(x[2:])),
        float(at(strides, 0, 1)),
        float(any(pads) if pads else 0),
        float(s.attribute("count_include_pad", 0)),
    ]


RESIZE_NAMES = (
    "mode", "log_scale", "log_channels", "log_out_width", "coordinate", "antialias", "resized_axes", "exclude_outside",
)  # fmt: skip
_RESIZE_MODES = {"nearest": 0.0, "linear": 1.0, "bilinear": 1.0, "cubic": 2.0, "bicubic": 2.0}
_COORDINATES = {"asymmetric": 0.0, "half_pixel": 1.0, "pytorch_half_pixel": 2.0, "align_corners": 3.0}


def resize(s: KernelSignature) -> list[float]:
    """In the order of `RESIZE_NAMES`."""
    x, y = shape_of(s, 0), result_of(s)
    return [
        _RESIZE_MODES.get(s.attribute("mode", "nearest"), -1.0),
        log2((1 + product(y)) / (1 + product(x))),
        log_size(at(x, 1, 1)),
        log_size(y[-1] if y else 1),
        _COORDINATES.get(s.attribute("coordinate_transformation_mode", "half_pixel"), -1.0),
        float(s.attribute("antialias", 0)),
        float(sum(a != b for a, b in zip(x, y, strict=False))),
        float(s.attribute("exclude_outside", 0)),
    ]


FAMILIES = (
    Family(
        "pooling", POOLING_NAMES, pooling,
        frozenset({"kernel_shape", "strides", "pads", "count_include_pad", "channels_last"}),
    ),
    Family(
        "resize", RESIZE_NAMES, resize,
        frozenset({"mode", "coordinate_transformation_mode", "antialias", "exclude_outside"}),
    ),
)  # fmt: skip
