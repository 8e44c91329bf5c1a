"""Channels last or first: in which order dimensions lie in memory, and the reorders that changing it costs.

Fields of a `memory_layout` pass: `channels_last` (operators that read and write channels last), `following` (operators
that work in either order), `views` (operators that only change the description of a tensor), `view` (the one of them
that takes the place of a transpose and a reorder that cost nothing), `transpose` (the operator that permutes
dimensions), `to_last` and `to_first` (operators that reorder), `retype` (one that changes the element type),
`ranks` (of tensors that can lie channels last),
`transpose_ranks` (of tensors whose transposes follow, rule 2),
`in_place_sums` (operators behind which, with a residual, a transpose is never merged), `splits`, `joins` and `moves`
(rule 7), `of_one_rank`, `last_behind_retype` and `first_behind_retype` (rules 8 and 9).

1. What the caller gives and gets, constants, and what other operators read and write lies channels first. A tensor lies
   channels last only if its rank is in `ranks`.
2. A `following` operator works channels last if at least half of its computed inputs of that rank lie so, of which
   what `retype` writes counts only where there is nothing else. A result of another rank than its input's lies channels
   first.
3. An input that lies otherwise than its reader wants is reordered, once for all readers. That costs nothing where only
   dimensions of size 1 change their place.
4. A transpose and a reorder that together leave every element in its place cost nothing: a transpose to N,C,H,W whose
   one reader wants it channels last, one from N,C,H,W channels last whose one reader wants it plain. The same holds
   with a view between them that splits or merges the spatial dimensions.
5. Where a result lies channels last, its kernel has the attribute `layout` with the order of its dimensions (`acdb`).
6. A reorder of what `retype` writes changes the element type as well, in place of it.
7. An operator of `splits` that cuts channels of a tensor channels last writes its pieces channels first, where none of
   them is read by one of `channels_last` or of `joins`. It gets the attribute that `moves` names.
8. An operator of `of_one_rank` that reads computed tensors of several ranks works channels first.
9. An operator that reads what `retype` writes works channels last if it is one of `last_behind_retype`, and first if it
   is one of `first_behind_retype`: its input is written anew anyway.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, Prepared, count, list_of, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode

_LETTERS = "abcdefghij"


class MemoryLayout:
    """A `memory_layout` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.channels_last = frozenset(fields["channels_last"])
        self.following = frozenset(fields["following"])
        self.views = frozenset(fields["views"])
        self.view = fields["view"]
        self.transpose = fields["transpose"]
        self.to_last = fields["to_last"]
        self.to_first = fields["to_first"]
        self.retype = fields["retype"]
        self.ranks = frozenset(fields["ranks"])
        self.transpose_ranks = frozenset(fields["transpose_ranks"])
        self.moves = fields["moves"]
        self.splits = frozenset(fields["splits"])
        self.joins = frozenset(fields["joins"])
        self.in_place_sums = frozenset(fields["in_place_sums"])
        self.of_one_rank = frozenset(fields["of_one_rank"])
        self.last_behind_retype = frozenset(fields["last_behind_retype"])
        self.first_behind_retype = frozenset(fields["first_behind_retype"])

    def apply(self, graph: WorkingGraph) -> bool:
        """Decide the order of every tensor and insert reorders; whether any tensor lies channels last."""
        return _Ordering(self, graph).run()


