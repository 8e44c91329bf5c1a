"""What was imported from profiles, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(report: Mapping[str, Any], layout: Layout) -> str:
    """The report of `import_profiles`."""
    return to_json(report)
