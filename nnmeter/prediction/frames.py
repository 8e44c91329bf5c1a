"""Predictions as pandas frames. Pandas is imported when a frame is asked for, and brought by `nnmeter[lab]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from nnmeter.prediction.prediction import Prediction


def import_pandas() -> Any:
    """The module pandas.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to install it.
    """
    try:
        import pandas
    except ModuleNotFoundError as fault:
        if fault.name != "pandas":
            raise
        message = "a frame needs pandas, which is not installed; pip install 'nnmeter[lab]'"
        raise ModuleNotFoundError(message, name="pandas") from None
    return pandas


def kernel_frame(prediction: Prediction) -> pd.DataFrame:
    """A row a kernel, in the order of execution; see `Prediction.to_pandas`."""
    pandas = import_pandas()
    total_ms = prediction.latency_ms
    columns: dict[str, list[Any]] = {
        "name": [k.name for k in prediction.kernels],
        "type": [k.type for k in prediction.kernels],
        "operator": [k.operator for k in prediction.kernels],
        "latency_ms": [k.latency_ms for k in prediction.kernels],
        "share": [k.latency_ms / total_ms if total_ms else 0.0 for k in prediction.kernels],
        "source": [k.source for k in prediction.kernels],
        "flops": [float(k.flops) for k in prediction.kernels],  # a loop's may be larger than an int64
        "bytes": [float(k.bytes) for k in prediction.kernels],
        "module": [k.module for k in prediction.kernels],
        "nodes": [k.nodes for k in prediction.kernels],
    }
    return pandas.DataFrame(columns)


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
