"""Blocked layouts: which operators run on channels in blocks, and the reorders in and out that this costs.

A runtime may keep tensors N,C,H,W as N,C/b,H,W,b with `b` channels innermost, so that convolutions fill vector
registers. What decides the price are padded channels and the reorders at the borders. A `layout` pass has the fields
`domain` (of the blocked operators), `block` (the name of the parameter that gives `b`), `alignment` (channels must be
a multiple of it to be reordered), `reorder_input` and `reorder_output` (operators), `upsample` (the operator that
scales), and for each role below a list of operators. Operators are visited in order; what one of a role does:

1. `convolutions` become blocked if weights and bias are constant, float and two-dimensional. With one group, fewer
   input channels than a block are read unblocked; otherwise they must be aligned. Depthwise convolutions need aligned
   channels; other groups whole blocks on both sides. Channels of weights and bias are padded to blocks.
2. `pools` become blocked if their channels are whole blocks; `global_pools` only if, besides, their input is blocked
   already or is given by the caller.
3. An input that is not blocked is reordered, once for all its readers; if it comes from a `transposes_in`
   (N,H,W,C -> N,C,H,W) that nobody else reads, the reorder reads the tensor before it.
4. `sums` and `products` stay as they are on blocked inputs of equal shape. A sum of two, one of which a convolution
   writes that nobody else reads and that has neither residual nor activation, goes into that convolution. A sum of
   unequal shapes runs on reshaped inputs.
5. `activations` stay as they are on a blocked input; those in `fused_activations` go into a convolution that has none
   and that nobody else reads.
6. A product of a convolution with its own `gates` (operator -> attributes that are required, and the name of the
   activation that the two make together) goes into the convolution.
7. `concats` along channels stay as they are if all inputs are blocked and whole blocks.
8. `normalizations` of a blocked input by constants, and products of one with a constant for each channel, become
   depthwise convolutions of size 1.
9. `resizes` of a blocked input by whole factors become `upsample`, if the mode is in `resize_modes` (mode -> choices of
   attribute -> [default, allowed values]); `resize_defaults` gives an operator's defaults from an opset on.
10. `transposes_out` (N,C,H,W -> N,H,W,C) of a blocked input become reorders.
11. A blocked tensor that somebody else reads, or that the graph returns, is reordered back once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

_ROLES = (
    "convolutions", "pools", "global_pools", "sums", "products", "activations", "concats", "normalizations", "resizes",
    "transposes_out",
)  # fmt: skip
_TO_CHANNELS_LAST = (0, 2, 3, 1)
_TO_CHANNELS_FIRST = (0, 3, 1, 2)


@dataclass(slots=True)
class _Blocked:
    """The blocked form of a tensor."""

    tensor: str
    channels: int
    writer: WorkNode
    uses: int  # of the unblocked tensor, at first
    remaining: int  # uses that still read the unblocked tensor


class BlockedLayout:
    """A `layout` pass, prepared."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.domain = fields["domain"]
        self.role = {kind: role for role in _ROLES for kind in fields.get(role, ())}
        self.fused_activations = frozenset(fields.get("fused_activations", ()))
        self.conv = f"{self.domain}.{fields['convolutions'][0]}"

    def apply(self, graph: WorkingGraph) -> bool:
        """Bring the graph into the blocked layout; whether anything changed."""
        if graph.parameters.get(self.fields["block"], 1) <= 1:
            return False
        starts = ("convolutions", "pools", "global_pools")
        if not any(graph.by_kind.get(kind) for kind, role in self.role.items() if role in starts):
            return False
        return _Blocking(self, graph).run()


