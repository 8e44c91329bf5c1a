"""Shapes that only the data decide, and what the user assumes of them (`--assume TENSOR=SHAPE`).

Rules:

1. A tensor is *bounded* where its shape depends on data: the rule of its operator gives a bound and a warning
   (`Context.bound`), or the shape is computed from a bounded tensor.
2. A bounded tensor takes the shape that is assumed for it, which must have its rank. So do the other outputs of its
   node that had the same shape. A warning says so in place of that of the bound.
3. A tensor whose shape cannot be bounded takes the assumed shape, and the element type that the file declares for it,
   or else that of the first input.
4. Of a tensor that is not bounded, only what it is may be assumed; anything else is an error, and so is an assumption
   of a tensor that no node writes.
5. Values computed from bounded tensors serve to bound others, and are then forgotten: they are no constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from nnmeter.errors import ModelError
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.notes import Note
from nnmeter.graph.unbound import MAX_ELEMENTS, DeclaredType
from nnmeter.operators.shape_rules.common import Context, ShapeError, show

_NAMED = 6  # tensors that a message names


class Assumptions:
    """The assumed shapes of a model's tensors, and which tensors of it are bounded."""

    def __init__(self, source: str, shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        self._source = source
        self._shapes = {name: self._checked(name, shape) for name, shape in (shapes or {}).items()}
        self._met: set[str] = set()
        self.bounded: dict[str, None] = {}  # names in the order in which they were met, for messages

    def __bool__(self) -> bool:
        return bool(self._shapes)

    def _checked(self, name: str, shape: Sequence[int]) -> tuple[int, ...]:
        for size in shape:
            if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_ELEMENTS:
                raise ModelError(
                    f"{self._source}: tensor '{name}' cannot have a dimension {size!r}; give whole numbers"
                )
        return tuple(shape)

    def unknown(
        self, node: Node, inputs: Sequence[TensorType | None], declared: Mapping[str, DeclaredType], context: Context
    ) -> list[TensorType] | None:
        """Types of a node whose shapes no rule knows (rule 3); None where an output is not assumed."""
        names = [name for name in node.outputs if name]
        if not self._shapes or not all(name in self._shapes for name in names):
            return None
        first = next((kind for kind in inputs if kind is not None), TensorType("float32", ()))
        types = []
        for name in node.outputs:
            known = declared.get(name)
            dtype = known.dtype if known is not None and known.dtype else first.dtype
            types.append(TensorType(dtype, self._shapes.get(name, (0,))))
        context.mark_bounded(node)
        self._note(node, names, context, 0)
        return types

    def applied(self, node: Node, outputs: Sequence[TensorType], context: Context, warned: int) -> Sequence[TensorType]:
        """The types of a node's outputs, with what is assumed of them (rules 2 and 4).

        Args:
            node: the node.
            outputs: types by its rule.
            context: where warnings go.
            warned: how many warnings there were before the rule was asked.

        Raises:
            ShapeError: an assumption contradicts what is known.
        """
        given = [name for name in node.outputs if name in self._shapes]
        if not given:
            return outputs
        found = list(outputs)
        for name in given:
            position = node.outputs.index(name)
            before, shape = outputs[position].shape, self._shapes[name]
            self._met.add(name)
            if name not in context.bounded:
                if before != shape:
                    raise ShapeError(
                        f"tensor '{name}' is {show(before)} whatever the data, {show(shape)} cannot be assumed of it"
                    )
                continue
            if name in context.sequences or len(before) != len(shape):
                raise ShapeError(f"tensor '{name}' has rank {len(before)}, {show(shape)} cannot be assumed of it")
            for index, (other, kind) in enumerate(zip(node.outputs, outputs, strict=False)):
                if other == name or (kind.shape == before and other not in self._shapes):
                    found[index] = TensorType(kind.dtype, shape)
        self._note(node, [name for name in given if name in context.bounded], context, warned)
        return found

    def _note(self, node: Node, names: Sequence[str], context: Context, warned: int) -> None:
        """Say what is assumed, in place of the bounds of the same tensors."""
        self._met.update(names)
        if not names:
            return
        kept = [w for w in context.warnings[warned:] if w.about not in names or w.code not in ("bounded", "estimated")]
        context.warnings[warned:] = kept
        for name in names:
            said = f"tensor '{name}' ({node.op_type} of node '{node.name}'): {show(self._shapes[name])} as assumed"
            context.warnings.append(Note(said, "assumed", name))

    def check_met(self) -> None:
        """Refuse assumptions of tensors that no node writes (rule 4).

        Raises:
            ModelError: there are such.
        """
        missing = sorted(set(self._shapes) - self._met)
        if missing:
            known = (
                f"the shapes that data decide are of {self.name_bounded()}" if self.bounded else "data decide no shape"
            )
            raise ModelError(f"{self._source}: no node writes a tensor '{missing[0]}'; {known}")

    def name_bounded(self) -> str:
        """Bounded tensors, in words."""
        names = list(self.bounded)
        text = ", ".join(f"'{name}'" for name in names[:_NAMED])
        return f"{text} and {len(names) - _NAMED} more" if len(names) > _NAMED else text

    def remedy(self) -> str:
        """How to get past a shape that does not fit, where bounds came before it; "" where none did."""
        if not self.bounded:
            return ""
        name = next(iter(self.bounded))
        option = f"--assume {quote(name + '=')}AxB"
        return f"or assume other shapes for tensors that data decide ({self.name_bounded()}) with {option}"


def empty_tensors(
    nodes: Sequence[Node], types: Mapping[str, TensorType], known: Mapping[str, object]
) -> Iterator[Note]:
    """A warning for each tensor without elements that a node writes and that is no known constant."""
    for node in nodes:
        for name in node.outputs:
            if name and 0 in types[name].shape and name not in known:
                yield Note(
                    f"tensor '{name}' ({node.op_type} of node '{node.name}'): has no elements ({types[name]}); what "
                    "reads it is priced so",
                    "empty",
                    name,
                )
