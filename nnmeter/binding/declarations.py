"""What a file declares of its tensors, against what its operators give.

Rules:
1. A tensor that an operator of ai.onnx writes, or that the graph is given, has the element type that the file declares
   for it, if it declares one, and is a tensor or a sequence as it declares: a runtime refuses the model otherwise. Of
   operators of other domains nothing is said.
2. A declared shape that contradicts the operators is a warning: ONNX Runtime takes the operators' word, ONNX's checker
   refuses the model, unless its inputs leave dimensions free. Sizes that are free, or that data decide, contradict
   nothing. Nested graphs are not looked at, for a loop runs them with several shapes; nor is what an operator with
   nested graphs writes, which the checker does not infer.
3. So is a declared size below 0 in a model whose inputs have no free dimensions: exporters write -1 for a free one,
   which ONNX's checker takes for a size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nnmeter.binding.faults import Faults
from nnmeter.errors import ModelError, brief
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.notes import Note
from nnmeter.graph.unbound import DeclaredType
from nnmeter.operators.shape_rules.common import Context, show

# Containers of which nothing is said: types that are kept here as those of what is in them.
_LOOSE = frozenset({"optional", "sparse"})

_WORDS = {"tensor": "a tensor", "sequence": "a sequence", "map": "a map", "opaque": "an opaque value"}


def check_declared(
    declared: Mapping[str, DeclaredType],
    nodes: Sequence[Node],
    context: Context,
    faults: Faults,
    outermost: bool,
    fixed: bool,
) -> None:
    """Compare what a graph declares with what was inferred; warnings go to the context.

    Args:
        declared: the declared types by tensor.
        nodes: the operators of the graph.
        context: what was inferred.
        faults: makes the errors of the model.
        outermost: whether it is no nested graph.
        fixed: whether its inputs have no free dimensions.

    Raises:
        ModelError: an element type is another (rule 1).
    """
    types, sequences = context.types, context.sequences
    strange: list[tuple[str, DeclaredType, TensorType]] = []
    other: list[tuple[str, str, str]] = []
    for name, told in declared.items():
        found = types.get(name)
        if found is None:
            continue
        is_sequence = sequences.get(name) is not None
        if told.container or is_sequence:
            stated = told.container or ("tensor" if told.dtype else "sequence")
            written = "sequence" if is_sequence else "tensor"
            if stated not in _LOOSE and stated != written:
                other.append((name, stated, written))
            continue
        if (told.dtype and told.dtype != found.dtype) or (told.dims is not None and told.dims != found.shape):
            strange.append((name, told, found))
    if not strange and not other:
        return
    writers = {name: node for node in nodes for name in node.outputs if name}
    for name, stated, written in other:
        writer = writers.get(name)
        if writer is not None and not writer.domain:
            said = f"tensor '{brief(name, 200)}' is declared as {_WORDS.get(stated, stated)}"
            raise faults.of_node(writer, f"{said}, but the operator writes {_WORDS[written]}", "export the model again")
    for name, told, found in strange:
        writer = writers.get(name)
        if told.dtype and told.dtype != found.dtype and (writer is None or not writer.domain):
            raise _wrong_type(name, told, found, writer, faults)
    if outermost:
        inferred = [s for s in strange if s[0] not in context.bounded and not _has_graphs(writers.get(s[0]))]
        context.warnings.extend(_wrong_shapes(inferred, fixed))


def _has_graphs(writer: Node | None) -> bool:
    return writer is not None and any(isinstance(value, Graph) for value in writer.attributes.values())


def _wrong_type(name: str, told: DeclaredType, found: TensorType, writer: Node | None, faults: Faults) -> ModelError:
    said = f"tensor '{brief(name, 200)}' is declared as {told.dtype}"
    if writer is None:
        return ModelError(f"{faults.source}: {said}, but it is {found.dtype}; export the model again")
    return faults.of_node(writer, f"{said}, but the operator writes {found.dtype}", "export the model again")


def _wrong_shapes(strange: Sequence[tuple[str, DeclaredType, TensorType]], fixed: bool) -> Iterator[Note]:
    """One warning, of the first of them (rules 2 and 3)."""
    wrong = [one for one in strange if _contradict(*one[1:]) or (fixed and one[1].negative)]
    if wrong:
        name, told, found = wrong[0]
        stated = "x".join("?" if d is None else str(d) for d in told.dims or ()) or "scalar"
        if not _contradict(told, found):
            stated = "of a size below 0"
        more = f", and {len(wrong) - 1} more likewise" if len(wrong) > 1 else ""
        unsure = "" if fixed else ", where it can tell without sizes"
        yield Note(
            f"tensor '{brief(name, 200)}' is declared as {brief(stated, 200)}, but its operator writes "
            f"{show(found.shape)}{more}; ONNX's checker refuses such a model{unsure}",
            "declared",
            name,
        )


def _contradict(told: DeclaredType, found: TensorType) -> bool:
    if told.dims is None:
        return False
    if len(told.dims) != len(found.shape):
        return True
    return any(isinstance(d, int) and d != size for d, size in zip(told.dims, found.shape, strict=True))