class _Ordering:
    """One application to one graph."""

    def __init__(self, rules: MemoryLayout, graph: WorkingGraph) -> None:
        self.rules = rules
        self.graph = graph
        self.last: set[str] = set()  # tensors that lie channels last
        self.converted: dict[tuple[str, bool], str] = {}

    def run(self) -> bool:
        for node in list(self.graph.ordered()):
            if node.alive:
                self._visit(node)
        for tensor in [name for name in self.graph.outputs if name in self.last]:
            self._convert(tensor, False, self.graph.producer[tensor].position + 0.5)
        return bool(self.last)

    def _visit(self, node: WorkNode) -> None:
        """Rules 1 to 3 and 5."""
        graph, rules = self.graph, self.rules
        if (node.kind in rules.views and self._merges_into_transpose(node)) or self._is_free_transpose(node):
            return
        wants_last = (
            node.kind in rules.channels_last
            or (node.kind in rules.following and self._follows(node))
            or (node.kind in rules.last_behind_retype and self._reads_retyped(node))
        )
        for index, tensor in enumerate(node.inputs):
            if not tensor or tensor in graph.constants:
                continue
            wanted = wants_last and self._can_lie_last(tensor)
            if (tensor in self.last) != wanted:
                graph.set_input(node, index, self._convert(tensor, wanted, node.position - 0.5))
        if not wants_last or self._splits_to_first(node):
            return
        rank = len(graph.types[node.inputs[0]].shape)
        for tensor in node.outputs:
            if tensor and self._can_lie_last(tensor) and len(graph.types[tensor].shape) == rank:
                self.last.add(tensor)
                if node.kind == rules.retype:
                    continue
                node.attributes = {**node.attributes, "layout": channels_last_order(rank)}

    def _can_lie_last(self, tensor: str) -> bool:
        return len(self.graph.types[tensor].shape) in self.rules.ranks

    def _follows(self, node: WorkNode) -> bool:
        """Rules 2, 8 and 9."""
        graph = self.graph
        if node.kind in self.rules.first_behind_retype and self._reads_retyped(node):
            return False
        if (
            node.kind == self.rules.transpose
            and len(graph.types[node.inputs[0]].shape) not in self.rules.transpose_ranks
        ):
            return False
        computed = [t for t in node.inputs if t and t not in graph.constants]
        if node.kind in self.rules.of_one_rank and len({len(graph.types[tensor].shape) for tensor in computed}) > 1:
            return False
        computed = [tensor for tensor in computed if self._can_lie_last(tensor)]
        computed = [tensor for tensor in computed if not self._is_retyped(tensor)] or computed
        count = sum(tensor in self.last for tensor in computed)
        return count > 0 and 2 * count >= len(computed)

    def _reads_retyped(self, node: WorkNode) -> bool:
        """Rule 9."""
        return self._is_retyped(node.inputs[0])

    def _is_retyped(self, tensor: str) -> bool:
        writer = self.graph.producer.get(tensor)
        return writer is not None and writer.kind == self.rules.retype

    def _splits_to_first(self, node: WorkNode) -> bool:
        """Rule 7."""
        graph, rules = self.graph, self.rules
        if (
            node.kind not in rules.splits
            or node.attributes.get("axis", 0) % len(graph.types[node.inputs[0]].shape) != 1
        ):
            return False
        readers = [reader for tensor in node.outputs for reader in graph.readers.get(tensor, ())]
        if any(reader.kind in rules.channels_last or reader.kind in rules.joins for reader in readers):
            return False
        node.attributes = {**node.attributes, rules.moves: 1}
        return True

    def _convert(self, tensor: str, to_last: bool, position: float) -> str:
        """The tensor in the other order."""
        known = self.converted.get((tensor, to_last))
        if known is not None:
            return known
        result = self._without_transpose(tensor, to_last) or self._reordered(tensor, to_last, position)
        self.converted[tensor, to_last] = result
        if to_last:
            self.last.add(result)
        return result

    def _reordered(self, tensor: str, to_last: bool, position: float) -> str:
        graph, rules = self.graph, self.rules
        kind = graph.types[tensor]
        result = graph.fresh("reorder")
        graph.types[result] = kind
        if not is_same_order(kind.shape):
            writer = graph.producer.get(tensor)
            if writer is not None and writer.kind == rules.retype:
                kind_of_reorder = rules.to_last if to_last else rules.to_first
                if only_reader(graph, tensor) is not None:
                    graph.remove_node(writer)
                graph.add_node(kind_of_reorder, result, list(writer.inputs), [result], {}, writer.position)
                return result
            after = position if writer is None else writer.position + 1e-4
            graph.add_node(rules.to_last if to_last else rules.to_first, result, [tensor], [result], {}, after)
        return result

    def _without_transpose(self, tensor: str, to_last: bool) -> str | None:
        """Rule 4: the tensor in the wanted order where the transpose before it makes that order, which then goes."""
        graph, rules = self.graph, self.rules
        shape = graph.types[tensor].shape
        node = graph.producer.get(tensor)
        view: WorkNode | None = None
        if node is not None and node.kind in rules.views and to_last:
            view = node
            node = graph.producer.get(node.inputs[0])
            if view.kind in rules.views and not _splits_space(graph.types[view.inputs[0]].shape, shape):
                return None
        if node is None or node.kind != rules.transpose or not self._is_read_alike(node.outputs[0], to_last):
            return None
        if (view is not None and not self._is_read_alike(tensor, to_last)) or self._is_sum_before(node):
            return None
        rank = len(graph.types[node.outputs[0]].shape)
        wanted = (0, rank - 1, *range(1, rank - 1)) if to_last else (0, *range(2, rank), 1)
        if tuple(node.attributes.get("perm", ())) != wanted or (node.inputs[0] in self.last) == to_last:
            return None
        source = node.inputs[0]
        for gone in (node, view):
            if gone is not None:
                graph.remove_node(gone)
        result = graph.fresh("view")
        graph.types[result] = graph.types[tensor]
        graph.add_node(rules.view, result, [source], [result], {}, node.position)
        return result

    def _is_read_alike(self, tensor: str, to_last: bool) -> bool:
        """Whether one node reads a tensor, or several that all want it channels last."""
        graph = self.graph
        if only_reader(graph, tensor) is not None:
            return True
        return to_last and all(self._wants_last(reader) for reader in graph.readers.get(tensor, ()))

    def _wants_last(self, node: WorkNode) -> bool:
        """Whether a node that was not visited yet will work channels last, as far as its neighbours tell."""
        if node.kind in self.rules.channels_last:
            return True
        writers = (self.graph.producer.get(tensor) for tensor in node.inputs)
        beside = any(writer is not None and writer.kind in self.rules.channels_last for writer in writers)
        return node.kind in self.rules.following and beside

    def _is_sum_before(self, node: WorkNode) -> bool:
        writer = self.graph.producer.get(node.inputs[0])
        if writer is None or writer.kind not in self.rules.in_place_sums:
            return False
        return any(tensor and tensor not in self.graph.constants for tensor in writer.inputs[2:])

    def _merges_into_transpose(self, view: WorkNode) -> bool:
        """Rule 4 with a view that merges the spatial dimensions of a tensor channels last, before a transpose."""
        graph, rules = self.graph, self.rules
        source, output = view.inputs[0], view.outputs[0]
        if source not in self.last or only_reader(graph, source) is None:
            return False
        node = only_reader(graph, output)
        if node is None or node.kind != rules.transpose or only_reader(graph, node.outputs[0]) is None:
            return False
        rank = len(graph.types[output].shape)
        if not _splits_space(graph.types[output].shape, graph.types[source].shape):
            return False
        if tuple(node.attributes.get("perm", ())) != (0, *range(2, rank), 1):
            return False
        graph.remove_node(view)
        graph.remove_node(node)
        graph.add_node(rules.view, view.name, [source], node.outputs, {}, view.position)
        return True

    def _is_free_transpose(self, node: WorkNode) -> bool:
        """Rule 4 for a transpose that does not follow, of a tensor channels last; it goes."""
        graph, source = self.graph, node.inputs[0] if node.inputs else ""
        if node.kind != self.rules.transpose or source not in self.last or self._follows(node):
            return False
        if only_reader(graph, source) is None or only_reader(graph, node.outputs[0]) is None:
            return False
        if tuple(node.attributes.get("perm", ())) != (0, *range(2, len(graph.types[source].shape)), 1):
            return False
        graph.remove_node(node)
        graph.add_node(self.rules.view, node.name, [source], node.outputs, {}, node.position)
        return True


