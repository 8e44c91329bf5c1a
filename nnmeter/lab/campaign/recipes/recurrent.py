"""Recurrent layers: LSTM, GRU and RNN in one or two directions."""

from __future__ import annotations

from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import reshape, squeeze, transpose

GATES: dict[str, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent_layer(b: NetworkBuilder, x: Tensor, kind: str, hidden: int, directions: int) -> Tensor:
    """One layer on (length, batch, width); the result has the directions side by side in the width."""
    length, batch, width = x.shape
    gates = GATES[kind]
    scale = 0.5 / hidden**0.5
    inputs = [
        x,
        b.weight((directions, gates * hidden, width), scale),
        b.weight((directions, gates * hidden, hidden), scale),
    ]
    inputs.append(b.weight((directions, 2 * gates * hidden), 0.05))
    work = 2.0 * directions * gates * hidden * (width + hidden) * length * batch
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    direction = "bidirectional" if directions == 2 else "forward"
    shape = (length, directions, batch, hidden)
    y = b.node(kind, inputs, shape, flops=work, hidden_size=hidden, direction=direction, **extra)
    if directions == 1:
        return squeeze(b, y, [1])
    return reshape(b, transpose(b, y, [0, 2, 1, 3]), (length, batch, 2 * hidden))
