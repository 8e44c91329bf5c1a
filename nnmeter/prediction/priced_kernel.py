"""A kernel with its price, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnmeter.kernels.kernel import KernelSignature
from nnmeter.prediction.modules import module_name
from nnmeter.predictor.price import KernelPrice, Source
from nnmeter.predictor.trained_range import Gap


@dataclass(frozen=True, slots=True)
class PricedKernel:
    """One kernel of a prediction.

    Attributes:
        name: name of the kernel in its model.
        type: fused name in the runtime's vocabulary.
        latency_ms: its price.
        source: "trained", or "fallback" where the device's training had no such operator, or not this code path of it.
        nodes: the model's operators that it absorbs.
        flops: floating-point operations, one multiply-add being two.
        bytes: bytes read and written.
        outside: how many doublings of size it lies beyond what training sampled; 0 inside.
        gaps: what training lacked for it; nothing for a kernel inside of the trained range.
        operator: the operator that it computes, whatever is fused to it: `Conv` of `nchwc.Conv+Add+Relu`.
        place: what the file says of its place in the exporting framework's modules; `module` reads it.
        signature: all that its price depends on; None where nobody said.
        price: its price with what is known of its error; None where nobody said.
        runs: how often it runs: more than once in a loop. `latency_ms` is that of all runs.
        parameters: parameters of the model that it has; one that several kernels share counts to the first.
    """

    name: str
    type: str
    latency_ms: float
    source: Source
    nodes: tuple[str, ...]
    flops: int
    bytes: int
    outside: float
    gaps: tuple[Gap, ...] = ()
    operator: str = ""
    place: str = ""
    signature: KernelSignature | None = None
    price: KernelPrice | None = None
    runs: int = 1
    parameters: int = 0

    @property
    def module(self) -> str:
        """The module of the exporting framework that it is of, `layer1.0.conv1`; "" where the file does not say."""
        return module_name(self.place)

    def to_dict(self) -> dict[str, Any]:
        """The kernel as the JSON schema has it."""
        return {
            "name": self.name,
            "type": self.type,
            "operator": self.operator,
            "module": self.module,
            "latency_ms": self.latency_ms,
            "source": self.source,
            "nodes": list(self.nodes),
            "flops": self.flops,
            "bytes": self.bytes,
            "parameters": self.parameters,
            "outside": [gap.to_dict() for gap in self.gaps],
            **self._what_it_rests_on(),
        }

    def _what_it_rests_on(self) -> dict[str, Any]:
        """What tells whether another kernel is the same, and how far errors of the two go together."""
        if self.signature is None or self.price is None:
            return {}
        return {
            "runs": self.runs,
            "kind": str(self.price.kind),
            "sigma": self.price.sigma,
            "unsampled_sigma": self.price.unsampled_sigma,
            "signature": self.signature.to_json(),
        }
