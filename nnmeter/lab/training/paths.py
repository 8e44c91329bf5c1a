"""Which code paths training sampled, of each kind of kernel (`nnmeter.kernels.paths`).

A path counts as sampled where `LEAST_KERNELS` distinct kernels took it: one or two tell nothing of how it grows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.paths import code_path
from nnmeter.predictor.kernel_predictor import KernelPredictor

LEAST_KERNELS = 3


def with_sampled_paths(predictor: KernelPredictor, kernels: Iterable[KernelSignature]) -> KernelPredictor:
    """A predictor that knows the code paths of the kernels that it was trained on.

    Args:
        predictor: as it was trained; what it knows of paths already is kept.
        kernels: of its measurements.
    """
    counts: dict[tuple[Kind, str], int] = {}
    for signature in dict.fromkeys(kernels):
        key = (predictor.describe(signature).kind, code_path(signature))
        counts[key] = counts.get(key, 0) + 1
    sampled: dict[Kind, set[str]] = {}
    for (kind, path), count in counts.items():
        if count >= LEAST_KERNELS:
            sampled.setdefault(kind, set()).add(path)
    vocabulary = {
        kind: replace(entry, paths=frozenset(sampled.get(kind, ())) | (entry.paths or frozenset()))
        for kind, entry in predictor.vocabulary.items()
    }
    return replace(predictor, vocabulary=vocabulary)
