"""What the state of a shared machine does to a run, as far as the reference kernel tells it.

The reference tells of the state of *one* machine. A time never goes from one machine to another by it: machines differ
in more than in one product, and what a network takes on the other would be made up.
`nnmeter.devices.identity` says which times are of one machine (`MachineMatch.same_reference`).

While the reference takes a share `x` longer, a model takes about `0.8 x` longer: memory traffic and waiting slow down
less than a product that lives in the caches, and the state changes while a long run lasts. Fitted on 44 models (3 to
170 ms) whose passes were interleaved for four minutes, the exponent that made two halves of the passes agree best was
0.8 for models below 5, of 5 to 20, of 20 to 60 and beyond 60 ms alike, within 0.1.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

SENSITIVITY = 0.8

Times = TypeVar("Times", float, np.ndarray[Any, Any])


def correct(time_ms: Times, reference_ms: Any, nominal_ms: float) -> Times:
    """What a run would have taken, had the reference taken its nominal time.

    Args:
        time_ms: milliseconds of a run, or an array of them.
        reference_ms: milliseconds of the reference around it; of the same shape, or one that spreads to it.
        nominal_ms: nominal milliseconds of the reference.
    """
    return time_ms * (nominal_ms / reference_ms) ** SENSITIVITY
