"""Text in columns, for terminals and pipes alike.

Written out rather than taken from `rich`, whose import and first table take as long as reading and pricing a model
(60 ms of a cold `nnmeter predict`, which takes 300).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nnmeter.wording import printable, shorten

__all__ = ["GAP", "Text", "printable", "shorten"]

GAP = "   "
_BOLD, _DIM, _YELLOW, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[33m", "\x1b[0m"
_STYLES = re.compile(r"(\x1b\[(?:1|2|33|0)m)")
_NARROWEST = 12
_SENTENCE = 100  # where sentences are wrapped if there is no terminal whose width is known


class Text:
    """Lines of a report; bold and colour only where `colour` says that a terminal reads them."""

    def __init__(self, width: int | None, colour: bool) -> None:
        """Begin a report.

        Args:
            width: columns that a line may take; None where nothing is cut, and only sentences are wrapped.
            colour: whether a terminal reads it, with colour.
        """
        self.width = width or _SENTENCE
        self._cut_at = width
        self._colour = colour
        self._lines: list[str] = []

    def add(self, line: str = "") -> None:
        """Add a line as it is; an empty line is not repeated."""
        if line or (self._lines and self._lines[-1]):
            self._lines.append(self._safe(line))

    def add_wrapped(self, line: str) -> None:
        """Add a sentence, in as many lines as the width asks for."""
        import textwrap

        text, width = printable(line), max(self.width, 20)
        self._lines += textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]

    def add_warnings(self, warnings: Sequence[str]) -> None:
        """Add a line a warning."""
        for warning in warnings:
            self.add(f"{self._styled('warning:', _YELLOW)} {' '.join(warning.split())}")

    def add_table(self, headings: Sequence[str], kinds: str, sections: Sequence[Sequence[Sequence[str]]]) -> None:
        """Add a table between empty lines.

        Args:
            headings: of the columns.
            kinds: a letter a column: `l` to the left; `r` to the right; `n` a name and `t` a text, which lose
                their beginning and their end where the table is too wide, and stand to the left.
            sections: rows of cells; a rule separates sections.
        """
        widths = [
            max([len(heading), *(len(row[i]) for rows in sections for row in rows)])
            for i, heading in enumerate(headings)
        ]
        self._shrink(widths, kinds)
        rule = self._styled("─" * (sum(widths) + len(GAP) * (len(widths) - 1)), _DIM)
        self.add()
        self.add(self._styled(_row(headings, kinds, widths), _BOLD))
        for rows in sections:
            self.add(rule)
            self._lines += [_row(row, kinds, widths) for row in rows]
        self.add()

    def add_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Add lines of a name and a text, wrapped behind the names; a name that repeats is written once."""
        import textwrap

        column = max((len(name) for name, _ in facts), default=0) + 2
        last = ""
        for name, fact in facts:
            text, width = printable(" ".join(fact.split())), max(self.width - column, 30)
            # A path that does not fit stays whole: it is there to be copied.
            for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]:
                self.add(self.dim(("" if name == last else printable(name)).ljust(column)) + line)
                last = name

    def bold(self, text: str) -> str:
        """`text` in bold."""
        return self._styled(text, _BOLD)

    def dim(self, text: str) -> str:
        """`text` in faint letters."""
        return self._styled(text, _DIM)

    def __str__(self) -> str:
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        return "\n".join(self._lines) + "\n"

    def _safe(self, line: str) -> str:
        """A line whose only control characters are the styles of this report."""
        if line.isprintable():
            return line
        parts = _STYLES.split(line) if self._colour else [line]
        return "".join(part if at % 2 else printable(part) for at, part in enumerate(parts))

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._colour else text

    def _shrink(self, widths: list[int], kinds: str) -> None:
        """Narrow the widest columns of names and texts until the table fits, or they are as narrow as they may be."""
        if self._cut_at is None:
            return
        excess = sum(widths) + len(GAP) * (len(widths) - 1) - self._cut_at
        flexible = [i for i, kind in enumerate(kinds) if kind in "nt"]
        while excess > 0 and flexible:
            widest = max(flexible, key=lambda i: widths[i])
            if widths[widest] <= _NARROWEST:
                return
            widths[widest] -= 1
            excess -= 1


def _row(cells: Sequence[str], kinds: str, widths: Sequence[int]) -> str:
    return GAP.join(map(_fit, cells, kinds, widths)).rstrip()


def _fit(cell: str, kind: str, width: int) -> str:
    text = printable(" ".join(cell.split()))
    if len(text) > width:
        text = text[: width - 1] + "…" if kind == "t" else shorten(text, width)
    return text.rjust(width) if kind == "r" else text.ljust(width)
