"""Dropping or repeating a block: operators between one tensor and another of the same type.

A block is named by the module of the exporting framework (`layer1.1`, with all that is in it), or by its first and last
operator (`FIRST..LAST`, in the order of the file). It has one result that others read, and reads, besides constants,
one tensor of that result's type; what else it reads, as a mask, every copy reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nnmeter.errors import brief
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.modules import module_name
from nnmeter.graph.unbound import UnboundModel
from nnmeter.transforms.draft import Draft, captured
from nnmeter.transforms.faults import TransformError, find_node

_NAMED = 8


@dataclass(frozen=True)
class Block:
    """A block of a model.

    Attributes:
        nodes: its operators in the order of the file.
        source: the tensor of its result's type that it reads.
        result: its result.
    """

    nodes: tuple[Node, ...]
    source: str
    result: str


def find_block(draft: Draft, name: str) -> Block:
    """The block of a name.

    Raises:
        TransformError: there is none, or it has not one input and one result of the same type.
    """
    nodes = _nodes_of(draft, name)
    inside = {node.name for node in nodes}
    written = {output for node in nodes for output in node.outputs if output}
    ends = {declared.name for declared in draft.outputs}
    read_by_others = {
        tensor for node in draft.nodes if node.name not in inside for tensor in (*node.inputs, *captured(node))
    } | ends
    results = sorted(written & read_by_others)
    reads = dict.fromkeys(
        tensor
        for node in nodes
        for tensor in (*node.inputs, *captured(node))
        if tensor and tensor not in written and tensor not in draft.constants
    )
    called = f"block '{brief(name, 80)}'"
    if len(results) != 1:
        raise TransformError(
            f"{draft.source}: {called} has {len(results)} results that others read; name a block with one"
        )
    kind = draft.types[results[0]]
    alike = [tensor for tensor in reads if draft.types.get(tensor) == kind]
    if len(alike) != 1:
        types = ", ".join(
            f"{tensor} ({draft.types[tensor]})" for tensor in list(reads)[:_NAMED] if tensor in draft.types
        )
        raise TransformError(
            f"{draft.source}: {called} reads {len(alike)} tensors of its result's type, {kind} (it reads "
            f"{types or '-'}); name a block that reads one"
        )
    return Block(tuple(nodes), alike[0], results[0])


def _nodes_of(draft: Draft, name: str) -> list[Node]:
    first, dots, last = name.partition("..")
    if dots:
        start, end = (draft.nodes.index(find_node(draft.nodes, operator, draft.source)) for operator in (first, last))
        if start > end:
            raise TransformError(
                f"{draft.source}: '{last}' stands before '{first}' in the file; name them the other way"
            )
        return draft.nodes[start : end + 1]
    places = {node.name: module_name(node.scope or node.name) for node in draft.nodes}
    nodes = [node for node in draft.nodes if _is_in(places[node.name], name)]
    if not nodes:
        modules = list(dict.fromkeys(place for place in places.values() if place))
        known = f"its modules are {', '.join(modules[:_NAMED])} ..." if modules else "its file names no modules"
        raise TransformError(
            f"{draft.source}: there is no module '{brief(name, 80)}'; {known}; or name the first and the last "
            "operator, FIRST..LAST"
        )
    return nodes


def _is_in(place: str, module: str) -> bool:
    return place == module or place.startswith((f"{module}.", f"{module}/"))


def drop_block(model: UnboundModel, name: str, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model without a block.

    Raises:
        TransformError: there is no such block, or it cannot be left out.
    """
    draft = Draft(model, sizes)
    block = find_block(draft, name)
    inside = {node.name for node in block.nodes}
    rest = [node for node in draft.nodes if node.name not in inside]
    if block.result in {declared.name for declared in draft.outputs}:
        rest.append(draft.node("Identity", (block.source,), (block.result,)))
    else:
        for node in rest:
            node.inputs = tuple([block.source if tensor == block.result else tensor for tensor in node.inputs])
            if block.result in captured(node):
                raise TransformError(
                    f"{draft.source}: '{node.name}' ({node.op_type}) reads the block's result in a graph of its own; "
                    "drop another block"
                )
    draft.nodes = rest
    return draft.finish(same_shapes=True)


def repeat_block(model: UnboundModel, name: str, times: int, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with a block several times in a row, each with weights of its own.

    Args:
        model: the model; it is not changed.
        name: of the block.
        times: how often it stands there in the end.
        sizes: what the model leaves open.

    Raises:
        TransformError: there is no such block, or it cannot be repeated.
    """
    if times < 1:
        raise TransformError(f"{model.source}: a block {times} times is none; give 1 or more, or drop it")
    draft = Draft(model, sizes)
    block = find_block(draft, name)
    if times == 1:
        return model
    source = draft.fresh(f"{block.result}_repeat_1")
    draft.types[source] = draft.types[block.result]
    written = [output for node in block.nodes for output in node.outputs if output]
    stored = {tensor for node in block.nodes for tensor in node.inputs if tensor in draft.constants}
    last = block.nodes[-1].name
    copies: list[Node] = []
    for node in block.nodes:  # the original ends at a new name, and the last copy at the old one
        node.outputs = _renamed(node.outputs, {block.result: source})
        node.inputs = _renamed(node.inputs, {block.result: source})
    first = source
    for number in range(2, times + 1):
        result = block.result if number == times else draft.fresh(f"{block.result}_repeat_{number}")
        names = {block.source: source, first: result}
        for tensor in written:
            if tensor != block.result:
                names[tensor] = draft.fresh(f"{tensor}_repeat_{number}")
                draft.types[names[tensor]] = draft.types[tensor]
        for tensor in stored:
            names[tensor] = _copied(draft, tensor, number)
        copies += [_copy(draft, node, names, number) for node in block.nodes]
        source = result
    place = next(at for at, node in enumerate(draft.nodes) if node.name == last) + 1
    draft.nodes[place:place] = copies
    return draft.finish(same_shapes=True)


def _copied(draft: Draft, tensor: str, number: int) -> str:
    kind = draft.constants[tensor]
    name = draft.weight(f"{tensor}_repeat_{number}", kind.dtype, kind.shape)
    if tensor in draft.values:
        draft.values[name] = draft.known[name] = draft.values[tensor]
    return name


def _copy(draft: Draft, node: Node, names: dict[str, str], number: int) -> Node:
    inputs, outputs = (_renamed(tensors, names) for tensors in (node.inputs, node.outputs))
    new = draft.node(node.op_type, inputs, outputs, f"{node.name}_repeat_{number}", node.domain, node.scope)
    return replace(new, attributes=node.attributes)


def _renamed(tensors: Sequence[str], names: dict[str, str]) -> tuple[str, ...]:
    return tuple([names.get(tensor, tensor) for tensor in tensors])
