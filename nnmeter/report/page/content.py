"""What a page is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from nnmeter.report.columns import format_dims

if TYPE_CHECKING:
    from nnmeter.comparison.comparison import Comparison
    from nnmeter.memory.memory import MemoryPrediction
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.predictor.roofline import Roofline
    from nnmeter.report.timeline import Measured


@dataclass(frozen=True, slots=True)
class Subject:
    """One prediction with what else is known of it.

    Attributes:
        prediction: the prediction.
        roofline: what the device reaches; None where it is not known.
        memory: the memory that the model takes; None where it is not known.
        comparison: with the baseline; None without one.
        measured: what was measured of the same; None where nothing was.
    """

    prediction: Prediction
    roofline: Roofline | None = None
    memory: MemoryPrediction | None = None
    comparison: Comparison | None = None
    measured: Measured | None = None

    @property
    def name(self) -> str:
        """Model, sizes and device, short."""
        prediction = self.prediction
        sizes = format_dims(prediction.dims)
        model = PurePath(prediction.model).name or prediction.model
        return f"{model}{f' ({sizes})' if sizes else ''} on {prediction.device}"


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        subjects: in the order in which they are shown.
    """

    subjects: Sequence[Subject]

    @property
    def title(self) -> str:
        """The models that it is about."""
        names = list(dict.fromkeys(PurePath(s.prediction.model).name or s.prediction.model for s in self.subjects))
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
