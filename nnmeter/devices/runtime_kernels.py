"""Whether a runtime has a kernel for an operator: of its operator set, in its element types.

Rules:
1. The kernels are data of the runtime (`refused/<runtime>_<kind>_kernels.json`), made by asking it
   (`benchmarks/runtime_kernels.py`). An operator that is not in the table is not judged.
2. A row of the table holds from an operator set on. A kernel takes a node where it takes the element types of all its
   inputs and outputs; of sequences and optionals those of their elements.
3. Where no kernel takes float16, one that takes float32 in its place does: ONNX Runtime puts Cast around such a node.
4. A domain that a model does not import is not judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import lru_cache
from importlib.resources import files
from typing import Any

from nnmeter.graph.ir import Graph, Node

_Side = Sequence[frozenset[str] | None]
_Kernels = Sequence[tuple[_Side, _Side]]

_CAST_FROM, _CAST_TO = "float16", "float32"


class RuntimeKernels:
    """The kernels of a runtime.

    Args:
        table: its data, as rule 1 says.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table
        self._sets = [frozenset(types.split()) for types in table["types"]]
        self._seen: dict[tuple[Any, ...], str | None] = {}

    def missing(self, graph: Graph) -> Iterator[tuple[Node, str]]:
        """The nodes of a graph that no kernel takes, each with what is missing in words; nested graphs are left out."""
        types, seen = graph.types, self._seen
        present = {kind.dtype for kind in types.values()}
        asked: dict[tuple[str, str], tuple[int, _Kernels, bool] | None] = {}
        for node in graph.nodes:
            operator = (node.op_type, node.domain)
            if operator not in asked:
                asked[operator] = self._unless_all(node, graph.opsets, present)
            found = asked[operator]
            if found is None:
                continue
            inputs = tuple([types[name].dtype if name in types else "" for name in node.inputs])
            outputs = tuple([types[name].dtype if name in types else "" for name in node.outputs])
            key = (*operator, found[0], inputs, outputs)
            if key not in seen:
                seen[key] = _missing(node, *found, inputs, outputs)
            missing = seen[key]
            if missing is not None:
                yield node, missing

    def _unless_all(
        self, node: Node, opsets: Mapping[str, int], present: Set[str]
    ) -> tuple[int, _Kernels, bool] | None:
        """The operator set, its kernels, and whether other sets have any; None where one takes all types present."""
        row = self._table.get(node.domain, {}).get(node.op_type)
        version = opsets.get(node.domain)
        rows = [one for since, one in row or () if version is not None and since <= version]
        if not rows or version is None:
            return None
        kernels = [self._kernel(kernel) for kernel in rows[-1]]
        if any(all(taken is None or taken >= present for side in kernel for taken in side) for kernel in kernels):
            return None
        return version, kernels, any(one for _, one in row)

    def _kernel(self, numbers: Sequence[Sequence[int]]) -> tuple[_Side, _Side]:
        inputs, outputs = ([None if n < 0 else self._sets[n] for n in side] for side in numbers)
        return inputs, outputs


def _missing(
    node: Node, version: int, kernels: _Kernels, elsewhere: bool, inputs: Sequence[str], outputs: Sequence[str]
) -> str | None:
    name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    if not kernels:
        return f"no {name}{f' of operator set {version}' if elsewhere else ''}"
    if _takes(kernels, inputs, outputs):
        return None
    if _CAST_FROM in (*inputs, *outputs) and _takes(kernels, _cast(inputs), _cast(outputs)):
        return None
    told = " and ".join(dict.fromkeys(one for one in inputs if one)) or "nothing"
    made = [one for one in dict.fromkeys(outputs) if one and one not in inputs]
    return f"no {name} in {told}{f' to {made[0]}' if made else ''}"


def _takes(kernels: _Kernels, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
    """Rule 2."""
    return any(_fits(taken, inputs) and _fits(written, outputs) for taken, written in kernels)


def _fits(side: _Side, dtypes: Sequence[str]) -> bool:
    if not side:
        return True
    last = len(side) - 1
    for position, dtype in enumerate(dtypes):
        taken = side[min(position, last)]
        if dtype and taken is not None and dtype not in taken:
            return False
    return True


def _cast(dtypes: Sequence[str]) -> Sequence[str]:
    """Rule 3."""
    return [_CAST_TO if dtype == _CAST_FROM else dtype for dtype in dtypes]


@lru_cache(maxsize=16)
def kernels_of(name: str) -> RuntimeKernels | None:
    """The kernels of a runtime, by the name of its table; None where there is none."""
    file = files("nnmeter.devices").joinpath("refused", f"{name}_kernels.json")
    return RuntimeKernels(json.loads(file.read_text())) if file.is_file() else None
