"""What was imported from profiles, for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

_MOST_FILES = 20


def render(report: Mapping[str, Any], layout: Layout) -> str:
    """What came out; rows by format, or by file where there are few; below, why rows were refused."""
    text = Text(layout.width, layout.colour)
    text.add(
        f"{report['output']}: {report['measurements']:,} measurements, {report['kernels']:,} kernels, "
        f"{report['timed_kernels']:,} of them timed one by one"
    )
    files = report["files"]
    few = len(files) <= _MOST_FILES
    groups: dict[str, list[int]] = {}
    reasons: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for account in files:
        counts = groups.setdefault(account["file"] if few else account["format"], [0, 0, 0])
        counts[0] += account["rows"]
        counts[1] += account["imported"]
        counts[2] += account["rows"] - account["imported"]
        reasons.update(account["refused"])
        for reason, rows in account["examples"].items():
            examples.setdefault(reason, []).extend(rows)
    rows = [(name, *(f"{number:,}" for number in counts)) for name, counts in groups.items()]
    text.add_table(("file" if few else "format", "rows", "imported", "refused"), "nrrr", [rows])
    if reasons:
        text.add_table(
            ("refused rows", "reason", "such as"),
            "rtt",
            [[(f"{count:,}", why, ", ".join(examples.get(why, [])[:3])) for why, count in reasons.most_common()]],
        )
    return str(text)