def channels_last_order(rank: int) -> str:
    """The order in memory of the dimensions of a tensor channels last, as letters: `acdb` for rank 4."""
    return _LETTERS[0] + _LETTERS[2:rank] + _LETTERS[1]


def is_same_order(shape: tuple[int, ...]) -> bool:
    """Whether channels first and channels last are one order: there is one channel, or one position."""
    if len(shape) < 3 or shape[1] == 1:
        return True
    return all(size == 1 for size in shape[2:])


def _splits_space(merged: tuple[int, ...], split: tuple[int, ...]) -> bool:
    """Whether a shape is another one with one of the dimensions behind the channels cut in two."""
    if len(split) != len(merged) + 1 or merged[:2] != split[:2]:
        return False
    for at in range(2, len(merged)):
        if (
            merged[:at] == split[:at]
            and merged[at] == split[at] * split[at + 1]
            and merged[at + 1 :] == split[at + 2 :]
        ):
            return True
    return False


def _prepare(fields: Fields) -> Prepared:
    layout = MemoryLayout(fields)
    return Prepared(layout.apply, layout.channels_last | {layout.retype})


PASSES = (
    PassKind(
        "memory_layout",
        _prepare,
        {
            "channels_last": Field(texts),
            "following": Field(texts),
            "views": Field(texts),
            "view": Field(text),
            "transpose": Field(text),
            "to_last": Field(text),
            "to_first": Field(text),
            "retype": Field(text, ""),
            "ranks": Field(list_of(count)),
            "transpose_ranks": Field(list_of(count)),
            "splits": Field(texts),
            "joins": Field(texts),
            "moves": Field(text),
            "in_place_sums": Field(texts),
            "of_one_rank": Field(texts, ()),
            "last_behind_retype": Field(texts, ()),
            "first_behind_retype": Field(texts, ()),
        },
    ),
)
