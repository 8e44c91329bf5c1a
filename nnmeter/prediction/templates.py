"""Parts of models, what they became without the names of any model, and the names that a model gives that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nnmeter.prediction.priced_kernel import PricedKernel
from nnmeter.predictor.price_columns import table_of

if TYPE_CHECKING:
    from nnmeter.fusion.blocks import BlockKernel
    from nnmeter.graph.ir import Graph


class Part(NamedTuple):
    """A part of models: its own number, and those of the type of the tensor that it leads to and of its head."""

    number: int
    exit_type: int
    head: int


class Names(NamedTuple):
    """The names of a model's operators and tensors.

    Attributes:
        entry: of its input.
        called: of its operators.
        written: of what each operator computes, "" for what it leaves out.
    """

    entry: str
    called: Sequence[str]
    written: Sequence[Sequence[str]]


class _Template(NamedTuple):
    """A kernel of a part.

    Attributes:
        kernel: as it was in the model that it was learned from.
        made: how it is named, and which operators of the part it absorbed.
        at: the operator of the part whose name says where it is in the model; None where the file says so itself.
    """

    kernel: PricedKernel
    made: BlockKernel
    at: int | None


class Became(NamedTuple):
    """What a part became.

    Attributes:
        templates: of its kernels.
        kernels: they, with the names of the model that they were learned from.
        prices: theirs, as `nnmeter.predictor.price_columns.table_of` has them.
    """

    templates: tuple[_Template, ...]
    kernels: tuple[PricedKernel, ...]
    prices: np.ndarray

    def named(self, names: Names, start: int) -> Iterable[PricedKernel]:
        """The kernels in a model in which the part begins at some operator."""
        return [_named(template, names, start) for template in self.templates]


def became(kernels: Sequence[PricedKernel], made: Sequence[BlockKernel], graph: Graph, start: int) -> Became | None:
    """What a part became that begins at some operator; None where kernels say other names of their place.

    Args:
        kernels: of the part, with their prices.
        made: how they are named.
        graph: the model.
        start: the first operator.
    """
    templates = []
    for kernel, of_block in zip(kernels, made, strict=True):
        inside = [graph.nodes[start + at] for at in of_block.sources]
        own = {node.name: at for node, at in zip(inside, of_block.sources, strict=True) if not node.scope}
        if kernel.place not in own and kernel.place not in {"", *[node.scope for node in inside]}:
            return None
        templates.append(_Template(kernel, of_block, own.get(kernel.place)))
    prices = [kernel.price for kernel in kernels if kernel.price is not None]
    return Became(tuple(templates), tuple(kernels), table_of(prices)) if len(prices) == len(kernels) else None


def _named(template: _Template, names: Names, start: int) -> PricedKernel:
    kernel, (_, named, sources), place = template
    called = names.called
    at = start + (named.at or 0)
    if named.output is None and not named.suffix and named.at is not None:  # nearly always
        name = called[at]
    else:
        name = named.of(names.entry, called[at], names.written[at][named.output or 0])
    nodes = tuple([called[start + source] for source in sources])
    if name == kernel.name and nodes == kernel.nodes:
        return kernel
    return PricedKernel(
        name, kernel.type, kernel.latency_ms, kernel.source, nodes, kernel.flops, kernel.bytes, kernel.outside,
        kernel.gaps, kernel.operator, kernel.place if place is None else called[start + place], kernel.signature,
        kernel.price, kernel.runs, kernel.parameters,
    )  # fmt: skip
