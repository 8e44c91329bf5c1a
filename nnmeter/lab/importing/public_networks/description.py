"""A network as a list of operators without weights: one line of `data/public-networks/graphs-*.jsonl.xz`.

A line is JSON: `{"network": name, "inputs": [[size, ...], ...], "nodes": [[operator, inputs, attributes], ...]}`.

Rules:

1. Operators and attributes are those of ai.onnx 23; attributes that have ONNX's default are left out, and so is the
   `kernel_shape` of a convolution, which its weights tell.
2. An input of a node is a number: how many nodes back it was written, counting the network's inputs as nodes at the
   front (so blocks that repeat are the same text); or `[number, output]` of a node of several outputs; or a constant:
   `w:64x3x7x7` floats of unknown values, `n:49x49` int64 and `m:1x49` bool likewise, `i:1x64` a list of int64,
   `s:0.5` a float, `k:2` an int64; or `""` for one that is absent.
3. A size that ends in `b` is so many times the batch: `i:64bx49x96` is a shape of 64 windows an image.
4. An input of the network is given by rule 3 and its type: `f:1bx3x224x224`, `n:1bx128`. `for` lists the sizes without
   the batch under which the tables name it, one for each alternative in `inputs`.
5. A fourth item of a node is its number of outputs, 1 where it is left out. The network returns what its last node
   writes, and what the nodes in `outputs` write, counted as in rule 2 from the front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.binding.assembly import Assembly
from nnmeter.errors import ModelError
from nnmeter.graph.unbound import UnboundModel

OPSET = 23
_TENSORS = {"f": "float32", "w": "float32", "n": "int64", "m": "bool"}
_WINDOWED = frozenset({"Conv", "ConvTranspose"})


def assemble(description: Mapping[str, Any], inputs: Sequence[str], batch: int) -> UnboundModel:
    """The model that a line describes.

    Args:
        description: the line.
        inputs: one of its alternatives of inputs (rule 4).
        batch: images in one inference.

    Raises:
        ModelError: the line breaks a rule.
    """
    name = description["network"]
    assembly = Assembly(name, name, OPSET)
    written: list[tuple[str, ...]] = []
    for number, text in enumerate(inputs):
        kind, sizes = text.split(":")
        named = "input" if not number else f"input_{number}"
        written.append((assembly.input(named, shape_of(sizes, batch), _TENSORS[kind]),))
    for node in description["nodes"]:
        operator, references, attributes = node[:3]
        try:
            tensors = [_tensor(assembly, written, reference, batch) for reference in references]
            plain = {key: tuple(v) if isinstance(v, list) else v for key, v in attributes.items()}
            if operator in _WINDOWED:
                plain["kernel_shape"] = shape_of(references[1][2:], batch)[2:]
            written.append(assembly.add_all(operator, tensors, plain, node[3] if len(node) > 3 else 1))
        except (IndexError, KeyError, TypeError, ValueError) as fault:
            raise ModelError(
                f"{name}: node {len(written) - len(inputs)} ({operator}) is damaged ({fault!r}); "
                "restore data/public-networks from the repository"
            ) from fault
    places = [*description.get("outputs", ()), len(written) - 1]
    return assembly.finish([written[place][0] for place in dict.fromkeys(places)])


def shape_of(text: str, batch: int) -> tuple[int, ...]:
    """The sizes of a text such as `1bx197x768` (rule 3)."""
    sizes = text.split("x") if text else []
    return tuple([int(s[:-1]) * batch if s.endswith("b") else int(s) for s in sizes])


def _tensor(assembly: Assembly, written: Sequence[tuple[str, ...]], reference: Any, batch: int) -> str:
    """The tensor that an input of a node names (rule 2)."""
    if isinstance(reference, int):
        return written[_back(reference, written)][0]
    if isinstance(reference, list):
        return written[_back(reference[0], written)][reference[1]]
    if not reference:
        return ""
    kind, _, value = reference.partition(":")
    if kind == "i":
        return assembly.integers(shape_of(value, batch))
    if kind == "s":
        return assembly.scalar(float(value))
    if kind == "k":
        return assembly.integer(int(value))
    return assembly.weight(shape_of(value, batch), _TENSORS[kind])


def _back(distance: int, written: Sequence[tuple[str, ...]]) -> int:
    if not 0 < distance <= len(written):
        raise IndexError(f"an input {distance} nodes back")
    return len(written) - distance
