"""What is known of the slices of tensors: for each axis, which of its indices are zero, constant, or dead.

1. A slice is all elements with one index of one axis. It is *zero* where all of them are; *constant* where all of them
   are one number that depends on no input of the model; *dead* where no output of the model depends on them.
2. What is zero is constant. If all indices of one axis are zero, the whole tensor is.
3. Nothing is known of what is not here: a rule may know less than is true, never more.
4. The *links* of a weight say which inputs each output of a convolution or product depends on: True where the weight
   between them is not all zero. Without them, every output depends on every input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Axis = tuple[str, int]


@dataclass
class Slices:
    """Masks by tensor and axis.

    Attributes:
        shapes: of every tensor.
        links: of weights, outputs by inputs (rule 4).
        values: values of the constants that are known.
        zero: indices that are zero.
        constant: indices that are constant, those that are zero included.
        dead: indices that are dead.
    """

    shapes: Mapping[str, tuple[int, ...]]
    links: Mapping[str, Mask] = field(default_factory=dict)
    values: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    zero: dict[Axis, Mask] = field(default_factory=dict)
    constant: dict[Axis, Mask] = field(default_factory=dict)
    dead: dict[Axis, Mask] = field(default_factory=dict)

    def rank(self, name: str) -> int:
        """How many axes a tensor has."""
        return len(self.shapes[name])

    def zeros(self, name: str, axis: int) -> Mask:
        """Which indices of an axis are zero; all of them where the whole tensor is (rule 2)."""
        return self._of(self.zero, name, axis)

    def constants(self, name: str, axis: int) -> Mask:
        """Which indices of an axis are constant."""
        return self._of(self.constant, name, axis) | self.zeros(name, axis)

    def unread(self, name: str, axis: int) -> Mask:
        """Which indices of an axis are dead."""
        return self._of(self.dead, name, axis)

    def all_zero(self, name: str) -> bool:
        """Whether a whole tensor is zero."""
        return any(mask.all() for (tensor, _), mask in self._masks(self.zero, name) if tensor == name)

    def all_dead(self, name: str) -> bool:
        """Whether no output of the model depends on a tensor."""
        return any(mask.all() for (tensor, _), mask in self._masks(self.dead, name) if tensor == name)

    def set_zero(self, name: str, axis: int, mask: Mask) -> None:
        """Say which indices are zero; more than was known."""
        _add(self.zero, (name, axis), mask)

    def set_constant(self, name: str, axis: int, mask: Mask) -> None:
        """Say which indices are constant; more than was known."""
        _add(self.constant, (name, axis), mask)

    def removable(self, name: str, axis: int) -> Mask:
        """Which indices of an axis need not be there: zero, constant or dead."""
        return self.constants(name, axis) | self.unread(name, axis)

    def _of(self, masks: dict[Axis, Mask], name: str, axis: int) -> Mask:
        found = masks.get((name, axis))
        if found is not None and found.all():
            return found
        if any(other.all() for _, other in self._masks(masks, name)):
            return np.ones(self.shapes[name][axis], bool)
        return np.zeros(self.shapes[name][axis], bool) if found is None else found

    def _masks(self, masks: dict[Axis, Mask], name: str) -> list[tuple[Axis, Mask]]:
        keys = [(name, axis) for axis in range(self.rank(name))]
        return [(key, masks[key]) for key in keys if key in masks and masks[key].size]


def _add(masks: dict[Axis, Mask], key: Axis, mask: Mask) -> None:
    if mask.any():
        known = masks.get(key)
        masks[key] = mask.copy() if known is None else known | mask
