"""What is known of the slices of tensors: for each axis, which of its indices are zero, constant, or dead.

1. A slice is all elements with one index of one axis. It is *zero* where all of them are; *constant* where all of them
   are one number that depends on no input of the model; *dead* where no output of the model depends on them.
2. What is zero is constant. If all indices of one axis are zero, or dead, the whole tensor is.
3. Nothing is known of what is not here: a rule may know less than is true, never more. Numbers are taken to be finite.
4. The *links* of a weight say which inputs each output of a convolution or product depends on: outputs by inputs (of a
   group), True where what stands between them is not all zero. Without them, every output depends on every input.
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
        constant: indices that are constant, and perhaps not zero.
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
        known = self.constant.get((name, axis))
        zeros = self.zeros(name, axis)
        return zeros if known is None else known | zeros

    def unread(self, name: str, axis: int) -> Mask:
        """Which indices of an axis are dead."""
        return self._of(self.dead, name, axis)

    def all_zero(self, name: str) -> bool:
        """Whether a whole tensor is zero."""
        return self._whole(self.zero, name)

    def all_dead(self, name: str) -> bool:
        """Whether no output of the model depends on a tensor."""
        return self._whole(self.dead, name)

    def removable(self, name: str, axis: int) -> Mask:
        """Which indices of an axis need not be there: zero, constant or dead."""
        return self.constants(name, axis) | self.unread(name, axis)

    def _of(self, masks: dict[Axis, Mask], name: str, axis: int) -> Mask:
        if self._whole(masks, name):
            return np.ones(self.shapes[name][axis], bool)
        found = masks.get((name, axis))
        return np.zeros(self.shapes[name][axis], bool) if found is None else found

    def _whole(self, masks: dict[Axis, Mask], name: str) -> bool:
        found = (masks.get((name, axis)) for axis in range(len(self.shapes[name])))
        return any(mask is not None and mask.size > 0 and bool(mask.all()) for mask in found)


def add(masks: dict[Axis, Mask], name: str, axis: int, mask: Mask) -> None:
    """Add what is known of an axis to masks."""
    if mask.any():
        known = masks.get((name, axis))
        masks[name, axis] = mask.copy() if known is None else known | mask
