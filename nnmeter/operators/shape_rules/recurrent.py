"""Shapes of recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import Context, Inputs, Rule, present, table


def _recurrent(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Y, Y_h and, for LSTM, Y_c. `layout` 1 puts the batch first."""
    x = present(inputs, 0)
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    hidden = node.attributes.get("hidden_size") or present(inputs, 2).shape[-1]
    if node.attributes.get("layout", 0):
        batch, steps, _ = x.shape
        whole, last = (batch, steps, directions, hidden), (batch, directions, hidden)
    else:
        steps, batch, _ = x.shape
        whole, last = (steps, directions, batch, hidden), (directions, batch, hidden)
    state = TensorType(x.dtype, last)
    return TensorType(x.dtype, whole), state, state


RULES: dict[str, Rule] = table(("LSTM GRU RNN DynamicQuantizeLSTM", _recurrent))
