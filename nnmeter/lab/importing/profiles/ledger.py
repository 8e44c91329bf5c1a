"""The account of an import: every row of every file is imported, or refused with a reason.

What a row is, the reader of a format says: an event of a trace, a line of a table. Of a file that nobody can read the
whole file is one row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_EXAMPLES = 3
_LONGEST = 80


@dataclass
class FileAccount:
    """The rows of one file.

    Attributes:
        file: its path.
        format: what it is.
        rows: how many it has.
        refused: how many were refused, by reason.
        examples: names of some of these rows, by reason.
    """

    file: str
    format: str
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def accept(self, count: int = 1) -> None:
        """Count rows that were imported."""
        self.rows += count

    def refuse(self, reason: str, row: str = "", count: int = 1) -> None:
        """Count rows that were not."""
        if not count:
            return
        self.rows += count
        self.refused[reason] += count
        some = self.examples.setdefault(reason, [])
        if row and len(some) < _EXAMPLES and row[:_LONGEST] not in some:
            some.append(row[:_LONGEST])

    def restart(self) -> None:
        """Forget what was counted: the file is refused as a whole after all."""
        self.rows = 0
        self.refused.clear()
        self.examples.clear()

    @property
    def imported(self) -> int:
        """Rows that were imported."""
        return self.rows - sum(self.refused.values())

    def to_dict(self) -> dict[str, Any]:
        """The account as JSON data."""
        return {
            "file": self.file,
            "format": self.format,
            "rows": self.rows,
            "imported": self.imported,
            "refused": dict(self.refused.most_common()),
            "examples": {reason: rows for reason, rows in self.examples.items() if rows},
        }
