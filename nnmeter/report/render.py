"""From a format's name to its renderer; a new report is a new module and a line in the table."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.report.groups import GroupReport

# A renderer's module has `render(predictions, layout) -> str`. It is imported when used.
FORMATS: dict[str, str] = {
    "table": "nnmeter.report.table",
    "json": "nnmeter.report.json",
    "csv": "nnmeter.report.csv",
    "md": "nnmeter.report.markdown",
}


@dataclass(frozen=True)
class Layout:
    """How a report is laid out.

    Attributes:
        several: one row (or list item) a model, as for several models or a folder, even when there is only one.
        width: columns that a line may take.
        colour: whether a terminal reads it, with colour.
        explain: say of each kernel outside of the trained range what is missing.
    """

    several: bool = False
    width: int = 100
    colour: bool = False
    explain: bool = False


def render(predictions: Sequence[Prediction], report_format: str, layout: Layout | None = None) -> str:
    """The report of `predictions` as a text that ends with a newline.

    Args:
        predictions: what to report, in order.
        report_format: a key of `FORMATS`.
        layout: how to lay it out; several rows if there are several predictions, when not given.
    """
    module = importlib.import_module(FORMATS[report_format])
    text: str = module.render(predictions, layout or Layout(several=len(predictions) != 1))
    return text


def render_groups(report: GroupReport, report_format: str, layout: Layout) -> str:
    """The report of time by group; a format is a module `nnmeter.report.groups_FORMAT`."""
    text: str = importlib.import_module(f"nnmeter.report.groups_{report_format}").render(report, layout)
    return text
