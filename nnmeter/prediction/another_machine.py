"""A prediction for this machine by the pack of another one: what it says of that, and how wide it is then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.devices.machine import VECTOR_BITS
from nnmeter.devices.transfer import read_transfer
from nnmeter.prediction.interval import Interval

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.prediction.prediction import Prediction


def for_machine(prediction: Prediction, match: MachineMatch) -> Prediction:
    """The prediction with what its device is to this machine, and the interval that this asks for.

    Rule 5 of `nnmeter.devices.transfer` says which intervals are widened.
    """
    if not match.needs_transfer:
        return prediction.changed(machine=match)
    transfer = read_transfer()
    factor = transfer.factor(match)
    if factor != 1.0:
        bits = f"{VECTOR_BITS[match.isa_there]} there, {VECTOR_BITS[match.isa_here]} here"
        note = f"times are those of the pack by {factor:.2f}, for vector instructions are of other widths ({bits} bits)"
        prediction = prediction.rescaled(factor, note)
    low, high = prediction.interval_ms
    low, high = transfer.widen(prediction.latency_ms, low, high, prediction.confidence)
    interval = Interval(low, high, prediction.confidence)
    return prediction.changed(machine=match, interval_ms=interval)