class _Blocking:
    """One application of a layout pass to one graph."""

    def __init__(self, layout: BlockedLayout, graph: WorkingGraph) -> None:
        self.layout = layout
        self.fields = layout.fields
        self.graph = graph
        self.block = int(graph.parameters[layout.fields["block"]])
        self.alignment = int(layout.fields.get("alignment", 1))
        self.blocked: dict[str, _Blocked] = {}
        self.reordered: dict[str, str] = {}
        self.weights: dict[tuple[str, tuple[int, ...]], str] = {}

    def run(self) -> bool:
        transform: dict[str, Callable[[WorkNode], None]] = {
            "convolutions": self._convolution,
            "pools": self._pool,
            "global_pools": self._global_pool,
            "sums": self._sum,
            "products": self._product,
            "activations": self._activation,
            "concats": self._concat,
            "normalizations": self._normalization,
            "resizes": self._resize,
            "transposes_out": self._transpose_out,
        }
        role, before = self.layout.role, self.graph.version
        for node in list(self.graph.ordered()):
            found = role.get(node.kind)
            if found is not None and node.alive:
                transform[found](node)
        for tensor, blocked in self.blocked.items():
            if blocked.remaining > 0:
                self._reorder_output(blocked, tensor, channels_last=0)
        return self.graph.version != before

    # Rules 1 and 2: where blocked tensors come from.

    def _convolution(self, node: WorkNode) -> None:
        graph, types = self.graph, self.graph.types
        x, w = node.inputs[0], node.inputs[1]
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        weight = types[w]
        if w not in graph.constants or weight.dtype != "float32" or len(weight.shape) != 4:
            return
        if (bias and bias not in graph.constants) or len(node.inputs) > 3 or len(types[x].shape) != 4:
            return
        plan = self._plan(weight.shape, int(node.attributes.get("group", 1)))
        if plan is None:
            return
        reads_blocked, groups, shape = plan
        inputs = [self._blocked_input(x) if reads_blocked else x, self._padded_weight(w, shape)]
        if bias:
            inputs.append(self._padded_weight(bias, (shape[0],)))
        attributes = {**node.attributes, "group": groups}
        self._become(node, self.layout.conv, inputs, attributes, weight.shape[0])

    def _plan(self, weight: tuple[int, ...], groups: int) -> tuple[bool, int, tuple[int, ...]] | None:
        """Whether the input is blocked, the groups, and the padded weight; None if the convolution stays as it is."""
        block, alignment = self.block, self.alignment
        outputs, inputs, *kernel = weight
        padded = self._pad(outputs)
        if groups > 1:
            if outputs % alignment:
                return None
            if inputs == 1 and outputs == groups:
                return True, padded, (padded, 1, *kernel)
            if inputs % block or outputs % groups or (outputs // groups) % block:
                return None
            return True, groups, (padded, inputs, *kernel)
        if inputs < block:
            return False, groups, (padded, inputs, *kernel)
        if inputs % alignment:
            return None
        return True, groups, (padded, self._pad(inputs), *kernel)

    def _pool(self, node: WorkNode) -> None:
        kind = self.graph.types[node.inputs[0]]
        if len(kind.shape) != 4 or kind.dtype != "float32" or kind.shape[1] % self.block or len(node.outputs) > 1:
            return
        inputs = [self._blocked_input(node.inputs[0])]
        self._become(node, f"{self.layout.domain}.{node.kind}", inputs, node.attributes, kind.shape[1])

    def _global_pool(self, node: WorkNode) -> None:
        if node.inputs[0] in self.blocked or node.inputs[0] not in self.graph.producer:
            self._pool(node)

    # Rules 4 to 10: what stays blocked.

    def _sum(self, node: WorkNode) -> None:
        sources = self._blocked_sources(node)
        if sources is None:
            return
        shapes = {self.graph.types[tensor].shape for tensor in node.inputs}
        if len(shapes) > 1:
            self._reshaped_sum(node, sources)
            return
        self._take(node, len(sources))
        if len(sources) == 2:
            for source, other in (sources, sources[::-1]):
                if self._is_open(source) and len(source.writer.inputs) < 4 and source is not other:
                    writer = source.writer
                    writer.inputs.extend([""] * (3 - len(writer.inputs)) + [""])
                    self.graph.set_input(writer, 3, other.tensor)
                    self._absorb(node, source)
                    return
        self._stay(node, [source.tensor for source in sources], sources[0].channels)

    def _reshaped_sum(self, node: WorkNode, sources: list[_Blocked]) -> None:
        graph, block = self.graph, self.block
        if len(sources) != 2 or any(len(graph.types[tensor].shape) != 4 for tensor in node.inputs):
            return
        if sources[0].channels != sources[1].channels:
            return
        self._take(node, 2)
        reshaped = []
        for source in sources:
            n, c, h, w = graph.types[source.tensor].shape
            reshaped.append(self._reshape(source.tensor, (n, c // block, h, w, block), node))
        n, c, h, w = graph.types[node.outputs[0]].shape
        padded = self._pad(c)
        dtype = graph.types[node.outputs[0]].dtype
        total = graph.fresh("sum")
        graph.types[total] = TensorType(dtype, (n, padded // block, h, w, block))
        output = node.outputs[0]
        uses = graph.uses(output)
        graph.remove_node(node)
        graph.add_node(node.kind, node.name, reshaped, [total], node.attributes, node.position, node.sources)
        result = self._reshape(total, (n, padded, h, w), node)
        self.blocked[output] = _Blocked(result, sources[0].channels, graph.producer[result], uses, uses)

    def _product(self, node: WorkNode) -> None:
        if self._scale(node):
            return
        sources = self._blocked_sources(node)
        if sources is None or len({self.graph.types[tensor].shape for tensor in node.inputs}) > 1:
            return
        self._take(node, len(sources))
        if not self._gate(node, sources):
            self._stay(node, [source.tensor for source in sources], sources[0].channels)

    def _scale(self, node: WorkNode) -> bool:
        """Rule 8 for a product with one constant a channel; whether it is one."""
        graph, types = self.graph, self.graph.types
        for tensor, factor in (node.inputs[:2], node.inputs[1::-1]):
            source = self.blocked.get(tensor)
            if source is None or factor not in graph.constants or source.channels == 1:
                continue
            shape = types[factor].shape
            if types[factor].elements == source.channels and shape[-3:] == (source.channels, 1, 1) and len(shape) <= 4:
                source.remaining -= 1
                padded = self._pad(source.channels)
                weight = graph.add_weight("scale", TensorType("float32", (padded, 1, 1, 1)))
                self._become(node, self.layout.conv, [source.tensor, weight], {"group": padded}, source.channels)
                return True
        return False

    def _gate(self, node: WorkNode, sources: list[_Blocked]) -> bool:
        """Rule 6: conv * gate(conv) goes into the convolution; whether it did."""
        if len(sources) != 2 or node.outputs[0] in self.graph.outputs:
            return False
        for source, gated in (sources, sources[::-1]):
            gate, writer = gated.writer, source.writer
            rule = self.fields.get("gates", {}).get(gate.kind)
            if rule is None or gate.inputs[0] != source.tensor or gated.uses != 1 or source.uses != 2:
                continue
            if writer.kind != self.layout.conv or "activation" in writer.attributes:
                continue
            wanted = rule.get("attributes", {})
            if any(abs(gate.attributes.get(key, rule["defaults"][key]) - v) > 1e-3 for key, v in wanted.items()):
                continue
            writer.sources += gate.sources
            self.graph.remove_node(gate)
            self._set_activation(writer, rule["activation"])
            self._absorb(node, source)
            return True
        return False

    def _activation(self, node: WorkNode) -> None:
        source = self.blocked.get(node.inputs[0])
        if source is None:
            return
        source.remaining -= 1
        if node.kind in self.layout.fused_activations and self._is_open(source):
            self._set_activation(source.writer, node.kind)
            self._absorb(node, source)
        else:
            self._stay(node, [source.tensor], source.channels)

    def _concat(self, node: WorkNode) -> None:
        sources = self._blocked_sources(node)
        rank = len(self.graph.types[node.outputs[0]].shape)
        if sources is None or node.attributes.get("axis", 1) % rank != 1:
            return
        if any(source.channels % self.block for source in sources):
            return
        self._take(node, len(sources))
        self._stay(node, [source.tensor for source in sources], sum(source.channels for source in sources))

    def _normalization(self, node: WorkNode) -> None:
        source = self.blocked.get(node.inputs[0])
        graph = self.graph
        if source is None or any(tensor not in graph.constants for tensor in node.inputs[1:]):
            return
        if sum(1 for tensor in node.outputs if tensor) > 1:
            return
        source.remaining -= 1
        padded = self._pad(source.channels)
        weight = graph.add_weight("scale", TensorType("float32", (padded, 1, 1, 1)))
        bias = graph.add_weight("bias", TensorType("float32", (padded,)))
        self._become(node, self.layout.conv, [source.tensor, weight, bias], {"group": padded}, source.channels)

    def _resize(self, node: WorkNode) -> None:
        source = self.blocked.get(node.inputs[0])
        if source is None or not self._resize_mode(node):
            return
        before, after = self.graph.types[node.inputs[0]].shape, self.graph.types[node.outputs[0]].shape
        if before[:2] != after[:2] or after[2] % before[2] or after[3] % before[3]:
            return
        if any(tensor and tensor not in self.graph.constants for tensor in node.inputs[1:]):
            return
        source.remaining -= 1
        scales = tuple(a // b for a, b in zip(after, before, strict=True))
        attributes = {"mode": node.attributes.get("mode", "nearest"), "scales": scales}
        kept = node.attributes.get("coordinate_transformation_mode")
        if kept:
            attributes["coordinate_transformation_mode"] = kept
        self._become(
            node, f"{self.layout.domain}.{self.fields['upsample']}", [source.tensor], attributes, source.channels
        )

    def _resize_mode(self, node: WorkNode) -> bool:
        mode = node.attributes.get("mode", "nearest")
        defaults = self.fields.get("resize_defaults", {}).get(node.kind, {})
        if self.graph.opsets.get("", 1) < defaults.get("opset", 0):
            defaults = {}
        for required in self.fields.get("resize_modes", {}).get(mode, ()):
            if all(
                node.attributes.get(key, defaults.get(key, default)) in allowed
                for key, (default, allowed) in required.items()
            ):
                return True
        return False

    def _transpose_out(self, node: WorkNode) -> None:
        source = self.blocked.get(node.inputs[0])
        if source is None or tuple(node.attributes.get("perm", ())) != _TO_CHANNELS_LAST:
            return
        source.remaining -= 1
        output = node.outputs[0]
        self.graph.remove_node(node)
        self._reorder_output(source, output, channels_last=1, sources=node.sources, name=node.name)

    # Helpers: types, inputs and outputs of blocked operators.

    def _pad(self, channels: int) -> int:
        return -(-channels // self.block) * self.block

    def _blocked_type(self, tensor: str) -> TensorType:
        kind = self.graph.types[tensor]
        return TensorType(kind.dtype, (kind.shape[0], self._pad(kind.shape[1]), *kind.shape[2:]))

    def _padded_weight(self, tensor: str, shape: tuple[int, ...]) -> str:
        key = (tensor, shape)
        if key not in self.weights:
            self.weights[key] = self.graph.add_weight(tensor, TensorType(self.graph.types[tensor].dtype, shape))
        return self.weights[key]

    def _blocked_sources(self, node: WorkNode) -> list[_Blocked] | None:
        found = [self.blocked.get(tensor) for tensor in node.inputs]
        sources = [source for source in found if source is not None]
        return sources if len(sources) == len(found) and sources else None

    def _take(self, node: WorkNode, count: int) -> None:
        for tensor in node.inputs[:count]:
            self.blocked[tensor].remaining -= 1

    def _is_open(self, source: _Blocked) -> bool:
        """Whether a convolution writes it that nobody else reads and that has no activation yet."""
        writer = source.writer
        return writer.kind == self.layout.conv and source.uses == 1 and "activation" not in writer.attributes

    def _set_activation(self, writer: WorkNode, activation: str) -> None:
        writer.attributes = {**writer.attributes, "activation": activation}

    def _absorb(self, node: WorkNode, source: _Blocked) -> None:
        """A node went into the convolution that writes `source`, which now writes the blocked form of its output."""
        graph, output = self.graph, node.outputs[0]
        uses = graph.uses(output)
        graph.remove_node(node)
        source.writer.sources += node.sources
        source.writer.position = max(source.writer.position, node.position)
        self.blocked[output] = _Blocked(source.tensor, source.channels, source.writer, uses, uses)

    def _stay(self, node: WorkNode, inputs: list[str], channels: int) -> None:
        self._become(node, node.kind, inputs + node.inputs[len(inputs) :], node.attributes, channels)

    def _become(self, node: WorkNode, kind: str, inputs: list[str], attributes: dict[str, Any], channels: int) -> None:
        """Replace a node by its blocked form."""
        graph, output = self.graph, node.outputs[0]
        uses = graph.uses(output)
        tensor = graph.fresh(output)
        graph.types[tensor] = self._blocked_type(output)
        graph.remove_node(node)
        writer = graph.add_node(kind, node.name, inputs, [tensor], attributes, node.position, node.sources)
        self.blocked[output] = _Blocked(tensor, channels, writer, uses, uses)

    def _blocked_input(self, tensor: str) -> str:
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
            and writer.kind in self.fields.get("transposes_in", ())
            and tuple(writer.attributes.get("perm", ())) == _TO_CHANNELS_FIRST
            and graph.uses(tensor) == 1
        ):
            reads, channels_last, sources = writer.inputs[0], 1, writer.sources
            graph.remove_node(writer)
        result = graph.fresh("reorder")
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

    def _reorder_output(
        self, source: _Blocked, output: str, channels_last: int, sources: tuple[str, ...] = (), name: str = ""
    ) -> None:
        attributes = {"channels_last": channels_last, "channels": source.channels}
        kind, position = self._reorder("reorder_output"), source.writer.position
        name = name or self.graph.fresh("reorder")
        self.graph.add_node(kind, name, [source.tensor], [output], attributes, position, sources)

    def _reorder(self, which: str) -> str:
        return f"{self.layout.domain}.{self.fields[which]}"

    def _reshape(self, tensor: str, shape: tuple[int, ...], node: WorkNode) -> str:
        graph = self.graph
        target = graph.add_constant("shape", np.array(shape, np.int64), "int64")
        result = graph.fresh("reshape")
        graph.types[result] = TensorType(graph.types[tensor].dtype, shape)
        graph.add_node(self.fields.get("reshape", "Reshape"), result, [tensor, target], [result], {}, node.position)
        return result
