"""A table in PyTorch: latencies of many candidates, and expected latency for one-shot search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError

if TYPE_CHECKING:
    import torch

    from nnmeter.search.space import Space
    from nnmeter.search.terms import Term


class TorchLatency:
    """The entries of a table as tensors.

    Attributes:
        names: the choices.
        sizes: how many options each has.
    """

    def __init__(self, space: Space, terms: Sequence[Term], dtype: Any = None, device: Any = None) -> None:
        """Copy the terms of a table; `dtype` and `device` are those of the tensors."""
        import torch

        self.names = space.names
        self.sizes = space.sizes
        self._terms = [
            (term.choices, torch.as_tensor(term.latency_ms, dtype=dtype or torch.float32, device=device))
            for term in terms
        ]

    def predict(self, rows: torch.Tensor) -> torch.Tensor:
        """Latencies in milliseconds [candidates] of rows of option positions, whole numbers [candidates, choices]."""
        import torch

        total = torch.zeros(rows.shape[0], dtype=self._terms[0][1].dtype, device=rows.device)
        for choices, entries in self._terms:
            total = total + entries.to(rows.device)[tuple(rows[:, choice] for choice in choices)]
        return total

    def __call__(self, probabilities: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The expected latency in milliseconds, differentiable by the probabilities.

        Args:
            probabilities: for every choice, those of its options [options], as `softmax` or a Gumbel softmax gives
                them; or of several distributions at once [distributions, options].

        Returns:
            A scalar, or [distributions].

        Raises:
            NnmeterError: a choice is missing, or has another number of options.
        """
        import torch

        given = []
        for name, size in zip(self.names, self.sizes, strict=True):
            if name not in probabilities:
                raise NnmeterError(f"there are no probabilities for '{name}'; give them for every choice")
            values = probabilities[name]
            if values.shape[-1:] != (size,):
                raise NnmeterError(f"choice '{name}' has {size} options; give a tensor [..., {size}]")
            given.append(values)
        total: torch.Tensor | None = None
        for choices, entries in self._terms:
            found = entries.to(given[0])
            if choices:
                operands: list[Any] = [found, list(range(1, len(choices) + 1))]
                for axis, choice in enumerate(choices, 1):
                    operands += [given[choice], [..., axis]]
                found = torch.einsum(*operands, [...])
            total = found if total is None else total + found
        assert total is not None
        return total
