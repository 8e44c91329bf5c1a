"""A pruned model as a table for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.machine import warn_of_another_machine
from nnmeter.report.pruning import HEADINGS, KINDS, idle_sentences, removal_row, sentence_of
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.pruning.pruned import Pruned


def render(pruned: Pruned, layout: Layout) -> str:
    """The gain, a row for each group of layers that loses channels, and what gains nothing."""
    text = Text(layout.width, layout.colour)
    warning = warn_of_another_machine([pruned.before])
    if warning:
        text.add_wrapped(warning)
    text.add(f"{text.bold(pruned.model)} on {pruned.before.device}")
    text.add(text.bold(sentence_of(pruned)))
    if pruned.removals:
        text.add_table(HEADINGS, KINDS, [[removal_row(removal) for removal in pruned.removals]])
    for sentence in idle_sentences(pruned):
        text.add_wrapped(sentence)
    text.add_warnings(list(dict.fromkeys(str(w) for w in (*pruned.before.warnings, *pruned.after.warnings))))
    return str(text)
