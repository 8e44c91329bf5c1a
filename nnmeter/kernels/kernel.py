"""The kernel: what a runtime launches as one unit, with all that its price may depend on.

A kernel is described by its *signature*: type, anchor operator, cost-relevant attributes, and the types of its inputs
and outputs. Two kernels with one signature have one price; names and source nodes do not count.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nnmeter.graph.ir import TensorType

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


class _Kept:
    """Where a signature keeps its hash and its text: no fields, so that they are neither compared nor pickled."""

    __slots__ = ("_hash", "_text")
    _hash: int
    _text: str


@dataclass(frozen=True, slots=True)
class KernelSignature(_Kept):
    """All that prices a kernel.

    Attributes:
        type: fused name in the runtime's vocabulary: `Conv+Relu`, `nchwc.Conv+Add+Relu`, `Gemm`, `ReorderInput`.
        op_type: anchor operator (`Conv`), the one whose cost rule applies.
        domain: the anchor's domain ("" for ai.onnx, `com.microsoft.nchwc`, ...).
        inputs: types of the inputs in order, None for an absent optional one.
        constants: for each input, whether it is a constant (a weight, known before the run).
        outputs: types of the outputs in order.
        attributes: (name, value) pairs sorted by name.
    """

    type: str
    op_type: str
    domain: str
    inputs: tuple[TensorType | None, ...]
    constants: tuple[bool, ...]
    outputs: tuple[TensorType, ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()

    def __hash__(self) -> int:
        """Of most of what tells signatures apart; made once, for pricing asks for it five times."""
        try:
            return self._hash
        except AttributeError:
            inputs = tuple([None if t is None else t.shape for t in self.inputs])
            outputs = tuple([t.shape for t in self.outputs])
            value = hash((self.type, self.attributes, inputs, outputs))
            object.__setattr__(self, "_hash", value)
            return value

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute, or `default`."""
        for key, value in self.attributes:
            if key == name:
                return value
        return default

    def to_json(self) -> str:
        """A compact, canonical JSON text; equal signatures give equal texts. It is made once."""
        try:
            return self._text
        except AttributeError:
            text = json.dumps(
                [
                    self.type,
                    self.op_type,
                    self.domain,
                    [None if t is None else [t.dtype, *t.shape] for t in self.inputs],
                    [int(c) for c in self.constants],
                    [[t.dtype, *t.shape] for t in self.outputs],
                    dict(self.attributes),
                ],
                separators=(",", ":"),
            )
            object.__setattr__(self, "_text", text)
            return text

    @classmethod
    def from_json(cls, text: str) -> KernelSignature:
        """The signature that `to_json` wrote."""
        return _parse_signature(text)


@lru_cache(maxsize=65536)
def _parse_signature(text: str) -> KernelSignature:
    kind, op_type, domain, inputs, constants, outputs, attributes = json.loads(text)
    return KernelSignature(
        kind,
        op_type,
        domain,
        tuple(None if t is None else TensorType(t[0], tuple(t[1:])) for t in inputs),
        tuple(bool(c) for c in constants),
        tuple(TensorType(t[0], tuple(t[1:])) for t in outputs),
        tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(attributes.items())),
    )


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel of one model.

    Attributes:
        name: its name.
        signature: all that prices it.
        nodes: the operators of the model that it absorbed.
        count: how often it runs: more than once in a loop.
    """

    name: str
    signature: KernelSignature
    nodes: tuple[str, ...]
    count: int = 1

    @property
    def type(self) -> str:
        """Fused name in the runtime's vocabulary."""
        return self.signature.type
