"""What lies outside of what a predictor was trained on, and what was missing in training.

Rules:

1. A kernel is outside if its operator was not sampled with its element type: the fallback prices it. The gap is the
   operator, or the element type where the operator was sampled with another one.
2. A kernel is outside if its size lies more than `OUTSIDE_DOUBLINGS` doublings above the largest or below the least
   sampled of its operator and element type: in FLOPs, bytes of data or of weights read, or elements written. Every
   quantity that does is a gap. Less than `NEGLIGIBLE` of anything is no gap. The leading dimension of its result, the
   batch of most, counts too, but only above the largest.
3. A kernel is outside if training sampled its operator and element type, but not its code path.
4. In a pack that was calibrated to another runtime, a kernel whose correction measurements do not tell is outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nnmeter.kernels.features import COMMON_NAMES, family_among
from nnmeter.predictor.vocabulary import LARGEST_LOG_SIZE

if TYPE_CHECKING:
    from nnmeter.kernels.kernel import KernelSignature
    from nnmeter.predictor.kernel_predictor import KernelPredictor
    from nnmeter.predictor.price import KernelPrice

OUTSIDE_DOUBLINGS = 0.5
NEGLIGIBLE = 256  # FLOPs, bytes, elements

# What each of `RANGE_FEATURES` measures.
_QUANTITIES: dict[str, What] = {
    "log_flops": "flops",
    "log_in_bytes": "data_bytes",
    "log_constant_bytes": "weight_bytes",
    "log_out_elements": "output_elements",
    "log_batch": "leading_size",
}


What = Literal[
    "operator",
    "element_type",
    "path",
    "calibration",
    "flops",
    "data_bytes",
    "weight_bytes",
    "output_elements",
    "leading_size",
]


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that training lacked for a kernel.

    Attributes:
        what: "operator", "element_type", "path" (rule 3), "calibration" (rule 4), or the quantity of rule 2: "flops",
            "data_bytes", "weight_bytes", "output_elements", "leading_size".
        operator: operator as the runtime names it: `nchwc.Conv`.
        family: its kernel family.
        element_type: of its first input.
        sampled: other element types that the operator was sampled with.
        value: the kernel's quantity.
        low, high: smallest and largest that were sampled.
        path: the code path that was not sampled, in words.
    """

    what: What
    operator: str
    family: str
    element_type: str
    sampled: tuple[str, ...] = ()
    value: int | None = None
    low: int | None = None
    high: int | None = None
    path: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The gap as the JSON schema has it."""
        found: dict[str, Any] = {
            "what": self.what,
            "operator": self.operator,
            "family": self.family,
            "element_type": self.element_type,
        }
        if self.sampled:
            found["sampled_element_types"] = list(self.sampled)
        if self.path:
            found["path"] = self.path
        if self.value is not None:
            found.update(value=self.value, sampled_low=self.low, sampled_high=self.high)
        return found


def is_inside(price: KernelPrice) -> bool:
    """Whether a kernel lies inside of what was trained (rules 1 to 4), so that its price is called trained."""
    return price.source == "trained" and price.distance <= OUTSIDE_DOUBLINGS and not price.path


def find_gaps(predictor: KernelPredictor, signature: KernelSignature, price: KernelPrice) -> tuple[Gap, ...]:
    """What training lacked for a kernel (rules 1 to 4); nothing for one inside."""
    if is_inside(price):
        return ()
    family, (operator, element_type) = price.kind
    sampled = predictor.sampled(price.kind)
    if price.source == "fallback":
        if sampled is not None:
            return (Gap("calibration", operator, family, element_type),)
        # Depthwise convolutions that lack are not made up for by dense ones in another type.
        others = sorted(
            known.element_type
            for by, known in predictor.vocabulary
            if known.operator == operator and known != price.kind.anchor and family_among(signature, [by])
        )
        return (Gap("element_type" if others else "operator", operator, family, element_type, tuple(others)),)
    if sampled is None:
        return ()
    path = (Gap("path", operator, family, element_type, path=price.path),) if price.path else ()
    values = dict(zip(COMMON_NAMES, predictor.describe(signature).values, strict=False))
    return path + tuple(
        Gap(what, operator, family, element_type, (), _size(values[name]), _size(low), _size(high))
        for (name, what), low, high in zip(_QUANTITIES.items(), sampled.low, sampled.high, strict=True)
        if max(low - values[name], values[name] - high) > OUTSIDE_DOUBLINGS
        and (what == "leading_size" or _size(values[name]) >= NEGLIGIBLE)
    )


def _size(feature: float) -> int:
    """The quantity behind a feature (`nnmeter.kernels.features.common.log_size`); no end of a range is infinite."""
    return round(2.0 ** min(max(feature, 0.0), LARGEST_LOG_SIZE) - 1.0)
