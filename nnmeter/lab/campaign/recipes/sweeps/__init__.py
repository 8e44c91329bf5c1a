"""Networks that sweep operators: by attributes, ranks, element types and whatever makes a runtime run other code.

Rules:

1. A network has some dozens of *cases*. Each is one operator with legal attributes, types and shapes, drawn at random
   by its sweep (`windows`, `rows`, `elements`, `movement`, `products`, `fused`). What real models spend most on is
   drawn most.
2. The recipes differ in what is before a case (`source`), not in operators: the operators of a recipe that is held out
   when a learner is judged are then known from the others.
3. Fused operators are recipes of their own, for a runtime that refuses one refuses the network.
4. A case that costs more than `_MOST_MS` is taken back: a path is known from small kernels and some larger ones.
"""

from __future__ import annotations

from typing import Any

from nnmeter.lab.campaign.recipes.builder import Exporter, NetworkBuilder
from nnmeter.lab.campaign.recipes.sweeps import elements, fused, movement, products, rows, windows
from nnmeter.lab.campaign.recipes.sweeps.source import ALONE, BEHIND_CONVOLUTIONS, BEHIND_PRODUCTS, Source

_Cases = dict[str, tuple[Any, float]]

_WINDOWS: _Cases = windows.CASES
_OTHERS: _Cases = {**rows.CASES, **elements.CASES, **movement.CASES, **products.CASES}
_ALL: _Cases = {**_WINDOWS, **_OTHERS}
# Behind convolutions windows come twice as often: the layout that convolutions leave makes other code of them.
_MAPS: _Cases = {**{name: (case, 2.0 * weight) for name, (case, weight) in _WINDOWS.items()}, **_OTHERS}
_CASES, _MOST_MS, _MOST_IN_ALL_MS = (20, 44), 5.0, 30.0


def _sweep(b: NetworkBuilder, cases: _Cases, context: str, opset: int) -> None:
    b.exporter = Exporter(opset, dynamo=True, folds_batch_norm=True)
    source = Source(b, context)
    names, weights = list(cases), [weight for _, weight in cases.values()]
    for _ in range(b.rng.randint(*_CASES)):
        before, cost_ms = b.mark(), b.cost_ms
        cases[b.rng.choices(names, weights)[0]][0](source)
        if b.cost_ms - cost_ms > _MOST_MS:
            b.rollback(before)
        if b.cost_ms > _MOST_IN_ALL_MS:
            break


def operators_alone(b: NetworkBuilder) -> None:
    """Operators of all kinds on the network's inputs."""
    _sweep(b, _ALL, ALONE, 20)


def operators_behind_convolutions(b: NetworkBuilder) -> None:
    """Operators of all kinds, those on maps behind convolutions."""
    _sweep(b, _MAPS, BEHIND_CONVOLUTIONS, 20)


def operators_behind_products(b: NetworkBuilder) -> None:
    """Operators of all kinds but windows, behind products of matrices."""
    _sweep(b, _OTHERS, BEHIND_PRODUCTS, 20)


def fused_operators(b: NetworkBuilder) -> None:
    """Fused operators of com.microsoft."""
    _sweep(b, fused.CASES, BEHIND_PRODUCTS if b.rng.random() < 0.5 else ALONE, 20)


def fused_standard_operators(b: NetworkBuilder) -> None:
    """Attention, rotary positions and RMS norm as the standard has them since opset 23."""
    _sweep(b, fused.STANDARD_CASES, BEHIND_PRODUCTS if b.rng.random() < 0.5 else ALONE, 23)
