"""A space as a table: what its choices cost together, and sums of that.

Rules:

1. The latency of a candidate is the sum of one entry of each term. A term is a table over the options of some choices:
   none (a constant), one, or several that matter together.
2. Under probabilities of options, independent from choice to choice, the expected latency is the sum over terms of all
   entries times the probabilities of their options. It is linear in the probabilities of each choice, so its gradient
   is exact: entry by entry, the latency that is expected if the option were certain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.errors import NnmeterError
from nnmeter.search.space import Candidate, Space
from nnmeter.search.terms import Step, Term, Verified

if TYPE_CHECKING:
    from nnmeter.search.torch_table import TorchLatency

Probabilities = Mapping[str, Sequence[float] | np.ndarray]

_CHUNK = 16_384  # candidates whose positions and entries stay in the caches
_NOT_ONE = 1e-3  # how far the sum of probabilities may be from 1: what float32 and a rounded softmax leave


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LatencyTable:
    """The latency of every candidate of a space on one device.

    Attributes:
        space: the choices.
        device: id of the device pack that the predictions are of.
        terms: what is summed (rule 1).
        verified: the errors on candidates left out.
        steps: how it was made.
    """

    space: Space
    device: str
    terms: tuple[Term, ...]
    verified: Verified
    steps: tuple[Step, ...] = ()
    _flat: list[tuple[tuple[tuple[int, int], ...], np.ndarray]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Lay the entries of each term in one line, and note the strides of its choices."""
        for term in self.terms:
            table = np.array(term.latency_ms, np.float64, order="C")
            strides = [stride // table.itemsize for stride in table.strides]
            self._flat.append((tuple(zip(term.choices, strides, strict=True)), table.ravel()))

    @property
    def entries(self) -> int:
        """Number of entries in all terms."""
        return sum(term.latency_ms.size for term in self.terms)

    def __repr__(self) -> str:
        error = self.verified.largest_error
        return (
            f"<LatencyTable of {len(self.space.names)} choices on {self.device}: {len(self.terms)} terms, "
            f"{self.entries} entries, largest error {100 * error:.2g} % on {self.verified.candidates} candidates>"
        )

    def predict(self, candidates: Candidate | Sequence[Candidate] | np.ndarray) -> np.ndarray:
        """The latency of candidates in milliseconds, float64 [candidates].

        Args:
            candidates: one candidate or several; or rows of option positions, whole numbers [candidates, choices],
                which are the faster way for very many (`Space.rows`, `Space.sample`).

        Raises:
            NnmeterError: a candidate is none of the space.
        """
        rows = self.space.rows(candidates)
        parts = [self._sums(rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _sums(self, rows: np.ndarray) -> np.ndarray:
        columns = np.ascontiguousarray(rows.T)
        total = np.zeros(len(rows))
        for places, entries in self._flat:
            if not places:
                total += entries[0]
                continue
            first, stride = places[0]
            at = columns[first] * stride
            for choice, stride in places[1:]:
                at += columns[choice] * stride
            total += entries.take(at)
        return total

    def expected_ms(self, probabilities: Probabilities) -> float:
        """The latency that is expected of a distribution over candidates, in milliseconds (rule 2).

        Args:
            probabilities: for every choice, the probability of each of its options; they sum to 1.

        Raises:
            NnmeterError: a choice is missing, or what is given for it are no probabilities of its options.
        """
        given = self._probabilities(probabilities)
        return float(sum(_contract(term, given)[()] for term in self.terms))

    def gradient(self, probabilities: Probabilities) -> dict[str, np.ndarray]:
        """What each option's probability changes in the expected latency, in milliseconds (rule 2).

        Args:
            probabilities: as in `expected_ms`.

        Returns:
            For every choice the derivative by the probability of each of its options.

        Raises:
            NnmeterError: as `expected_ms`.
        """
        given = self._probabilities(probabilities)
        found = [np.zeros(size) for size in self.space.sizes]
        for term in self.terms:
            for choice in term.choices:
                found[choice] += _contract(term, given, choice)
        return dict(zip(self.space.names, found, strict=True))

    def _probabilities(self, given: Probabilities) -> list[np.ndarray]:
        found = []
        for name, size in zip(self.space.names, self.space.sizes, strict=True):
            if name not in given:
                raise NnmeterError(f"there are no probabilities for '{name}'; give them for every choice")
            values = np.asarray(given[name], np.float64)
            if values.shape != (size,) or not (values >= 0).all() or not abs(values.sum() - 1.0) < _NOT_ONE:
                raise NnmeterError(
                    f"choice '{name}' has {size} options; give as many probabilities that sum to 1, not {values!s:.80}"
                )
            found.append(values)
        unknown = next((name for name in given if name not in self.space.options), None)
        if unknown is not None:
            raise NnmeterError(f"the space has no choice {unknown!r:.80}; give those that it has")
        return found

    def torch(self, dtype: Any = None, device: Any = None) -> TorchLatency:
        """The table as a PyTorch module: latencies of rows, and expected latency with gradients.

        Args:
            dtype: of the entries, `torch.float32` if not given.
            device: that they are kept on.

        Raises:
            ModuleNotFoundError: PyTorch is not installed.
        """
        from nnmeter.search.torch_table import TorchLatency

        return TorchLatency(self.space, self.terms, dtype, device)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON, which `nnmeter.search.read_table` reads.

        Raises:
            NnmeterError: an option is nothing that JSON can hold.
            OSError: the file cannot be written.
        """
        from nnmeter.search.saved import Saved, write_saved

        write_saved(Saved(self.space, self.device, self.terms, self.verified, self.steps), path)


def _contract(term: Term, probabilities: Sequence[np.ndarray], keep: int = -1) -> np.ndarray:
    """The entries of a term, summed with the probabilities of all choices but one."""
    found = np.asarray(term.latency_ms, np.float64)
    kept = 0
    for choice in term.choices:
        if choice == keep:
            kept = 1
            continue
        found = np.tensordot(found, probabilities[choice], (kept, 0))
    return found


def read_table(path: str | os.PathLike[str]) -> LatencyTable:
    """Read a table that `LatencyTable.save` wrote.

    Raises:
        NnmeterError: the file cannot be read, is no table, or is damaged.
    """
    from nnmeter.search.saved import read_saved

    return LatencyTable(*read_saved(path))
