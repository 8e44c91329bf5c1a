"""Recurrent layers: LSTM, GRU and RNN in one or two directions, from zero or from a state that is given."""

from __future__ import annotations

from typing import Any

from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import reshape, squeeze, transpose

GATES: dict[str, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}
CELLS = (64, 128, 128, 192, 256, 256, 320, 384, 400, 512, 512, 600, 640, 768, 768, 1024)
"""Numbers of cells as published networks of speech and text have them."""


def recurrent_layer(
    b: NetworkBuilder, x: Tensor, kind: str, hidden: int, directions: int, *, given: bool = False
) -> Tensor:
    """One layer on (length, batch, width); the result has the directions side by side in the width.

    Args:
        b: takes the layer.
        x: what it reads.
        kind: a key of `GATES`.
        hidden: number of cells.
        directions: 1 or 2.
        given: its state is an input of the network, and its last one an output, as in what runs step by step.
    """
    length, batch, width = x.shape
    gates = GATES[kind]
    scale = 0.5 / hidden**0.5
    state = (directions, batch, hidden)
    states = (2 if kind == "LSTM" else 1) if given else 0
    inputs: list[Tensor | None] = [
        x,
        b.weight((directions, gates * hidden, width), scale),
        b.weight((directions, gates * hidden, hidden), scale),
        b.weight((directions, 2 * gates * hidden), 0.05),
    ]
    if given:
        inputs += [None, *(b.input(state) for _ in range(states))]
    work = 2.0 * directions * gates * hidden * (width + hidden) * length * batch
    extra: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    direction = "bidirectional" if directions == 2 else "forward"
    shapes = [(length, directions, batch, hidden), *[state] * states]
    y = b.node_with_outputs(
        kind, inputs, shapes, dtype=x.dtype, flops=work, hidden_size=hidden, direction=direction, **extra
    )[0]
    if directions == 1:
        return squeeze(b, y, [1])
    return reshape(b, transpose(b, y, [0, 2, 1, 3]), (length, batch, 2 * hidden))


def fitting_length(b: NetworkBuilder, length: int, batch: int, cells: int, width: int, directions: int) -> int:
    """The length, halved until an LSTM layer of it keeps to the budget."""
    while batch * length * cells * (cells + width) * 8.0 * directions > 2.0 * b.budget.flops and length > 1:
        length //= 2
    return length
