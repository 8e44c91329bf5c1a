"""What `verify_measurements` found, for a person at a terminal."""

from __future__ import annotations

from nnmeter.lab.campaign.verification import VerificationReport
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

_PROBLEMS_SHOWN = 20
_LEFT_OUT_SHOWN = 5


def render(report: VerificationReport, layout: Layout) -> str:
    """The first problems, a line each, or that there are none."""
    text = Text(layout.width, layout.colour)
    for problem in report.problems[:_PROBLEMS_SHOWN]:
        text.add(" ".join(problem.split()))
    if len(report.problems) > _PROBLEMS_SHOWN:
        text.add(f"and {len(report.problems) - _PROBLEMS_SHOWN} more problems")
    if report.left_out:
        few = ", ".join(report.left_out[:_LEFT_OUT_SHOWN]) + (" ..." if len(report.left_out) > _LEFT_OUT_SHOWN else "")
        text.add(f"{len(report.left_out)} rows have times that are absurd for their kernels; verbs leave out {few}")
    if not report.problems:
        text.add(f"{report.path}: {report.found}; no problems")
    return str(text)
