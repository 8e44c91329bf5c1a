"""The probability that a model stays within a time, by the intervals of its device.

The intervals of the four confidences that a pack is calibrated for say where the measured time lies with which
probability; `nnmeter.predictor.tails` says what lies between them and beyond.
"""

from __future__ import annotations

from math import exp, inf, log
from typing import TYPE_CHECKING

from nnmeter.errors import NnmeterError
from nnmeter.prediction.interval import Interval
from nnmeter.predictor.tails import probability_below

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction


def intervals_of(prediction: Prediction) -> dict[float, Interval]:
    """The interval of a prediction at every confidence that its device is calibrated for.

    Raises:
        NnmeterError: nobody said what its intervals rest on.
    """
    prices = [kernel.price for kernel in prediction.kernels if kernel.price is not None]
    if prediction.errors is None or len(prices) < len(prediction.kernels):
        raise NnmeterError(f"{prediction.model}: nothing is known of its intervals but one; predict it again")
    # The prices are those of the pack; a rescaled prediction has other milliseconds.
    total = sum(price.latency_ms for price in prices)
    factor = sum(kernel.latency_ms for kernel in prediction.kernels) / total if total else 1.0
    pack_ms = prediction.latency_ms / factor
    found = {}
    for confidence in prediction.errors.multipliers:
        low, high = prediction.errors.interval_ms(pack_ms, prices, confidence)
        low, high = low * factor, high * factor
        if prediction.machine is not None and prediction.machine.needs_transfer:
            from nnmeter.devices.transfer import read_transfer

            low, high = read_transfer().widen(prediction.latency_ms, low, high, confidence)
        found[confidence] = Interval(low, high, confidence)
    return found


def probability_within(prediction: Prediction, max_ms: float) -> float:
    """The probability that the measured time is at most `max_ms`.

    Raises:
        NnmeterError: nobody said what its intervals rest on.
    """
    if max_ms <= 0:
        return 0.0
    if max_ms == inf:
        return 1.0
    latency_ms = prediction.latency_ms
    above = max_ms >= latency_ms
    halves = {
        confidence: log(interval.high / latency_ms) if above else log(latency_ms / max(interval.low, exp(-700)))
        for confidence, interval in intervals_of(prediction).items()
    }
    return probability_below(log(max_ms / latency_ms), halves)
