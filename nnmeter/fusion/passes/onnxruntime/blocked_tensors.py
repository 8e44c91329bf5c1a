"""Tensors in blocks of channels, while a graph is brought into a blocked layout: their types, writers and readers.

`layout` says which operators become blocked and when, and numbers the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.fusion.engine.passes import Fields
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

_TO_CHANNELS_FIRST = (0, 3, 1, 2)


@dataclass(slots=True)
class Blocked:
    """The blocked form of a tensor."""

    tensor: str
    channels: int
    writer: WorkNode
    uses: int  # of the unblocked tensor, at first
    remaining: int  # uses that still read the unblocked tensor


class BlockedTensors:
    """The blocked tensors of one graph, and the changes that make and use them."""

    def __init__(self, fields: Fields, graph: WorkingGraph) -> None:
        self.fields = fields
        self.graph = graph
        self.domain: str = fields["domain"]
        self.conv = f"{self.domain}.{fields['convolutions'][0]}"
        self.block = int(graph.parameters[fields["block"]])
        self.blocked: dict[str, Blocked] = {}
        self.reordered: dict[str, str] = {}
        self.weights: dict[tuple[str, tuple[int, ...]], str] = {}

    def pad(self, channels: int) -> int:
        """Channels in whole blocks."""
        return -(-channels // self.block) * self.block

    def _blocked_type(self, tensor: str) -> TensorType:
        kind = self.graph.types[tensor]
        channels = self.pad(kind.shape[1])
        return kind if channels == kind.shape[1] else TensorType(kind.dtype, (kind.shape[0], channels, *kind.shape[2:]))

    def padded_weight(self, tensor: str, shape: tuple[int, ...]) -> str:
        """A weight with its channels in whole blocks, one for all its readers."""
        key = (tensor, shape)
        known = self.weights.get(key)
        if known is None:
            kind = self.graph.types[tensor]
            if kind.shape != shape:
                kind = TensorType(kind.dtype, shape)
            known = self.weights[key] = self.graph.add_weight(tensor, kind)
        return known

    def blocked_sources(self, node: WorkNode) -> list[Blocked] | None:
        """The blocked forms of all inputs; None where one has none."""
        found = [self.blocked.get(tensor) for tensor in node.inputs]
        sources = [source for source in found if source is not None]
        return sources if len(sources) == len(found) and sources else None

    def take(self, node: WorkNode, count: int) -> None:
        """Note that a node reads the blocked forms of its first inputs."""
        for tensor in node.inputs[:count]:
            self.blocked[tensor].remaining -= 1

    def is_open(self, source: Blocked) -> bool:
        """Whether a convolution writes it that nobody else reads and that has no activation yet."""
        writer = source.writer
        return writer.kind == self.conv and source.uses == 1 and "activation" not in writer.attributes

    def set_activation(self, writer: WorkNode, activation: str) -> None:
        """Give a convolution an activation; the original graph keeps its own attributes."""
        writer.attributes = {**writer.attributes, "activation": activation}

    def absorb(self, node: WorkNode, source: Blocked) -> None:
        """A node went into the convolution that writes `source`, which now writes the blocked form of its output."""
        graph, output = self.graph, node.outputs[0]
        uses = graph.uses(output)
        graph.remove_node(node)
        source.writer.sources += node.sources
        source.writer.position = max(source.writer.position, node.position)
        self.blocked[output] = Blocked(source.tensor, source.channels, source.writer, uses, uses)

    def stay(self, node: WorkNode, inputs: list[str], channels: int) -> None:
        """Let a node work on the blocked forms of its first inputs."""
        self.become(node, node.kind, inputs + node.inputs[len(inputs) :], node.attributes, channels)

    def become(self, node: WorkNode, kind: str, inputs: list[str], attributes: dict[str, Any], channels: int) -> None:
        """Replace a node by its blocked form."""
        graph, output = self.graph, node.outputs[0]
        uses = graph.uses(output)
        tensor = graph.fresh(output)
        graph.types[tensor] = self._blocked_type(output)
        graph.remove_node(node)
        writer = graph.add_node(kind, node.name, inputs, [tensor], attributes, node.position, node.sources)
        self.blocked[output] = Blocked(tensor, channels, writer, uses, uses)

    def blocked_input(self, tensor: str) -> str:
        """The blocked form of a tensor, by a reorder if there is none yet (rule 3)."""
        source = self.blocked.get(tensor)
        if source is not None:
            source.remaining -= 1
            return source.tensor
        known = self.reordered.get(tensor)
        if known is not None:
            return known
        graph = self.graph
        reads, channels_last = tensor, 0
        sources: tuple[str, ...] = ()
        writer = graph.producer.get(tensor)
        position = writer.position if writer is not None else -1.0
        if (
            writer is not None
            and writer.kind in self.fields["transposes_in"]
            and tuple(writer.attributes.get("perm", ())) == _TO_CHANNELS_FIRST
            and graph.uses(tensor) == 1
        ):
            reads, channels_last, sources = writer.inputs[0], 1, writer.sources
            graph.remove_node(writer)
        result = graph.fresh(f"{tensor}~reorder")
        graph.types[result] = self._blocked_type(tensor)
        graph.add_node(
            self._reorder("reorder_input"),
            result,
            [reads],
            [result],
            {"channels_last": channels_last},
            position,
            sources,
        )
        self.reordered[tensor] = result
        return result

    def reorder_output(
        self, source: Blocked, output: str, channels_last: int, sources: tuple[str, ...] = (), name: str = ""
    ) -> None:
        """Reorder a blocked tensor into an output (rules 10 and 11)."""
        attributes = {"channels_last": channels_last, "channels": source.channels}
        kind, position = self._reorder("reorder_output"), source.writer.position
        name = name or self.graph.fresh(f"{output}~reorder")
        self.graph.add_node(kind, name, [source.tensor], [output], attributes, position, sources)

    def _reorder(self, which: str) -> str:
        return f"{self.domain}.{self.fields[which]}"

    def reshape(self, tensor: str, shape: tuple[int, ...], node: WorkNode) -> str:
        """The tensor in another shape, by a node before `node`."""
        graph = self.graph
        target = graph.add_constant("shape", np.array(shape, np.int64), "int64")
        result = graph.fresh("reshape")
        graph.types[result] = TensorType(graph.types[tensor].dtype, shape)
        graph.add_node(self.fields["reshape"], result, [tensor, target], [result], {}, node.position)
        return result
