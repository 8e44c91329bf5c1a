"""Networks as lists of nodes: `[operator, numbers of the nodes that it reads, attributes, output shape H W C]`.

Rules:

1. The operators are those of nn-Meter's benchmark of generated networks (`OPERATORS`); the first node is the input.
2. They become operators of ONNX with channels first and a batch of 1. Padding SAME becomes the padding that it means.
3. `split0` and `split1` of one tensor are the two results of one Split. A shuffle of channels is a Reshape, a Transpose
   and a Reshape. `flatten` and `fc` have one dimension beside the batch.
4. The network returns what its last node writes; nodes that this does not depend on are left out.
5. Every shape that is inferred must be the one that the list states; the first that is not is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nnmeter.binding.assembly import Assembly, same_pads
from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import ModelError
from nnmeter.graph.ir import Graph
from nnmeter.graph.unbound import UnboundModel
from nnmeter.operators.shape_rules.common import ShapeError

NodeList = Sequence[Sequence[Any]]

_LARGEST = 1 << 31  # size of a dimension

_RELU6_BOUNDS = (0.0, 6.0)


def read_node_list(name: str, nodes: NodeList) -> UnboundModel:
    """The model that a list of nodes describes.

    Raises:
        ModelError: an operator is unknown, reads a node that is not before it, or lacks an attribute.
    """
    return _Reader(name, _checked(name, nodes)).model()


def graph_of_node_list(name: str, nodes: NodeList) -> Graph:
    """The same with every shape inferred, and checked against the list (rule 5).

    Raises:
        ModelError: as `read_node_list`, or a shape is not what the list states.
    """
    reader = _Reader(name, _checked(name, nodes))
    graph = bind_shapes(reader.model())
    types = graph.types
    for number, (node, tensor) in enumerate(zip(nodes, reader.tensors, strict=True)):
        if tensor in types:  # else nothing depends on it
            found = types[tensor].shape
            stated = node[3]
            channels_first = (1, stated[0]) if len(stated) == 1 else (1, stated[2], stated[0], stated[1])
            if found != channels_first:
                raise ModelError(
                    f"{name}: node {number} ({node[0]}) is stated as {'x'.join(map(str, stated))} and computed as "
                    f"{'x'.join(map(str, found))} (batch, channels first); check the description"
                )
    return graph


def _checked(name: str, nodes: Any) -> NodeList:
    """The list itself, if each of its nodes has the form that the module says."""
    if not isinstance(nodes, Sequence) or isinstance(nodes, str):
        raise ModelError(f"{name}: its nodes are no list; check the description")
    for number, node in enumerate(nodes):
        if not _is_node(node):
            raise ModelError(
                f"{name}: node {number} is not [operator, inputs, attributes, shape H W C]; check the description"
            )
    return nodes


def _is_node(node: Any) -> bool:
    if not isinstance(node, Sequence) or len(node) != 4:
        return False
    operator, inputs, attributes, shape = node
    return (
        isinstance(operator, str)
        and isinstance(attributes, Mapping)
        and isinstance(inputs, Sequence)
        and isinstance(shape, Sequence)
        and len(shape) in (1, 3)
        and all(isinstance(size, int) and not isinstance(size, bool) for size in (*inputs, *shape))
        and all(0 < size <= _LARGEST for size in shape)
    )


class _Reader:
    """Reads one list; `tensors` are the tensors that its nodes write."""

    def __init__(self, name: str, nodes: NodeList) -> None:
        self.name = name
        self.nodes = nodes
        self.assembly = Assembly(name, name)
        self.tensors: list[str] = []
        self.halves: dict[str, tuple[str, ...]] = {}

    def model(self) -> UnboundModel:
        for number, node in enumerate(self.nodes):
            try:
                operator, inputs, attributes, shape = node
                rule = OPERATORS.get(operator)
                if rule is None:
                    raise ModelError(
                        f"{self.name}: node {number} has the unknown operator {operator!r}; known are "
                        f"{', '.join(OPERATORS)}"
                    )
                if any(not 0 <= source < number for source in inputs):
                    raise ModelError(f"{self.name}: node {number} reads a node that is not before it; sort the list")
                tensor = rule(self, [self.tensors[source] for source in inputs], inputs, attributes, shape)
            except ModelError:
                raise
            except _DAMAGE as fault:
                raise ModelError(
                    f"{self.name}: node {number} is not [operator, inputs, attributes, shape H W C] ({fault!r}); "
                    "check the description"
                ) from fault
            self.tensors.append(tensor)
        if len(self.tensors) < 2:
            raise ModelError(f"{self.name}: has no operator; check the description")
        return self.assembly.finish(self.tensors[-1:])

    def sizes(self, number: int) -> list[int]:
        """Height and width of what a node writes."""
        return list(self.nodes[number][3][:2])


# What a rule meets in a list whose parts are missing, of other types, or of sizes that no tensor has.
_DAMAGE = (IndexError, KeyError, OverflowError, ShapeError, TypeError, ValueError, ZeroDivisionError)

_Rule = Callable[[_Reader, list[str], Sequence[int], Mapping[str, Any], Sequence[int]], str]


def _input(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    height, width, channels = shape
    return reader.assembly.input("input" if not reader.tensors else f"input_{len(reader.tensors)}",
                                 (1, channels, height, width))  # fmt: skip


def _pair(size: int | Sequence[int]) -> tuple[int, ...]:
    """Height and width of a window or step; one number stands for both."""
    return (size, size) if isinstance(size, int) else tuple(size)


def _window(reader: _Reader, source: int, attributes: Mapping[str, Any]) -> dict[str, Any]:
    window, strides = _pair(attributes["k"]), _pair(attributes["s"])
    if attributes["pad"] not in ("SAME", "VALID"):
        raise ValueError(f"padding {attributes['pad']!r}")
    pads = same_pads(reader.sizes(source), window, strides) if attributes["pad"] == "SAME" else (0, 0, 0, 0)
    return {"kernel_shape": window, "strides": strides, "pads": pads}


def _conv(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    attributes = {**_window(reader, inputs[0], a), "group": 1}
    weight = reader.assembly.weight((a["cout"], a["cin"], *_pair(a["k"])))
    return reader.assembly.add("Conv", [x[0], weight], attributes)


def _dwconv(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    attributes = {**_window(reader, inputs[0], a), "group": a["c"]}
    weight = reader.assembly.weight((a["c"], 1, *_pair(a["k"])))
    return reader.assembly.add("Conv", [x[0], weight], attributes)


def _fc(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    tensors = [x[0], reader.assembly.weight((a["cout"], a["cin"]))]
    if a.get("bias"):
        tensors.append(reader.assembly.weight((a["cout"],)))
    return reader.assembly.add("Gemm", tensors, {"transB": 1})


def _bn(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    statistics = [reader.assembly.weight((shape[-1],)) for _ in range(4)]
    return reader.assembly.add("BatchNormalization", [x[0], *statistics])


def _relu6(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    return reader.assembly.add("Clip", [x[0], *map(reader.assembly.scalar, _RELU6_BOUNDS)])


def _plain(op_type: str, count: int, **attributes: Any) -> _Rule:
    """An operator of `count` computed inputs."""

    def rule(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
        if len(x) != count:
            raise ValueError(f"{len(x)} inputs, not {count}")
        return reader.assembly.add(op_type, x, attributes)

    return rule


def _with_scalar(op_type: str) -> _Rule:
    def rule(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
        return reader.assembly.add(op_type, [x[0], reader.assembly.scalar(float(a["c"]))])

    return rule


def _maxpool(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    return reader.assembly.add("MaxPool", x[:1], _window(reader, inputs[0], a))


def _avgpool(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    return reader.assembly.add("AveragePool", x[:1], _window(reader, inputs[0], a))


def _concat(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    return reader.assembly.add("Concat", x, {"axis": 1})


def _half(position: int) -> _Rule:
    """Rule 3: one Split for both halves."""

    def rule(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
        halves = reader.halves.get(x[0])
        if halves is None:
            halves = reader.halves[x[0]] = reader.assembly.add_all("Split", x[:1], {"axis": 1}, 2)
        return halves[position]

    return rule


def _shuffle(reader: _Reader, x: list[str], inputs: Sequence[int], a: Mapping[str, Any], shape: Sequence[int]) -> str:
    height, width, channels = shape
    groups = a["g"]
    assembly = reader.assembly
    apart = assembly.add("Reshape", [x[0], assembly.integers((1, groups, channels // groups, height, width))])
    turned = assembly.add("Transpose", [apart], {"perm": (0, 2, 1, 3, 4)})
    return assembly.add("Reshape", [turned, assembly.integers((1, channels, height, width))])


OPERATORS: dict[str, _Rule] = {
    "input": _input,
    "conv": _conv,
    "dwconv": _dwconv,
    "fc": _fc,
    "bn": _bn,
    "relu": _plain("Relu", 1),
    "relu6": _relu6,
    "add": _plain("Add", 2),
    "mul": _plain("Mul", 2),
    "add_scalar": _with_scalar("Add"),
    "mul_scalar": _with_scalar("Mul"),
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "gap": _plain("GlobalAveragePool", 1),
    "concat": _concat,
    "split0": _half(0),
    "split1": _half(1),
    "channel_shuffle": _shuffle,
    "flatten": _plain("Flatten", 1, axis=1),
}
