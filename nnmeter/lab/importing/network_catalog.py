"""Networks that ship as lists of operators, so that latencies published by the name of a network can be imported.

`data/pytorchcv/networks.json.xz` holds the classification networks of the PyPI package pytorchcv, each as
`{"input": shape, "nodes": [[operator, inputs, attributes], ...]}`; `benchmarks/extract_networks.py` makes it.

Rules:

1. Operators are those of ONNX, with attributes of ONNX. Node 0 is the input; an input of a node is the number of
   another, or `[number, output]` where that has several outputs. The network returns what its last node writes.
2. Constants are told by attributes that ONNX does not have: `weight` (shape of the weights), `bias` (whether there is
   one), `channels` (of a normalization), `scalar` (the other operand), `bounds` (of a Clip), `shape`, `sizes`, `range`.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from nnmeter.binding.assembly import Assembly
from nnmeter.errors import ModelError
from nnmeter.graph.unbound import UnboundModel

_PACKAGE = Path(__file__).resolve().parents[2]
_PLACES = (_PACKAGE / "_networks", _PACKAGE.parent / "data" / "pytorchcv")  # a wheel, a checkout
_FILE = "networks.json.xz"
_OUR_ATTRIBUTES = frozenset({"weight", "bias", "channels", "scalar", "bounds", "shape", "sizes", "range"})

Attributes = Mapping[str, Any]


def network_names() -> tuple[str, ...]:
    """The names of the networks that ship.

    Raises:
        ModelError: the file is not there.
    """
    return tuple(_networks())


def read_network(name: str) -> UnboundModel:
    """The network of that name.

    Raises:
        ModelError: there is none, or the file is not there.
    """
    networks = _networks()
    if name not in networks:
        raise ModelError(f"{name}: no network of that name ships; there are {len(networks)}, such as resnet18")
    return assemble_network(name, networks[name])


def assemble_network(name: str, description: Mapping[str, Any]) -> UnboundModel:
    """The model of a description (rules 1 and 2).

    Raises:
        ModelError: the description breaks a rule.
    """
    assembly = Assembly(name, name)
    written: list[tuple[str, ...]] = [(assembly.input("input", description["input"]),)]
    for number, (operator, inputs, attributes) in enumerate(description["nodes"], start=1):
        try:
            tensors = [written[i][0] if isinstance(i, int) else written[i[0]][i[1]] for i in inputs]
            rule = _CONSTANTS.get(operator)
            constants = rule(assembly, attributes) if rule else []
            plain = {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()
                     if k not in _OUR_ATTRIBUTES}  # fmt: skip
            if operator == "Gemm":
                plain["transB"] = 1
            count = len(attributes["sizes"]) if operator == "Split" else 1
            written.append(assembly.add_all(operator, [*tensors, *constants], plain, count))
        except (KeyError, IndexError, TypeError, ValueError) as fault:
            raise ModelError(f"{name}: node {number} ({operator}) is damaged ({fault!r}); restore {_FILE}") from fault
    return assembly.finish(written[-1][:1])


def _weights(assembly: Assembly, attributes: Attributes) -> list[str]:
    weight = attributes["weight"]
    return [assembly.weight(weight), *([assembly.weight(weight[:1])] if attributes.get("bias") else [])]


def _statistics(assembly: Assembly, attributes: Attributes) -> list[str]:
    return [assembly.weight([attributes["channels"]]) for _ in range(4)]


def _operand(assembly: Assembly, attributes: Attributes) -> list[str]:
    if "weight" in attributes:
        return [assembly.weight(attributes["weight"])]
    return [assembly.scalar(float(attributes["scalar"]))] if "scalar" in attributes else []


def _bounds(assembly: Assembly, attributes: Attributes) -> list[str]:
    return [assembly.scalar(float(bound)) for bound in attributes["bounds"]]


def _integers(key: str) -> Callable[[Assembly, Attributes], list[str]]:
    return lambda assembly, attributes: [assembly.integers(attributes[key])]


def _slice(assembly: Assembly, attributes: Attributes) -> list[str]:
    axis, start, end, step = attributes["range"]
    return [assembly.integers([value]) for value in (start, end, axis, step)]


def _resize(assembly: Assembly, attributes: Attributes) -> list[str]:
    return ["", "", assembly.integers(attributes["sizes"])]


_CONSTANTS: dict[str, Callable[[Assembly, Attributes], list[str]]] = {
    "Conv": _weights,
    "Gemm": _weights,
    "BatchNormalization": _statistics,
    "PRelu": _operand,
    "Add": _operand,
    "Sub": _operand,
    "Mul": _operand,
    "Div": _operand,
    "Clip": _bounds,
    "Reshape": _integers("shape"),
    "Split": _integers("sizes"),
    "Slice": _slice,
    "Resize": _resize,
    "Pad": _integers("sizes"),
}


@lru_cache(maxsize=1)
def _networks() -> dict[str, Any]:
    for place in _PLACES:
        path = place / _FILE
        if path.is_file():
            networks: dict[str, Any] = json.loads(lzma.decompress(path.read_bytes()))
            return networks
    raise ModelError(
        f"{_FILE}: the networks that ship are not there; reinstall nnmeter: {', '.join(map(str, _PLACES))}"
    )
