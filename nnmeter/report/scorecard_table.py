"""A scorecard as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.report.machine import warn_of_measured_machine
from nnmeter.report.registry import Layout
from nnmeter.report.scorecard import scorecard_facts, scorecard_tables
from nnmeter.report.text import Text


def render(scorecard: Mapping[str, Any], layout: Layout) -> str:
    """Facts, then the tables."""
    text = Text(layout.width, layout.colour)
    warning = warn_of_measured_machine(scorecard.get("machine"))
    if warning:
        text.add_wrapped(warning)
    text.add(f"scorecard of {text.bold(str(scorecard.get('device', '')))}")
    text.add()
    text.add_facts(scorecard_facts(scorecard))
    for heading, columns, rows in scorecard_tables(scorecard):
        text.add_table((heading, *columns), ("n" if heading else "l") + "r" * len(columns), [rows])
    return str(text)
