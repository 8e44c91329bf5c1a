"""Which module of the exporting framework a kernel is of, from what the framework wrote into the file.

Rules:

1. A kernel is of the module of its *anchor*: of the operators that it absorbed the first whose type its own operator's
   name ends with (`Conv` for QLinearConv, `LayerNormalization` for SkipLayerNormalization), else the first of all. The
   other operators of a quantized kernel are of the module before it.
2. How a framework writes the modules is told in `nnmeter.graph.modules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nnmeter.graph.modules import module_name, module_path

if TYPE_CHECKING:
    from nnmeter.graph.ir import Node
    from nnmeter.kernels.kernel import Kernel

__all__ = ["module_name", "module_path", "places_of"]


def places_of(kernels: Sequence[Kernel], nodes: Sequence[Node]) -> list[str]:
    """What the file says of the place of each kernel, as `module_path` takes it; "" for work that the runtime adds."""
    known = {node.name: node for node in nodes}
    places = []
    for kernel in kernels:
        names = kernel.nodes
        anchor = names[0] if names else ""
        if len(names) > 1:
            operator = kernel.signature.op_type
            anchor = next((n for n in names if n in known and operator.endswith(known[n].op_type)), anchor)
        node = known.get(anchor)
        places.append((node.scope if node is not None else _outer_scope(anchor, known)) or anchor)
    return places


def _outer_scope(name: str, known: Mapping[str, Node]) -> str:
    """The scope of the operator whose body holds a node: bodies have its name in front of theirs."""
    while "/" in name:
        name = name.rpartition("/")[0]
        if name in known:
            return known[name].scope
    return ""
