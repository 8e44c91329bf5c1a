"""Casts around operators for which a runtime has no kernel of an element type.

Fields of an `insert_casts` pass: `from` and `to` (element types), `cast` (the operator), `supported` (operators that
have kernels of `from`), `shared` (a number of elements), `variadic` (operators that take any number of inputs, or give
any number of outputs, of one kind).

1. An operator that reads or writes `from` and is not in `supported` runs in `to`.
2. So does a supported operator whose data comes from such operators and goes to such operators only, and whose results
   the graph does not return. Of a variadic operator only the first input and the first output count; constants and
   inputs of the graph do not, but something must be read from an operator. Operators are looked at in their order, and
   one that has been found to run in `to` counts for the next.
3. A tensor is cast once for all who need it in the other type; from one operator that runs in `to` to the next there is
   no cast.
4. A constant that only one operator reads is cast before the run; one that several read is cast in every run. Equal
   constants of at most `shared` elements are one constant.
5. A cast of the model whose result is only cast back by a cast of this pass goes, with that cast: what this pass adds
   is not meant to lose anything. So does the first of two casts in a row where the first loses nothing, or neither
   loses anything on the way back. This holds for casts between any two types, also in graphs without `from`.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, count, one_of, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode, has_body
from nnmeter.graph.ir import DTYPE_BITS, TensorType

# Numbers of element types in ONNX (TensorProto.DataType), as the attribute `to` of a cast has them.
_CODES = {"float32": 1, "float16": 10, "float64": 11, "bfloat16": 16}


def insert_casts(graph: WorkingGraph, fields: Fields) -> bool:
    """Let operators without kernels of one type run in another, and drop casts in a row; whether anything changed."""
    casting = _Casting(graph, fields)
    if any(kind.dtype == fields["from"] for kind in graph.types.values()):
        casting.run()
    dropped = _drop_casts_in_a_row(graph, fields["cast"], casting.added)
    return bool(casting.converted) or dropped


class _Casting:
    """One application to one graph."""

    def __init__(self, graph: WorkingGraph, fields: Fields) -> None:
        self.graph = graph
        self.narrow, self.wide = fields["from"], fields["to"]
        self.cast = fields["cast"]
        self.supported = frozenset(fields["supported"])
        self.variadic = frozenset(fields["variadic"])
        self.shared = fields["shared"]
        self.widened: dict[str, str] = {}  # tensor -> the same in `to`
        self.converted: list[WorkNode] = []
        self.added: set[WorkNode] = set()  # casts

    def run(self) -> None:
        self._share_constants()
        nodes = list(self.graph.ordered())
        members = {node for node in nodes if self._lacks_kernel(node)}
        for node in nodes:
            if node not in members and self._is_between(node, members):
                members.add(node)
        self.converted = [node for node in nodes if node in members]
        for node in self.converted:
            self._widen_outputs(node, members)
        for node in self.converted:
            for index, tensor in enumerate(node.inputs):
                if self._is_narrow(tensor):
                    self.graph.set_input(node, index, self._wide_input(tensor, node.position))

    def _share_constants(self) -> None:
        """Rule 4, small constants."""
        graph = self.graph
        first: dict[tuple[tuple[int, ...], bytes], str] = {}
        for tensor in sorted(t for t in graph.constants if self._is_narrow(t) and graph.readers.get(t)):
            value = graph.values.get(tensor)
            if value is None or value.size > self.shared or tensor in graph.outputs:
                continue
            kept = first.setdefault((graph.types[tensor].shape, value.tobytes()), tensor)
            if kept != tensor:
                graph.redirect(tensor, kept)

    def _is_narrow(self, tensor: str) -> bool:
        kind = self.graph.types.get(tensor) if tensor else None
        return kind is not None and kind.dtype == self.narrow

    def _lacks_kernel(self, node: WorkNode) -> bool:
        """Rule 1."""
        if node.kind in self.supported or node.kind == self.cast:
            return False
        return any(self._is_narrow(tensor) for tensor in (*node.inputs, *node.outputs))

    def _is_between(self, node: WorkNode, members: set[WorkNode]) -> bool:
        """Rule 2."""
        graph = self.graph
        if node.kind == self.cast or has_body(node.attributes):
            return False
        if not any(t in graph.producer for t in node.inputs) or any(t in graph.outputs for t in node.outputs):
            return False
        first = slice(1) if node.kind in self.variadic else slice(None)
        read = [t for t in node.inputs[first] if self._is_narrow(t)]
        written = [t for t in node.outputs[first] if self._is_narrow(t)]
        if not read or not written:
            return False
        if any(t in graph.producer and graph.producer[t] not in members for t in read):
            return False
        return all(reader in members for t in written for reader in graph.readers.get(t, ()))

    def _widen_outputs(self, node: WorkNode, members: set[WorkNode]) -> None:
        graph = self.graph
        for index, tensor in enumerate(node.outputs):
            if not self._is_narrow(tensor):
                continue
            wide = graph.fresh(tensor)
            graph.types[wide] = TensorType(self.wide, graph.types[tensor].shape)
            graph.set_output(node, index, wide)
            self.widened[tensor] = wide
            readers = graph.readers.get(tensor, ())
            if tensor in graph.outputs or any(reader not in members for reader in readers):
                self._add_cast(wide, tensor, self.narrow, node.position + 1e-6)

    def _wide_input(self, tensor: str, position: float) -> str:
        """Rules 3 and 4: the tensor in `to`."""
        graph = self.graph
        known = self.widened.get(tensor)
        if known is not None:
            return known
        kind = TensorType(self.wide, graph.types[tensor].shape)
        if tensor in graph.constants and graph.uses(tensor) == 1:
            value = graph.values.get(tensor)
            if value is not None:
                return graph.add_constant(tensor, value.astype(self.wide), self.wide)
            return graph.add_weight(tensor, kind)
        wide = self.widened[tensor] = graph.fresh(tensor)
        graph.types[wide] = kind
        writer = graph.producer.get(tensor)
        self._add_cast(tensor, wide, self.wide, position - 1e-6 if writer is None else writer.position + 1e-6)
        return wide

    def _add_cast(self, source: str, result: str, dtype: str, position: float) -> None:
        graph = self.graph
        attributes = {"to": _CODES[dtype]}
        self.added.add(graph.add_node(self.cast, graph.fresh("cast"), [source], [result], attributes, position))


def _drop_casts_in_a_row(graph: WorkingGraph, cast: str, added: set[WorkNode]) -> bool:
    """Rule 5; whether any cast was dropped."""
    changed = False
    for node in graph.of_kinds((cast,)):
        if not node.alive:
            continue
        source, result = node.inputs[0], node.outputs[0]
        readers = list(graph.readers.get(result, ()))
        followers = [reader for reader in readers if reader.kind == cast]
        if not followers:
            continue
        first, second = graph.types[source].dtype, graph.types[result].dtype
        if _loses(first, second, node in added) and any(
            _loses(graph.types[reader.outputs[0]].dtype, second, reader in added) for reader in followers
        ):
            continue
        back = [r for r in followers if graph.types[r.outputs[0]].dtype == first and r.outputs[0] not in graph.outputs]
        for reader in back:
            graph.remove_node(reader)
            graph.redirect(reader.outputs[0], source)
            changed = True
        if len(followers) == len(readers) and result not in graph.outputs:
            for reader in followers:
                if reader.alive:
                    graph.set_input(reader, 0, source)
            graph.remove_node(node)
            changed = True
    return changed


_UNSIGNED, _SIGNED, _FLOATING, _TRUTH = "unsigned", "signed", "floating", "truth"
_GROUPS: dict[str, str] = {
    "bool": _TRUTH, "uint8": _UNSIGNED, "uint16": _UNSIGNED, "uint32": _UNSIGNED, "uint64": _UNSIGNED,
    "int8": _SIGNED, "int16": _SIGNED, "int32": _SIGNED, "int64": _SIGNED,
    "float16": _FLOATING, "bfloat16": _FLOATING, "float32": _FLOATING, "float64": _FLOATING,
}  # fmt: skip


def _loses(source: str, target: str, harmless: bool) -> bool:
    """Whether a cast between two element types may lose values; a `harmless` one loses no precision by its intent."""
    a, b = _GROUPS.get(source), _GROUPS.get(target)
    if a is None or b is None:
        return True
    if (a in (_SIGNED, _FLOATING) and b == _UNSIGNED) or (a == _FLOATING and b != _FLOATING):
        return True
    if (a == _UNSIGNED and b == _SIGNED) or (a in (_SIGNED, _UNSIGNED) and b == _FLOATING):
        return DTYPE_BITS[target] <= DTYPE_BITS[source]
    if {source, target} == {"float16", "bfloat16"}:
        return True
    return DTYPE_BITS[source] > DTYPE_BITS[target] and not harmless


_FLOATS = one_of(*_CODES)

PASSES = (
    PassKind(
        "insert_casts",
        procedure(insert_casts),
        {
            "from": Field(_FLOATS),
            "to": Field(_FLOATS),
            "cast": Field(text),
            "supported": Field(texts),
            "shared": Field(count, 0),
            "variadic": Field(texts, ()),
        },
    ),
)
