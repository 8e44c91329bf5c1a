"""Blocked layouts: which operators run on channels in blocks, and the reorders in and out that this costs.

A runtime may keep tensors N,C,H,W as N,C/b,H,W,b with `b` channels innermost, so that convolutions fill vector
registers. What decides the price are padded channels and the reorders at the borders. A `layout` pass has the fields
`domain` (of the blocked operators), `block` (the name of the parameter that gives `b`), `alignment` (channels must be
a multiple of it to be reordered), `reorder_input` and `reorder_output` (operators), `upsample` (the operator that
scales), `reshape` (the operator that reshapes, rule 4), and for each role below a list of operators. Operators are
visited in order; what one of a role does:

1. `convolutions` become blocked if weights and bias are constant, float and two-dimensional. With one group, fewer
   input channels than a block are read unblocked; otherwise they must be aligned. Depthwise convolutions need aligned
   channels; other groups whole blocks on both sides. Channels of weights and bias are padded to blocks.
2. `pools` become blocked if their channels are whole blocks, except one that has all the attributes that `plain_pools`
   lists for its operator; `global_pools` only if, besides, their input is blocked already or is given by the caller.
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

from collections.abc import Callable
from typing import Any

from nnmeter.fusion.engine.faults import RuleFault
from nnmeter.fusion.engine.passes import (
    Field,
    Fields,
    PassKind,
    Prepared,
    count,
    list_of,
    literal,
    map_of,
    number,
    object_of,
    pair_of,
    text,
    texts,
)
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.passes.onnxruntime.blocked_tensors import Blocked, BlockedTensors
from nnmeter.graph.ir import TensorType

_ROLES = (
    "convolutions", "pools", "global_pools", "sums", "products", "activations", "concats", "normalizations", "resizes",
    "transposes_out",
)  # fmt: skip
_TO_CHANNELS_LAST = (0, 2, 3, 1)


class BlockedLayout:
    """A `layout` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.role = {kind: role for role in _ROLES for kind in fields[role]}
        self.starts = frozenset(kind for role in ("convolutions", "pools", "global_pools") for kind in fields[role])

    def apply(self, graph: WorkingGraph) -> bool:
        """Bring the graph into the blocked layout; whether anything changed."""
        if graph.parameters.get(self.fields["block"], 1) <= 1:
            return False
        return _Blocking(self, graph).run()


