"""Measurements as a pandas frame."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nnmeter.prediction.kernel_frame import import_pandas

if TYPE_CHECKING:
    import pandas as pd

_FIELDS = (
    "id", "granularity", "network", "family", "latency_ms", "min_ms", "median_ms", "p90_ms", "runs", "reference_ms",
    "threads", "batch", "sitting",
)  # fmt: skip


def read_measurements(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Measurements of a file, or of a directory that `profile` wrote, as a pandas frame, a row each.

    Columns: `id`, `granularity` ("kernel", "block" or "model"), `network`, `family`; `latency_ms`, mean of the middle
    60 % of the runs, corrected by the reference kernel, and `min_ms`, `median_ms` and `p90_ms`, uncorrected, all in
    milliseconds; `runs`, their number; `reference_ms`, the time of the reference kernel that `latency_ms` is corrected
    to; `half_a_ms` and `half_b_ms`, corrected times of the two halves of the runs, and `noise`, their difference over
    `latency_ms`; `threads`; `batch`, leading dimension of the first input; `sitting`; `kernels`, the number of kernels;
    `kernel_types`, a tuple of their fused names in the order of execution; `kernel_ms`, a tuple of their own times in
    milliseconds, empty where the runtime has no profiler. `frame.attrs["fingerprint"]` says what they were measured on.

    Raises:
        MeasurementError: nothing is there, or it is damaged, of another schema, or of several devices.
        ModuleNotFoundError: pandas is not installed.
    """
    pandas = import_pandas()
    from nnmeter.lab.measuring import store

    rows, fingerprint = store.read_measurements(path)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in _FIELDS}
    columns["half_a_ms"] = [row.half_ms[0] for row in rows]
    columns["half_b_ms"] = [row.half_ms[1] for row in rows]
    columns["noise"] = [
        abs(row.half_ms[0] - row.half_ms[1]) / row.latency_ms if row.latency_ms else 0.0 for row in rows
    ]
    columns["kernels"] = [len(row.kernels) for row in rows]
    columns["kernel_types"] = [tuple(kernel.type for kernel in row.kernels) for row in rows]
    columns["kernel_ms"] = [row.kernel_ms for row in rows]
    frame = pandas.DataFrame(columns)
    frame.attrs["fingerprint"] = fingerprint
    return frame
