"""What was imported from published latencies, for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from nnmeter.report.registry import Layout
from nnmeter.report.text import Text


def render(report: Mapping[str, Any], layout: Layout) -> str:
    """A row a device: rows imported and refused; below, why rows were refused and what was passed over."""
    text = Text(layout.width, layout.colour)
    rows = []
    reasons: Counter[str] = Counter()
    for name, counts in report["devices"].items():
        refused = sum(counts["refused"].values())
        reasons.update(counts["refused"])
        numbers = (counts["rows"], counts["imported_rows"], refused, counts["measurements"])
        rows.append((name, *(f"{number:,}" for number in numbers)))
    text.add_table(("device", "rows", "imported", "refused", "measurements"), "nrrrr", [rows])
    if reasons:
        examples = report["examples"]
        text.add_table(
            ("refused rows", "reason", "such as"),
            "rtt",
            [[(f"{count:,}", reason, ", ".join(examples[reason])) for reason, count in reasons.most_common()]],
        )
    text.add_facts([("passed over", f"{name}: {reason}") for name, reason in report["passed_over"].items()])
    return str(text)