class _Blocking(BlockedTensors):
    """One application of a layout pass to one graph."""

    def __init__(self, layout: BlockedLayout, graph: WorkingGraph) -> None:
        super().__init__(layout.fields, graph)
        self.role = layout.role
        self.fused_activations = frozenset(layout.fields["fused_activations"])
        self.alignment: int = layout.fields["alignment"]

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
        role, before = self.role, self.graph.version
        for node in list(self.graph.ordered()):
            found = role.get(node.kind)
            if found is not None and node.alive:
                transform[found](node)
        for tensor, blocked in self.blocked.items():
            if blocked.remaining > 0:
                self.reorder_output(blocked, tensor, channels_last=0)
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
        inputs = [self.blocked_input(x) if reads_blocked else x, self.padded_weight(w, shape)]
        if bias:
            inputs.append(self.padded_weight(bias, (shape[0],)))
        attributes = {**node.attributes, "group": groups}
        self.become(node, self.conv, inputs, attributes, weight.shape[0])

    def _plan(self, weight: tuple[int, ...], groups: int) -> tuple[bool, int, tuple[int, ...]] | None:
        """Whether the input is blocked, the groups, and the padded weight; None if the convolution stays as it is."""
        block, alignment = self.block, self.alignment
        outputs, inputs, *kernel = weight
        padded = self.pad(outputs)
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
        return True, groups, (padded, self.pad(inputs), *kernel)

    def _pool(self, node: WorkNode) -> None:
        kind = self.graph.types[node.inputs[0]]
        if len(kind.shape) != 4 or kind.dtype != "float32" or kind.shape[1] % self.block or len(node.outputs) > 1:
            return
        plain = self.fields["plain_pools"].get(node.kind)
        if plain and all(node.attributes.get(name, 0) == value for name, value in plain.items()):
            return
        inputs = [self.blocked_input(node.inputs[0])]
        self.become(node, f"{self.domain}.{node.kind}", inputs, node.attributes, kind.shape[1])

    def _global_pool(self, node: WorkNode) -> None:
        if node.inputs[0] in self.blocked or node.inputs[0] not in self.graph.producer:
            self._pool(node)

    # Rules 4 to 10: what stays blocked.

    def _sum(self, node: WorkNode) -> None:
        sources = self.blocked_sources(node)
        if sources is None:
            return
        shapes = {self.graph.types[tensor].shape for tensor in node.inputs}
        if len(shapes) > 1:
            self._reshaped_sum(node, sources)
            return
        self.take(node, len(sources))
        if len(sources) == 2:
            for source, other in (sources, sources[::-1]):
                if self.is_open(source) and len(source.writer.inputs) < 4 and source is not other:
                    writer = source.writer
                    writer.inputs.extend([""] * (3 - len(writer.inputs)) + [""])
                    self.graph.set_input(writer, 3, other.tensor)
                    self.absorb(node, source)
                    return
        self.stay(node, [source.tensor for source in sources], sources[0].channels)

    def _reshaped_sum(self, node: WorkNode, sources: list[Blocked]) -> None:
        graph, block = self.graph, self.block
        if len(sources) != 2 or any(len(graph.types[tensor].shape) != 4 for tensor in node.inputs):
            return
        if sources[0].channels != sources[1].channels:
            return
        self.take(node, 2)
        reshaped = []
        for source in sources:
            n, c, h, w = graph.types[source.tensor].shape
            reshaped.append(self.reshape(source.tensor, (n, c // block, h, w, block), node))
        n, c, h, w = graph.types[node.outputs[0]].shape
        padded = self.pad(c)
        dtype = graph.types[node.outputs[0]].dtype
        total = graph.fresh("sum")
        graph.types[total] = TensorType(dtype, (n, padded // block, h, w, block))
        output = node.outputs[0]
        uses = graph.uses(output)
        graph.remove_node(node)
        graph.add_node(node.kind, node.name, reshaped, [total], node.attributes, node.position, node.sources)
        result = self.reshape(total, (n, padded, h, w), node)
        self.blocked[output] = Blocked(result, sources[0].channels, graph.producer[result], uses, uses)

    def _product(self, node: WorkNode) -> None:
        if self._scale(node):
            return
        sources = self.blocked_sources(node)
        if sources is None or len({self.graph.types[tensor].shape for tensor in node.inputs}) > 1:
            return
        self.take(node, len(sources))
        if not self._gate(node, sources):
            self.stay(node, [source.tensor for source in sources], sources[0].channels)

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
                padded = self.pad(source.channels)
                weight = graph.add_weight("scale", TensorType("float32", (padded, 1, 1, 1)))
                self.become(node, self.conv, [source.tensor, weight], {"group": padded}, source.channels)
                return True
        return False

    def _gate(self, node: WorkNode, sources: list[Blocked]) -> bool:
        """Rule 6: conv * gate(conv) goes into the convolution; whether it did."""
        if len(sources) != 2 or node.outputs[0] in self.graph.outputs:
            return False
        for source, gated in (sources, sources[::-1]):
            gate, writer = gated.writer, source.writer
            rule = self.fields["gates"].get(gate.kind)
            if rule is None or gate.inputs[0] != source.tensor or gated.uses != 1 or source.uses != 2:
                continue
            if writer.kind != self.conv or "activation" in writer.attributes:
                continue
            wanted = rule["attributes"]
            if any(abs(gate.attributes.get(key, rule["defaults"][key]) - v) > 1e-3 for key, v in wanted.items()):
                continue
            writer.sources += gate.sources
            self.graph.remove_node(gate)
            self.set_activation(writer, rule["activation"])
            self.absorb(node, source)
            return True
        return False

    def _activation(self, node: WorkNode) -> None:
        source = self.blocked.get(node.inputs[0])
        if source is None:
            return
        source.remaining -= 1
        if node.kind in self.fused_activations and self.is_open(source):
            self.set_activation(source.writer, node.kind)
            self.absorb(node, source)
        else:
            self.stay(node, [source.tensor], source.channels)

    def _concat(self, node: WorkNode) -> None:
        sources = self.blocked_sources(node)
        rank = len(self.graph.types[node.outputs[0]].shape)
        if sources is None or node.attributes.get("axis", 1) % rank != 1:
            return
        if any(source.channels % self.block for source in sources):
            return
        self.take(node, len(sources))
        self.stay(node, [source.tensor for source in sources], sum(source.channels for source in sources))

    def _normalization(self, node: WorkNode) -> None:
        source = self.blocked.get(node.inputs[0])
        graph = self.graph
        if source is None or any(tensor not in graph.constants for tensor in node.inputs[1:]):
            return
        if sum(1 for tensor in node.outputs if tensor) > 1:
            return
        source.remaining -= 1
        padded = self.pad(source.channels)
        weight = graph.add_weight("scale", TensorType("float32", (padded, 1, 1, 1)))
        bias = graph.add_weight("bias", TensorType("float32", (padded,)))
        self.become(node, self.conv, [source.tensor, weight, bias], {"group": padded}, source.channels)

    def _resize(self, node: WorkNode) -> None:
        source = self.blocked.get(node.inputs[0])
        if source is None or not self._resize_mode(node):
            return
        before, after = self.graph.types[node.inputs[0]].shape, self.graph.types[node.outputs[0]].shape
        if before[:2] != after[:2] or 0 in before[2:] or after[2] % before[2] or after[3] % before[3]:
            return
        if any(tensor and tensor not in self.graph.constants for tensor in node.inputs[1:]):
            return
        source.remaining -= 1
        scales = (1, 1, after[2] // before[2], after[3] // before[3])  # also of a batch of none
        attributes = {"mode": node.attributes.get("mode", "nearest"), "scales": scales}
        kept = node.attributes.get("coordinate_transformation_mode")
        if kept:
            attributes["coordinate_transformation_mode"] = kept
        self.become(node, f"{self.domain}.{self.fields['upsample']}", [source.tensor], attributes, source.channels)

    def _resize_mode(self, node: WorkNode) -> bool:
        mode = node.attributes.get("mode", "nearest")
        defaults = self.fields["resize_defaults"].get(node.kind, {})
        if self.graph.opsets.get("", 1) < defaults.get("opset", 0):
            defaults = {}
        for required in self.fields["resize_modes"].get(mode, ()):
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
        self.reorder_output(source, output, channels_last=1, sources=node.sources, name=node.name)


def _prepare(fields: Fields) -> Prepared:
    layout = BlockedLayout(fields)
    return Prepared(layout.apply, layout.starts)


_GATE = object_of(
    {"activation": Field(text), "attributes": Field(map_of(number), {}), "defaults": Field(map_of(number), {})}
)
_DEFAULTS = map_of(literal)


def _gate(value: Any) -> Fields:
    """An entry of `gates`; each attribute that is required has a default."""
    gate = _GATE(value)
    missing = sorted(set(gate["attributes"]) - set(gate["defaults"]))
    if missing:
        raise RuleFault(f"has no default of {missing[0]!r:.60}")
    return gate


def _resize_default(value: Any) -> dict[str, Any]:
    """An entry of `resize_defaults`: attributes, and the `opset` from which on they hold."""
    defaults = _DEFAULTS(value)
    return {**defaults, "opset": count(defaults.get("opset", 0))}


PASSES = (
    PassKind(
        "layout",
        _prepare,
        {
            "domain": Field(text),
            "block": Field(text),
            "alignment": Field(count, 1),
            "reorder_input": Field(text),
            "reorder_output": Field(text),
            "upsample": Field(text),
            "reshape": Field(text, "Reshape"),
            "convolutions": Field(list_of(text, least=1)),
            **{role: Field(texts, ()) for role in _ROLES[1:]},
            "plain_pools": Field(map_of(map_of(literal)), {}),
            "fused_activations": Field(texts, ()),
            "transposes_in": Field(texts, ()),
            "gates": Field(map_of(_gate), {}),
            "resize_defaults": Field(map_of(_resize_default), {}),
            "resize_modes": Field(map_of(list_of(map_of(pair_of(literal, list_of(literal))))), {}),
        },
    ),
)
