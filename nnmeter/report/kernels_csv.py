"""The kernels of a model as CSV: a row a kernel, in the order of execution."""

from __future__ import annotations

from typing import Any

from nnmeter.report.documents import write_csv
from nnmeter.report.registry import Layout

_COLUMNS = ("name", "type", "nodes", "inputs", "outputs", "flops", "bytes", "count")


def render(document: dict[str, Any], layout: Layout) -> str:
    """The document of `kernels_to_dict`; several nodes or tensors are joined with `; `, an absent one is `-`."""
    return write_csv(_COLUMNS, ([_text(kernel.get(name, 1)) for name in _COLUMNS] for kernel in document["kernels"]))


def _text(value: Any) -> Any:
    return "; ".join("-" if item is None else str(item) for item in value) if isinstance(value, list) else value
