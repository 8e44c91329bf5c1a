"""Measurements of whole models for a person at a terminal."""

from __future__ import annotations

from nnmeter.lab.report.measurements import HEADINGS, Sitting, cells, facts
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text


def render(sitting: Sitting, layout: Layout) -> str:
    """A row a model, then how far they can be trusted."""
    text = Text(layout.width, layout.colour)
    text.add(f"measured with {text.bold(sitting.device)}")
    text.add_table(HEADINGS, "n" + "r" * (len(HEADINGS) - 1), [[cells(m) for m in sitting.measurements]])
    text.add_facts(facts(sitting))
    return str(text)
