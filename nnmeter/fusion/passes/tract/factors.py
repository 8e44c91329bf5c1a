"""What runs inside of a product before it, past what only looks at the product's results in another way.

Fields of a `join_past_views` pass: `into` (operators that lead a kernel), `operators` (what may join them), `sums`
(what may join them with another computed input), `views` (what may stand in between).

1. An operator of `operators` with one computed input, whose others are constants of one element, or of one for each
   column, joins the kernel that leads to that input through views that nobody else reads. The views stay, and write
   what it wrote.
2. So does one of `sums` with two computed inputs of one shape. The other one becomes an input of the kernel, from the
   fourth on.
3. Its name stands behind the others in the attribute `fused` of the leader.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import computed_inputs, only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode, split_kind

_FIRST_EXTRA_INPUT = 3


def join_past_views(graph: WorkingGraph, fields: Fields) -> bool:
    """Join what may be joined; whether anything was."""
    before = graph.version
    into, views, sums = frozenset(fields["into"]), frozenset(fields["views"]), frozenset(fields["sums"])
    for node in graph.of_kinds((*fields["operators"], *fields["sums"])):
        computed = computed_inputs(graph, node)
        if len(node.outputs) != 1 or len(computed) not in (1, 2) or (len(computed) == 2 and node.kind not in sums):
            continue
        for tensor in computed:
            leader = _leader(graph, tensor, node, views)
            if leader is not None and leader.kind in into and _fits(graph, node, leader, computed):
                _join(graph, node, leader, tensor, [other for other in computed if other != tensor])
                break
    return graph.version != before


def _leader(graph: WorkingGraph, tensor: str, reader: WorkNode, views: frozenset[str]) -> WorkNode | None:
    """What computes an input of an operator, past one view at least, that only it reads."""
    passed = False
    while (writer := graph.producer.get(tensor)) is not None and only_reader(graph, tensor) is reader:
        if writer.kind not in views:
            return writer if passed else None
        tensor, reader, passed = writer.inputs[0], writer, True
    return None


def _fits(graph: WorkingGraph, node: WorkNode, leader: WorkNode, computed: list[str]) -> bool:
    types = graph.types
    columns = (types[leader.outputs[0]].shape or (1,))[-1]
    fixed = [tensor for tensor in node.inputs if tensor and tensor not in computed]
    return all(types[tensor].shape == types[node.outputs[0]].shape for tensor in computed) and all(
        types[tensor].elements in (1, columns) for tensor in fixed
    )


def _join(graph: WorkingGraph, node: WorkNode, leader: WorkNode, tensor: str, others: list[str]) -> None:
    """Rules 1 to 3."""
    joined, name = leader.attributes.get("fused", ""), split_kind(node.kind)[1]
    leader.attributes = {**leader.attributes, "fused": f"{joined}+{name}" if joined else name}
    leader.sources += node.sources
    view, written = graph.producer[tensor], node.outputs[0]
    graph.remove_node(node)
    graph.set_output(view, 0, written)
    for other in others:
        leader.inputs += [""] * max(_FIRST_EXTRA_INPUT - len(leader.inputs), 0) + [""]
        graph.set_input(leader, len(leader.inputs) - 1, other)


PASSES = (
    PassKind(
        "join_past_views",
        procedure(join_past_views),
        {"into": Field(texts), "operators": Field(texts), "sums": Field(texts, ()), "views": Field(texts)},
    ),
)
