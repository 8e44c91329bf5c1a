"""Networks as large as real models: several networks of one kind side by side in one graph.

A usual random network has few layers, and its weights stay in the caches from one inference to the next. Those of real
models do not: 10 to 400 MB of weights pass through caches of 1 to 32 MB in every inference, and hundreds of kernels
push each other's data and code out. The same kernels take longer there.

Rules:

1. A network gets a *goal*: bytes of weights, bytes of weights for each millisecond (as real models have them, from
   mobile networks to language models), and with them milliseconds, and a number of operators.
2. Parts are added until one of the three is reached. Every part is a random network of its own, of other sizes than
   those before it: a repeat would teach nothing new.
3. Of a few parts that are drawn, the one counts that brings the network nearest to the goal's bytes a millisecond.
   Tables that are only looked up do not count: an inference reads a few rows of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.builder import Budget, NetworkBuilder

CONVOLUTIONAL = {
    "plain": 5.0, "residual_basic": 6.0, "residual_bottleneck": 8.0, "residual_grouped": 6.0,
    "residual_preactivated": 2.0, "reparameterised": 2.0, "dense": 3.0, "inception": 4.0, "aggregation": 3.0,
    "chain": 2.0, "attention_in_convolutions": 1.0, "feature_pyramid": 1.5, "atrous": 1.5, "encoder_decoder": 1.5,
    "detector": 3.0, "text_lines": 2.0, "time_frequency": 1.0,
}  # fmt: skip
MOBILE = {
    "separable": 3.0, "inverted_residual": 9.0, "fused_inverted_residual": 3.0, "ghost": 2.0, "shuffle_split": 3.0,
    "shuffle_grouped": 2.0, "partial": 1.5, "gated_mobile": 2.0, "fire": 1.0, "convnext": 4.0, "multi_resolution": 2.0,
}  # fmt: skip
TOKENS = {
    "plain_vit": 6.0, "windowed": 6.0, "spatial_reduction": 2.0, "token_mixer": 3.0, "metaformer": 2.0,
    "convolution_and_attention": 3.0, "unfolded": 1.0, "linear_attention": 1.0,
}  # fmt: skip
LANGUAGE = {
    "encoder": 6.0, "decoder": 4.0, "gated_decoder": 5.0, "sequence_to_sequence": 2.0, "token_layers": 2.0,
    "audio": 4.0, "cached_decoder": 4.0, "speech": 2.0, "perceptron": 2.0, "recurrent": 1.0,
    "characters": 1.0,
}  # fmt: skip
QUANTIZED = {
    "quantized_static": 5.0, "quantized_static_tokens": 3.0, "quantized_dynamic": 3.0, "quantized_dynamic_maps": 1.0,
    "quantized_blocks": 2.0,
}  # fmt: skip
HALF = {"half_precision": 1.0}

_WEIGHT_BYTES = (3.5e7, 1.6e8)
_BYTES_PER_MS = (1.0e6, 5.0e6)
_COST_MS = (10.0, 110.0)
_OPERATORS = (120, 500)
_PART_OPERATORS = (18, 72)
_MOST_PARTS, _DRAWN = 16, 4
_REACHED = 0.9
_OVERSHOOT = 1.5


class Goal(NamedTuple):
    """What a large network grows to (rule 1)."""

    weight_bytes: float
    cost_ms: float
    operators: int


def draw_goal(rng: random.Random) -> Goal:
    """Weights and milliseconds as real models have them together (rule 1)."""
    weight_bytes = sizes.log_uniform(rng, *_WEIGHT_BYTES)
    cost_ms = weight_bytes / sizes.log_uniform(rng, *_BYTES_PER_MS)
    return Goal(weight_bytes, min(max(cost_ms, _COST_MS[0]), _COST_MS[1]), rng.randint(*_OPERATORS))


def grow(b: NetworkBuilder, draw: Callable[[NetworkBuilder], bool]) -> None:
    """Adds parts to a network until it is as large as a real model (rules 2 and 3).

    Args:
        b: an empty network.
        draw: makes a part of an empty network; whether it is one that may be used.
    """
    goal = draw_goal(b.rng)
    for _ in range(_MOST_PARTS):
        if b.cost_ms >= _REACHED * goal.cost_ms or footprint(b) >= _REACHED * goal.weight_bytes:
            break
        if len(b.nodes) >= goal.operators:
            break
        parts = [part for part in (_part(b, goal, draw) for _ in range(_DRAWN)) if part is not None]
        if parts:
            b.join(min(parts, key=lambda part: _distance(b, part, goal)))


def footprint(b: NetworkBuilder) -> float:
    """Bytes of the weights that an inference reads (rule 3)."""
    looked_up = {node.input[0] for node in b.nodes if node.op_type == "Gather"} & b.constant_names
    return max(b.weight_bytes - sum(4 * b.tensors[name].elements for name in looked_up), 0)


def _part(b: NetworkBuilder, goal: Goal, draw: Callable[[NetworkBuilder], bool]) -> NetworkBuilder | None:
    share = b.rng.uniform(0.15, 0.6)
    budget = Budget(
        cost_ms=max(3.0, share * goal.cost_ms),
        operators=b.rng.randint(*_PART_OPERATORS),
        weight_bytes=round(max(1e7, min(2 * share, 1.0) * goal.weight_bytes)),
    )
    part = b.beside(budget)
    usable = draw(part) and part.exporter == b.exporter and b.cost_ms + part.cost_ms <= _OVERSHOOT * goal.cost_ms
    return part if usable else None


def _distance(b: NetworkBuilder, part: NetworkBuilder, goal: Goal) -> float:
    density = (footprint(b) + footprint(part) + 1.0) / (b.cost_ms + part.cost_ms)
    return abs(math.log(density / (goal.weight_bytes / goal.cost_ms)))
