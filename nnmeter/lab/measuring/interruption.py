"""A session that was stopped by the user, with what it had measured by then."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.lab.measuring.measurement import Measurement


class MeasuringInterrupted(KeyboardInterrupt):
    """Ctrl-C while models were measured. Whoever does not catch it is interrupted as usual.

    Attributes:
        measurements: the models that had been timed in at least one pass, as if the session had ended there.
    """

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        super().__init__()
        self.measurements = tuple(measurements)
