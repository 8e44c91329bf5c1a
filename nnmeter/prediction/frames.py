"""Predictions as a pandas frame, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.prediction.kernel_frame import import_pandas

if TYPE_CHECKING:
    import pandas as pd

    from nnmeter.prediction.prediction import Prediction


def predictions_to_pandas(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """Predictions as a pandas frame, a row each, in order.

    Columns: `model` and `device`; `latency_ms`, `low_ms` and `high_ms`, the predicted time and the ends of its interval
    in milliseconds; `confidence` of the interval, 0 to 1; `trained` and `fallback`, shares of the kernels' time, and
    `outside`, that of kernels outside of the trained range, 0 to 1; `kernels`, their number; `overhead_ms`; `flops` and
    `bytes` of all kernels; and a column `dim_NAME` for each dimension that a size was given to, missing (NA) for models
    without it.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    pandas = import_pandas()
    columns: dict[str, Any] = {
        "model": [p.model for p in predictions],
        "device": [p.device for p in predictions],
        "latency_ms": [p.latency_ms for p in predictions],
        "low_ms": [p.interval_ms.low for p in predictions],
        "high_ms": [p.interval_ms.high for p in predictions],
        "confidence": [p.confidence for p in predictions],
        "trained": [p.coverage.trained for p in predictions],
        "fallback": [p.coverage.fallback for p in predictions],
        "outside": [p.outside_share for p in predictions],
        "kernels": [len(p.kernels) for p in predictions],
        "overhead_ms": [p.overhead_ms for p in predictions],
        "flops": [float(sum(k.flops for k in p.kernels)) for p in predictions],
        "bytes": [float(sum(k.bytes for k in p.kernels)) for p in predictions],
    }
    for name in dict.fromkeys(name for p in predictions for name in p.dims):
        columns[f"dim_{name}"] = pandas.array([p.dims.get(name) for p in predictions], dtype="Int64")
    return pandas.DataFrame(columns)
