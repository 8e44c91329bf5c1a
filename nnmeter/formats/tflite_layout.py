"""Which tensors of a TensorFlow Lite model are maps: batch, rows, columns and channels, channels last.

ONNX has channels first, and so have the kernels that phones' packs know. Rules:

1. What convolutions, pools, resizes and their like read and write are maps, of four dimensions or five.
2. Operators that treat all elements alike, or one dimension as the other, read and write maps where one of their
   computed tensors of that rank is one.
3. Any other tensor of four dimensions (heads of attention, for instance) is none, and keeps its order.
4. A map's dimensions are turned: batch, channels, then the others in their order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nnmeter.formats.tflite_file import TfliteFile, TfliteOperator

_SMALLEST, _LARGEST = 4, 5

# Rule 1, by the number of the operator in the schema: of its inputs those that are maps.
_WINDOWS: dict[int, tuple[int, ...]] = {
    1: (0,), 3: (0,), 4: (0,), 5: (0,), 12: (0,), 13: (0,), 17: (0,), 23: (0,), 26: (0,), 37: (0,), 38: (0,),
    67: (2,), 97: (0,), 132: (0,), 141: (2,),
}  # fmt: skip

# Rule 2: element-wise operators, Concat, Split, Pad, Slice, reductions that keep dimensions, Softmax and Tile.
_ALIKE = frozenset(
    {0, 2, 6, 8, 11, 14, 18, 19, 20, 21, 25, 28, 34, 40, 41, 42, 45, 47, 49, 50, 53, 54, 55, 57, 58, 59, 60, 61, 62,
     63, 64, 65, 66, 69, 71, 72, 73, 74, 75, 76, 78, 80, 81, 82, 84, 86, 87, 89, 90, 92, 95, 98, 99, 100, 101, 102, 104,
     108, 111, 114, 116, 117, 123, 130, 150, 152}
)  # fmt: skip


def find_maps(file: TfliteFile) -> frozenset[int]:
    """Numbers of the tensors that are maps (rules 1 and 2)."""
    parent = list(range(len(file.tensors)))

    def find(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    marked: list[int] = []
    for operator in file.operators:
        maps = _WINDOWS.get(operator.code)
        if maps is not None:
            marked += [operator.inputs[place] for place in maps if place < len(operator.inputs)]
            marked += operator.outputs
        elif operator.code in _ALIKE:
            alike = _computed(file, operator)
            for place in alike[1:]:
                parent[find(place)] = find(alike[0])
    roots = {find(place) for place in marked if place >= 0}
    return frozenset(place for place in range(len(parent)) if find(place) in roots and is_map_rank(file, place))


def is_map_rank(file: TfliteFile, place: int) -> bool:
    """Whether a tensor has as many dimensions as a map."""
    return _SMALLEST <= len(file.tensors[place].type.shape) <= _LARGEST


def turned(values: Sequence[int]) -> tuple[int, ...]:
    """What belongs to the dimensions of a map, channels last, with channels first (rule 4)."""
    return (values[0], values[-1], *values[1:-1])


def turned_axis(axis: int, rank: int) -> int:
    """The place that a dimension of a map has with channels first."""
    if axis == 0:
        return 0
    return 1 if axis == rank - 1 else axis + 1


def _computed(file: TfliteFile, operator: TfliteOperator) -> list[int]:
    """What an operator of rule 2 computes from and writes, if all of it has one rank; else nothing."""
    outputs: Collection[int] = [place for place in operator.outputs if place >= 0]
    inputs = [place for place in operator.inputs if place >= 0 and not file.tensors[place].constant]
    ranks = {len(file.tensors[place].type.shape) for place in outputs}
    if len(ranks) != 1:
        return []
    (rank,) = ranks
    return [place for place in (*outputs, *inputs) if len(file.tensors[place].type.shape) == rank]
