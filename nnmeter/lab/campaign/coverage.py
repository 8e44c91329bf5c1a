"""What a campaign has sampled, in cells: which kernels, at which sizes, in how many networks.

1. A network is in a cell if one of its kernels is. Networks are counted, not kernels, since the kernels of one network
   resemble each other.
2. Cells of a kernel: its type; its operator at its decade of FLOPs; its operator at its decade of bytes; and the size
   ranges of its family (`RANGES`): batch 1 to 32, maps 1 to 512 wide, sequences 1 to 4096 long, odd channels.
3. A cell wants a number of networks (`WANTED`); what it lacks is its *need*, from 0 to 1.
4. Cells of `RANGES` are known before anything is measured, so that one which no network reaches is told; all others
   become known when they are first met.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from nnmeter.kernels.features import KernelFeatures
from nnmeter.kernels.kernel import KernelSignature

WANTED = {"type": 12, "flops": 5, "bytes": 5, "batch": 8, "map": 8, "sequence": 8, "odd": 20}
BATCHES = (1, 2, 4, 8, 16, 32)
MAPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SEQUENCES = (1, 4, 16, 64, 256, 1024, 4096)
# Family -> its ranges. A bucket holds the sizes from its name up to the next one.
RANGES: dict[str, tuple[str, ...]] = {
    "convolution": ("batch", "map", "odd"),
    "depthwise_convolution": ("batch", "map", "odd"),
    "grouped_convolution": ("batch", "map", "odd"),
    "pooling": ("batch", "map"),
    "elementwise": ("batch", "map", "sequence"),
    "matmul": ("batch", "sequence"),
    "softmax": ("batch", "sequence"),
    "normalization": ("batch", "sequence"),
}
_BUCKETS: dict[str, tuple[int, ...]] = {"batch": BATCHES, "map": MAPS, "sequence": SEQUENCES, "odd": (1,)}

Cell = tuple[str, str, int]
"""Kind (a key of `WANTED`), what it is of (type, operator or family), and power of ten or bucket."""

RANGE_CELLS: tuple[Cell, ...] = tuple(
    (kind, family, bucket) for family, kinds in RANGES.items() for kind in kinds for bucket in _BUCKETS[kind]
)


def cells_of(signature: KernelSignature, features: KernelFeatures) -> Iterator[Cell]:
    """The cells of one kernel (rule 2)."""
    cost = features.cost
    yield "type", signature.type, 0
    yield "flops", str(features.kind), _decade(cost.flops)
    yield "bytes", str(features.kind), _decade(cost.bytes_read + cost.bytes_written)
    shape = signature.outputs[0].shape if signature.outputs else ()
    if not shape:
        return
    if signature.attribute("channels_last", 0) or signature.op_type.startswith("Nhwc"):
        shape = (shape[0], shape[-1], *shape[1:-1])
    kinds = RANGES.get(features.family, ())
    for kind in kinds:
        if kind == "sequence" and "map" in kinds and len(shape) > 3:
            continue  # a map, not tokens
        size = _SIZES[kind](shape)
        if size:
            yield kind, features.family, max((b for b in _BUCKETS[kind] if b <= size), default=_BUCKETS[kind][0])


def describe(cell: Cell) -> str:
    """A cell in words: `matmul sequence 4096`, `matmul:MatMul|float32 flops 1e7`, `nchwc.Conv+Relu`."""
    kind, name, bucket = cell
    if kind == "type":
        return name
    if kind == "odd":
        return f"{name} odd channels"
    return f"{name} {kind} 1e{bucket}" if kind in ("flops", "bytes") else f"{name} {kind} {bucket}"


class Coverage:
    """Counts the networks in each cell, in all and by recipe."""

    def __init__(self) -> None:
        self.networks: Counter[Cell] = Counter()
        self.recipes: Counter[str] = Counter()
        self.by_recipe: dict[str, Counter[Cell]] = defaultdict(Counter)

    def add(self, recipe: str, cells: Iterable[Cell]) -> None:
        """Counts one network."""
        found = set(cells)
        self.networks.update(found)
        self.by_recipe[recipe].update(found)
        self.recipes[recipe] += 1

    def needs(self) -> dict[Cell, float]:
        """The need of every cell that has any (rule 3)."""
        counts = {**dict.fromkeys(RANGE_CELLS, 0), **self.networks}
        needs = {cell: 1.0 - count / WANTED[cell[0]] for cell, count in counts.items()}
        return {cell: need for cell, need in needs.items() if need > 0}

    def expected_gain(self, importance: Mapping[Cell, float]) -> dict[str, float]:
        """For each recipe, the need that one more network of it is expected to meet.

        Args:
            importance: weight of a cell; 1 where it is not given.
        """
        needs = self.needs()
        gains = {}
        for recipe, cells in self.by_recipe.items():
            measured = self.recipes[recipe] + 1.0  # one more than there were, so that a single network proves little
            gains[recipe] = math.fsum(
                needs[cell] * importance.get(cell, 1.0) * count / measured
                for cell, count in sorted(cells.items())
                if cell in needs
            )
        return gains


def _decade(size: float) -> int:
    return int(math.log10(size)) if size >= 1 else 0


def _map_side(shape: tuple[int, ...]) -> int:
    return max(shape[2:]) if len(shape) == 4 else 0


def _sequence(shape: tuple[int, ...]) -> int:
    return shape[-2] if len(shape) > 1 else 0


def _odd_channels(shape: tuple[int, ...]) -> int:
    return int(len(shape) > 2 and shape[1] % 8 != 0)


_SIZES = {"batch": lambda shape: shape[0], "map": _map_side, "sequence": _sequence, "odd": _odd_channels}
