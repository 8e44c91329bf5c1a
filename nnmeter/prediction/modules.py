"""Which module of the exporting framework a kernel is of, from what the framework wrote into the file.

Rules:

1. A kernel is of the module of its *anchor*: of the operators that it absorbed the first whose type its own operator's
   name ends with (`Conv` for QLinearConv, `LayerNormalization` for SkipLayerNormalization), else the first of all. The
   other operators of a quantized kernel are of the module before it.
2. Torch's newer exporter (2.5 and later) writes the modules into the node's metadata (`Node.scope`): a list of names,
   each with those before it in it and the operator last, `['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d']`; or
   the same with classes, `: Net/layer1: Sequential/layer1.0: BasicBlock/...: aten.conv2d.default`.
3. Torch's older exporter writes them into the node's name: `/layer1/layer1.0/conv1/Conv`. A part repeats the part
   before it where a container called its child.
4. Other names with slashes, as TensorFlow's, are a path with the operator last: `block1/conv/Conv2D`.
5. An operator that says nothing of modules is of none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnmeter.graph.ir import Node
    from nnmeter.kernels.kernel import Kernel

_NO_MODULE = "_empty_nn_module_stack_from_metadata_hook"  # torch's word for an operator outside of all modules
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


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


def module_path(place: str) -> tuple[tuple[str, ...], str]:
    """The modules of a place from the outermost on, and what joins them to a name (rules 2 to 5)."""
    if place.startswith("["):
        names = [first or second for first, second in _QUOTED.findall(place)]
        return _parts(names[:-1]), "."
    if ": " in place:
        return _parts([part.partition(": ")[0] for part in place.split("/")][:-1]), "."
    parts = place.split("/")
    if place.startswith("/"):
        return _parts(parts[1:-1]), "."
    return tuple([part for part in parts[:-1] if part]), "/"


def module_name(place: str, depth: int | None = None) -> str:
    """The name of the module of a place: `layer1.0.conv1`, or its first `depth` parts; "" for none."""
    parts, join = module_path(place)
    return join.join(parts[:depth])


def _parts(names: Sequence[str]) -> tuple[str, ...]:
    """The parts of names each of which may repeat the one before it: `layer1`, `layer1.0` are `layer1` and `0`."""
    parts: list[str] = []
    before = ""
    for name in names:
        if not name or name == _NO_MODULE:
            continue
        own = name[len(before) + 1 :] if before and name.startswith(f"{before}.") else name
        parts += own.split(".")
        before = name
    return tuple(parts)
