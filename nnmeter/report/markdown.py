"""Tables and text in Markdown, from names of whoever made the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnmeter.report.text import printable


def markdown_table(header: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; `align` has an `l` or `r` a column."""
    marks = ["---:" if side == "r" else "---" for side in align]
    return [_row(header), _row(marks), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"


def escape(text: str) -> str:
    """Text that is one cell and no markup: names come from files, and pages that show Markdown may take HTML in it."""
    return printable(text.replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")
