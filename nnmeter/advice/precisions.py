"""Which precision pays on a device: the model quantized in the ways of the runtime's own tools, each tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nnmeter.transforms import Quantize

if TYPE_CHECKING:
    from nnmeter.advice.trial import Trial, Workbench

# Variant -> why it is worth a try.
VARIANTS: dict[str, str] = {
    "qdq": "activations and weights in 8 bits, calibrated once",
    "qdq-channel": "as qdq, with a scale for each channel, which loses less",
    "qdq-s8s8": "as qdq, with signed activations, as other tools write them",
    "dynamic": "weights in 8 bits, activations quantized when the model runs, without a calibration",
    "int4-b32-a4": "weights of products in 4 bits, which are read in less time",
    "fp16": "all in half precision",
}


def try_precisions(bench: Workbench) -> Iterator[Trial]:
    """A trial of every variant that the model can be written in."""
    for variant, why in VARIANTS.items():
        trial = bench.try_change("precision", f"quantize: {variant}", why, "weights", Quantize(variant))
        if trial is not None and trial.comparison.verdict != "equal":
            yield trial
