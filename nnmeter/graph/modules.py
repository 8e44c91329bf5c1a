"""Where an operator comes from, by what the exporting framework wrote into the file: the path of its module.

1. Torch's newer exporter (2.5 and later) writes the modules into the node's metadata (`Node.scope`): a list of names,
   each with those before it in it and the operator last, `['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d']`; or
   the same with classes, `: Net/layer1: Sequential/layer1.0: BasicBlock/...: aten.conv2d.default`.
2. Torch's older exporter writes them into the node's name: `/layer1/layer1.0/conv1/Conv`. A part repeats the part
   before it where a container called its child.
3. Other names with slashes, as TensorFlow's, are a path with the operator last: `block1/conv/Conv2D`.
4. An operator that says nothing of modules is of none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_NO_MODULE = "_empty_nn_module_stack_from_metadata_hook"  # torch's word for an operator outside of all modules
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def module_path(place: str) -> tuple[tuple[str, ...], str]:
    """The modules of a place from the outermost on, and what joins them to a name (rules 1 to 4)."""
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
    if not place:
        return ""
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
