"""How much of a model is kept while it is scanned, counted before it is kept (`nnmeter.limits`, 1 and 2).

Each limit is named in the message that refuses a file, so that whoever trusts the file knows which one to raise.
"""

from __future__ import annotations

from nnmeter.formats.wire import LimitError, WireError
from nnmeter.limits import MAX_DEPTH, MAX_EDGES, MAX_GRAPH_BYTES, MAX_GRAPHS, MAX_LISTED, MAX_NODES

OBJECT_BYTES = (
    512  # what a tensor, a declared type or a graph counts, whatever its size in the file: what it takes here
)
HINT_BYTES = 64  # the same for bytes that are kept as they are


class Budget:
    """What one model may still have."""

    def __init__(self) -> None:
        self._nodes = self._edges = self._listed = self._bytes = self._texts = self._graphs = self._depth = 0

    def add_node(self) -> None:
        """Count a node."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise WireError(f"there are more than {MAX_NODES} nodes")

    def add_edges(self, count: int) -> None:
        """Count what operators and functions read, write and are set to."""
        self.check_edges(count)
        self._edges += count

    def check_edges(self, count: int) -> None:
        """Refuse so many more of them, which are not counted yet."""
        if self._edges + count > MAX_EDGES:
            raise WireError(f"its operators have more than {MAX_EDGES} inputs, outputs and attributes")

    def add_bytes(self, size: int) -> None:
        """Count bytes that are kept; fewer than none for those that were counted and turn out not to be kept."""
        self._bytes += size
        if self._bytes > MAX_GRAPH_BYTES:
            raise LimitError(
                f"its graph has more than {MAX_GRAPH_BYTES >> 20} MiB without its weights (the limit MAX_GRAPH_BYTES)"
            )

    def add_listed(self, count: int) -> None:
        """Count elements of attributes."""
        self._listed += count
        if self._listed > MAX_LISTED:
            raise LimitError(f"its attributes have more than {MAX_LISTED} elements (the limit MAX_LISTED)")

    def add_text(self, size: int) -> None:
        """Count characters of attributes."""
        self._texts += size
        if self._texts > MAX_GRAPH_BYTES:
            raise LimitError(
                f"its attributes have more than {MAX_GRAPH_BYTES >> 20} MiB of text (the limit MAX_GRAPH_BYTES)"
            )

    def enter_graph(self) -> bool:
        """Count a graph, and a level of graphs in graphs; whether it is the outermost."""
        self._graphs += 1
        if self._graphs > MAX_GRAPHS:
            raise LimitError(f"it has more than {MAX_GRAPHS} graphs in its operators (the limit MAX_GRAPHS)")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise WireError(f"graphs are nested more than {MAX_DEPTH} deep")
        return self._depth == 1

    def leave_graph(self) -> None:
        """End what `enter_graph` began."""
        self._depth -= 1
