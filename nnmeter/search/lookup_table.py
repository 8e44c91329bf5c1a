"""Latencies by layer, in the format of once-for-all's lookup tables.

Rules:

1. The file is YAML: a mapping from the name of a layer to `mean`, its latency in milliseconds, and `count`, how many of
   the sampled candidates have it. The latency of a network is the sum over its layers.
2. A layer is named by its kind and sizes, joined by hyphens (`layer_name`): `Logits-input:1x1x1280-output:1000`, or
   `expanded_conv-input:112x112x16-output:56x56x24-expand:64-kernel:3-stride:2-idskip:0-se:0-hs:0`. Shapes are height,
   width, channels (github.com/mit-han-lab/once-for-all, ofa/nas/efficiency_predictor/latency_lookup_table.py).
3. What a space's table knows of borders between layers is more than such a list can hold. The latencies of layers are
   those whose sums are nearest to the table's (least squares of the relative error), and the largest error that this
   leaves is stated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.errors import NnmeterError
from nnmeter.files import write_whole
from nnmeter.search.decomposition import least_squares
from nnmeter.search.table import LatencyTable

Layers = Callable[[dict[str, Any]], Sequence[str]]

_SAMPLED = 20_000
_HELD_OUT = 1_000


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Latencies by layer.

    Attributes:
        latency_ms: of each layer, by its name.
        counts: how many sampled candidates have it.
        largest_error: largest relative difference from the space's table, on candidates left out.
    """

    latency_ms: dict[str, float]
    counts: dict[str, int]
    largest_error: float

    def predict(self, layers: Sequence[str]) -> float:
        """The latency in milliseconds of a network with these layers.

        Raises:
            NnmeterError: a layer is not in the table.
        """
        missing = next((layer for layer in layers if layer not in self.latency_ms), None)
        if missing is not None:
            raise NnmeterError(f"the lookup table has no layer '{missing:.200}'; make it from a space that has it")
        return sum(self.latency_ms[layer] for layer in layers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as YAML (rule 1).

        Raises:
            OSError: the file cannot be written.
        """
        lines = [
            f'"{layer}":\n  mean: {latency!r}\n  count: {self.counts[layer]}\n'
            for layer, latency in sorted(self.latency_ms.items())
        ]
        write_whole(path, "".join(lines))


def layer_name(kind: str, inputs: Sequence[int] | int, outputs: Sequence[int] | int, **settings: int) -> str:
    """The name of a layer (rule 2).

    Args:
        kind: `Conv`, `expanded_conv`, `Conv_1`, `AvgPool2D`, `Conv_2`, `Logits`, or one of your own.
        inputs: height, width, channels of what it reads.
        outputs: the same of what it returns.
        settings: `expand` (channels inside), `kernel`, `stride`, `idskip`, `se`, `hs`, in this order.
    """

    def shown(shape: Sequence[int] | int) -> str:
        return "x".join(map(str, [shape] if isinstance(shape, int) else shape))

    parts = [kind, f"input:{shown(inputs)}", f"output:{shown(outputs)}"]
    return "-".join([*parts, *(f"{name}:{int(value)}" for name, value in settings.items())])


def lookup_table(table: LatencyTable, layers: Layers, seed: int = 0) -> LookupTable:
    """The latencies by layer that a space's table implies (rule 3).

    Args:
        table: of the space.
        layers: the names of the layers of a candidate, in any order; one that is there twice counts twice.
        seed: of the candidates that are looked at.

    Raises:
        NnmeterError: a candidate has no layers, or a name that YAML cannot hold between quotes.
    """
    generator = np.random.default_rng(seed)
    rows = table.space.sample(_SAMPLED + _HELD_OUT, generator)
    latency = table.predict(rows)
    named = [list(layers(table.space.candidate(row))) for row in rows]
    places: dict[str, int] = {}
    for names in named:
        if not names:
            raise NnmeterError("a candidate has no layers; give the names of all that it has")
        for name in names:
            if name not in places:
                if not isinstance(name, str) or '"' in name or "\\" in name or not name.isprintable():
                    raise NnmeterError(f"{name!r:.80} is no name of a layer; `nnmeter.search.layer_name` makes one")
                places[name] = len(places)
    width = max(map(len, named))
    nothing = len(places)  # the place of no layer, which costs nothing
    filled = np.full((len(rows), width), nothing, np.int32)
    for row, names in zip(filled, named, strict=True):
        row[: len(names)] = [places[name] for name in names]
    fitted, held_out = slice(0, _SAMPLED), slice(_SAMPLED, None)
    entries = least_squares(filled[fitted], 1.0 / latency[fitted], nothing + 1, nothing)
    error = np.abs(entries[filled[held_out]].sum(axis=1) - latency[held_out]) / latency[held_out]
    counts = np.bincount(filled[fitted].ravel(), minlength=nothing + 1)
    return LookupTable(
        {name: float(entries[at]) for name, at in places.items()},
        {name: int(counts[at]) for name, at in places.items()},
        float(error.max()),
    )
