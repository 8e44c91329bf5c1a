"""The vocabulary of a predictor: what training sampled, by kind of kernel.

Rules:

1. The key is a `Kind`: an anchor (operator and element type) and the family whose trained function prices it.
2. Which family that is the pack says, not today's table of operators. A kernel is of the table's family where the
   predictor knows its anchor by that one; else of the first of the families that the predictor knows the anchor by and
   that describes the kernel (a depthwise convolution is not described by the family of dense ones). So an operator that
   the table moves to another family is priced as it was trained.
3. A kernel whose anchor is not known by any such family is of the table's, and priced by the fallback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nnmeter.kernels.anchor import Anchor, Kind
from nnmeter.kernels.features import COMMON_NAMES, KernelFeatures, family_among, kernel_features
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.paths import code_path, rare_path
from nnmeter.predictor.roofline import EVEN, Rates

LARGEST_LOG_SIZE = 256.0  # of a sampled range: far beyond the FLOPs and bytes that a graph may have
RANGE_FEATURES = ("log_flops", "log_in_bytes", "log_constant_bytes", "log_out_elements", "log_batch")
RANGE_COLUMNS = tuple(COMMON_NAMES.index(name) for name in RANGE_FEATURES)


@dataclass(frozen=True, slots=True)
class Sampled:
    """What training knows of one kind of kernel.

    Attributes:
        code: its value of the feature "anchor".
        count: sampled kernels.
        sigma: standard deviation of the log error of one kernel in cross-validation.
        low, high: sampled range of `RANGE_FEATURES`; infinite where it is not known.
        rates: its own rates, which the device's roofline is multiplied by (`Roofline.latency_ms`).
        paths: the code paths that were sampled (`nnmeter.kernels.paths`); None in a pack that does not tell.
    """

    code: float
    count: int
    sigma: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    rates: Rates = EVEN
    paths: frozenset[str] | None = None

    def unsampled_path(self, signature: KernelSignature) -> str:
        """The kernel's code path in words where it was not sampled; "" where it was."""
        path = code_path(signature)
        if not path:
            return ""
        if self.paths is None:
            return rare_path(signature)
        return "" if path in self.paths else path

    def distance(self, values: tuple[float, ...]) -> float:
        """How many doublings a kernel with these features lies beyond the sampled range; 0 within it."""
        found = 0.0
        for column, low, high in zip(RANGE_COLUMNS, self.low, self.high, strict=True):
            found = max(found, low - values[column], values[column] - high)
        return found


def families_by_anchor(kinds: Iterable[Kind]) -> dict[Anchor, tuple[str, ...]]:
    """The families that each anchor is known by, in the order of the kinds."""
    found: dict[Anchor, dict[str, None]] = {}
    for family, anchor in kinds:
        found.setdefault(anchor, {})[family] = None
    return {anchor: tuple(families) for anchor, families in found.items()}


def described(signature: KernelSignature, known: Mapping[Anchor, tuple[str, ...]]) -> KernelFeatures:
    """The features of a kernel, of the family that it is known by (rules 2 and 3).

    Args:
        signature: of the kernel.
        known: families by anchor, as `families_by_anchor` returns them.
    """
    features = kernel_features(signature)
    families = known.get(features.kind.anchor)
    if families is None or features.kind.family in families:
        return features
    family = family_among(signature, families)
    return features if family is None else kernel_features(signature, family)
