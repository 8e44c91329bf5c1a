"""Records what PyTorch runs of a network, in the format of nnmeter/lab/importing/public_networks/description.py.

Rules:

1. The network runs once on tensors without data (`meta`), in inference mode, so that operators arrive whole
   (`linear`, `scaled_dot_product_attention`) and not as what they are made of. An operator without a rule in
   graphs_operators.py is taken apart by PyTorch's own decomposition; one that cannot be is an error.
2. What does not depend on the inputs is a constant: only its type and shape are recorded.
3. The batch is a large prime; a size that is a multiple of it is written as a multiple of the batch.
4. What nothing reads is left out. A `Pad` of zeros whose only reader is a convolution becomes the convolution's padding
   if `joins_pads`: PyTorch cannot pad one side more than the other, mobile runtimes do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nnmeter.lab.importing.public_networks.writing import Nodes, Place, Reference

BATCH = 10007
_SAME_SHAPE = frozenset("gelu silu hardswish sigmoid tanh mish relu softmax batch_norm layer_norm group_norm".split())
_KINDS = {torch.bool: "m", torch.int64: "n", torch.int32: "n", torch.uint8: "n", torch.int16: "n"}


class Recorder(TorchDispatchMode):
    """Records every operator that PyTorch dispatches while it is active."""

    def __init__(self, operators: Mapping[str, Any]) -> None:
        super().__init__()
        self.operators = operators
        self.nodes = Nodes()
        self._place: dict[int, Place] = {}
        self._alive: list[torch.Tensor] = []

    def add_input(self, tensor: torch.Tensor) -> None:
        """Add an input of the network."""
        kind = "f" if tensor.dtype.is_floating_point else "n"
        self.note(tensor, self.nodes.add_input(f"{kind}:{sizes(tensor.shape)}"))

    def note(self, tensor: torch.Tensor, place: Place) -> None:
        """Remember where a tensor is written."""
        self._place[id(tensor)] = place
        self._alive.append(tensor)

    def known(self, value: Any) -> bool:
        """Whether it is a tensor that depends on the inputs."""
        return isinstance(value, torch.Tensor) and id(value) in self._place

    def reference(self, value: Any, like: torch.Tensor | None = None) -> Reference:
        """What a node reads: a place, or a constant; a number has the type of `like`."""
        if value is None:
            return ""
        if isinstance(value, torch.Tensor):
            if id(value) in self._place:
                return self._place[id(value)]
            return f"{_KINDS.get(value.dtype, 'w')}:{sizes(value.shape)}"
        if like is not None and not like.dtype.is_floating_point:
            return f"k:{int(value)}"
        return f"s:{float(value):.9g}"

    def node(self, operator: str, references: Iterable[Reference], count: int = 1, **attributes: Any) -> Place:
        """Add an operator and return the place of what it writes (of its first output)."""
        return self.nodes.add(operator, references, count, **attributes)

    def emit(self, operator: str, values: Iterable[Any], result: torch.Tensor, **attributes: Any) -> None:
        """Add an operator of one output whose inputs are tensors and numbers."""
        values = list(values)
        like = next((v for v in values if isinstance(v, torch.Tensor) and v.dim()), None)
        like = like if like is not None else next((v for v in values if isinstance(v, torch.Tensor)), None)
        self.note(result, self.node(operator, [self.reference(v, like) for v in values], **attributes))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = str(func.overloadpacket).removeprefix("aten.")
        concerned = any(map(self.known, _tensors([*args, *kwargs.values()])))
        if not concerned:
            return func(*args, **kwargs)
        rule = self.operators.get(name) or self.operators.get(name.rstrip("_"))
        if rule is None:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is NotImplemented:
                raise ValueError(f"operator {func} has no rule and no decomposition")
            return result
        # What PyTorch would find for these in many steps of Python.
        result = torch.empty_like(args[0]) if name in _SAME_SHAPE else func(*args, **kwargs)
        rule(self, _bound(func, args, kwargs), result)
        return result

    def description(self, name: str, result: Any, joins_pads: bool) -> dict[str, Any]:
        """The line of the network that returned `result`."""
        places = [self._place[id(t)] for t in _tensors([result]) if id(t) in self._place]
        if not places:
            raise ValueError("the result does not depend on the inputs")
        if joins_pads:
            join_pads(self.nodes.rows)
        return self.nodes.line(name, places)


def sizes(shape: Iterable[Any]) -> str:
    """Sizes as text, multiples of the batch told."""
    return "x".join(f"{n // BATCH}b" if (n := int(s)) > 0 and n % BATCH == 0 else str(n) for s in shape)


def integers(values: Iterable[Any]) -> str:
    """A constant list of int64."""
    return f"i:{sizes(values)}"


def join_pads(nodes: list[list[Any]]) -> None:
    """Padding in front of a convolution becomes part of it (rule 4)."""
    readers: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        for reference in node[1] if node else ():
            if isinstance(reference, int):
                readers.setdefault(reference, []).append(number)
    for number, node in enumerate(nodes):
        after = readers.get(number, [])
        if not node or node[0] != "Pad" or node[2] or len(after) != 1 or nodes[after[0]][0] != "Conv":
            continue
        pads = [int(n) for n in node[1][1][2:].split("x")]
        conv, rank = nodes[after[0]], len(pads) // 2
        if any(pads[:2]) or any(pads[rank : rank + 2]):
            continue
        own = conv[2].get("pads", [0] * (2 * (rank - 2)))
        conv[2]["pads"] = [a + b for a, b in zip(own, pads[2:rank] + pads[rank + 2 :], strict=True)]
        conv[1][0] = node[1][0]


def _bound(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, defaults included."""
    bound = {}
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args):
            bound[argument.name] = args[position]
        elif argument.name in kwargs:
            bound[argument.name] = kwargs[argument.name]
        else:
            bound[argument.name] = argument.default_value if argument.has_default_value() else None
    return bound


def _tensors(values: Iterable[Any]) -> list[torch.Tensor]:
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, Mapping):
            found += _tensors(value.values())
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found
