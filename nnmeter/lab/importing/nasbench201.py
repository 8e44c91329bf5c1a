"""Networks of NAS-Bench-201 from the text of their cell: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

Rules (Dong and Yang, "NAS-Bench-201", ICLR 2020, section 2; the generator that the latencies were measured with):

1. A 3x3 convolution to C channels; three stages of N cells, of C, 2 C and 4 C channels, a residual block of stride 2
   between two of them; then normalization, rectifier, mean over the map, and a product to the classes.
2. A cell has four nodes. The first is its input; each later one is the sum of an operation on each earlier one, and the
   last is its output. Operations: `none` (not there), `skip_connect`, `nor_conv_1x1` and `nor_conv_3x3` (rectifier,
   convolution, normalization), `avg_pool_3x3`.
3. A node without any operation is what the node before it is, and an operation on a node that is nothing is not there:
   the generator of the measured networks did so.
4. The residual block: a mean over 2x2 and a 1x1 convolution, beside a 3x3 convolution of stride 2 and another 3x3, each
   normalized, the first with a rectifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnmeter.errors import ModelError
from nnmeter.files import whole_number

_NODES = 4
_STAGES = 3
Cell = tuple[tuple[tuple[str, int], ...], ...]


def parse_cell(text: str) -> Cell:
    """Operations of each node but the first, as (operation, node that it reads).

    Raises:
        ModelError: the text is no cell of four nodes.
    """
    cell = []
    parts = text.split("+")
    for number, part in enumerate(parts, start=1):
        operations = []
        for item in part.strip("|").split("|"):
            operation, _, source = item.partition("~")
            node = whole_number(source)
            if operation not in OPERATIONS or node is None or node >= number:
                raise ModelError(
                    f"{text}: {item!r} is no operation of a NAS-Bench-201 cell; known are {', '.join(OPERATIONS)}"
                )
            operations.append((operation, node))
        cell.append(tuple(operations))
    if len(cell) != _NODES - 1:
        raise ModelError(f"{text}: a NAS-Bench-201 cell has {_NODES} nodes, this one {len(cell) + 1}")
    return tuple(cell)


def nasbench201_nodes(cell: str, channels: int, cells: int, classes: int, size: int = 32) -> list[list[Any]]:
    """The list of nodes (see `node_list`) of a network.

    Args:
        cell: text of the cell.
        channels: C of rule 1.
        cells: N of rule 1.
        classes: number of classes.
        size: height and width of the input.

    Raises:
        ModelError: the text is no cell, or its output depends on nothing.
    """
    operations = parse_cell(cell)
    made = _Nodes(size)
    x = made.normalized_conv(0, channels, 3, 1)
    for stage in range(_STAGES):
        if stage:
            x = _residual_block(made, x, channels << stage)
        for _ in range(cells):
            result = _cell(made, operations, x)
            if result is None:
                raise ModelError(f"{cell}: the output of the cell depends on nothing; it is no network")
            x = result
    x = made.add("relu", [made.add("bn", [x])])
    x = made.add("flatten", [made.add("gap", [x])])
    made.add("fc", [x], cin=channels << _STAGES - 1, cout=classes, bias=False)
    return made.nodes


class _Nodes:
    """A list of nodes that grows; methods return the number of the node added."""

    def __init__(self, size: int) -> None:
        self.nodes: list[list[Any]] = [["input", [], {}, [size, size, 3]]]

    def add(self, operator: str, inputs: list[int], **attributes: Any) -> int:
        height, width, channels = _three(self.nodes[inputs[0]][3])
        stride = attributes.get("s", 1)
        shape = [-(-height // stride), -(-width // stride), attributes.get("cout", channels)]
        if operator == "gap":
            shape = [1, 1, channels]
        elif operator == "flatten":
            shape = [height * width * channels]
        elif operator == "fc":
            shape = [attributes["cout"]]
        self.nodes.append([operator, inputs, attributes, shape])
        return len(self.nodes) - 1

    def conv(self, x: int, channels: int, window: int, stride: int) -> int:
        return self.add("conv", [x], k=window, s=stride, pad="SAME", cin=self.nodes[x][3][2], cout=channels)

    def normalized_conv(self, x: int, channels: int, window: int, stride: int) -> int:
        return self.add("bn", [self.conv(x, channels, window, stride)])


def _three(shape: list[int]) -> list[int]:
    return shape if len(shape) == 3 else [1, 1, *shape]


def _conv(window: int) -> Callable[[_Nodes, int], int]:
    def operation(made: _Nodes, x: int) -> int:
        return made.normalized_conv(made.add("relu", [x]), made.nodes[x][3][2], window, 1)

    return operation


def _average(made: _Nodes, x: int) -> int:
    return made.add("avgpool", [x], k=3, s=1, pad="SAME")


OPERATIONS: dict[str, Callable[[_Nodes, int], int | None]] = {
    "none": lambda made, x: None,
    "skip_connect": lambda made, x: x,
    "nor_conv_1x1": _conv(1),
    "nor_conv_3x3": _conv(3),
    "avg_pool_3x3": _average,
}


def _cell(made: _Nodes, operations: Cell, x: int) -> int | None:
    """Rules 2 and 3."""
    results: list[int | None] = [x]
    for number, edges in enumerate(operations):
        terms = []
        for operation, source in edges:
            read = results[source]
            term = None if read is None else OPERATIONS[operation](made, read)
            if term is not None:
                terms.append(term)
        if not terms:
            results.append(results[-1] if number else None)
            continue
        total = terms[0]
        for term in terms[1:]:
            total = made.add("add", [total, term])
        results.append(total)
    return results[-1]


def _residual_block(made: _Nodes, x: int, channels: int) -> int:
    """Rule 4."""
    shortcut = made.conv(made.add("avgpool", [x], k=2, s=2, pad="VALID"), channels, 1, 1)
    main = made.add("relu", [made.normalized_conv(x, channels, 3, 2)])
    return made.add("add", [made.normalized_conv(main, channels, 3, 1), shortcut])
