"""The kernels that MNN executes, from the commands that it runs, its converted model, and the ONNX model.

1. A command is a call of one of MNN's kernels. It bears the name of the operator of the converted model that it works
   for, with `_raster_` and a number behind it where MNN made it up.
2. The commands of an operator that are no `Raster` are one kernel. It does the work of the ONNX operators between the
   tensors that the converted model kept: those that lead to what the operator writes. Operators that the converter took
   apart into several count as one, by the tensor that the last of them writes.
3. Operators that only move data are regions of memory until another one needs them; then a `Raster` moves all of a
   chain at once. The rasters of an operator are one kernel for each tensor that it reads through such a chain
   (`nnmeter.kernels.moving`). Rasters of an operator that reads nothing through a chain are part of its kernel, and so
   are those that are more or fewer than its chains.
4. A product with a constant matrix runs as a pointwise convolution: a `Gemm` with transposed weights and a bias, of any
   rank. All convolutions have a bias.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import Graph, Node
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.kernels.moving import FROM_BLOCKS, MOVING, TO_BLOCKS, VIEWS, moving_kernel
from nnmeter.kernels.naming import kernel_signature
from nnmeter.lab.runtimes.mnn_file import CONSTANT, CONVERT, CONVOLUTIONS, INPUT, JOINS, UNARY, MnnOperator
from nnmeter.lab.runtimes.operator_groups import PRODUCTS, GroupSignatures, activation_of, constant_tensors

RASTER = "Raster"
_MADE_UP = re.compile(r"(.*)_raster_\d+", re.DOTALL)
OF_A_RESULT = "__before_tr"  # behind the name of a result before it is reordered
OF_A_PRODUCT = "__matmul_converted"  # behind the name of a product that became a convolution
_COMMANDS_OF_ACTIVATIONS = {"ReLU": "Relu", "ReLU6": "Clip"}


@dataclass(frozen=True, slots=True)
class Command:
    """One command that MNN runs: its name, and MNN's type of it."""

    name: str
    type: str


@dataclass(slots=True)
class ExecutedKernels:
    """Kernels in the order of the run, and for each command the kernel that it is of; -1 for one that is of none."""

    kernels: list[Kernel] = field(default_factory=list)
    of_command: list[int] = field(default_factory=list)


def executed_kernels(operators: Sequence[MnnOperator], commands: Sequence[Command], graph: Graph) -> ExecutedKernels:
    """The kernels that commands amount to (rules 1 to 4).

    Args:
        operators: of the converted model.
        commands: in the order of the run.
        graph: the ONNX model with static shapes.

    Raises:
        MeasurementError: a command is of no operator of the converted model.
    """
    return _Reader(operators, commands, graph).read()


