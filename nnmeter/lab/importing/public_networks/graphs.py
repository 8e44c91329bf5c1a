"""The networks of the public tables as graphs: `load("mobilenet_v2_1.0_224", (1, 3, 224, 224))`.

They ship without weights in `data/public-networks` (its README says where they come from): `index.json.xz` says in
which line of which `graphs-*.jsonl.xz` a network is, for each size of its input; `description` has the format of a
line. The batch is free; the size of the input is one of those that the tables have.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.graph.ir import Graph
from nnmeter.graph.unbound import UnboundModel
from nnmeter.lab.importing.public_networks.description import assemble

_PACKAGE = Path(__file__).resolve().parents[3]
_PLACES = (_PACKAGE / "_public_networks", _PACKAGE.parent / "data" / "public-networks")  # a wheel, a checkout
INDEX = "index.json.xz"


class UnavailableNetworkError(ModelError, KeyError):
    """A network that does not ship, or not at that size; the message is the reason."""

    __str__ = ModelError.__str__  # a KeyError would quote its message


def load(name: str, input_shape: Sequence[int] | None) -> Graph:
    """The graph of a network of the public tables.

    Args:
        name: its canonical name.
        input_shape: shape of its input with the batch, channels first, as the tables have it; None where they do not
            state it.

    Raises:
        UnavailableNetworkError: it does not ship, or not at that size.
    """
    return bind_shapes(read(name, input_shape))


def read(name: str, input_shape: Sequence[int] | None) -> UnboundModel:
    """The model of a network before shapes are inferred; see `load`."""
    networks = _index()["networks"]
    if name not in networks:
        reason = _index()["refused"].get(name, f"no graph of that name ships, {len(networks)} do")
        raise UnavailableNetworkError(f"{name}: {reason}")
    if not input_shape:
        raise UnavailableNetworkError(f"{name}: the size of its input is not stated")
    batch, *size = input_shape
    text = "x".join(map(str, size))
    if text not in networks[name]:
        known = ", ".join(networks[name])
        reason = _index()["refused"].get(f"{name}@{text}", f"does not ship at {text}; it does at {known}")
        raise UnavailableNetworkError(f"{name}: {reason}")
    shard, line, inputs = networks[name][text]
    return assemble(json.loads(_shard(shard)[line]), inputs, batch)


def network_names() -> tuple[str, ...]:
    """The canonical names of the networks that ship."""
    return tuple(_index()["networks"])


def input_sizes(name: str) -> tuple[tuple[int, ...], ...]:
    """The sizes of the input, without the batch, at which a network ships; none where it does not."""
    return tuple(tuple(map(int, text.split("x"))) for text in _index()["networks"].get(name, ()))


@lru_cache(maxsize=1)
def _index() -> dict[str, Any]:
    index: dict[str, Any] = json.loads(_decompressed(INDEX))
    return index


@lru_cache(maxsize=4)
def _shard(number: int) -> list[bytes]:
    return _decompressed(f"graphs-{number:02d}.jsonl.xz").split(b"\n")


def _decompressed(file: str) -> bytes:
    for place in _PLACES:
        path = place / file
        if path.is_file():
            return lzma.decompress(path.read_bytes())
    raise ModelError(f"{file}: the public networks are not there; reinstall nnmeter: {', '.join(map(str, _PLACES))}")
