"""What-if as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.registry import Layout
from nnmeter.report.whatif_table import sentence_of, table_of

if TYPE_CHECKING:
    from nnmeter.advice.what_if import WhatIf


def render(found: Sequence[WhatIf], layout: Layout) -> str:
    """A heading and a table a device."""
    parts = []
    for one in found:
        headings, kinds, rows = table_of(one)
        parts.append(f"**{escape(one.model)}** on {escape(one.device)}: {escape(sentence_of(one))}\n")
        parts += [*markdown_table(headings, kinds.replace("t", "l"), rows), ""]
    return "\n".join(parts).rstrip("\n") + "\n"
