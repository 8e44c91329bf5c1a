"""Kernels as a pandas frame. Pandas is imported when a frame is asked for; `nnmeter[lab]` brings it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from nnmeter.prediction.priced_kernel import PricedKernel


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


def kernel_frame(kernels: Sequence[PricedKernel], total_ms: float) -> pd.DataFrame:
    """A row a kernel, in the order of execution; see `Prediction.to_pandas`."""
    pandas = import_pandas()
    columns: dict[str, list[Any]] = {
        "name": [k.name for k in kernels],
        "type": [k.type for k in kernels],
        "operator": [k.operator for k in kernels],
        "latency_ms": [k.latency_ms for k in kernels],
        "share": [k.latency_ms / total_ms if total_ms else 0.0 for k in kernels],
        "source": [k.source for k in kernels],
        "flops": [float(k.flops) for k in kernels],  # a loop's may be larger than an int64
        "bytes": [float(k.bytes) for k in kernels],
        "module": [k.module for k in kernels],
        "nodes": [k.nodes for k in kernels],
    }
    return pandas.DataFrame(columns)
