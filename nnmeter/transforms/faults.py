"""What a transform raises where it cannot be done."""

from __future__ import annotations

from collections.abc import Iterable

from nnmeter.errors import NnmeterError, brief
from nnmeter.graph.ir import Node

_NAMED = 5


class TransformError(NnmeterError):
    """A transform that a model does not take; the message says which part of it, why, and what to do."""


def find_node(nodes: Iterable[Node], name: str, source: str) -> Node:
    """The operator of a name.

    Raises:
        TransformError: there is none; the message names those that are like it.
    """
    from difflib import get_close_matches

    known = {node.name: node for node in nodes}
    if name in known:
        return known[name]
    like = get_close_matches(name, known, _NAMED, 0.3) or list(known)[:_NAMED]
    raise TransformError(
        f"{source}: there is no operator '{brief(name, 80)}'; `nnmeter kernels` lists them, for instance "
        f"{', '.join(like)}"
    )
