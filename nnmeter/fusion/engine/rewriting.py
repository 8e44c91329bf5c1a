"""The working graph: a graph that fusion rules rewrite, which knows who writes and who reads each tensor.

1. A tensor has one writer (a node, the caller, or the file) and any number of readers.
2. A node that rules create takes the place, in the order of the run, of the last node that it replaces.
3. Every node lists its *sources*: the names of the operators of the original graph that it does the work of. Nodes that
   a runtime adds (reorders, reshapes around a product) have none. An operator has at most one node as its heir.
4. A node whose outputs nobody reads and the graph does not return is dropped, and so are the nodes that fed only it.
5. Every change costs steps, as many as it looks at inputs, readers and sources; a node that stands for no operator
   costs more, because it makes the graph grow. A graph has so many steps, in proportion to its size (`nnmeter.limits`,
   5): rules that never come to an end, and graphs made to be slow or to grow, end in an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from nnmeter.errors import DeviceError, ModelError
from nnmeter.fusion.engine.readers import LONG, ManyReaders
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.limits import BASE_EFFORT, EFFORT_PER_NODE

Links = frozenset[tuple[str, str]]  # kinds of writers and readers
_LONGEST_HINT = 120  # characters: names are made of it, and of these again
_link_sets: dict[Links, Links] = {}
_MOST_LINK_SETS = 1024

OuterReads = dict[int, set[str]]  # by the id of a nested graph, the tensors of graphs around it that it reads

_ADDED_STEPS = 200  # of a node without sources: a GroupNormalization becomes 29 of them
_SOURCES_A_STEP = (
    2  # sources that are copied in one step: a long chain that ends in one node copies them again and again
)


class WorkNode:
    """One operator of the working graph; `kind` is its domain and operator in one word (`com.microsoft.FusedConv`)."""

    __slots__ = ("alive", "attributes", "inputs", "kind", "name", "outputs", "position", "sources")

    def __init__(
        self,
        kind: str,
        name: str,
        inputs: list[str],
        outputs: list[str],
        attributes: dict[str, Any],
        position: float,
        sources: tuple[str, ...],
    ) -> None:
        self.kind = kind
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.attributes = attributes
        self.position = position
        self.sources = sources
        self.alive = True

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(self.inputs)}) -> {', '.join(self.outputs)}"


def has_body(attributes: dict[str, Any]) -> bool:
    """Whether an operator has a graph among its attributes, as loops and branches do."""
    for value in attributes.values():  # noqa: SIM110 - a loop takes half the time of a generator here
        if isinstance(value, Graph):
            return True
    return False


def split_kind(kind: str) -> tuple[str, str]:
    """Domain and operator type of a node's kind: `com.microsoft.FusedConv` -> (`com.microsoft`, `FusedConv`)."""
    domain, _, op_type = kind.rpartition(".")
    return domain, op_type


