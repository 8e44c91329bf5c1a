"""What formats that are read by programs have in common: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from nnmeter.report.indenting import indented_json
from nnmeter.report.text import printable


def to_json(content: Any) -> str:
    """JSON as reports have it. Names are as they are in the model; control characters are escaped, all of them.

    Raises:
        ValueError: a number is not finite.
    """
    text = indented_json(content)
    # `json` escapes those below a blank; a terminal takes some above 126 for commands, or turns what follows round.
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)
    return text + "\n"


def _escaped(character: str) -> str:
    # `json` leaves the delete character as it is; above 16 bits it writes two escapes.
    return f"\\u{ord(character):04x}" if ord(character) < 1 << 16 else json.dumps(character)[1:-1]


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A header and rows; floats as they are given, texts without control characters and formulas."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(list(map(_cell, columns)))
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula: names come from files, and formulas can call programs."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
