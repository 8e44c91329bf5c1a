"""The interval of a prediction for a machine that no pack is of.

Packs price the kernels of their own machine. Asked for another one, a pack errs by what machines differ by, which is
far more than its own interval says: a Zen 5 server was 2.03 times faster than the Zen 4 pack predicted, for all of 82
models alike. `transfer.json` holds what the packs that ship tell of it; `benchmarks/machine_transfer.py` derives it and
states how well it holds on machines left out.

Rules:

1. The log ratio of a machine's times to those of a pack of another one is Student's around 0, of scale `sqrt(2) sigma`:
   machines of one kind have places on a scale of log time, of standard deviation `sigma`, pooled over server cores and
   the large cores of phones. Few machines are known; the degrees of freedom say how few.
2. Around that ratio the models scatter, normal of standard deviation `spread`: machines differ in more than speed.
3. Half an interval is the square root of the sum of the squares of rule 1's and rule 2's quantiles and of half of the
   pack's own interval, which is wide where kernels are outside of its trained range.
4. Where machines of two widths of vector instructions are known well enough, times are shifted by what a halving of the
   width makes of them (`shift`); else the pack's times stay as they are.
5. Only a prediction that was asked for this machine, and took a pack of another, is widened. A device that was named is
   predicted with its own interval.
6. Nothing to run takes no time on any machine: of a prediction of 0 the interval stays. An end at 0 or infinity stays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from math import exp, hypot, inf, log
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter.devices.machine import VECTOR_BITS
from nnmeter.predictor.intervals import normal_quantile

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch

TRANSFER_FILE = Path(__file__).with_name("transfer.json")


@dataclass(frozen=True)
class MachineTransfer:
    """What is known of the ratio between machines.

    Attributes:
        half: half of the log interval of the ratio by confidence (rule 1).
        spread: standard deviation of the models' log ratios around it (rule 2).
        shift: of the log ratio for each halving of the width of vector instructions (rule 4).
    """

    half: dict[float, float]
    spread: float
    shift: float

    def widen(self, latency_ms: float, low_ms: float, high_ms: float, confidence: float) -> tuple[float, float]:
        """The interval for another machine, from a prediction and its own interval (rules 3 and 6).

        Raises:
            KeyError: the confidence is none of 0.5, 0.8, 0.9 and 0.95.
        """
        machines, models = self.half[confidence], normal_quantile(confidence) * self.spread
        if latency_ms == 0.0:
            return low_ms, high_ms
        below = hypot(machines, models, log(latency_ms / low_ms) if low_ms > 0.0 else inf)
        above = hypot(machines, models, log(high_ms / latency_ms))
        return latency_ms * exp(-below), latency_ms * exp(above)

    def factor(self, match: MachineMatch) -> float:
        """What takes a millisecond by the pack is taken to take so many here (rule 4)."""
        bits = VECTOR_BITS.get(match.isa_there, 0), VECTOR_BITS.get(match.isa_here, 0)
        return exp(self.shift * log(bits[0] / bits[1]) / log(2.0)) if all(bits) and self.shift else 1.0


@lru_cache(maxsize=1)
def read_transfer() -> MachineTransfer:
    """What ships with the package."""
    document = json.loads(TRANSFER_FILE.read_text(encoding="utf-8"))
    half = {float(confidence): float(value) for confidence, value in document["half"].items()}
    return MachineTransfer(half, float(document["spread"]), float(document["shift"]))