class WorkingGraph:
    """A mutable copy of a graph, indexed for rewriting; the original is left as it was.

    Attributes:
        types: type of every tensor, also of those that rewriting adds.
        free: axes of tensors whose sizes the runtime does not know, as the session keeps dimensions free.
        constants: tensors that are known before the run: stored ones and what is folded from them.
        stored: tensors that the file stores.
        values: values of the small constants that are known.
        made: constants that rewriting made, in contrast to those of the model and what is folded from them.
        outputs: names of the graph's outputs, for membership tests.
        results: names of the graph's outputs, in their order.
        parameters: parameters of the rule set that is applied.
        version: grows with every change; a pass that finds it unchanged since it last ran has nothing to do.
        new_constants: tensors that became constants since constants were last folded.
        touched: for each kind of node, the version at which one, or a neighbour of one, last changed.
        links: the kinds of every writer and reader of one tensor that there were so far. What is not among them was
            nowhere, so that patterns which need it are passed over.
        effort: steps that are left (rule 5).
    """

    def __init__(
        self, graph: Graph, parameters: dict[str, Any] | None = None, outer_reads: OuterReads | None = None
    ) -> None:
        self.name = graph.name
        self.opsets = graph.opsets
        self.types: dict[str, TensorType] = dict(graph.types)
        self.free: dict[str, frozenset[int]] = dict(graph.free)
        self.values: dict[str, np.ndarray] = dict(graph.values)
        self.made: set[str] = set()
        self.stored: set[str] = set(graph.initializers)
        self.constants: set[str] = set(graph.initializers)
        self.new_constants: list[str] = list(graph.initializers)
        self.inputs = frozenset(graph.inputs)
        self.outputs: frozenset[str] = frozenset(graph.outputs)
        self.results: tuple[str, ...] = tuple(graph.outputs)
        self.parameters = parameters or {}
        self.version = 0
        self.touched: dict[str, int] = {}
        self.links: set[tuple[str, str]] = set()
        self._known_links: Links = frozenset()
        self.producer: dict[str, WorkNode] = {}
        self.readers: dict[str, list[WorkNode] | ManyReaders[WorkNode]] = {}
        self.by_kind: dict[str, dict[WorkNode, None]] = {}
        self.effort = BASE_EFFORT + EFFORT_PER_NODE * len(graph.nodes)
        self._body_reads: dict[WorkNode, list[str]] = {}
        self._outer_reads: OuterReads = {} if outer_reads is None else outer_reads
        self._fresh: dict[str, int] = {}
        kinds: dict[tuple[str, str], str] = {}
        readers, producer, links = self.readers, self.producer, self.links
        for position, node in enumerate(graph.nodes):
            key = (node.domain, node.op_type)
            kind = kinds.get(key)
            if kind is None:
                kind = kinds[key] = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
                self.by_kind[kind] = {}
            work = WorkNode(
                kind, node.name, list(node.inputs), list(node.outputs), node.attributes, float(position), (node.name,)
            )
            self.by_kind[kind][work] = None
            for name in work.outputs:
                if name:
                    producer[name] = work
            for name in work.inputs:
                if name:
                    if name in producer:
                        links.add((producer[name].kind, kind))
                    if name in readers:
                        readers[name].append(work)
                    else:
                        readers[name] = [work]
            if has_body(node.attributes):
                self._read_from_bodies(work)
        for name, reading in readers.items():
            if len(reading) >= LONG:
                readers[name] = ManyReaders(reading)

    def _read_from_bodies(self, work: WorkNode) -> None:
        reads = self._body_reads[work] = sorted(
            n for n in _outer_reads(work.attributes, self._outer_reads) if n in self.types
        )
        for outer in reads:
            self.readers.setdefault(outer, []).append(work)
            self._link(outer, work)

    def _link(self, tensor: str, reader: WorkNode) -> None:
        writer = self.producer.get(tensor)
        if writer is not None:
            self.links.add((writer.kind, reader.kind))

    def known_links(self) -> Links:
        """What is in `links` now; equal sets are one object, so that it is quick to look up what is known of one."""
        if len(self._known_links) != len(self.links):
            found = frozenset(self.links)
            if len(_link_sets) >= _MOST_LINK_SETS:
                _link_sets.clear()
            self._known_links = _link_sets.setdefault(found, found)
        return self._known_links

    def spend(self, steps: int) -> None:
        """Count steps (rule 5).

        Raises:
            ModelError: none are left.
        """
        self.effort -= steps
        if self.effort < 0:
            raise ModelError(
                f"{self.name or 'model'}: the fusion rules do not come to an end on its graph in the steps that its "
                "size allows; simplify the model, or restore the device pack's rules"
            )

    def has_any(self, kinds: Collection[str]) -> bool:
        """Whether there is a node of one of these kinds."""
        by_kind = self.by_kind
        if len(by_kind) < len(kinds):
            for kind, group in by_kind.items():  # noqa: SIM110 - as below
                if group and kind in kinds:
                    return True
            return False
        for kind in kinds:  # noqa: SIM110 - a loop takes half the time of a generator here
            if by_kind.get(kind):
                return True
        return False

    def nodes(self) -> list[WorkNode]:
        """All nodes in the order of their positions."""
        found = [node for group in self.by_kind.values() for node in group if node.alive]
        found.sort(key=lambda node: node.position)
        return found

    def of_kinds(self, kinds: Iterable[str]) -> list[WorkNode]:
        """The nodes of some kinds in the order of their positions."""
        groups = [group for kind in kinds if (group := self.by_kind.get(kind))]
        found = [node for group in groups for node in group if node.alive]
        if len(groups) > 1 or (groups and self.version):
            found.sort(key=lambda node: node.position)
        return found

    def uses(self, tensor: str) -> int:
        """How many inputs of nodes read a tensor; being an output of the graph counts one."""
        return len(self.readers.get(tensor, ())) + (tensor in self.outputs)

    def fresh(self, hint: str) -> str:
        """A tensor or node name that is not in use: the hint and a number, the first that is free."""
        if len(hint) > _LONGEST_HINT:
            hint = hint[:_LONGEST_HINT]
        number = self._fresh.get(hint, 0)
        while True:
            number += 1
            name = f"{hint}~{number}"
            if name not in self.types:
                self._fresh[hint] = number
                return name

    def add_constant(self, hint: str, value: np.ndarray, dtype: str) -> str:
        """Add a small constant of known value and return its name."""
        name = self.fresh(hint)
        self.types[name] = TensorType(dtype, tuple(value.shape))
        self.values[name] = value
        self.made.add(name)
        self.constants.add(name)
        self.new_constants.append(name)
        return name

    def add_weight(self, hint: str, kind: TensorType) -> str:
        """Add a constant of unknown value (a repacked weight) and return its name."""
        name = self.fresh(hint)
        self.types[name] = kind
        self.constants.add(name)
        self.new_constants.append(name)
        return name

    def add_node(
        self,
        kind: str,
        name: str,
        inputs: list[str],
        outputs: list[str],
        attributes: dict[str, Any],
        position: float,
        sources: tuple[str, ...] = (),
    ) -> WorkNode:
        """Add a node whose outputs have types already and no other writer."""
        node = WorkNode(kind, name, inputs, outputs, attributes, position, sources)
        self.spend(len(sources) // _SOURCES_A_STEP if sources else _ADDED_STEPS)
        self.by_kind.setdefault(kind, {})[node] = None
        for tensor in outputs:
            if tensor:
                self.producer[tensor] = node
        for tensor in inputs:
            if tensor:
                self._start_reading(node, tensor)
        self._touch(node)
        return node

    def _touch(self, node: WorkNode) -> None:
        """Note that a node changed, and with it what its neighbours see."""
        version = self.version = self.version + 1
        touched, producer, readers, links = self.touched, self.producer, self.readers, self.links
        kind = node.kind
        touched[kind] = version
        for tensor in node.inputs:
            writer = producer.get(tensor)
            if writer is not None:
                touched[writer.kind] = version
                links.add((writer.kind, kind))
        steps = 20 + 3 * len(node.inputs)
        for tensor in node.outputs:
            reading = readers.get(tensor, ())
            steps += len(reading)
            for reader in reading:
                touched[reader.kind] = version
                links.add((kind, reader.kind))
        self.spend(steps)

    def remove_node(self, node: WorkNode) -> None:
        """Remove a node; its outputs have no writer until another takes them over."""
        self._touch(node)
        self.spend(len(node.sources) // _SOURCES_A_STEP)
        node.alive = False
        self.by_kind[node.kind].pop(node, None)
        for tensor in node.outputs:
            if tensor and self.producer.get(tensor) is node:
                del self.producer[tensor]
        for tensor in node.inputs:
            if tensor:
                self.readers[tensor].remove(node)
        for tensor in self._body_reads.pop(node, ()):
            self.readers[tensor].remove(node)

    def _start_reading(self, node: WorkNode, tensor: str) -> None:
        readers = self.readers.setdefault(tensor, [])
        readers.append(node)
        if len(readers) == LONG:
            self.readers[tensor] = ManyReaders(readers)

    def set_input(self, node: WorkNode, index: int, tensor: str) -> None:
        """Let one input of a node read another tensor."""
        old = node.inputs[index]
        self._touch(node)
        if old:
            self.readers[old].remove(node)
        node.inputs[index] = tensor
        if tensor:
            self._start_reading(node, tensor)
            self._touch(node)

    def set_output(self, node: WorkNode, index: int, tensor: str) -> None:
        """Let a node write one output under another name, which nobody else writes."""
        old = node.outputs[index]
        if old and self.producer.get(old) is node:
            del self.producer[old]
        node.outputs[index] = tensor
        self.producer[tensor] = node
        self._touch(node)

    def redirect(self, old: str, new: str) -> None:
        """Let all readers of one tensor read another."""
        readers = self.readers.pop(old, [])
        for node in readers:
            node.inputs = [new if tensor == old else tensor for tensor in node.inputs]
            if node in self._body_reads:
                self._body_reads[node] = [new if tensor == old else tensor for tensor in self._body_reads[node]]
                self._link(new, node)
        reading = self.readers.setdefault(new, [])
        reading.extend(readers)
        if len(reading) >= LONG and isinstance(reading, list):
            self.readers[new] = ManyReaders(reading)
        if new in self.constants:
            self.new_constants.append(new)
        for node in readers:
            self._touch(node)

    def make_constant(self, node: WorkNode) -> None:
        """Drop a node whose outputs are known before the run."""
        self.constants.update(name for name in node.outputs if name)
        self.new_constants += [name for name in node.outputs if name]
        self.remove_node(node)

    def prune(self, nodes: Iterable[WorkNode]) -> None:
        """Drop those of some nodes whose outputs nobody needs, and in turn what fed only them (rule 4)."""
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if not node.alive or self._is_needed(node):
                continue
            feeders = [self.producer[name] for name in node.inputs if name in self.producer]
            self.remove_node(node)
            pending.extend(feeders)

    def _is_needed(self, node: WorkNode) -> bool:
        for name in node.outputs:  # noqa: SIM110 - a loop takes half the time of a generator here
            if name and (self.readers.get(name) or name in self.outputs):
                return True
        return False

    def ordered(self) -> Iterator[WorkNode]:
        """All nodes in an order in which every tensor is written before it is read, positions first."""
        done: set[WorkNode] = set()
        producer = self.producer
        for start in self.nodes():
            if start in done:
                continue
            for tensor in start.inputs:
                writer = producer.get(tensor)
                if writer is not None and writer not in done:
                    break
            else:  # nearly always: positions are an order of the run
                done.add(start)
                yield start
                continue
            stack = [start]
            path: set[WorkNode] = set()
            while stack:
                node = stack[-1]
                if node in done:
                    stack.pop()
                    continue
                path.add(node)
                ready = True
                for tensor in node.inputs:
                    writer = producer.get(tensor)
                    if writer is not None and writer not in done:
                        if writer in path:
                            raise DeviceError(
                                f"{self.name or 'model'}: the fusion rules make operators wait for each other around "
                                f"'{writer.name}' ({writer.kind}); restore the rules of the device pack"
                            )
                        stack.append(writer)
                        ready = False
                if ready:
                    done.add(node)
                    stack.pop()
                    yield node


def _outer_reads(attributes: dict[str, Any], known: OuterReads) -> set[str]:
    """Tensors of the surrounding graph that the bodies of a control-flow operator read; each is looked at once."""
    reads: set[str] = set()
    for value in attributes.values():
        if not isinstance(value, Graph):
            continue
        found = known.get(id(value))
        if found is None:
            inner = set(value.inputs) | value.initializers | {o for n in value.nodes for o in n.outputs}
            found = {name for name in value.outputs if name not in inner}
            for node in value.nodes:
                found.update(name for name in node.inputs if name and name not in inner)
                if node.attributes:
                    found |= _outer_reads(node.attributes, known) - inner
            known[id(value)] = found
        reads |= found
    return reads
