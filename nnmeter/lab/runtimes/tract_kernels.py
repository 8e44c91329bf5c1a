"""The kernels that tract executes, from the nodes of its optimized graph and the ONNX model.

1. A node of the optimized graph bears the name of the ONNX operator that it comes from, with a suffix where there are
   several (`.pack_a`, `.reduced_sum`). Of operators that were fused it bears that of the last one.
2. A kernel is what is done for one such operator: all nodes that bear its name, and those of the operators before it
   that have no computing node of their own. Packing, padding and views (`HELPERS`) alone do not compute: those of a
   product whose sum was fused into what follows belong to that.
3. `Const` and `Source` are values, and cost nothing.
4. A product with constant weights is a `Conv` or a `Gemm` with its bias and what is fused behind it
   (`nnmeter.lab.runtimes.operator_groups`). An operator that only moves data, and has no node, is part of no kernel.
5. A view alone (`IntoShape`), which copies nothing, is none.
6. Three nodes bear the name of an inner operator: `Silu` that of the sigmoid, `RmsNorm` that of the mean of squares,
   and slices of a transposed tensor that of the transpose. They are of the operator that ends what they do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.kernels.moving import MOVING, VIEWS
from nnmeter.lab.runtimes.operator_groups import PRODUCTS, GroupSignatures, activation_of, constant_tensors

if TYPE_CHECKING:
    import onnx

VALUES = frozenset({"Const", "Source"})
HELPERS = frozenset(
    {"OptMatMulPack", "IntoShape", "LazyIm2col", "Im2col", "Pad", "MultiBroadcastTo", "MoveAxis", "Downsample"}
)
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Relu", "Clip", "Max", "Min", "BatchNormalization"})
_VIEW = "IntoShape"
_PRODUCT, _SWISH, _SLICE, _ROOT_MEAN_SQUARE = "OptMatMul", "Silu", "Slice", "RmsNorm"
_MARK = re.compile(r"q(\d+)q")


@dataclass(frozen=True, slots=True)
class ExecutedNode:
    """One node of the optimized graph: its name, tract's operator, and mean seconds where it was profiled."""

    name: str
    op: str
    seconds: float = 0.0


@dataclass(slots=True)
class ExecutedKernels:
    """Kernels in the order of the run, and for each node the kernel that it is of; -1 for one that is of none."""

    kernels: list[Kernel] = field(default_factory=list)
    of_node: list[int] = field(default_factory=list)


def mark_nodes(proto: onnx.ModelProto) -> list[tuple[str, ...]]:
    """Names the nodes of a model by their numbers, so that rule 1 is beyond doubt; the outputs of each."""
    for number, node in enumerate(proto.graph.node):
        node.name = f"q{number}q"
    return [tuple(node.output) for node in proto.graph.node]


def with_own_names(text: str, marked: Sequence[Sequence[str]]) -> str:
    """What tract said, operators by the tensors that they write in place of their marks."""

    def own(mark: re.Match[str]) -> str:
        written = marked[int(mark[1])] if int(mark[1]) < len(marked) else ()
        return next((tensor for tensor in written if tensor), mark[0])

    return _MARK.sub(own, text)


def executed_kernels(nodes: Sequence[ExecutedNode], marked: Sequence[Sequence[str]], graph: Graph) -> ExecutedKernels:
    """The kernels that nodes amount to (rules 1 to 5).

    Args:
        nodes: of the optimized graph of a model whose nodes were marked, in their order.
        marked: what `mark_nodes` gave.
        graph: the ONNX model with static shapes.

    Raises:
        MeasurementError: a node comes from no operator of the model.
    """
    return _Reader(nodes, marked, graph).read()


