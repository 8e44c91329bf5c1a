"""Moving transposes: runtimes push them through operators until they meet and cancel.

1. Operators are visited in order: that of the graph, or, where operators share constants (rule 7) and it may matter,
   that in which the runtime sorts them (`topological_order`). A transpose that an operator reads is pushed behind it if
   the operator has a handler (rule 5), the input is one that the handler transposes, and it pays (rules 2-4).
2. Cost is counted in axes longer than 1, or of a size that is not known. Transposing an input costs its axes; nothing
   for a constant or for the output of another transpose; minus its axes where a transpose with the same permutation
   goes away, which is so if all its readers have handlers and the graph does not return it.
3. If that is negative, the axes of the widest output are added, except where an output leads to another transpose
   through operators with handlers only, and either one operator alone reads it and the graph does not return it, or
   that transpose has the inverse permutation and the graph returns nothing on the way. The transpose is pushed if the
   sum is negative.
4. Two transposes in a row always become one, or none.
5. `handlers` maps a way of handling to operators. Ways: `simple` (all inputs), `first` (only the first input),
   `broadcast` (all but scalars, ranks made equal), `concat`, `split`, `softmax` and `quantize` (attribute `axis`),
   `reduce` and `squeeze` (axes that go away), `arg`, `unsqueeze`, `slice`, `pad`, `tile`, `resize`, `gather` (by a
   scalar), `reshape` (where it splits axes or moves ones), `shape` (behind which its sizes are picked in the order of
   the permutation), `quantized_pair`, `quantized_concat` and `quantized_pool`
   (integer operators, scales between their inputs), `integer_pool`, which always pays and becomes the operator that
   `channels_last` names, and `never` (not pushed through, though rules 2 and 3 count on it).
6. A transpose is an operator of the kinds in `transposes`; new ones are of the first kind there.
7. A constant is permuted in place: what else reads it reads it through a transpose back, which counts as any other (so
   the second product with one table of cosines lets a transpose pass that the first one needed a reason for), and is
   folded in the end.
"""

from __future__ import annotations

import heapq

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, Prepared, list_of, map_of, one_of, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.passes.onnxruntime.permutations import Perm, inverse
from nnmeter.fusion.passes.onnxruntime.topological_order import topological_order
from nnmeter.fusion.passes.onnxruntime.transpose_handlers import ALWAYS_PAYS, HANDLERS, KEEPS_OUTPUTS
from nnmeter.fusion.passes.onnxruntime.transpose_moves import TransposeMoves, movable_inputs

_PERMUTING_CONSTANTS = frozenset({"broadcast", "concat"})