class _Reader:
    """One reading of one run."""

    def __init__(self, operators: Sequence[MnnOperator], commands: Sequence[Command], graph: Graph) -> None:
        self.graph, self.commands = graph, commands
        self.by_name = {op.name: op for op in reversed(operators)}
        self.writer = {tensor: op for op in operators for tensor in op.outputs}
        self.readers: dict[str, list[MnnOperator]] = {}
        for op in operators:
            for tensor in op.inputs:
                self.readers.setdefault(tensor, []).append(op)
        self.producer = {tensor: node for node in graph.nodes for tensor in node.outputs if tensor}
        self.place = {node.name: index for index, node in enumerate(graph.nodes)}
        self.owners = [self._owner(command) for command in commands]
        self.real = {op.name for op, command in zip(self.owners, commands, strict=True) if command.type != RASTER}
        self.constant = {t for op in operators if op.code == CONSTANT for t in op.outputs} | graph.initializers
        for op in operators:  # in an order of the run
            if op.inputs and op.name not in self.real and all(tensor in self.constant for tensor in op.inputs):
                self.constant.update(op.outputs)
        self.constant = constant_tensors(graph, self.constant)
        self.signatures = GroupSignatures(graph, self.constant)
        self.kept = {tensor for op in operators for tensor in op.outputs if tensor in graph.types}
        self.moved: set[str] = set()  # tensors of the converted model that a raster has made
        convolutions = [op for op in operators if op.code in CONVOLUTIONS and op.name in self.real]
        parts = Counter(self._end(op) for op in convolutions)
        self.activation = {self._end(op): op.activation for op in convolutions}
        for op, command in zip(self.owners, commands, strict=True):  # of convolutions that were taken apart
            if command.type in _COMMANDS_OF_ACTIVATIONS and parts[self._end(op)] > 1:
                self.activation[self._end(op)] = _COMMANDS_OF_ACTIVATIONS[command.type]
        self.absorbed: set[str] = set()  # activations that are part of the kernel before them
        self.in_groups = {op.name for op in convolutions if parts[self._end(op)] > 1}

    def read(self) -> ExecutedKernels:
        found = ExecutedKernels(of_command=[-1] * len(self.commands))
        own: dict[str, int] = {}  # by the tensor that a kernel ends with
        for op, positions in self._runs_of_operators():
            working = [position for position in positions if self.commands[position].type != RASTER]
            rasters = [position for position in positions if self.commands[position].type == RASTER]
            end = self._end(op)
            inner = op.name in self.in_groups or (op.name in self.real and end in own)
            read = [] if inner else self._regions_of(op)
            if read:
                for index, tensor in enumerate(read):
                    share = rasters[index:] if index + 1 == len(read) else rasters[index : index + 1]
                    if share:
                        self._put(share, self._moving(op, tensor), found)
            else:
                working += rasters
            if not working:
                continue
            if end in own:
                for position in working:
                    found.of_command[position] = own[end]
            else:
                own[end] = len(found.kernels)
                self._put(working, self._kernel(op, self.commands[working[0]], end), found)
        return found

    def _runs_of_operators(self) -> list[tuple[MnnOperator, list[int]]]:
        """Neighbouring commands of one operator."""
        found: list[tuple[MnnOperator, list[int]]] = []
        for position, op in enumerate(self.owners):
            if found and found[-1][0] is op:
                found[-1][1].append(position)
            else:
                found.append((op, [position]))
        return found

    def _put(self, positions: Sequence[int], kernel: Kernel, found: ExecutedKernels) -> None:
        for position in positions:
            found.of_command[position] = len(found.kernels)
        found.kernels.append(kernel)

    def _owner(self, command: Command) -> MnnOperator:
        op = self.by_name.get(command.name)
        if op is None:
            made_up = _MADE_UP.fullmatch(command.name)
            op = self.by_name.get(made_up[1]) if made_up else None
        if op is None:
            raise MeasurementError(f"MNN ran {command.name!r} ({command.type}), which its model does not have")
        return op

    # What moves (rule 3).

    def _regions_of(self, op: MnnOperator) -> list[str]:
        """The regions that become data for an operator: those that it reads, or gives where it only moves."""
        computes = op.name in self.real
        tensors = [t for t in op.inputs if self._is_region(t)] if computes else op.outputs
        found = [tensor for tensor in dict.fromkeys(tensors) if tensor not in self.moved]
        self.moved.update(found)
        return found

    def _is_region(self, tensor: str) -> bool:
        op = self.writer.get(tensor)
        return (
            op is not None
            and op.code not in (INPUT, CONSTANT)
            and op.name not in self.real
            and (tensor not in self.constant)
        )

    def _sources(self, tensor: str) -> list[str]:
        """The tensors in memory that a region is made of."""
        pending: list[str] = [tensor]
        seen: set[str] = set()
        found: list[str] = []
        while pending:
            tensor = pending.pop()
            if tensor in seen or tensor in self.constant:
                continue
            seen.add(tensor)
            if self._is_region(tensor):
                op = self.writer[tensor]
                pending += reversed(op.inputs if op.code in JOINS else op.inputs[:1])
            else:
                found.append(tensor)
        return found

    def _known(self, tensor: str) -> str:
        """The tensor of the ONNX model that one of the converted model holds."""
        seen: set[str] = set()
        start = tensor
        while tensor not in self.graph.types and tensor not in seen:
            seen.add(tensor)
            op = self.writer.get(tensor)
            if op is None or op.name in self.real or not op.inputs:
                break
            tensor = op.inputs[0]
        if tensor in self.graph.types:
            return tensor
        op = self.writer.get(tensor)
        return self._end(op) if op is not None else start

    def _moving(self, op: MnnOperator, tensor: str) -> Kernel:
        graph = self.graph
        sources = list(dict.fromkeys(self._known(source) for source in self._sources(tensor)))
        read = self._known(tensor)
        chain = self._chain(read, set(sources))
        kind, attributes = moving_kernel([(node.op_type, node.attributes) for node in chain], self._reorder(tensor))
        types = [graph.types.get(source) for source in sources]
        written = [graph.types[read]] if read in graph.types else []
        signature = kernel_signature(kind, "", attributes, types, [False] * len(types), written)
        return Kernel(f"{op.name}/{tensor}", signature, tuple(node.name for node in chain))

    def _chain(self, read: str, sources: set[str]) -> list[Node]:
        """The operators of the ONNX model that move data from sources to what is read."""
        pending, found = [read], {}
        while pending:
            tensor = pending.pop()
            node = self.producer.get(tensor)
            if tensor in sources or node is None or node.name in found or node.op_type not in MOVING:
                continue
            if node.op_type not in VIEWS or self._changes_shape(node):
                found[node.name] = node
            pending += node.inputs if node.op_type == "Concat" else node.inputs[:1]
        return sorted(found.values(), key=lambda node: self.place[node.name])

    def _changes_shape(self, node: Node) -> bool:
        types = self.graph.types
        return types[node.inputs[0]].shape != types[node.outputs[0]].shape

    def _reorder(self, tensor: str) -> str:
        """The change of layout on the way to a tensor that is read."""
        seen: set[str] = set()
        while self._is_region(tensor) and tensor not in seen:
            seen.add(tensor)
            op = self.writer[tensor]
            if op.code == CONVERT:
                return TO_BLOCKS if op.packs else FROM_BLOCKS
            tensor = next((read for read in op.inputs if read not in self.constant), "")
        return ""

    # What computes (rules 2 and 4).

    def _end(self, op: MnnOperator) -> str:
        """The tensor of the ONNX model that an operator writes: by its results, its own name, or what is behind it."""
        types = self.graph.types
        written = [tensor.removesuffix(OF_A_RESULT) for tensor in op.outputs]
        own = [op.name, op.name.removesuffix(OF_A_PRODUCT)]
        # Operators of one input may have been moved before a view, whose name their result has then.
        names = [*own, *written] if op.code in UNARY else [*written, *own]
        known = next((name for name in names if name in types), "")
        pending, seen = [op], {op.name}
        while pending and not known:
            step = pending.pop(0)
            for reader in (reader for tensor in step.outputs for reader in self.readers.get(tensor, ())):
                known = known or next((tensor for tensor in reader.outputs if tensor in types), "")
                if reader.name not in seen:
                    seen.add(reader.name)
                    pending.append(reader)
        return known or op.name

    def _group(self, end: str) -> list[Node]:
        """The ONNX operators between kept tensors and one that is written."""
        pending, found = [end], {}
        while pending:
            node = self.producer.get(pending.pop())
            if node is None or node.name in found or node.name in self.absorbed:
                continue
            found[node.name] = node
            pending += [t for t in node.inputs if t and t not in self.kept and t not in self.graph.initializers]
        return sorted(found.values(), key=lambda node: self.place[node.name])

    def _kernel(self, op: MnnOperator, command: Command, end: str) -> Kernel:
        nodes = self._group(end)
        activation = self.activation.get(end, "") if op.code in CONVOLUTIONS else ""
        readers = [node for node in self.graph.nodes if end in node.inputs] if activation else []
        if len(readers) == 1 and readers[0].op_type == activation:
            nodes.append(readers[0])
            self.absorbed.add(readers[0].name)
        signature = self._signature(op, command, end, nodes)
        return Kernel(op.name, signature, tuple(node.name for node in nodes))

    def _signature(self, op: MnnOperator, command: Command, end: str, nodes: Sequence[Node]) -> KernelSignature:
        activation = self.activation.get(end, "")
        nodes = [node for node in nodes if node.op_type != activation] if op.code in CONVOLUTIONS else list(nodes)
        working = [node for node in nodes if not self._is_still(node)] or list(nodes)
        if not working:
            written = [self.graph.types[end]] if end in self.graph.types else []
            return kernel_signature(command.type, "", {}, [], [], written)
        main = next((node for node in working if node.op_type in PRODUCTS), None)
        if (
            op.code in CONVOLUTIONS
            and main is not None
            and main.inputs[1] in self.graph.types
            and main.inputs[1] in self.constant
        ):
            return self.signatures.product(main, end, activation)
        if len(working) == 1:
            return self.signatures.alone(working[0])
        if command.type == "LayerNorm":
            return self.signatures.together(working, end, "LayerNormalization", {"axis": -1})
        kind = activation_of(node.op_type for node in working) if command.type == "UnaryOp" else ""
        return self.signatures.together(working, end, kind)

    def _is_still(self, node: Node) -> bool:
        """Whether an operator does nothing in the run."""
        return node.op_type in VIEWS or all(tensor in self.constant for tensor in node.inputs if tensor)
