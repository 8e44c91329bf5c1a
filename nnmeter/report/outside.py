"""What lies outside of the trained range, in words: a line a kernel type, or (`--explain`) all about each kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnmeter.report.numbers import format_count, format_ms, format_share

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.predictor.trained_range import Gap

TITLE = "outside the trained range"

# Quantity of a gap -> how a sentence says it: verb, unit, what is counted, and what is missing where none was sampled.
_SIZES: dict[str, tuple[str, str, str, str]] = {
    "flops": ("takes", "FLOP", "", "arithmetic"),
    "data_bytes": ("reads", "B", " of data", "data"),
    "weight_bytes": ("reads", "B", " of weights", "weights"),
    "output_elements": ("writes", "", " elements", "results"),
    "leading_size": ("has a leading dimension of", "", "", "results"),
}
_VARIETIES: dict[str, str] = {"depthwise_convolution": "depthwise ", "grouped_convolution": "grouped "}


@dataclass(frozen=True)
class OutsideGroup:
    """The kernels of one type that are outside for one reason.

    Attributes:
        type: their type.
        reason: why, in a few words.
        count: how many there are.
        latency_ms: what they take together.
    """

    type: str
    reason: str
    count: int
    latency_ms: float


def summarize_outside(kernels: Iterable[PricedKernel]) -> list[OutsideGroup]:
    """The kernels outside by type and reason, most expensive first."""
    groups: dict[tuple[str, str], tuple[int, float]] = {}
    for kernel in kernels:
        if kernel.gaps:
            key = (kernel.type, reason_of(kernel))
            count, total = groups.get(key, (0, 0.0))
            groups[key] = (count + 1, total + kernel.latency_ms)
    found = [OutsideGroup(kind, reason, count, total) for (kind, reason), (count, total) in groups.items()]
    return sorted(found, key=lambda group: -group.latency_ms)


def reason_of(kernel: PricedKernel) -> str:
    """Why a kernel is outside, in a few words."""
    gap = kernel.gaps[0]
    if gap.what == "operator":
        return "no such operator"
    if gap.what == "element_type":
        return f"not in {gap.element_type}"
    if gap.what == "path":
        return f"not {gap.path}"
    if gap.what == "calibration":
        return "not measured"
    larger = {gap.value is not None and gap.high is not None and gap.value > gap.high for gap in kernel.gaps}
    return "larger" if larger == {True} else "smaller" if larger == {False} else "another size"


def describe_gap(gap: Gap) -> str:
    """What training lacked, in a sentence without its subject."""
    operator = f"{_VARIETIES.get(gap.family, '')}{gap.operator}"
    if gap.what == "operator":
        return f"no {operator} was sampled on this device, in {gap.element_type} or any other type"
    if gap.what == "element_type":
        return f"{operator} was not sampled in {gap.element_type}, only in {' and '.join(gap.sampled)}"
    if gap.what == "path":
        return f"{operator} in {gap.element_type} was not sampled as {gap.path}, which is other code"
    if gap.what == "calibration":
        return (
            f"{operator} in {gap.element_type} was not measured on this device, but on the one it was calibrated from"
        )
    value, low, high = gap.value or 0, gap.low or 0, gap.high or 0
    verb, unit, noun, things = _SIZES[gap.what]
    if not high:
        return (
            f"{verb} {_amount(value, unit)}{noun}; {operator} in {gap.element_type} was sampled only without {things}"
        )
    beyond = (
        f"{value / max(high, 1):.3g} times the largest" if value > high else f"1/{low / max(value, 1):.3g} of the least"
    )
    most = _amount(high, unit)
    sampled = f"{_amount(low, unit)} to {most}" if low else f"at most {most}"
    return (
        f"{verb} {_amount(value, unit)}{noun}; of {operator} in {gap.element_type}, {sampled} were sampled ({beyond})"
    )


def _amount(value: int, unit: str) -> str:
    text = format_count(value)
    return text if not unit else f"{text}{unit}" if text[-1].isalpha() else f"{text} {unit}"


def outside_lines(prediction: Prediction, explain: bool) -> list[str]:
    """What is outside of a prediction, as lines; none if nothing is."""
    outside = prediction.outside
    if not outside:
        return []
    more = "" if explain else "; --explain says what is missing"
    lines = [f"{TITLE}: {_kernels(len(outside))}, {format_share(prediction.outside_share)} of the time{more}"]
    if explain:
        for kernel in outside:
            priced = "by the fallback" if kernel.source == "fallback" else "beyond the sampled sizes"
            if kernel.gaps[0].path:
                priced = "without a sample of this form"
            lines.append(f"  {kernel.name} ({kernel.type}), {format_ms(kernel.latency_ms)} ms {priced}")
            lines += [f"    {describe_gap(gap)}" for gap in kernel.gaps]
    else:
        lines += [
            f"  {group.type} x{group.count} ({format_ms(group.latency_ms)} ms): {group.reason}"
            for group in summarize_outside(outside)
        ]
    return lines + advice_lines(prediction.advice)


def advice_lines(advice: Sequence[str]) -> list[str]:
    """The commands that train what is outside."""
    return ["to train it:", *(f"  {command}" for command in advice)] if advice else []


def _kernels(count: int) -> str:
    return f"{count} kernel{'s' if count > 1 else ''}"
