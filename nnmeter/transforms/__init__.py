"""Transforms: a graph without weights in, another out. What a model would take if it were changed.

1. A transform takes a model and gives another; it needs no weights, and the model given stays as it is.
2. Shapes are inferred anew by the same binding as those of a file. A transform that does not fit is refused with the
   reason (`TransformError`), before anything is predicted.
3. What the tools of a runtime would write is written as they write it, operator by operator, so that the device's
   fusion rules find in it the kernels that they would find in theirs.
"""

from nnmeter.transforms.faults import TransformError
from nnmeter.transforms.steps import (
    Batch,
    Channels,
    Dimensions,
    DropBlock,
    Quantize,
    RepeatBlock,
    ReplaceActivation,
    Resolution,
    Rewrite,
    SequenceLength,
    Transform,
    apply,
)

__all__ = [
    "Batch",
    "Channels",
    "Dimensions",
    "DropBlock",
    "Quantize",
    "RepeatBlock",
    "ReplaceActivation",
    "Resolution",
    "Rewrite",
    "SequenceLength",
    "Transform",
    "TransformError",
    "apply",
]
