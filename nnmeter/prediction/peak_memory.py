"""The memory that a model takes while it runs, as it stands beside a prediction of time."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """What makes up the peak; `nnmeter memory` says what holds it.

    Attributes:
        peak_bytes: what the runtime holds while the model runs.
        weights_bytes: weights, as the runtime holds them.
        activations_bytes: resident memory of activations and of kernels' working memory.
        session_bytes: what the runtime takes for itself.
    """

    peak_bytes: int
    weights_bytes: int
    activations_bytes: int
    session_bytes: int

    @property
    def peak_mib(self) -> float:
        """The peak in MiB."""
        return self.peak_bytes / MIB

    def to_dict(self) -> dict[str, int]:
        """The parts as the JSON schema has them."""
        return {
            "peak_bytes": self.peak_bytes,
            "weights_bytes": self.weights_bytes,
            "activations_bytes": self.activations_bytes,
            "session_bytes": self.session_bytes,
        }
