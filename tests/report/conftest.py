import pytest

from nnmeter.graph.notes import Note
from nnmeter.prediction.interval import Coverage, Interval
from nnmeter.prediction.prediction import Prediction
from nnmeter.prediction.priced_kernel import PricedKernel
from nnmeter.predictor.trained_range import Gap
from tests.cli.conftest import cli

__all__ = ["cli"]


@pytest.fixture
def prediction() -> Prediction:
    """Fourteen kernels of 1 to 14 ms, the third priced by the fallback, and 5 ms of overhead."""
    kernels = tuple(
        PricedKernel(
            name=f"/layer{i}/Conv",
            type="Einsum" if i == 3 else "nchwc.Conv+Relu",
            latency_ms=float(i),
            source="fallback" if i == 3 else "trained",
            nodes=(f"/layer{i}/Conv", f"/layer{i}/Relu"),
            flops=1000 * i,
            bytes=100 * i,
            outside=0.0,
            gaps=(Gap("operator", "Einsum", "matmul", "float32"),) if i == 3 else (),
            operator="Einsum" if i == 3 else "Conv",
            place=f"/layer{i}/Conv",
        )
        for i in range(1, 15)
    )
    return Prediction(
        model="models/net|1.onnx",
        device="test-cpu-1t",
        latency_ms=110.0,
        interval_ms=Interval(100.0, 121.0, 0.9),
        confidence=0.9,
        coverage=Coverage(102 / 105, 3 / 105),
        kernels=kernels,
        overhead_ms=5.0,
        warnings=(Note("[bold]beware", "unused"),),
        advice=("nnmeter profile --like 'models/net|1.onnx'",),
    )
