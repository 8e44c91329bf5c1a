"""How far do two measurements of the same models agree, hours apart, and would a second probe of the state help?

    python benchmarks/measured_twice.py [FIRST SECOND]     # files of measured models; the Zen 3 server's if not given

1. The second measurement is brought to the reference time of the first, as predictions and campaigns are. What they
   differ by then no predictor of another hour can do better than.
2. A probe of memory traffic beside the product would make the state of a machine two numbers: one for kernels that
   compute (convolutions, products, recurrent layers), one for all others. The best that it could do is known from the
   models themselves: the share of each model's time in both classes, as its profile has it, and the two factors that
   bring the first measurement to the second one, fitted to all models but the one that is judged. The same with one
   factor for all is what a better single probe could do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.kernels.features import kernel_family
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements

FOLDER = Path(__file__).resolve().parent.parent / "data" / "epyc-f25m1-onnxruntime1.32-1t"
COMPUTE = frozenset({"convolution", "grouped_convolution", "matmul", "blockwise_matmul", "recurrent", "attention"})
_STEPS, _CLIP = 50, 0.03

Array = np.ndarray[Any, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("first", nargs="?", type=Path, default=FOLDER / "development.parquet")
    parser.add_argument("second", nargs="?", type=Path, default=FOLDER / "development-2.parquet")
    options = parser.parse_args()
    first = {row.network: row for row in read_measurements(options.first)[0] if row.kernel_ms}
    second = {row.network: row for row in read_measurements(options.second)[0]}
    names = sorted(first.keys() & second.keys())
    if len(names) < 10:
        print(f"measured_twice.py: {len(names)} models are in both files, too few", file=sys.stderr)
        return 2
    reference_ms = first[names[0]].reference_ms
    one = np.array([first[name].latency_ms for name in names])
    two = np.array([second[name].at_reference(reference_ms).latency_ms for name in names])
    shares = np.array([share_of_compute(first[name]) for name in names])
    parts = one[:, None] * np.column_stack([shares, 1 - shares])
    print(f"{len(names)} models, the second measurement against the first: {said(two / one - 1)}")
    print(f"with one factor for all: {said(left_out(parts.sum(axis=1, keepdims=True), two) / two - 1)}")
    print(f"with one for kernels that compute and one for the rest: {said(left_out(parts, two) / two - 1)}")
    return 0


def share_of_compute(model: Measurement) -> float:
    """Share of the profiled time in kernels that compute (rule 2)."""
    times = np.array(model.kernel_ms)
    computes = np.array([kernel_family(kernel) in COMPUTE for kernel in model.kernels])
    return float(times[computes].sum() / times.sum())


def left_out(parts: Array, latency_ms: Array) -> Array:
    """Sum of the parts of each model, scaled by factors that the others were fitted with [models]."""
    found = []
    for number in range(len(parts)):
        others = np.arange(len(parts)) != number
        found.append(float(parts[number] @ factors(parts[others] / latency_ms[others, None])))
    return np.array(found)


def factors(design: Array) -> Array:
    """Factors of the columns that bring rows to 1, relative errors above 3 % counting linearly."""
    weight = np.ones(len(design))
    found = np.ones(design.shape[1])
    for _ in range(_STEPS):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(design * root[:, None], root, rcond=None)[0]
        weight = np.minimum(1.0, _CLIP / np.maximum(np.abs(design @ found - 1.0), 1e-9))
    return np.asarray(found)


def said(error: Array) -> str:
    """Errors in words."""
    return (
        f"±5 % {100 * np.mean(np.abs(error) <= 0.05):.1f}, ±10 % {100 * np.mean(np.abs(error) <= 0.1):.1f}, "
        f"mean {100 * np.abs(error).mean():.2f} %, median {100 * np.median(error):+.1f} %"
    )


if __name__ == "__main__":
    sys.exit(main())
