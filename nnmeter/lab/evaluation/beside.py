"""What was measured beside what is predicted of it, kernel by kernel.

1. Kernels are those that the runtime executed, so that each stands beside itself; their names and modules are those of
   the model's file.
2. Their measured times are those of an unobserved run (`nnmeter.lab.evaluation.kernel_times`), and sum to the model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.lab.evaluation.kernel_times import unobserved_kernel_ms
from nnmeter.prediction.predict import predict_on
from nnmeter.report.page.content import Subject
from nnmeter.report.timeline import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.graph.ir import Graph
    from nnmeter.kernels.kernel import Kernel
    from nnmeter.lab.measuring.sitting import SittingResult
    from nnmeter.prediction.predict import Detect, LatencyPredictor


def predicted_beside(done: SittingResult, predictor: LatencyPredictor, sizes: InputSizes) -> list[Subject]:
    """Each model of a session with its prediction and what was measured of it.

    Args:
        done: the session.
        predictor: of the device that it is compared with.
        sizes: that the models were measured at.
    """
    subjects = []
    for measurement, (path, kernels) in zip(done.measurements, done.executed, strict=True):
        (prediction,) = predict_on([predictor], path, sizes, detectors=[_executed(kernels)])
        kernel_ms = unobserved_kernel_ms(measurement) if measurement.kernel_ms else None
        measured = Measured(measurement.latency_ms, () if kernel_ms is None else tuple(map(float, kernel_ms)))
        subjects.append(Subject(prediction, predictor.pack.predictor.roofline, measured=measured))
    return subjects


def _executed(kernels: Sequence[Kernel]) -> Detect:
    """A detector that has seen the kernels (rule 1)."""

    def detect(_: Graph) -> list[Kernel]:
        return list(kernels)

    return detect
