"""Operators of other packages: their cost and shapes, declared in Python and found through an entry point.

Rules:
1. A package declares operators under the entry-point group `nnmeter.operators`; an entry point is an
   `OperatorDeclaration` or a sequence of them. It is imported when a model first has an operator that the table does
   not know, and never before.
2. Only operators that the table does not have can be declared, and each once.
3. What a declaration computes is checked: FLOPs and bytes are finite and not negative, shapes are types with static
   sizes. Whatever goes wrong in it is an error that names the operator.
4. A declared cost makes no price a trained one: the kernel is priced by the fallback until the device is profiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from math import isfinite
from typing import Any

import numpy as np

from nnmeter.errors import ModelError, NnmeterError
from nnmeter.graph.ir import TensorType
from nnmeter.operators.table import KNOWN_DOMAINS, OPERATORS, refusal

ENTRY_POINT_GROUP = "nnmeter.operators"

Attributes = Mapping[str, Any]
Inputs = Sequence[TensorType | None]
Outputs = Sequence[TensorType]
Values = Sequence[np.ndarray[Any, Any] | None]


@dataclass(frozen=True, slots=True)
class OperatorDeclaration:
    """What a package says of one of its operators.

    Attributes:
        domain: domain of the operator.
        op_type: its name.
        flops: floating-point operations, one multiply-add being two, of (attributes, inputs, outputs); inputs and
            outputs are `TensorType`s, None for an absent optional input.
        shapes: types of the outputs, of (attributes, inputs, values); `values` has an array for every input that is a
            known small constant, else None. Without it the model must declare the outputs (value_info).
        bytes_read: bytes read, of (attributes, inputs, outputs). Default: all inputs once.
        bytes_written: bytes written. Default: all outputs once.
    """

    domain: str
    op_type: str
    flops: Callable[[Attributes, Inputs, Outputs], float]
    shapes: Callable[[Attributes, Inputs, Values], Sequence[TensorType]] | None = None
    bytes_read: Callable[[Attributes, Inputs, Outputs], float] | None = None
    bytes_written: Callable[[Attributes, Inputs, Outputs], float] | None = None

    @property
    def name(self) -> str:
        """Domain and operator, as messages have them."""
        return f"{self.domain}.{self.op_type}"

    def cost(self, attributes: Attributes, inputs: Inputs, outputs: Outputs) -> tuple[int, int, int]:
        """FLOPs, bytes read and bytes written.

        Raises:
            ModelError: the declaration fails, or gives no number that can be a cost (rule 3).
        """
        given = sum(t.bytes for t in inputs if t is not None)
        made = sum(t.bytes for t in outputs)
        return (
            self._number("flops", self.flops, attributes, inputs, outputs),
            given
            if self.bytes_read is None
            else self._number("bytes_read", self.bytes_read, attributes, inputs, outputs),
            made
            if self.bytes_written is None
            else self._number("bytes_written", self.bytes_written, attributes, inputs, outputs),
        )

    def _number(
        self, what: str, function: Callable[..., float], attributes: Attributes, inputs: Inputs, outputs: Outputs
    ) -> int:
        try:
            number = float(function(attributes, inputs, outputs))
        except Exception as fault:
            raise self._failed(what, f"{type(fault).__name__}: {fault}") from fault
        if not isfinite(number) or number < 0:
            raise self._failed(what, f"gives {number}, which is no cost")
        return int(number)

    def output_types(self, attributes: Attributes, inputs: Inputs, values: Values) -> list[TensorType] | None:
        """Types of the outputs, or None where the declaration does not know them.

        Raises:
            ModelError: the declaration fails, or gives something else than types (rule 3).
        """
        if self.shapes is None:
            return None
        try:
            types = list(self.shapes(attributes, inputs, values))
        except Exception as fault:
            raise self._failed("shapes", f"{type(fault).__name__}: {fault}") from fault
        if not all(isinstance(t, TensorType) and all(isinstance(s, int) and s >= 0 for s in t.shape) for t in types):
            raise self._failed("shapes", f"gives {types}, not TensorTypes of static shapes")
        return types

    def _failed(self, what: str, fault: str) -> ModelError:
        return ModelError(
            f"operator {self.name}: its declared '{what}' {fault}; correct the declaration in the package that makes it"
        )


def declared_operator(op_type: str, domain: str) -> OperatorDeclaration | None:
    """The declaration of an operator, or None if no package has one.

    Raises:
        NnmeterError: a package's declarations cannot be loaded, or contradict each other.
    """
    return declarations().get((domain, op_type))


@lru_cache(maxsize=1)
def declarations() -> dict[tuple[str, str], OperatorDeclaration]:
    """All declarations of installed packages, loaded once (rule 1).

    Raises:
        NnmeterError: as for `declared_operator`.
    """
    found: dict[tuple[str, str], OperatorDeclaration] = {}
    # An editable install beside a checkout lists the same entry point twice: equal values are one.
    points = {point.value: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    for value, point in sorted(points.items()):
        try:
            loaded = point.load()
        except Exception as fault:
            raise NnmeterError(
                f"operators of the package at '{value}' cannot be loaded ({type(fault).__name__}: {fault}); "
                "repair or uninstall it"
            ) from fault
        for declaration in loaded if isinstance(loaded, Sequence) else (loaded,):
            if not isinstance(declaration, OperatorDeclaration):
                raise NnmeterError(f"'{value}' holds {declaration!r}, not an OperatorDeclaration; correct it")
            key = (declaration.domain, declaration.op_type)
            known = declaration.domain in KNOWN_DOMAINS and declaration.op_type in OPERATORS
            if known or key in found or refusal(declaration.op_type, declaration.domain):
                why = "is declared twice" if key in found else "is known already"
                raise NnmeterError(f"operator {declaration.name} {why}, now by '{value}'; take it out there")
            found[key] = declaration
    return found
