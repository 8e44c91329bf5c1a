"""The report of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.registry import CORE, Layout

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction


def render(predictions: Sequence[Prediction], report_format: str, layout: Layout | None = None) -> str:
    """The report of `predictions` as a text that ends with a newline.

    Args:
        predictions: what to report, in order.
        report_format: one of `CORE.formats("predictions")`.
        layout: how to lay it out; several rows if there are several predictions, when not given.
    """
    return CORE.render("predictions", predictions, report_format, layout or Layout(several=len(predictions) != 1))
