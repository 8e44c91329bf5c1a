"""What a runtime computes before the run: constant folding.

Fields of a `fold_constants` pass: `except` (operators that stay), `of_shapes` (operators that depend on static shapes
only), `generators` (operators that may make large constants of small ones), `limit` (elements that such a constant may
have).

1. A node all of whose inputs are constants becomes constants, except nodes of the kinds in `except` (random numbers,
   quantized weights that a later rule needs) and those with bodies. A node of no inputs (`Constant`) is a constant.
2. A node of the kinds in `of_shapes` (`Shape`, `Size`) is folded, whatever it reads; with `only_sized` one whose
   input's sizes the runtime knows: a session may keep dimensions free. What computed that input, and nothing else that
   is needed, is not run either.
3. A node of the kinds in `generators` (`Expand`, `Tile`) is spared where it would make a constant of more than `limit`
   elements.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, count, flag, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, has_body


def fold_constants(graph: WorkingGraph, fields: Fields) -> bool:
    """Remove what can be computed before the run (rules 1 to 3); whether anything was."""
    spared = frozenset(fields["except"])
    of_shapes = frozenset(fields["of_shapes"])
    generators = frozenset(fields["generators"])
    limit = fields["limit"]
    only_sized = fields["only_sized"]
    constants, types = graph.constants, graph.types
    readers = graph.readers
    fresh, graph.new_constants = graph.new_constants, []
    pending = list(dict.fromkeys(node for tensor in fresh for node in readers.get(tensor, ())))
    pending += [node for kind in ("Constant", *of_shapes) for node in graph.by_kind.get(kind, ())]
    changed = False
    while pending:
        node = pending.pop()
        kind = node.kind
        if not node.alive or kind in spared or not (node.inputs or kind == "Constant"):
            continue
        graph.spend(len(node.inputs))
        if kind in of_shapes:
            if only_sized and graph.free.get(node.inputs[0]):
                continue
        elif not _all_in(constants, node.inputs):
            continue
        if kind in generators and any(types[name].elements > limit for name in node.outputs if name):
            continue
        if has_body(node.attributes):
            continue
        asked = [graph.producer[name] for name in node.inputs if name in graph.producer] if kind in of_shapes else ()
        graph.make_constant(node)
        graph.prune(asked)
        pending += dict.fromkeys(reader for name in node.outputs for reader in readers.get(name, ()))
        changed = True
    graph.new_constants.clear()
    return changed


def _all_in(constants: set[str], tensors: list[str]) -> bool:
    for name in tensors:  # noqa: SIM110 - a loop takes half the time of a generator here
        if name and name not in constants:
            return False
    return True


PASSES = (
    PassKind(
        "fold_constants",
        procedure(fold_constants),
        {
            "except": Field(texts, ()),
            "of_shapes": Field(texts, ()),
            "only_sized": Field(flag, False),
            "generators": Field(texts, ()),
            "limit": Field(count, 1 << 62),
        },
    ),
)