class _Reader:
    """One reading of one optimized graph."""

    def __init__(self, nodes: Sequence[ExecutedNode], marked: Sequence[Sequence[str]], graph: Graph) -> None:
        self.nodes, self.marked, self.graph = nodes, marked, graph
        self.producer = {tensor: node for node in graph.nodes for tensor in node.outputs if tensor}
        self.readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for tensor in dict.fromkeys(node.inputs):
                self.readers.setdefault(tensor, []).append(node)
        self.place = {node.name: number for number, node in enumerate(graph.nodes)}
        self.constant = constant_tensors(graph)
        self.signatures = GroupSignatures(graph, self.constant)
        self.sliced: dict[str, int] = {}
        self.behind: dict[str, list[Node]] = {}  # operators in a product before them that kept its own name
        self.trailing: dict[str, str] = {}
        self.owner = [self._owner(node) for node in nodes]
        self.ends = {
            owner.name
            for owner, node in zip(self.owner, nodes, strict=True)
            if owner is not None and not self._is_helper(node, owner)
        }

        for owner, executed in zip(self.owner, nodes, strict=True):
            if owner is not None and executed.op == _PRODUCT and owner.op_type not in PRODUCTS:
                self._absorb_product(owner)
        self.named = {owner.name for owner in self.owner if owner is not None}
        for operator in graph.nodes:
            if operator.name not in self.named and operator.op_type in ELEMENTWISE and not self._is_fixed(operator):
                self._trail(operator)

    def _trail(self, node: Node) -> None:
        """Notes an operator without a node of its own whose one computed input is the result of a product."""
        computed = [tensor for tensor in node.inputs if tensor and tensor not in self.constant]
        if len(computed) != 1:
            return
        before = self.producer.get(computed[0])
        while before is not None and before.op_type in (*VIEWS, "Transpose") and before.name not in self.ends:
            before = self.producer.get(before.inputs[0])
        if before is None:
            return
        product = self.trailing.get(before.name, before.name if before.name in self.ends else "")
        if product and self.graph.nodes[self.place[product]].op_type in PRODUCTS:
            self.trailing[node.name] = product
            self.behind.setdefault(product, []).append(node)

    def _absorb_product(self, end: Node) -> None:
        """Takes the product whose results an operator is fused into from those that end a kernel (rule 2)."""
        if any(node.op_type in PRODUCTS for node in self._group(end)):
            return
        before = [self.producer.get(tensor) for node in self._group(end) for tensor in node.inputs]
        products = [node for node in before if node is not None and node.op_type in PRODUCTS]
        if products:  # of a sum of two, the later one
            self.ends.discard(max(products, key=self._place).name)

    def read(self) -> ExecutedKernels:
        found = ExecutedKernels(of_node=[-1] * len(self.nodes))
        kernel_of: dict[str, int] = {}  # by the operator that a kernel ends with
        member_of = self._members()
        for position, (node, owner) in enumerate(zip(self.nodes, self.owner, strict=True)):
            if owner is None:
                continue
            end = member_of.get(owner.name)
            if end is None:
                if node.op == _VIEW:
                    continue  # rule 5
                end = owner
            if end.name not in kernel_of:
                kernel_of[end.name] = len(found.kernels)
                found.kernels.append(self._kernel(end))
            found.of_node[position] = kernel_of[end.name]
        return found

    def _owner(self, node: ExecutedNode) -> Node | None:
        """The operator that a node comes from (rule 1); None for values (rule 3)."""
        if node.op in VALUES:
            return None
        mark = _MARK.search(node.name)
        written = self.marked[int(mark[1])] if mark and int(mark[1]) < len(self.marked) else ()
        owner = next((self.producer[tensor] for tensor in written if tensor in self.producer), None)
        if owner is None:
            raise MeasurementError(f"tract runs {node.name!r} ({node.op}), which comes from no operator of the model")
        if node.op == _SLICE and owner.op_type == "Transpose":
            return self._next_reader(owner)
        if node.op == _ROOT_MEAN_SQUARE and owner.op_type == "ReduceMean":
            return self._last_of_root_mean_square(owner)
        return self._last_of_swish(owner) if node.op == _SWISH else owner

    def _last_of_root_mean_square(self, mean: Node) -> Node:
        """The operator that divides by the root of a mean of squares, which tract names by the mean."""
        step = mean
        for kinds in (("Add",), ("Sqrt",), ("Reciprocal", "Div", "Mul"), ("Mul",)):
            readers = self.readers.get(step.outputs[0], [])
            if len(readers) != 1 or readers[0].op_type not in kinds:
                return step if step.op_type in ("Div", "Mul") else mean
            step = readers[0]
        return step

    def _next_reader(self, transpose: Node) -> Node:
        """The operator that takes the next slice of a transposed tensor, which tract cuts before it turns it."""
        readers = self.readers.get(transpose.outputs[0], [])
        count = self.sliced[transpose.name] = self.sliced.get(transpose.name, -1) + 1
        return readers[min(count, len(readers) - 1)] if readers else transpose

    def _last_of_swish(self, sigmoid: Node) -> Node:
        """The product of a tensor and its sigmoid, which tract names by the sigmoid."""
        for reader in self.readers.get(sigmoid.outputs[0], ()):
            if reader.op_type == "Mul" and set(reader.inputs) == {sigmoid.inputs[0], sigmoid.outputs[0]}:
                return reader
        return sigmoid

    def _is_helper(self, node: ExecutedNode, owner: Node) -> bool:
        """Whether a node does not compute what its operator is (rule 2)."""
        if node.op not in HELPERS:
            return False
        return node.op == _VIEW or owner.op_type in PRODUCTS or "." in node.name.rpartition("q")[2]

    def _members(self) -> dict[str, Node]:
        """By operator, the last one of the kernel that it is part of (rule 2)."""
        found: dict[str, Node] = {}
        for end in sorted((self.graph.nodes[self.place[name]] for name in self.ends), key=self._place):
            for member in self._group(end):
                found.setdefault(member.name, end)
        return found

    def _group(self, end: Node) -> list[Node]:
        """An operator that computes, and those before it that have no computing node of their own, in their order."""
        pending, found = [end], {}
        while pending:
            node = pending.pop()
            stops = node is not end and (node.name in self.ends or node.name in self.trailing)
            if node.name in found or stops or (node is not end and self._is_fixed(node)):
                continue
            found[node.name] = node
            pending += [self.producer[tensor] for tensor in node.inputs if tensor in self.producer]
        found.update({node.name: node for node in self.behind.get(end.name, ())})
        return sorted(found.values(), key=self._place)

    def _place(self, node: Node) -> int:
        return self.place[node.name]

    def _is_fixed(self, node: Node) -> bool:
        return all(tensor in self.constant for tensor in node.outputs if tensor)

    def _kernel(self, end: Node) -> Kernel:
        group = self._group(end)
        inner = {tensor for node in group for tensor in node.outputs}
        nodes = [node for node in group if node is end or node.op_type not in (*VIEWS, *MOVING)]
        return Kernel(end.name, self._signature(nodes, end, inner), tuple(node.name for node in nodes))

    def _signature(self, nodes: Sequence[Node], end: Node, inner: set[str]) -> KernelSignature:
        main = next((node for node in nodes if node.op_type in PRODUCTS), None)
        if main is not None:
            return self._product(main, [node for node in nodes if node is not main], inner)
        if len(nodes) == 1:
            return self.signatures.alone(end)
        if {"ReduceMean", "Sqrt", "Pow"} <= {node.op_type for node in nodes}:
            return self.signatures.together(nodes, end.outputs[0], "RMSNormalization", {"axis": -1})
        activation = activation_of(node.op_type for node in nodes)
        if activation:
            return self.signatures.together(nodes, end.outputs[0], activation)
        return self.signatures.chain(nodes, inner)

    def _product(self, main: Node, behind: Sequence[Node], inner: set[str]) -> KernelSignature:
        """A product, its bias, and what is fused behind it (rule 4)."""
        types = self.graph.types
        channels = types[main.outputs[0]].shape[1 if main.op_type.startswith("Conv") else -1]
        with_bias = len(main.inputs) > 2 and bool(main.inputs[2])
        fused: list[str] = []
        read: list[TensorType] = []
        for node in behind:
            others = [tensor for tensor in node.inputs if tensor and tensor not in inner]
            if node.op_type == "Add" and not with_bias and not fused and self._is_bias(others, channels):
                with_bias = True
                continue
            if node.op_type == "BatchNormalization" and not fused:
                with_bias = True
                continue
            fused.append(node.op_type)
            read += [types[tensor] for tensor in others if tensor not in self.constant]
        weights = main.inputs[1]
        if weights in self.constant and (main.op_type.startswith("Conv") or len(types[weights].shape) == 2):
            return self.signatures.product(main, main.outputs[0], "+".join(fused), with_bias, read)
        return self.signatures.computed_product(main, "+".join(fused), read)

    def _is_bias(self, tensors: Sequence[str], channels: int) -> bool:
        return len(tensors) == 1 and tensors[0] in self.constant and self.graph.types[tensors[0]].elements == channels