class TransposePusher:
    """A `push_transposes` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.kinds = fields["transposes"]
        self.channels_last: dict[str, str] = fields["channels_last"]
        self.way: dict[str, str] = {kind: way for way, kinds in fields["handlers"].items() for kind in kinds}
        self.way.update(dict.fromkeys(self.kinds, "transpose"))

    def apply(self, graph: WorkingGraph) -> bool:
        """Push transposes through the graph once; whether any moved."""
        return Pushing(graph, self.kinds, self.way, self.channels_last).run()


class Pushing(TransposeMoves):
    """One application to one graph: the order of visits, and what pays."""

    def run(self) -> bool:
        """Visit all readers of transposes once, in order, also those that pushing makes; whether a transpose moved."""
        graph, kinds, producer, way = self.graph, self.kinds, self.graph.producer, self.way
        self.leading = self._leading_to_transposes()
        if any(graph.by_kind.get(kind) for kind in kinds) and self._shares_constants():
            self.order = topological_order(graph)
        for kind in kinds:
            for transpose in graph.by_kind.get(kind, ()):
                self.await_readers(transpose.outputs[0])
        changed = False
        while self.waiting:
            self.position, _, node = heapq.heappop(self.waiting)
            if not node.alive or node.kind not in way:
                continue
            for index, tensor in enumerate(node.inputs):
                writer = producer.get(tensor)
                if writer is not None and writer.kind in kinds and self._push(writer, node, index):
                    changed = True
                    break
        self.fold_turned_back()
        return changed

    def _shares_constants(self) -> bool:
        """Whether a constant of several elements is read by several operators that a transpose would permute it for."""
        graph = self.graph
        seen: set[str] = set()
        for kind, way in self.way.items():
            if way not in _PERMUTING_CONSTANTS:
                continue
            for node in graph.by_kind.get(kind, ()):
                for tensor in dict.fromkeys(node.inputs):
                    if tensor in graph.constants and graph.types[tensor].elements > 1:
                        if tensor in seen:
                            return True
                        seen.add(tensor)
        return False

    def _leading_to_transposes(self) -> dict[str, set[Perm]]:
        """Tensors from which transposes are reached through operators with handlers only, and which (rule 3).

        Permutations are those of the transposes that are reached, but for those behind an output of the graph.
        """
        graph, producer, outputs = self.graph, self.graph.producer, self.graph.outputs
        pending: list[tuple[str, Perm]] = [
            (node.inputs[0], self.perm(node)) for kind in self.kinds for node in graph.by_kind.get(kind, ())
        ]
        leading: dict[str, set[Perm]] = {}
        while pending:
            tensor, perm = pending.pop()
            if tensor in outputs:
                perm = ()
            known = leading.get(tensor)
            if known is None:
                known = leading[tensor] = set()
            elif perm in known:
                continue
            known.add(perm)
            writer = producer.get(tensor)
            way = self.way.get(writer.kind) if writer is not None and writer.kind not in self.kinds else None
            if writer is not None and way is not None and way not in KEEPS_OUTPUTS:
                graph.spend(1)
                pending += [(writer.inputs[index], perm) for index in movable_inputs(graph, writer, way)]
        return leading

    def _push(self, transpose: WorkNode, node: WorkNode, index: int) -> bool:
        perm = self.perm(transpose)
        way = self.way[node.kind]
        movable = movable_inputs(self.graph, node, way)
        if index not in movable or (way not in ALWAYS_PAYS and not self._pays(node, way, perm, movable)):
            return False
        self.orphans = ()
        return HANDLERS[way](self, transpose, node, perm)

    # Rules 2 and 3: what pushing costs.

    def _pays(self, node: WorkNode, way: str, perm: Perm, movable: list[int]) -> bool:
        cost = sum(self._input_cost(node.inputs[index], perm) for index in movable)
        if cost < 0 and way not in KEEPS_OUTPUTS and not self._leads_on(node, perm):
            cost += max((self._axes(tensor) for tensor in node.outputs if tensor), default=0)
        return cost < 0

    def _leads_on(self, node: WorkNode, perm: Perm) -> bool:
        """Whether a transpose behind the node would meet another one that makes up for it (rule 3)."""
        for tensor in node.outputs:
            found = self.leading.get(tensor)
            if found is None:
                continue
            readers = list(self.graph.readers.get(tensor, ()))
            alone = tensor not in self.graph.outputs and all(reader is readers[0] for reader in readers)
            if alone or inverse(perm) in found:
                return True
        return False

    def _input_cost(self, tensor: str, perm: Perm) -> int:
        graph = self.graph
        if tensor in graph.constants:
            return 0
        writer = graph.producer.get(tensor)
        if writer is not None and writer.kind in self.kinds:
            if self.perm(writer) == perm and self._goes_away(tensor):
                return -self._axes(tensor)
            return 0
        return self._axes(tensor)

    def _goes_away(self, tensor: str) -> bool:
        if tensor in self.graph.outputs:
            return False
        readers = self.graph.readers.get(tensor, ())
        self.graph.spend(len(readers))
        for reader in readers:  # noqa: SIM110 - a loop takes half the time of a generator here
            if reader.kind not in self.way:
                return False
        return True

    def _axes(self, tensor: str) -> int:
        shape = self.graph.types[tensor].shape
        free = self.graph.free.get(tensor)
        known_ones = sum(size == 1 for axis, size in enumerate(shape) if axis not in free) if free else shape.count(1)
        return len(shape) - known_ones


def _prepare(fields: Fields) -> Prepared:
    pusher = TransposePusher(fields)
    return Prepared(pusher.apply, frozenset(pusher.kinds), local=True)


PASSES = (
    PassKind(
        "push_transposes",
        _prepare,
        {
            "transposes": Field(list_of(text, least=1), ("Transpose",)),
            "handlers": Field(map_of(texts, key=one_of(*HANDLERS))),
            "channels_last": Field(map_of(text), {}),
        },
    ),
)
