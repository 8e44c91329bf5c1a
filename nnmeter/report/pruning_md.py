"""A pruned model as Markdown, for an issue or a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.pruning import HEADINGS, idle_sentences, removal_row, sentence_of
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.pruning.pruned import Pruned


def render(pruned: Pruned, layout: Layout) -> str:
    """A heading, the table of removals, and what gains nothing."""
    lines = [f"**{escape(pruned.model)}** on {escape(pruned.before.device)}: {sentence_of(pruned)}", ""]
    if pruned.removals:
        rows = [removal_row(removal) for removal in pruned.removals]
        lines += [*markdown_table(HEADINGS, "lrrrrrr", rows), ""]
    lines += [f"- {escape(sentence)}" for sentence in idle_sentences(pruned)]
    return "\n".join(lines).rstrip("\n") + "\n"
