"""A prediction as node data of Model Explorer: milliseconds at the operators of the model, coloured.

1. The document is one `GraphNodeData` of `ai-edge-model-explorer` (`node_data_builder.py`, version 0.1): values by the
   names of operators, and a gradient. It names no graph, so that it fits whatever the graph is called.
2. The time of a kernel stands at the first operator that it absorbs, and the others have none: so the sums that Model
   Explorer shows for a module are right. Work that the runtime adds is at no operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction

_GRADIENT = ((0.0, "#fff7ec"), (0.5, "#fdbb84"), (1.0, "#b30000"))


def render(prediction: Prediction, layout: Layout) -> str:
    """One object."""
    results: dict[str, dict[str, float]] = {}
    for kernel in prediction.kernels:
        for number, node in enumerate(kernel.nodes):
            entry = results.setdefault(node, {"value": 0.0})
            if not number:
                entry["value"] += kernel.latency_ms
    return to_json({"results": results, "gradient": [{"stop": stop, "bgColor": colour} for stop, colour in _GRADIENT]})
