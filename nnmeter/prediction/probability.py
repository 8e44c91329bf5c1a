"""The probability that a model stays within a time, by the intervals of its device.

The intervals of the four confidences that a pack is calibrated for say where the measured time lies with which
probability; `nnmeter.predictor.tails` says what lies between them and beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, inf, log
from typing import TYPE_CHECKING

from nnmeter.prediction.interval import Interval
from nnmeter.predictor.tails import probability_below

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.predictor.intervals import IntervalModel

_FAR = 7.0  # a thousand times as long, or as short


def intervals_of(
    latency_ms: float, kernels: Sequence[PricedKernel], errors: IntervalModel, machine: MachineMatch | None
) -> dict[float, Interval]:
    """The interval of a prediction at every confidence that its device is calibrated for.

    Args:
        latency_ms: predicted time.
        kernels: all of them, with what is known of their prices.
        errors: what intervals of the device rest on.
        machine: what the device is to the machine that predicts, where that is known.
    """
    prices = [kernel.price for kernel in kernels if kernel.price is not None]
    # The prices are those of the pack; a rescaled prediction has other milliseconds.
    total = sum(price.latency_ms for price in prices)
    factor = sum(kernel.latency_ms for kernel in kernels) / total if total else 1.0
    found = {}
    for confidence in errors.multipliers:
        low, high = errors.interval_ms(latency_ms / factor, prices, confidence)
        low, high = low * factor, high * factor
        if machine is not None and machine.needs_transfer:
            from nnmeter.devices.transfer import read_transfer

            low, high = read_transfer().widen(latency_ms, low, high, confidence)
        found[confidence] = Interval(low, high, confidence)
    return found


def probability_within(max_ms: float, latency_ms: float, intervals: dict[float, Interval]) -> float:
    """The probability that a measured time is at most `max_ms`.

    Args:
        max_ms: the time in question.
        latency_ms: predicted time.
        intervals: by confidence.
    """
    if max_ms <= 0:
        return 0.0
    if max_ms == inf or latency_ms <= 0:
        return 1.0
    above = max_ms >= latency_ms
    halves = {
        confidence: log(interval.high / latency_ms) if above else log(latency_ms / max(interval.low, exp(-700)))
        for confidence, interval in intervals.items()
    }
    return probability_below(log(max_ms / latency_ms), halves)


def quantile_ms(latency_ms: float, within: Callable[[float], float], probability: float) -> float:
    """The time that the measured one does not exceed with a probability, in milliseconds.

    Args:
        latency_ms: predicted time.
        within: the probability that a measured time is at most so many milliseconds: `Prediction.probability_within`.
        probability: between 0 and 1.
    """
    if latency_ms <= 0:
        return 0.0
    low, high = -_FAR, _FAR
    for _ in range(50):
        middle = (low + high) / 2
        if within(latency_ms * exp(middle)) < probability:
            low = middle
        else:
            high = middle
    return latency_ms * exp(high)
